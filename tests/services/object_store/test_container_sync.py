# SPDX-License-Identifier: Apache-2.0
"""Containers that are copied from one cloud to another, by signed requests as upstream's container sync sends them."""

import hashlib
import hmac
import json

import pytest

from altostratus.contracts.object_peer import ObjectPeer, PeerAnswer, PeerError
from altostratus.contracts.object_store import ObjectStore
from altostratus.drivers.object_store.fake import FakeObjectStore
from altostratus.kernel.config import Settings
from altostratus.services.object_store.config import ContainerSyncOptions, Realm
from altostratus.services.object_store.logic import syncing
from altostratus.services.object_store.reconcilers import sync
from altostratus.services.object_store.service import SERVICE
from altostratus.testing.cloud import TestCloud

from .conftest import Swift

REALM = Realm(
    key="secret of clouds",
    clusters={"one": "http://one/object-store/v1/", "two": "http://two/object-store/v1"},
)
OPTIONS = ContainerSyncOptions(realms={"Earth": REALM}, current="//earth/one")


class Wires(ObjectPeer):
    """Carries requests to the clouds by their host's name; `down` is who does not answer. `asked`: (method, path)."""

    def __init__(self):
        self.clients, self.down, self.asked = {}, set(), []

    def request(self, method, url, headers, body=None):
        host, _, path = url.removeprefix("http://").partition("/")
        self.asked.append((method, f"/{path}"))
        if host in self.down:
            raise PeerError(f"{host} is down")
        data = b""
        while body is not None and (piece := body.read(1000)):
            data += piece
        answer = self.clients[host].request(method, f"/{path}", data or None, headers=dict(headers))
        return PeerAnswer(answer.status, answer.headers)


@pytest.fixture
def wires():
    return Wires()


def cloud_of(directory, name, wires):
    def prepare(cloud):
        cloud.add_part(ObjectStore, FakeObjectStore())
        cloud.add_part(ObjectPeer, wires)

    directory.mkdir()
    cloud = TestCloud(directory, services=(SERVICE,), settings=Settings([OPTIONS]), prepare=prepare)
    wires.clients[name] = cloud.client(None)
    return cloud


@pytest.fixture
def clouds(tmp_path, wires):
    with cloud_of(tmp_path / "1", "one", wires) as one, cloud_of(tmp_path / "2", "two", wires) as two:
        yield one, two


@pytest.fixture
def one(clouds):
    return Swift(clouds[0], "member")


@pytest.fixture
def two(clouds):
    return Swift(clouds[1], "member")


def joined(source, target, where, container="c", key="of users"):
    account = target.base.rpartition("/")[2]
    to = {"X_Container_Sync_To": f"//earth/{where}/{account}/{container}", "X_Container_Sync_Key": key}
    assert source("PUT", "c", **to).status in (201, 202)


@pytest.fixture
def pair(one, two):
    """c of the first cloud is copied to c of the second."""
    assert two("PUT", "c", X_Container_Sync_Key="of users").status == 201
    joined(one, two, "two")
    return one, two


def copy(swift):
    sync.copy_containers(swift.cloud.cloud)


def listed(swift, container="c"):
    return json.loads(swift("GET", f"{container}?format=json").content)


def test_what_was_there_and_what_comes(one, two, monkeypatch):
    monkeypatch.setattr(sync, "_AT_ONCE", 2)
    one.put("c")
    for name in ("a", "b b/ü", "c?d", "d/", "e"):
        one.put(f"c/{name.replace('?', '%3F')}", name.encode(), X_Object_Meta_Colour="red", Content_Type="text/x")
    two("PUT", "c", X_Container_Sync_Key="of users")
    joined(one, two, "two")
    copy(one)
    assert listed(two) == listed(one) and len(listed(two)) == 5
    head = two("HEAD", "c/a").headers
    assert (head["x-object-meta-colour"], head["content-type"]) == ("red", "text/x")
    assert head["x-timestamp"] == one("HEAD", "c/a").headers["x-timestamp"]
    one.put("c/a", b"changed")
    one("POST", "c/e", X_Object_Meta_Colour="blue")
    one("DELETE", "c/b b/ü")
    copy(one)
    assert listed(two) == listed(one) and two("GET", "c/a").content == b"changed"
    assert two("HEAD", "c/e").headers["x-object-meta-colour"] == "blue"


