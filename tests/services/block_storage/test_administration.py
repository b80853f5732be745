# SPDX-License-Identifier: Apache-2.0
"""Types, quotas, services, pools, QoS specs, transfers."""

import pytest

from tests.services.block_storage.conftest import V, make, make_available, show, snapshot


def make_type(admin, name="gold", **members):
    made = admin.post(f"{V}/types", {"volume_type": {"name": name, **members}})
    assert made.status == 200, made.text
    return made.json["volume_type"]["id"]


def test_types(cloud, member, admin):
    type_id = make_type(admin, description="d", extra_specs={"volume_backend_name": "file", "multiattach": "x"})
    path = f"{V}/types/{type_id}"
    assert member.post(f"{V}/types", {"volume_type": {"name": "x"}}).status == 403
    assert admin.post(f"{V}/types", {"volume_type": {"name": "gold"}}).status == 409
    assert member.get(path).json["volume_type"]["extra_specs"] == {"multiattach": "x"}
    assert admin.get(path).json["volume_type"]["extra_specs"]["volume_backend_name"] == "file"
    assert "qos_specs_id" in admin.get(path).json["volume_type"]
    assert "qos_specs_id" not in member.get(path).json["volume_type"]
    assert [one["name"] for one in member.get(f"{V}/types").json["volume_types"]] == ["gold", "__DEFAULT__"]
    assert member.get(f"{V}/types/default").json["volume_type"]["name"] == "__DEFAULT__"
    assert admin.put(path, {"volume_type": {"name": "silver"}}).json["volume_type"]["name"] == "silver"
    assert admin.put(path, {"volume_type": {"name": "__DEFAULT__"}}).status == 409
    assert admin.put(path, {"volume_type": {"name": " "}}).status == 400
    assert admin.put(path, {"volume_type": {}}).status == 400
    assert admin.delete(path).status == 202 and admin.get(path).status == 404
    default = member.get(f"{V}/types/default").json["volume_type"]["id"]
    assert admin.delete(f"{V}/types/{default}").status == 400


@pytest.mark.parametrize("members", [{"name": ""}, {"name": "x" * 256}, {}, {"name": "x", "extra_specs": {"a b": "c"}}])
def test_refused_types(admin, members):
    assert admin.post(f"{V}/types", {"volume_type": members}).status == 400


def test_a_renamed_type_shows_in_volumes(cloud, member, admin):
    type_id = make_type(admin)
    volume_id = make_available(cloud, member, volume_type="gold")
    assert show(member, volume_id)["volume_type"] == "gold"
    admin.put(f"{V}/types/{type_id}", {"volume_type": {"name": "silver"}})
    assert show(member, volume_id)["volume_type"] == "silver"
    assert admin.delete(f"{V}/types/{type_id}").status == 400


def test_extra_specs(cloud, member, admin):
    path = f"{V}/types/{make_type(admin)}/extra_specs"
    assert admin.post(path, {"extra_specs": {"a": "1", "multiattach": "no"}}).json["extra_specs"]["a"] == "1"
    assert admin.put(f"{path}/a", {"a": "2"}).json == {"a": "2"}
    assert admin.put(f"{path}/a", {"b": "2"}).status == 400
    assert admin.get(f"{path}/a").json == {"a": "2"} and member.get(f"{path}/a").status == 404
    assert member.get(path).json["extra_specs"] == {"multiattach": "no"}
    assert admin.delete(f"{path}/a").status == 202 and admin.delete(f"{path}/a").status == 404
    make(member, volume_type="gold")
    assert admin.post(path, {"extra_specs": {"c": "d"}}).status == 400


def test_access(cloud, member, admin):
    type_id = make_type(admin, **{"os-volume-type-access:is_public": False})
    path, action = f"{V}/types/{type_id}", f"{V}/types/{type_id}/action"
    assert member.get(path).status == 404 and make(member, volume_type="gold").status == 404
    project = {"project": member.project_id}
    assert admin.post(action, {"addProjectAccess": project}).status == 202
    assert admin.post(action, {"addProjectAccess": project}).status == 409
    access = admin.get(f"{path}/os-volume-type-access").json["volume_type_access"]
    assert access == [{"volume_type_id": type_id, "project_id": member.project_id}]
    assert member.get(path).status == 200 and make(member, volume_type="gold").status == 202
    assert [one["name"] for one in admin.get(f"{V}/types?is_public=False").json["volume_types"]] == ["gold"]
    assert len(admin.get(f"{V}/types?is_public=None").json["volume_types"]) == 2
    assert admin.post(action, {"removeProjectAccess": project}).status == 202
    assert admin.post(action, {"removeProjectAccess": project}).status == 404
    public = make_type(admin, "public")
    assert admin.get(f"{V}/types/{public}/os-volume-type-access").status == 404


