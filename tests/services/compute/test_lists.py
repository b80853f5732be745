# SPDX-License-Identifier: Apache-2.0
"""Lists of servers: filters, order, pages; metadata and tags."""

import pytest

from .people import words_of


@pytest.fixture
def three(member, cloud, image, network):
    ids = {}
    for name, tags in (("alpha", ["x", "y"]), ("beta", ["y"]), ("gamma", [])):
        ids[name] = member.begin_server(image, network, name=name, tags=tags)
    cloud.settle()
    return ids


def names(member, query, **options):
    return [one["name"] for one in member.read(f"/servers{query}", **options)["servers"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["gamma", "beta", "alpha"]),
        ("?name=alpha", ["alpha"]),
        ("?name=a$", ["gamma", "beta", "alpha"]),
        ("?name=^b", ["beta"]),
        ("?status=ACTIVE", ["gamma", "beta", "alpha"]),
        ("?status=SHUTOFF", []),
        ("?status=BUILD&status=ACTIVE", ["gamma", "beta", "alpha"]),
        ("?tags=x,y", ["alpha"]),
        ("?tags-any=x,y", ["beta", "alpha"]),
        ("?not-tags=x,y", ["gamma", "beta"]),
        ("?not-tags-any=x,y", ["gamma"]),
        ("?flavor=0", ["gamma", "beta", "alpha"]),
        ("?flavor=1", []),
        ("?sort_key=display_name&sort_dir=asc", ["alpha", "beta", "gamma"]),
        ("?limit=1", ["gamma"]),
        ("?changes-since=2000-01-01T00:00:00Z", ["gamma", "beta", "alpha"]),
        ("?changes-since=2100-01-01T00:00:00Z", []),
        ("?locked=true", []),
        ("?host=elsewhere", ["gamma", "beta", "alpha"]),  # not for members: ignored
    ],
)
def test_filters(member, three, query, expected):
    assert names(member, query) == expected


@pytest.mark.parametrize(
    "query",
    ["?status=FLYING", "?changes-since=yesterday", "?limit=-1", "?marker=nothing", "?sort_key=shoe", "?bogus=1"],
)
def test_bad_filters(member, query):
    assert member.get(f"/servers{query}").status == 400


def test_old_versions_ignore_what_they_do_not_know(member, three):
    assert len(names(member, "?bogus=1", version="2.74")) == 3
    assert names(member, "?status=FLYING", version="2.37") == []


def test_pages(member, three):
    first = member.read("/servers?limit=2")
    assert [one["name"] for one in first["servers"]] == ["gamma", "beta"]
    href = first["servers_links"][0]["href"]
    rest = member.read(href[href.index("/compute") :])
    assert [one["name"] for one in rest["servers"]] == ["alpha"] and "servers_links" not in rest


def test_deleted_ones_show_only_with_changes_since(member, admin, cloud, three):
    member.delete(f"/servers/{three['alpha']}")
    cloud.settle()
    assert names(member, "") == ["gamma", "beta"]
    found = member.read("/servers/detail?changes-since=2000-01-01T00:00:00Z")["servers"]
    assert {one["name"]: one["status"] for one in found}["alpha"] == "DELETED"
    assert names(admin, "?all_tenants=1&deleted=true") == ["alpha"]
    assert member.get("/servers?status=deleted").status == 403


def test_metadata(member, reader, server):
    path = f"/servers/{server}/metadata"
    assert member.post(path, {"metadata": {"a": "1", "b": "2"}}).json == {"metadata": {"a": "1", "b": "2"}}
    assert member.put(f"{path}/a", {"meta": {"a": "9"}}).json == {"meta": {"a": "9"}}
    assert member.read(path)["metadata"] == {"a": "9", "b": "2"}
    assert member.read(f"{path}/a") == {"meta": {"a": "9"}}
    assert member.put(path, {"metadata": {"c": "3"}}).json == {"metadata": {"c": "3"}}
    assert member.delete(f"{path}/c").status == 204 and member.delete(f"{path}/c").status == 404
    assert member.put(f"{path}/a", {"meta": {"b": "9"}}).status == 400
    assert member.put(f"{path}/a", {"meta": {}}).status == 400
    assert member.post(path, {"metadata": {"a": None}}).status == 400
    assert reader.post(path, {"metadata": {}}).status == 403
    many = member.post(path, {"metadata": {f"k{number}": "v" for number in range(129)}})
    assert many.status == 403 and "128" in words_of(many)


def test_tags(member, server):
    path = f"/servers/{server}/tags"
    assert member.put(f"{path}/one").status == 201 and member.put(f"{path}/one").status == 204
    assert member.get(f"{path}/one").status == 204 and member.get(f"{path}/two").status == 404
    assert member.put(path, {"tags": ["b", "a", "b"]}).json == {"tags": ["b", "a"]}
    assert member.delete(f"{path}/b").status == 204 and member.delete(f"{path}/b").status == 404
    assert member.put(f"{path}/{'x' * 61}").status == 400
    assert member.delete(path).status == 204 and member.read(path) == {"tags": []}
    assert member.get(path, version="2.25").status == 404