def test_nothing_is_sent_twice(pair, wires):
    one, _ = pair
    one.put("c/o", b"1")
    copy(one)
    wires.asked.clear()
    copy(one)
    assert wires.asked == []


def test_both_ways_without_going_round(pair, wires):
    one, two = pair
    joined(two, one, "one")
    one.put("c/from-one", b"1")
    two.put("c/from-two", b"2")
    for _ in range(2):
        copy(one)
        copy(two)
    assert listed(one) == listed(two) and [item["name"] for item in listed(one)] == ["from-one", "from-two"]
    two("DELETE", "c/from-one")
    wires.asked.clear()
    for _ in range(3):
        copy(two)
        copy(one)
    assert [item["name"] for item in listed(one)] == ["from-two"]
    assert [method for method, _ in wires.asked] == ["DELETE", "DELETE"]


def test_the_newer_one_stays(pair):
    one, two = pair
    one.put("c/o", b"older")
    one.put("c/gone", b"older")
    one("DELETE", "c/gone")
    two.put("c/o", b"newer")
    two.put("c/gone", b"newer")
    copy(one)
    assert two("GET", "c/o").content == two("GET", "c/gone").content == b"newer"


def test_a_peer_that_is_down_loses_nothing(pair, wires):
    one, two = pair
    one.put("c/a", b"1")
    wires.down.add("two")
    copy(one)
    one.put("c/b", b"2")
    copy(one)
    wires.down.clear()
    copy(one)
    assert listed(two) == listed(one)


def test_what_is_refused_waits_behind_the_others(pair, monkeypatch):
    one, two = pair
    one.put("c/a", b"x" * 100)
    one.put("c/b", b"y")
    two("POST", "c", X_Container_Meta_Quota_Bytes="50")
    copy(one)
    assert two.names("c") == ["b"]
    two("POST", "c", X_Container_Meta_Quota_Bytes="500")
    copy(one)
    assert two.names("c") == ["b"]
    monkeypatch.setattr(syncing, "now_us", lambda: 10**17)
    copy(one)
    assert two.names("c") == ["a", "b"]


def test_large_objects_and_links(pair):
    one, two = pair
    for cloud in pair:
        cloud.put("segments")
        cloud.put("segments/p1", b"abc")
        cloud.put("segments/p2", b"defg")
    segments = json.dumps([{"path": "segments/p1"}, {"path": "segments/p2", "range": "1-2"}, {"data": "IQ=="}])
    assert one("PUT", "c/static?multipart-manifest=put", segments).status == 201
    one.put("c/dynamic", X_Object_Manifest="segments/p")
    one.put("c/link", X_Symlink_Target="c/static")
    copy(one)
    assert two("GET", "c/static").content == two("GET", "c/link").content == b"abcef!"
    assert two("GET", "c/dynamic").content == b"abcdefg"
    assert two("HEAD", "c/static").headers["etag"] == one("HEAD", "c/static").headers["etag"]
    assert two("HEAD", "c/link?symlink=get").headers["x-symlink-target"] == "c/static"
    for name in ("static", "dynamic", "link?symlink=get"):
        one(
            "POST",
            f"c/{name}",
            X_Object_Meta_Colour="red",
            **{"X_Object_Manifest": "segments/p"} if name == "dynamic" else {},
        )
    there = send(two, "HEAD", "c/link", signed(two, "HEAD", "c/link")).headers
    assert there["x-timestamp"] == two("HEAD", "c/link?symlink=get").headers["x-timestamp"]
    two("DELETE", "segments/p1")
    copy(one)
    assert [item["last_modified"] for item in listed(one)] == [item["last_modified"] for item in listed(two)]
    assert send(two, "GET", "c/static", signed(two, "GET", "c/static")).status in (401, 409)


def test_another_target_gets_everything_and_none_nothing(pair, wires):
    one, two = pair
    one.put("c/o", b"1")
    copy(one)
    two("PUT", "d", X_Container_Sync_Key="of users")
    joined(one, two, "two", "d")
    copy(one)
    assert two.names("d") == ["o"]
    one("POST", "c", X_Remove_Container_Sync_To="x")
    assert "x-container-sync-to" not in one("HEAD", "c").headers
    wires.asked.clear()
    one.put("c/p", b"1")
    copy(one)
    assert wires.asked == [] and two.names("d") == ["o"]
    one("DELETE", "c/o")
    one("DELETE", "c/p")
    assert one("DELETE", "c").status == 204