def test_a_type_that_no_back_end_offers(cloud, member, admin):
    make_type(admin, "ceph", extra_specs={"volume_backend_name": "ceph"})
    make_type(admin, "thin", extra_specs={"thin_provisioning_support": "<is> True", "vendor_name": "Altostratus"})
    volume_id = make(member, volume_type="ceph").json["volume"]["id"]
    make_available(cloud, member, volume_type="thin")
    cloud.settle()
    assert show(member, volume_id)["status"] == "error"
    message = member.get(f"{V}/messages?resource_uuid={volume_id}").json["messages"][0]["user_message"]
    assert "the type wants volume_backend_name ceph" in message


def test_encryption_is_noted_and_never_pretended(cloud, member, admin):
    path = f"{V}/types/{make_type(admin)}/encryption"
    wanted = {"provider": "luks", "control_location": "front-end", "cipher": "aes-xts-plain64", "key_size": "256"}
    assert admin.post(path, {"encryption": {"provider": "luks"}}).status == 400
    made = admin.post(path, {"encryption": wanted})
    assert made.json["encryption"]["key_size"] == 256
    assert admin.post(path, {"encryption": wanted}).status == 400
    assert admin.get(path).json["cipher"] == "aes-xts-plain64" and admin.get(f"{path}/provider").json == {
        "provider": "luks"
    }
    assert "encrypted" in make(member, volume_type="gold").json["badRequest"]["message"]
    item = f"{path}/{made.json['encryption']['encryption_id']}"
    assert admin.put(item, {"encryption": {"key_size": 128}}).json == {"encryption": {"key_size": 128}}
    assert admin.delete(f"{path}/{made.json['encryption']['volume_type_id']}").status == 404
    assert admin.delete(item).status == 202 and admin.get(path).json == {}
    make_available(cloud, member, volume_type="gold")


def test_default_types(cloud, member, admin):
    type_id = make_type(admin)
    path = f"{V}/default-types/{member.project_id}"
    assert admin.get(path).status == 404
    assert admin.put(path, {"default_type": {"volume_type": "nothing"}}).status == 404
    assert admin.put(path, {"default_type": {"volume_type": "gold"}}).json["default_type"]["volume_type_id"] == type_id
    assert make(member).json["volume"]["volume_type"] == "gold"
    assert len(admin.get(f"{V}/default-types").json["default_types"]) == 1
    assert admin.delete(path).status == 204 and make(member).json["volume"]["volume_type"] == "__DEFAULT__"
    assert cloud.client("admin").get(path).status == 404


def test_quotas(cloud, member, admin):
    path = f"{V}/os-quota-sets/{member.project_id}"
    shown = member.get(path).json["quota_set"]
    assert (shown["volumes"], shown["snapshots"], shown["gigabytes"], shown["per_volume_gigabytes"]) == (
        10,
        10,
        1000,
        -1,
    )
    assert (shown["backups"], shown["backup_gigabytes"], shown["groups"], shown["id"]) == (
        10,
        1000,
        10,
        member.project_id,
    )
    make_available(cloud, member, size=3)
    used = member.get(f"{path}?usage=True").json["quota_set"]
    assert used["gigabytes"] == {"limit": 1000, "in_use": 3, "reserved": 0, "allocated": 0}
    assert used["volumes___DEFAULT__"]["in_use"] == 1
    assert member.put(path, {"quota_set": {"volumes": 5}}).status == 403
    assert cloud.client("member@green").get(path).status == 403
    assert admin.put(path, {"quota_set": {"volumes": 0}}).status == 400
    assert admin.put(path, {"quota_set": {"bogus": 5}}).status == 400
    assert admin.put(path, {"quota_set": {"volumes": "many"}}).status == 400
    assert admin.put(path, {"quota_set": {"volumes": "20"}}).json["quota_set"]["volumes"] == 20
    limits = member.get(f"{V}/limits").json["limits"]["absolute"]
    assert (limits["maxTotalVolumes"], limits["totalVolumesUsed"], limits["totalGigabytesUsed"]) == (20, 1, 3)
    assert admin.get(f"{path}/defaults").json["quota_set"]["volumes"] == 10
    assert admin.delete(path).status == 200 and member.get(path).json["quota_set"]["volumes"] == 10
    classes = f"{V}/os-quota-class-sets/default"
    assert admin.put(classes, {"quota_class_set": {"volumes": 7}}).json["quota_class_set"]["volumes"] == 7
    assert admin.get(classes).json["quota_class_set"]["id"] == "default"
    assert member.get(path).json["quota_set"]["volumes"] == 7


