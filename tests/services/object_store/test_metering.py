# SPDX-License-Identifier: Apache-2.0
"""Usage and traffic as events: exact, each told once, nothing lost when telling fails."""

import pytest
from falcon.testing import create_environ

from altostratus.kernel.db import table_of
from altostratus.kernel.events import EventRow
from altostratus.services.object_store.api.metering import Meter
from altostratus.services.object_store.reconcilers import metering
from altostratus.services.object_store.reconcilers.metering import tell_traffic, tell_usage

from .conftest import Swift


@pytest.fixture
def told(cloud):
    """Payloads of the events since the last time."""

    def take(tell, event_type):
        tell(cloud.cloud)
        with cloud.cloud.db.write() as tx:
            events = table_of(EventRow)
            found = [row.payload for row in tx.rows(events.select().where(events.c.event_type == event_type))]
            tx.delete_where(EventRow)
        return found

    return take


@pytest.fixture
def usage(told):
    return lambda: told(tell_usage, "objectstore.usage")


@pytest.fixture
def traffic(told):
    return lambda: told(tell_traffic, "objectstore.http.request")


def measured(payload):
    return {one["metric"]["name"]: one["result"] for one in payload["measurements"]}


def test_usage_of_an_account_and_its_containers(swift, usage):
    swift.put("c")
    swift.put("d")
    swift.put("c/o", b"12345")
    (one,) = usage()
    assert one["account"] == f"AUTH_{one['project_id']}" == swift.base.rpartition("/")[2]
    assert measured(one) == {"storage.objects": 1, "storage.objects.size": 5, "storage.objects.containers": 2}
    (c,) = one["containers"]
    assert (c["name"], c["storage_policy"]) == ("c", "Policy-0")
    assert measured(c) == {"storage.containers.objects": 1, "storage.containers.objects.size": 5}
    assert usage() == []
    swift("HEAD", "c/o")
    assert usage() == []


def test_what_moves_within_an_account_is_told(swift, usage):
    for path in ("a", "b", "a/o"):
        swift.put(path, b"")
    usage()
    swift("DELETE", "a/o")
    swift.put("b/o", b"")
    (one,) = usage()
    assert {item["name"]: measured(item)["storage.containers.objects"] for item in one["containers"]} == {
        "a": 0,
        "b": 1,
    }


def test_a_container_that_is_gone(swift, told, usage):
    swift.put("c")
    usage()
    swift("DELETE", "c")
    (gone,) = told(lambda _cloud: None, "objectstore.container.delete")
    assert gone["name"] == "c" and gone["account"].endswith(gone["project_id"])
    (one,) = usage()
    assert measured(one)["storage.objects.containers"] == 0 and one["containers"] == []


def test_many_containers_and_accounts(swift, cloud, usage, monkeypatch):
    monkeypatch.setattr(metering, "_CONTAINERS_AT_ONCE", 2)
    monkeypatch.setattr(metering, "_ACCOUNTS_AT_ONCE", 1)
    other = Swift(cloud, "member@red")
    for one in (swift, other):
        for name in "abcde":
            one.put(name)
            one.put(f"{name}/o", b"1")
    found = usage()
    assert sorted(item["name"] for one in found for item in one["containers"]) == sorted("abcde" * 2)
    assert {one["account"] for one in found} == {swift.base.rpartition("/")[2], other.base.rpartition("/")[2]}
    assert usage() == []


def test_requests_are_added_up(swift, cloud, traffic):
    swift.put("c")
    for number in range(3):
        swift.put(f"c/{number}", b"12345")
    assert swift("GET", "c/0").content == b"12345"
    swift("GET", "c/none")
    swift("HEAD", "c/0")
    found = {one["target"]["action"]: one for one in traffic()}
    assert measured(found["put"]) == {"storage.api.request": 4, "storage.objects.incoming.bytes": 15}
    assert measured(found["get"]) == {"storage.api.request": 2, "storage.objects.outgoing.bytes": 5}
    assert measured(found["head"]) == {"storage.api.request": 1}
    initiator = found["put"]["initiator"]
    assert initiator["project_id"] == found["put"]["target"]["id"] == swift.client.project_id
    assert initiator["id"] and found["put"]["action"] == "update"
    assert traffic() == []


def test_who_asks_is_told(swift, stranger, anybody, traffic):
    swift.put("c", X_Container_Read=".r:*")
    swift.put("c/o", b"1")
    traffic()
    stranger("GET", "c/o")
    anybody("GET", "c/o")
    assert anybody("GET", "c").status == 401
    found = {one["initiator"]["project_id"]: measured(one)["storage.api.request"] for one in traffic()}
    assert found == {stranger.client.project_id: 1, None: 2}


def test_a_body_of_unknown_length(swift, cloud, traffic):
    swift.put("c")
    traffic()
    swift.client.request("PUT", f"{swift.base}/c/o", b"1234567", headers={"Transfer-Encoding": "chunked"})
    (one,) = traffic()
    assert measured(one)["storage.objects.incoming.bytes"] == 7


def test_a_download_that_is_broken_off(swift, cloud, traffic, store):
    swift.put("c")
    swift.put("c/o", b"x" * (1 << 20))
    traffic()
    env = create_environ(f"{swift.base}/c/o", headers={"X-Auth-Token": "member"})
    body = cloud.app(env, lambda status, headers, *rest: None)
    pieces = iter(body)
    taken = len(next(pieces)) + len(next(pieces))
    body.close()
    del pieces, body
    (one,) = traffic()
    assert 0 < measured(one)["storage.objects.outgoing.bytes"] <= taken < 1 << 20


def test_nothing_is_lost_when_telling_fails(swift, cloud, traffic, monkeypatch):
    swift.put("c")
    with monkeypatch.context() as patch:
        patch.setattr(cloud.cloud.events, "emit", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            tell_traffic(cloud.cloud)
    swift.put("c/o", b"1")
    (one,) = traffic()
    assert measured(one) == {"storage.api.request": 2, "storage.objects.incoming.bytes": 1}
    assert not cloud.cloud.part(Meter).take()