def test_only_realms_that_are_configured(one, two):
    account = two.base.rpartition("/")[2]
    for to in (
        f"http://two/v1/{account}/c",
        f"//mars/two/{account}/c",
        f"//earth/three/{account}/c",
        "//earth/two/c",
        "//",
    ):
        answer = one("PUT", "c", X_Container_Sync_To=to, X_Container_Sync_Key="k")
        assert answer.status == 400, to
    versioned = {"X_Versions_Enabled": "true", "X_Container_Sync_To": f"//earth/two/{account}/c"}
    assert one("PUT", "c", **versioned).status == 400
    assert one("HEAD", "c").status == 404


def test_keys_are_for_the_owner(pair, clouds):
    one, _ = pair
    reader = Swift(clouds[0], "reader", "member")
    assert one("HEAD", "c").headers["x-container-sync-key"] == "of users"
    assert not [name for name in reader("HEAD", "c").headers if "sync" in name]


def test_what_is_told(clouds):
    told = clouds[0].client(None).get("/object-store/info").json["container_sync"]
    assert told == {"realms": {"EARTH": {"clusters": {"ONE": {"current": True}, "TWO": {}}}}}


def signed(
    swift, method, path, *, key="of users", realm_key=REALM.key, realm="EARTH", at="1795278073.73986", sign=None
):
    whole = sign or f"{swift.base}/{path}"
    text = f"{method}\n{whole}\n{at}\nnonce\n{key}"
    made = hmac.new(realm_key.encode(), text.encode(), hashlib.sha1).hexdigest()
    return {"X-Timestamp": at, "X-Container-Sync-Auth": f"{realm} nonce {made}"}


def send(swift, method, path, headers, body=b""):
    if method == "PUT":
        headers = {"Content-Length": str(len(body)), **headers}
    client = swift.cloud.client(None)
    return client.request(method, f"{swift.base}/{path}", body, headers=headers)


def test_signatures_of_others(pair):
    _, two = pair
    short = "/v1/" + f"{two.base}/c/o".partition("/v1/")[2]
    assert send(two, "PUT", "c/o", signed(two, "PUT", "c/o"), b"1").status == 201
    assert send(two, "HEAD", "c/o", signed(two, "HEAD", "c/o", sign=short)).headers["x-timestamp"] == "1795278073.73986"
    wrong = [
        signed(two, "PUT", "c/o", key="another"), signed(two, "PUT", "c/o", realm_key="x"),
        signed(two, "PUT", "c/o", realm="MARS"), signed(two, "PUT", "c/p"), signed(two, "DELETE", "c/o"),
        signed(two, "PUT", "c/o") | {"X-Timestamp": "1795278099.00000"}, {"X-Container-Sync-Auth": "x"},
    ]  # fmt: skip
    for headers in wrong:
        refused = send(two, "PUT", "c/o", headers, b"2")
        assert refused.status == 401 and refused.headers["www-authenticate"].startswith("SwiftContainerSync")
    two("PUT", "keyless")
    assert send(two, "PUT", "keyless/o", signed(two, "PUT", "keyless/o", key=""), b"1").status == 401
    assert send(two, "PUT", "none/o", signed(two, "PUT", "none/o"), b"1").status == 401


def test_older_ones_are_refused(pair):
    _, two = pair
    send(two, "PUT", "c/o", signed(two, "PUT", "c/o", at="1795278073.00000"), b"1")
    for method in ("PUT", "DELETE"):
        for at in ("1795278073.00000", "1795278072.00000"):
            assert send(two, method, "c/o", signed(two, method, "c/o", at=at), b"2").status == 409
    assert send(two, "PUT", "c/o", signed(two, "PUT", "c/o", at="1795278074.00000"), b"2").status == 201
    assert send(two, "DELETE", "c/o", signed(two, "DELETE", "c/o", at="1795278075.00000")).status == 204
    assert send(two, "PUT", "c/o", signed(two, "PUT", "c/o", at="soon"), b"2").status == 400