def test_services_and_pools(cloud, member, admin):
    assert member.get(f"{V}/os-services").status == 403
    services = admin.get(f"{V}/os-services").json["services"]
    assert [(one["binary"], one["host"]) for one in services] == [
        ("cinder-scheduler", "host-1"), ("cinder-volume", "host-1@file"),
    ]  # fmt: skip
    assert services[1]["backend_state"] == "up"
    (pool,) = admin.get(f"{V}/scheduler-stats/get_pools?detail=True").json["pools"]
    assert pool["name"] == "host-1@file#file" and pool["capabilities"]["total_capacity_gb"] == 100
    assert "capabilities" not in admin.get(f"{V}/scheduler-stats/get_pools").json["pools"][0]
    assert admin.get(f"{V}/capabilities/host-1@file").json["volume_backend_name"] == "file"
    assert admin.get(f"{V}/capabilities/nowhere").status == 404
    body = {"binary": "cinder-volume", "host": "host-1@file"}
    assert admin.put(f"{V}/os-services/disable-log-reason", body).status == 400
    assert admin.put(f"{V}/os-services/disable-log-reason", body | {"disabled_reason": "repair"}).status == 200
    (disabled,) = admin.get(f"{V}/os-services?binary=cinder-volume").json["services"]
    assert (disabled["status"], disabled["disabled_reason"]) == ("disabled", "repair")
    volume_id = make(member).json["volume"]["id"]
    cloud.settle()
    assert show(member, volume_id)["status"] == "error"
    assert admin.put(f"{V}/os-services/enable", body).json["status"] == "enabled"
    assert admin.put(f"{V}/os-services/enable", {"binary": "cinder-volume", "host": "nowhere"}).status == 404
    make_available(cloud, member)
    assert member.get(f"{V}/os-availability-zone").json["availabilityZoneInfo"][0]["zoneName"] == "nova"
    assert admin.get(f"{V}/os-hosts").json["hosts"][1]["host_name"] == "host-1@file"
    assert admin.get(f"{V}/os-hosts/host-1@file").json["host"][0]["resource"]["volume_count"] == "1"


def test_qos_specs(cloud, member, admin):
    made = admin.post(f"{V}/qos-specs", {"qos_specs": {"name": "q", "consumer": "front-end", "read_iops_sec": "100"}})
    qos_id = made.json["qos_specs"]["id"]
    path = f"{V}/qos-specs/{qos_id}"
    assert member.get(path).status == 403
    assert admin.post(f"{V}/qos-specs", {"qos_specs": {"name": "q"}}).status == 409
    assert admin.post(f"{V}/qos-specs", {"qos_specs": {"name": "r", "consumer": "middle"}}).status == 400
    assert admin.put(path, {"qos_specs": {"iops": "5"}}).json == {"qos_specs": {"iops": "5"}}
    assert admin.get(path).json["qos_specs"]["specs"] == {"read_iops_sec": "100", "iops": "5"}
    assert admin.put(f"{path}/delete_keys", {"keys": ["iops"]}).status == 202
    assert admin.put(f"{path}/delete_keys", {"keys": ["iops"]}).status == 400
    type_id = make_type(admin)
    assert admin.get(f"{path}/associate?vol_type_id={type_id}").status == 202
    assert [one["id"] for one in admin.get(f"{path}/associations").json["qos_associations"]] == [type_id]
    assert admin.get(f"{V}/types/{type_id}").json["volume_type"]["qos_specs_id"] == qos_id
    assert admin.delete(path).status == 400
    assert admin.get(f"{path}/disassociate?vol_type_id={type_id}").status == 202
    admin.get(f"{path}/associate?vol_type_id={type_id}")
    assert admin.get(f"{path}/disassociate_all").status == 202
    assert admin.delete(path).status == 202 and admin.get(f"{V}/qos-specs").json["qos_specs"] == []


def test_transfers(cloud, member, admin):
    green = cloud.client("member@green", OpenStack_API_Version="volume 3.71")
    volume_id = make_available(cloud, member)
    snapshot_id = snapshot(cloud, member, volume_id)
    made = member.post(f"{V}/volume-transfers", {"transfer": {"volume_id": volume_id, "name": "gift"}})
    assert made.status == 202, made.text
    offer = made.json["transfer"]
    assert show(member, volume_id)["status"] == "awaiting-transfer"
    assert member.post(f"{V}/volume-transfers", {"transfer": {"volume_id": volume_id}}).status == 400
    assert "auth_key" not in member.get(f"{V}/volume-transfers/{offer['id']}").json["transfer"]
    assert len(member.get(f"{V}/os-volume-transfer/detail").json["transfers"]) == 1
    assert green.get(f"{V}/volume-transfers").json["transfers"] == []
    accept = f"{V}/volume-transfers/{offer['id']}/accept"
    assert green.post(accept, {"accept": {"auth_key": "wrong"}}).status == 400
    assert green.post(accept, {"accept": {"auth_key": offer["auth_key"]}}).status == 202
    assert green.post(accept, {"accept": {"auth_key": offer["auth_key"]}}).status == 404
    assert show(green, volume_id)["status"] == "available" and member.get(f"{V}/volumes/{volume_id}").status == 404
    assert green.get(f"{V}/snapshots/{snapshot_id}").status == 200


def test_transfer_taken_back(cloud, member):
    volume_id = make_available(cloud, member)
    offer = member.post(f"{V}/os-volume-transfer", {"transfer": {"volume_id": volume_id}}).json["transfer"]
    assert member.delete(f"{V}/os-volume-transfer/{offer['id']}").status == 202
    assert show(member, volume_id)["status"] == "available"
    assert member.get(f"{V}/os-volume-transfer/{offer['id']}").status == 404
