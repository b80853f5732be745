# SPDX-License-Identifier: Apache-2.0
"""Volumes: create from everything, refusals, lists, changes, deletion."""

import pytest

from altostratus.contracts.host_api import Key, Report
from tests.services.block_storage.conftest import LATEST, V, act, make, make_available, make_image, show, snapshot


def names(reply):
    return [volume["name"] for volume in reply.json["volumes"]]


def test_an_empty_volume(cloud, member, host):
    made = make(member, size="2", name=" disk ", metadata={"a": "b"}, description="d")
    assert made.status == 202, made.text
    volume = made.json["volume"]
    assert (volume["status"], volume["size"], volume["name"], volume["bootable"]) == ("creating", 2, "disk", "false")
    assert volume["volume_type"] == "__DEFAULT__" and volume["metadata"] == {"a": "b"}
    assert volume["links"][0]["href"].endswith(f"{V}/{member.project_id}/volumes/{volume['id']}")
    assert "os-vol-host-attr:host" not in volume
    cloud.settle()
    assert show(member, volume["id"])["status"] == "available"
    assert host.specs()[volume["id"]]["size_gib"] == 2
    shown = cloud.client("admin").get(f"{V}/volumes/{volume['id']}").json["volume"]
    assert shown["os-vol-host-attr:host"] == "host-1@file#file"
    with_project = member.get(f"{V}/{member.project_id}/volumes/{volume['id']}")
    assert with_project.json["volume"]["id"] == volume["id"]
    assert member.get(f"{V}/{cloud.project_id('green')}/volumes").status == 400


def test_members_come_with_microversions(cloud, member):
    volume_id = make_available(cloud, member)
    path = f"{V}/volumes/{volume_id}"

    def members(version):
        return set(member.get(path, headers={"OpenStack-API-Version": f"volume {version}"}).json["volume"])

    assert "group_id" not in members("3.12") and "group_id" in members("3.13")
    assert "volume_type_id" not in members("3.62") and "volume_type_id" in members("3.63")
    assert "consumes_quota" in members("3.65")
    assert member.get(path, headers={"OpenStack-API-Version": "volume 3.99"}).status == 406


@pytest.mark.parametrize(
    ("members", "status"),
    [
        ({"size": "big"}, 400),
        ({"size": 0}, 400),
        ({"size": "0"}, 400),
        ({"size": -1}, 400),
        ({"size": 3000000000}, 400),
        ({"size": "9999999999"}, 400),
        ({"size": None}, 400),
        ({"size": 2.5}, 400),
        ({"name": "x" * 256}, 400),
        ({"description": "x" * 256}, 400),
        ({"metadata": {"": "v"}}, 400),
        ({"metadata": {"k": "v" * 256}}, 400),
        ({"metadata": {"k": 5}}, 400),
        ({"snapshot_id": "no-uuid"}, 400),
        ({"snapshot_id": "11111111-2222-4333-8444-555555555555"}, 404),
        ({"source_volid": "11111111-2222-4333-8444-555555555555"}, 404),
        ({"volume_type": "no such type"}, 404),
        ({"imageRef": "11111111-2222-4333-8444-555555555555"}, 400),
        ({"availability_zone": "moon"}, 400),
        ({"multiattach": True}, 400),
        ({"bogus": 1}, 400),
        ({"group_id": "11111111-2222-4333-8444-555555555555"}, 404),
    ],
)
def test_refused_requests(member, members, status):
    refused = make(member, **members)
    assert refused.status == status, refused.text
    (fault,) = refused.json.values()
    assert fault["code"] == status and fault["message"]
    assert member.get(f"{V}/volumes").json["volumes"] == []


def test_old_microversions_overlook_unknown_members(cloud):
    assert make(cloud.client("member"), bogus=1).status == 202


def test_who_may(cloud, member):
    path = f"{V}/volumes/{make_available(cloud, member)}"
    assert cloud.client(None).get(path).status == 401
    assert cloud.client("reader").get(path).status == 200
    assert cloud.client("reader").delete(path).status == 403
    assert make(cloud.client("reader")).status == 403
    for method in ("get", "delete"):
        assert getattr(cloud.client("member@green"), method)(path).status == 404
    assert cloud.client("admin").get(path).status == 200


def test_quota(cloud, member, admin):
    quotas = f"{V}/os-quota-sets/{member.project_id}"
    assert admin.put(quotas, {"quota_set": {"volumes": 2, "gigabytes": 5, "per_volume_gigabytes": 4}}).status == 200
    assert make(member, size=5).status == 413
    assert make(member, size=4).status == 202
    refused = make(member, size=2)
    assert refused.status == 413 and refused.json["overLimit"]["retryAfter"] == "0"
    assert make(member, size=1).status == 202
    assert "Maximum number of volumes" in make(member, size=1).json["overLimit"]["message"]


def test_quota_of_a_type(cloud, member, admin):
    admin.post(f"{V}/types", {"volume_type": {"name": "gold"}})
    assert admin.put(f"{V}/os-quota-sets/{member.project_id}", {"quota_set": {"volumes_gold": 1}}).status == 200
    assert make(member, volume_type="gold").status == 202
    assert make(member, volume_type="gold").status == 413
    assert make(member).status == 202


