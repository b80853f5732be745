# SPDX-License-Identifier: Apache-2.0
"""Accounts and containers: counts, metadata, listings, who may use them."""

import itertools
import json
import random
import xml.etree.ElementTree as ET

import pytest

from .conftest import Swift

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_account_and_container(swift):
    assert swift("GET").status == swift("HEAD").status == 204
    assert swift("HEAD").headers["x-account-container-count"] == "0"
    assert swift("PUT", "c", X_Container_Meta_Color="Red").status == 201
    assert swift("PUT", "c").status == 202
    swift.put("c/o", b"12345")
    head = swift("HEAD", "c").headers
    assert (head["x-container-object-count"], head["x-container-bytes-used"]) == ("1", "5")
    assert head["x-container-meta-color"] == "Red"
    whole = swift("HEAD").headers
    assert whole["x-account-object-count"] == "1" and whole["x-account-bytes-used"] == "5"
    assert swift("DELETE", "c").status == 409
    swift("DELETE", "c/o")
    assert swift("DELETE", "c").status == 204
    assert swift("DELETE", "c").status == swift("HEAD", "c").status == swift("POST", "c").status == 404
    assert swift("HEAD").headers["x-account-container-count"] == "0"


def test_metadata_of_accounts_and_containers(swift):
    swift.put("c")
    for path, kind in (("", "account"), ("c", "container")):
        swift("POST", path, **{f"X_{kind}_Meta_A": "1", f"X_{kind}_Meta_B": "2"})
        swift("POST", path, **{f"X_{kind}_Meta_A": "", f"X_Remove_{kind}_Meta_B": "x", f"X_{kind}_Meta_C": "3"})
        head = swift("HEAD", path).headers
        assert {name: value for name, value in head.items() if "-meta-" in name} == {f"x-{kind}-meta-c": "3"}
        assert swift("POST", path, **{f"X_{kind}_Meta_A": "v" * 300}).status == 400


def test_formats(swift):
    swift.put("c")
    swift.put("c/<a&b>", b"1")
    swift.put("c/d/e", b"12")
    listed = json.loads(swift("GET", "c?format=json&delimiter=/").content)
    assert listed[0]["name"] == "<a&b>" and listed[0]["bytes"] == 1 and len(listed[0]["hash"]) == 32
    assert listed[1] == {"subdir": "d/"}
    tree = ET.fromstring(swift("GET", "c?format=xml&delimiter=/").content)
    assert tree.attrib["name"] == "c" and tree.findtext("object/name") == "<a&b>"
    assert [one.attrib["name"] for one in tree.findall("subdir")] == ["d/"]
    assert swift("GET", "c", Accept="application/json").headers["content-type"].startswith("application/json")
    assert swift("GET", "c", Accept="text/html;q=0.9, text/xml").content.startswith(b"<?xml")
    assert swift("GET", "c", Accept="image/png").status == 406
    assert json.loads(swift("GET", "?format=json").content)[0].items() >= {"name": "c", "count": 2, "bytes": 3}.items()
    assert swift("GET", "c?format=json&prefix=none").content == b"[]"
    assert swift("GET", "c?prefix=none").status == 204
    assert swift("GET", "c?limit=10001").status == 412


NAMES = ["a", "a/b", "a/b/c", "a0", "b", "b-b", "b/1", "b/2", "b//x", "c/", "ä", "z" * 50, "文"]


@pytest.fixture
def filled(swift):
    swift.put("c")
    for name in random.sample(NAMES, len(NAMES)):
        swift.put(f"c/{name}", b"x")
    return swift


def plain(prefix="", delimiter="", marker="", end_marker="", limit=10_000, reverse=False):
    """What a listing is, told in a few lines: the standard that the real one is compared with."""
    found = []
    for name in sorted(NAMES, key=str.encode, reverse=reverse):
        if not name.startswith(prefix):
            continue
        at = name.find(delimiter, len(prefix)) if delimiter else -1
        shown = name if at < 0 else name[: at + len(delimiter)]
        if marker and not (name < marker if reverse else name > marker):
            continue
        if end_marker and not (name > end_marker if reverse else name < end_marker):
            continue
        if at >= 0 and marker and (shown >= marker if reverse else shown <= marker):
            continue
        if shown not in found:
            found.append(shown)
    return found[:limit]


def test_pages(filled):
    choices = itertools.product(
        ("", "a", "a/", "b", "b/", "none"), ("", "/", "-", "b/"), ("", "a/", "a/b", "b/1", "zz"), (1, 3, 10_000),
        (False, True),
    )  # fmt: skip
    for prefix, delimiter, marker, limit, reverse in choices:
        query = f"prefix={prefix}&delimiter={delimiter}&marker={marker}&limit={limit}&reverse={reverse}"
        assert filled.names("c", query) == plain(prefix, delimiter, marker, "", limit, reverse), query


