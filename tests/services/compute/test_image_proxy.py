# SPDX-License-Identifier: Apache-2.0
"""The old calls for images that compute passes on, and backups that take turns."""

import pytest

OLD = "2.35"


def test_list_and_show(member, other, image, network):
    second = member.make_image("second")
    listed = member.read("/images", version=OLD)["images"]
    assert {one["id"] for one in listed} == {image, second} and set(listed[0]) == {"id", "name", "links"}
    shown = member.read(f"/images/{second}", version=OLD)["image"]
    assert shown["status"] == "ACTIVE" and shown["progress"] == 100 and shown["OS-EXT-IMG-SIZE:size"] == 8
    assert member.read("/images/detail?name=second", version=OLD)["images"] == [shown]
    page = member.read("/images?limit=1", version=OLD)
    rest = member.get(page["images_links"][0]["href"].partition("/v2.1")[2], version=OLD).json
    assert [one["id"] for one in (*page["images"], *rest["images"])] == [one["id"] for one in listed]
    assert len(member.read(f"/images?changes-since={shown['created']}&status=ACTIVE", version=OLD)["images"]) >= 1
    assert other.get(f"/images/{second}", version=OLD).status == 404
    assert member.get("/images", version="2.36").status == 404


@pytest.mark.parametrize(
    "query",
    [
        "limit=x",
        "marker=none",
        "changes-since=soon",
        "minRam=x",
        "limit=\u00b2",
        "changes-since=9999-12-31T23:59:59-10:00",
    ],
)
def test_bad_queries(member, image, query):
    assert member.get(f"/images?{query}", version=OLD).status == 400


def test_metadata(member, other, reader, image):
    mine = member.make_image("mine")
    path = f"/images/{mine}/metadata"
    assert member.put(path, {"metadata": {"a": "1", "b": "2"}}, version=OLD).json == {"metadata": {"a": "1", "b": "2"}}
    assert member.post(path, {"metadata": {"b": "3"}}, version=OLD).json["metadata"] == {"a": "1", "b": "3"}
    assert member.put(f"{path}/c", {"meta": {"c": "4"}}, version=OLD).json == {"meta": {"c": "4"}}
    assert member.read(f"{path}/c", version=OLD) == {"meta": {"c": "4"}}
    assert member.put(f"{path}/c", {"meta": {"d": "4"}}, version=OLD).status == 400
    assert member.delete(f"{path}/a", version=OLD).status == 204
    assert member.delete(f"{path}/a", version=OLD).status == 404
    assert member.read(path, version=OLD) == {"metadata": {"b": "3", "c": "4"}}
    assert other.get(path, version=OLD).status == 404
    assert reader.put(path, {"metadata": {}}, version=OLD).status == 403
    assert member.get(path, version="2.39").status == 404


def test_delete(member, reader):
    mine = member.make_image("mine")
    assert reader.delete(f"/images/{mine}", version=OLD).status == 403
    assert member.delete(f"/images/{mine}", version=OLD).status == 204
    assert member.get(f"/images/{mine}", version=OLD).status == 404


def test_backups_take_turns(member, image, network):
    server = member.try_server(image, network).json["server"]["id"]
    member.cloud.settle()
    for name in ("one", "two", "three"):
        body = {"createBackup": {"name": name, "backup_type": "daily", "rotation": 2}}
        assert member.post(f"/servers/{server}/action", body).status == 202
        member.cloud.settle()
    kept = member.read(f"/images/detail?server={server}&type=backup", version=OLD)["images"]
    assert {one["name"] for one in kept} == {"two", "three"}
    assert kept[0]["server"]["id"] == server and kept[0]["metadata"]["backup_type"] == "daily"