def test_from_an_image(cloud, member, host):
    image_id = make_image(member, name="cirros", os_distro="cirros", min_disk=2)
    assert make(member, size=1, imageRef=image_id).status == 400
    volume_id = make_available(cloud, member, size=2, imageRef=image_id)
    volume = show(member, volume_id)
    assert volume["bootable"] == "true"
    metadata = volume["volume_image_metadata"]
    assert (metadata["image_id"], metadata["image_name"], metadata["os_distro"]) == (image_id, "cirros", "cirros")
    source = host.specs()[volume_id]["source"]
    assert source["kind"] == "image" and source["id"] == image_id and source["format"] == "raw"
    by_name = make(member, size=2, imageRef="cirros")
    assert by_name.status == 202
    member.patch(
        f"/image/v2/images/{image_id}", [{"op": "replace", "path": "/name", "value": "other"}],
        headers={"Content-Type": "application/openstack-images-v2.1-json-patch"},
    )  # fmt: skip
    assert make(member, size=2, imageRef="cirros").status == 400


def test_image_without_data_or_too_big(member):
    body = {"name": "q", "disk_format": "raw", "container_format": "bare"}
    queued = member.post("/image/v2/images", body).json["id"]
    assert "not active" in make(member, imageRef=queued).json["badRequest"]["message"]


def test_from_a_snapshot_and_from_a_volume(cloud, member, host):
    volume_id = make_available(cloud, member, size=3)
    snapshot_id = snapshot(cloud, member, volume_id)
    assert make(member, size=2, snapshot_id=snapshot_id).status == 400
    assert make(member, size=2, source_volid=volume_id).status == 400
    copy = make_available(cloud, member, size=None, snapshot_id=snapshot_id)
    clone = make_available(cloud, member, size=4, source_volid=volume_id)
    assert (show(member, copy)["size"], show(member, copy)["snapshot_id"]) == (3, snapshot_id)
    assert show(member, clone)["source_volid"] == volume_id
    assert host.specs()[copy]["source"]["kind"] == "snapshot" and host.specs()[clone]["source"]["kind"] == "volume"


def test_no_room_is_told(cloud, member):
    volume_id = make(member, size=500).json["volume"]["id"]
    cloud.settle()
    assert show(member, volume_id)["status"] == "error"
    (message,) = member.get(f"{V}/messages?resource_uuid={volume_id}").json["messages"]
    assert "host-1@file#file: 500 GiB are asked for, 200 GiB" in message["user_message"]
    assert member.get(f"{V}/messages/{message['id']}").json["message"] == message
    assert member.delete(f"{V}/messages/{message['id']}").status == 204
    assert member.delete(f"{V}/volumes/{volume_id}").status == 202
    cloud.settle()
    assert member.get(f"{V}/volumes/{volume_id}").status == 404


def test_a_host_that_fails_leaves_nothing(cloud, member, host):
    volume_id = make(member).json["volume"]["id"]
    host.fail[Key("volume", volume_id)] = "The disk of this back end is full."
    cloud.settle()
    assert show(member, volume_id)["status"] == "error"
    assert "full" in member.get(f"{V}/messages").json["messages"][0]["user_message"]


def test_lists(cloud, member):
    for number, name in enumerate("abc"):
        make_available(cloud, member, name=name, size=number + 1, metadata={"n": name, "all": "yes"})
    make(cloud.client("member@green"), name="green")
    cases = {
        "": ["c", "b", "a"],
        "name=b": ["b"],
        "name~=b": ["b"],
        "status=available": ["c", "b", "a"],
        "status=null": [],
        "metadata={'n': 'a'}": ["a"],
        "metadata={'n': 'a', 'all': 'no'}": [],
        'metadata={"all": "yes"}': ["c", "b", "a"],
        "bootable=true": [],
        "bootable=False": ["c", "b", "a"],
        "availability_zone=nova": ["c", "b", "a"],
        "sort=size:asc": ["a", "b", "c"],
        "sort_key=name&sort_dir=asc": ["a", "b", "c"],
        "sort_key=display_name&sort_dir=asc": ["a", "b", "c"],
        "limit=2": ["c", "b"],
        "limit=0": [],
        "offset=1&limit=1": ["b"],
        "created_at=gt:2000-01-01T00:00:00": ["c", "b", "a"],
        "created_at=lt:2000-01-01T00:00:00": [],
        "all_tenants=1": ["c", "b", "a"],
    }
    for path in ("volumes", "volumes/detail"):
        assert {query: names(member.get(f"{V}/{path}?{query}")) for query in cases} == cases
    everything = names(cloud.client("admin").get(f"{V}/volumes/detail?all_tenants=1"))
    assert sorted(everything) == ["a", "b", "c", "green"]
    assert member.get(f"{V}/volumes?with_count=true&limit=1").json["count"] == 3
    summed = member.get(f"{V}/volumes/summary").json["volume-summary"]
    assert (summed["total_count"], summed["total_size"], summed["metadata"]["all"]) == (3, 6, ["yes"])


