# SPDX-License-Identifier: Apache-2.0
"""Snapshots."""

import pytest

from altostratus.contracts.host_api import Key
from tests.services.block_storage.conftest import V, act, make_available, snapshot

NOWHERE = "11111111-2222-4333-8444-555555555555"


def test_create_list_change_delete(cloud, member, host):
    volume_id = make_available(cloud, member, size=2)
    snapshot_id = snapshot(cloud, member, volume_id, name="s", metadata={"a": "b"})
    path = f"{V}/snapshots/{snapshot_id}"
    shown = member.get(path).json["snapshot"]
    assert (shown["status"], shown["size"], shown["volume_id"]) == ("available", 2, volume_id)
    assert shown["os-extended-snapshot-attributes:progress"] == "100%"
    assert host.specs("snapshot")[snapshot_id]["volume_id"] == volume_id
    assert member.put(path, {"snapshot": {"name": "new"}}).json["snapshot"]["name"] == "new"
    for query, found in {
        "name=new": 1, "name=s": 0, f"volume_id={volume_id}": 1, "status=error": 0, "metadata={'a': 'b'}": 1,
        "limit=0": 0, "sort=name:asc": 1, "name~=ew": 1,
    }.items():  # fmt: skip
        assert len(member.get(f"{V}/snapshots/detail?{query}").json["snapshots"]) == found, query
    assert member.get(f"{V}/snapshots?with_count=true").json["count"] == 1
    assert member.delete(path).status == 202
    cloud.settle()
    assert member.get(path).status == 404 and host.specs("snapshot") == {}


def test_metadata(cloud, member):
    path = f"{V}/snapshots/{snapshot(cloud, member, make_available(cloud, member))}/metadata"
    assert member.post(path, {"metadata": {"a": "1"}}).json["metadata"] == {"a": "1"}
    assert member.post(path, {"metadata": {"b": "2"}}).json["metadata"] == {"a": "1", "b": "2"}
    assert member.put(path, {"metadata": {"c": "3"}}).json["metadata"] == {"c": "3"}
    assert member.put(f"{path}/c", {"meta": {"c": "4"}}).json["meta"] == {"c": "4"}
    assert member.get(f"{path}/c").json["meta"] == {"c": "4"}
    assert member.delete(f"{path}/c").status == 200 and member.get(f"{path}/c").status == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"volume_id": "x"}, 400),
        ({"volume_id": NOWHERE}, 404),
        ({"volume_id": NOWHERE, "name": "x" * 256}, 400),
    ],
)
def test_refused_requests(member, body, status):
    assert member.post(f"{V}/snapshots", {"snapshot": body}).status == status


def test_volumes_in_use(cloud, member):
    volume_id = make_available(cloud, member)
    act(member, volume_id, "os-attach", {"instance_uuid": NOWHERE, "mountpoint": "/dev/vdb"})
    old = {"OpenStack-API-Version": "volume 3.60"}
    body = {"snapshot": {"volume_id": volume_id}}
    assert member.post(f"{V}/snapshots", body, headers=old).status == 400
    forced = {"snapshot": {"volume_id": volume_id, "force": True}}
    assert member.post(f"{V}/snapshots", forced, headers=old).status == 202
    assert member.post(f"{V}/snapshots", body).status == 202
    assert member.post(f"{V}/snapshots", {"snapshot": {"volume_id": volume_id, "force": False}}).status == 400


def test_quota_and_states(cloud, member, admin, host):
    volume_id = make_available(cloud, member)
    admin.put(f"{V}/os-quota-sets/{member.project_id}", {"quota_set": {"snapshots": 1}})
    snapshot_id = snapshot(cloud, member, volume_id)
    assert member.post(f"{V}/snapshots", {"snapshot": {"volume_id": volume_id}}).status == 413
    action = f"{V}/snapshots/{snapshot_id}/action"
    assert member.post(action, {"os-reset_status": {"status": "error"}}).status == 403
    assert admin.post(action, {"os-reset_status": {"status": "creating"}}).status == 202
    assert member.delete(f"{V}/snapshots/{snapshot_id}").status == 400
    update = {"os-update_snapshot_status": {"status": "error", "progress": "80%"}}
    assert member.post(action, update).status == 202
    assert admin.post(action, {"os-force_delete": {}}).status == 202
    cloud.settle()
    assert member.get(f"{V}/snapshots/{snapshot_id}").status == 404


def test_a_host_that_fails(cloud, member, host):
    volume_id = make_available(cloud, member)
    made = member.post(f"{V}/snapshots", {"snapshot": {"volume_id": volume_id}}).json["snapshot"]["id"]
    host.fail[Key("snapshot", made)] = "The volume is written to all the time."
    cloud.settle()
    assert member.get(f"{V}/snapshots/{made}").json["snapshot"]["status"] == "error"
    assert "written to" in member.get(f"{V}/messages?resource_uuid={made}").json["messages"][0]["user_message"]


def test_who_may(cloud, member):
    path = f"{V}/snapshots/{snapshot(cloud, member, make_available(cloud, member))}"
    assert cloud.client("reader").get(path).status == 200 and cloud.client("reader").delete(path).status == 403
    assert cloud.client("member@green").get(path).status == 404
    assert len(cloud.client("admin").get(f"{V}/snapshots?all_tenants=1").json["snapshots"]) == 1
    assert cloud.client("admin").get(f"{V}/snapshots").json["snapshots"] == []