def test_ends(filled):
    assert filled.names("c", "end_marker=b") == plain(end_marker="b")
    assert filled.names("c", "end_marker=b&reverse=1&delimiter=/") == plain(end_marker="b", reverse=True, delimiter="/")
    assert filled.names("c", "path=b") == ["b/1", "b/2"]
    assert filled.names("c", "path=") == [name for name in plain() if "/" not in name]
    assert filled.names("c", "limit=0") == []


def test_who_may_do_what(swift, stranger, anybody, cloud):
    swift.put("c")
    swift.put("c/o", b"data")
    for method, path in (("GET", ""), ("HEAD", ""), ("GET", "c"), ("GET", "c/o"), ("PUT", "c/p"), ("DELETE", "c/o"),
                         ("POST", "c"), ("PUT", "d"), ("DELETE", "c"), ("POST", ""), ("GET", "none/o")):  # fmt: skip
        assert stranger(method, path).status == 403, (method, path)
        refused = anybody(method, path)
        assert refused.status == 401 and refused.headers["www-authenticate"].startswith("Swift realm="), (method, path)
    reader = type(swift)(cloud, "reader", "member")
    assert reader("GET", "c/o").content == b"data" and reader.names("c") == ["o"]
    assert reader("PUT", "c/p").status == reader("POST", "c").status == 403
    assert swift("DELETE", "").status == 405


@pytest.mark.parametrize(
    ("read", "object_status", "list_status"),
    [
        (".r:*", 200, 401),
        (".r:*,.rlistings", 200, 200),
        (".r:.example.com", 401, 401),
        ("*:*", 401, 401),
    ],
)
def test_web_access(swift, anybody, read, object_status, list_status):
    swift.put("c", X_Container_Read=read)
    swift.put("c/o", b"data")
    assert (anybody("GET", "c/o").status, anybody("GET", "c").status) == (object_status, list_status)
    assert anybody("PUT", "c/o").status == 401


def test_referrers(swift, anybody):
    swift.put("c", X_Container_Read=".r:*.example.com, .r:-bad.example.com")
    swift.put("c/o", b"data")
    for referrer, status in (
        ("http://www.example.com/page", 200),
        ("http://bad.example.com/", 401),
        ("http://example.org/", 401),
        ("http://[", 401),
    ):
        assert anybody("GET", "c/o", Referer=referrer).status == status, referrer


def test_lists_for_projects_and_roles(swift, stranger):
    swift.put("c")
    swift.put("c/o", b"data")
    project = stranger.client.project_id
    for read, allowed in ((f"{project}:*", True), ("member", True), ("else:*", False), ("manager", False)):
        swift("POST", "c", X_Container_Read=read)
        assert (stranger("GET", "c/o").status == 200) == allowed, read
        assert stranger("PUT", "c/p", b"x").status == 403
    swift("POST", "c", X_Remove_Container_Read="x", X_Container_Write=f"{project}:*")
    assert stranger("PUT", "c/p", b"x").status == 201 and stranger("GET", "c/p").status == 403
    swift("POST", "c", X_Container_Write="")
    assert "x-container-write" not in swift("HEAD", "c").headers


@pytest.mark.parametrize(
    "headers", [{"X_Container_Read": ".x:*"}, {"X_Container_Write": ".r:*"}, {"X_Container_Read": ".r:"},
                {"X_Storage_Policy": "gold"}],
)  # fmt: skip
def test_refused_settings(swift, headers):
    swift.put("c")
    assert swift("PUT", "d", **headers).status == 400
    if "X_Storage_Policy" not in headers:
        assert swift("POST", "c", **headers).status == 400


def test_info_and_health(cloud):
    client = cloud.client(None)
    assert client.get("/info").json["swift"]["max_file_size"] > 5_000_000_000
    assert client.get("/healthcheck").text == "OK"


def test_quotas_of_an_account_are_set_by_reseller_admins_under_both_names(swift, cloud):
    reseller = Swift(cloud, "reseller", "member")
    for name in ("X_Account_Quota_Count", "X_Account_Meta_Quota_Bytes", "X_Remove_Account_Quota_Bytes"):
        assert swift("POST", "", **{name: "1"}).status == 403
    assert reseller("POST", "", X_Account_Quota_Count="many").status == 400
    assert reseller("POST", "", X_Account_Quota_Count="1", X_Account_Quota_Bytes="2").status == 204
    assert swift("HEAD", "").headers["x-account-quota-bytes"] == "2"
    assert swift("HEAD", "").headers["x-account-meta-quota-bytes"] == "2"
    swift.put("c")
    assert swift("PUT", "c/o", b"123").status == 413
    swift.put("c/o", b"12")
    assert swift("PUT", "c/p").status == 413
    reseller("POST", "", X_Remove_Account_Quota_Count="x", X_Account_Meta_Quota_Bytes="")
    swift.put("c/p", b"12345")