def test_pages(cloud, member):
    for name in "abc":
        make_available(cloud, member, name=name)
    first = member.get(f"{V}/volumes/detail?limit=2").json
    (link,) = first["volumes_links"]
    second = member.get(link["href"].partition("falconframework.org")[2]).json
    assert [one["name"] for one in first["volumes"] + second["volumes"]] == ["c", "b", "a"]
    assert "volumes_links" not in second
    assert "volumes_links" in member.get(f"{V}/volumes?limit=3").json


@pytest.mark.parametrize(
    "query",
    ["limit=x", "limit=-1", "sort=bogus", "bootable=perhaps", "bogus=1", "created_at=at:2000-01-01"],
)
def test_refused_queries(member, query):
    assert member.get(f"{V}/volumes/detail?{query}").status == 400


def test_a_marker_that_is_gone(member):
    assert member.get(f"{V}/volumes?marker=none").status == 404 and member.get(f"{V}/volumes/").status == 404


def test_lists_cost_the_same_for_one_and_for_many(cloud, member):
    make_available(cloud, member)
    member.get(f"{V}/volumes/detail")
    few = cloud.count_queries(lambda: member.get(f"{V}/volumes/detail"))
    for _ in range(5):
        make_available(cloud, member)
    assert cloud.count_queries(lambda: member.get(f"{V}/volumes/detail")) <= few + 3
    assert cloud.count_queries(lambda: member.get(f"{V}/volumes/detail")) == few


def test_update_and_metadata(cloud, member):
    volume_id = make_available(cloud, member, metadata={"a": "1"})
    path = f"{V}/volumes/{volume_id}"
    changed = member.put(path, {"volume": {"name": "new", "description": None}})
    assert changed.json["volume"]["name"] == "new"
    assert member.put(path, {"volume": {}}).status == 400
    assert member.put(path, {"volume": {"size": 5}}).status == 400
    assert member.post(f"{path}/metadata", {"metadata": {"b": "2"}}).json["metadata"] == {"a": "1", "b": "2"}
    assert member.put(f"{path}/metadata", {"metadata": {"c": "3"}}).json["metadata"] == {"c": "3"}
    assert member.put(f"{path}/metadata/c", {"meta": {"c": "4"}}).json["meta"] == {"c": "4"}
    assert member.put(f"{path}/metadata/c", {"meta": {"d": "4"}}).status == 400
    assert member.get(f"{path}/metadata/c").json["meta"] == {"c": "4"}
    assert member.delete(f"{path}/metadata/c").status == 200
    assert member.delete(f"{path}/metadata/c").status == 404
    assert show(member, volume_id)["metadata"] == {}
    assert member.post(f"{path}/metadata", {"metadata": {"k" * 256: "v"}}).status == 400


def test_deletion_and_what_stands_in_its_way(cloud, member, host):
    volume_id = make_available(cloud, member)
    path = f"{V}/volumes/{volume_id}"
    snapshot_id = snapshot(cloud, member, volume_id)
    assert "snapshots" in member.delete(path).json["badRequest"]["message"]
    assert act(member, volume_id, "os-reserve").status == 202
    assert member.delete(f"{path}?cascade=true").status == 400
    assert act(member, volume_id, "os-unreserve").status == 202
    assert member.delete(f"{path}?force=true").status == 403
    assert member.delete(f"{path}?cascade=true").status == 202
    cloud.settle()
    assert member.get(path).status == 404 and member.get(f"{V}/snapshots/{snapshot_id}").status == 404
    assert host.seen == {} and member.delete(path).status == 404


def test_a_deletion_that_a_host_refuses_is_told_and_can_be_tried_again(cloud, member, host):
    volume_id = make_available(cloud, member)
    host.fail[Key("volume", volume_id)] = "The file is busy."
    assert member.delete(f"{V}/volumes/{volume_id}").status == 202
    cloud.settle()
    assert show(member, volume_id)["status"] == "error_deleting"
    assert "busy" in member.get(f"{V}/messages").json["messages"][0]["user_message"]
    host.fail.clear()
    assert member.delete(f"{V}/volumes/{volume_id}").status == 202
    with cloud.cloud.db.read() as tx:
        generation = cloud.cloud.desired.show(tx, "volume", volume_id).generation
    report = Report(kind="volume", id=volume_id, generation=generation, state={"present": False})
    cloud.cloud.desired.report("host-1", [report])
    cloud.settle()
    assert member.get(f"{V}/volumes/{volume_id}").status == 404


def test_versions_and_extensions(cloud, member):
    nobody = cloud.client(None)
    root = nobody.get("/volume")
    assert root.status == 300 and root.json["versions"][0]["version"] == "3.71"
    assert nobody.get("/volume/v3").json["versions"][0]["id"] == "v3.0"
    assert any(one["alias"] == "os-quota-sets" for one in member.get(f"{V}/extensions").json["extensions"])
    assert member.get(f"{V}/resource_filters?resource=volume").json["resource_filters"][0]["resource"] == "volume"
    assert member.get(f"{V}/volumes", headers=LATEST).headers["openstack-api-version"] == "volume 3.71"
