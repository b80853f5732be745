# SPDX-License-Identifier: Apache-2.0
"""Servers from create to delete."""

import pytest

from altostratus.contracts.host_api import Report

from .people import words_of


def test_create_to_delete(member, cloud, image, network, agent):
    made = member.try_server(image, network, name="first", metadata={"a": "b"}, tags=["t"])
    assert made.status == 202
    server_id = made.json["server"]["id"]
    assert made.headers["location"].endswith(f"/compute/v2.1/servers/{server_id}")
    assert len(made.json["server"]["adminPass"]) == 12
    shown = member.show(server_id)
    assert shown["status"] == "BUILD" and shown["OS-EXT-STS:task_state"] == "scheduling"
    cloud.settle()
    shown = member.show(server_id)
    assert shown["status"] == "ACTIVE", shown
    assert shown["OS-EXT-STS:task_state"] is None and shown["OS-EXT-STS:power_state"] == 1
    assert shown["metadata"] == {"a": "b"} and shown["tags"] == ["t"]
    assert shown["addresses"]["inside"][0]["addr"].startswith("10.0.0.")
    assert shown["flavor"]["original_name"] == "m1.mini" and shown["security_groups"] == [{"name": "default"}]
    spec = agent.spec_of(server_id)
    assert spec.vcpus == 1 and spec.memory_mib == 128 and spec.hostname == "first"
    assert [disk.source for disk in spec.disks] == ["image"] and spec.disks[0].size_gib == 1
    assert len(spec.nics) == 1
    assert member.delete(f"/servers/{server_id}").status == 204
    assert member.show(server_id)["OS-EXT-STS:task_state"] == "deleting"
    cloud.settle()
    assert member.get(f"/servers/{server_id}").status == 404
    assert member.ports_of(server_id) == []
    assert agent.driver.list_servers() == []


def test_no_valid_host_says_why(member, admin, cloud, image, network):
    big = admin.post("/flavors", {"flavor": {"name": "huge", "ram": 1024 * 1024, "vcpus": 1, "disk": 1}}).json["flavor"]
    admin.put(f"/os-quota-sets/{member.project_id}", {"quota_set": {"ram": -1}})
    server_id = member.make_server(image, network, flavorRef=big["id"], expect="ERROR")
    shown = member.show(server_id)
    assert shown["fault"]["code"] == 500
    assert shown["fault"]["message"].startswith("No valid host was found. ")
    assert "MEMORY_MB" in shown["fault"]["message"] and "host-1" in shown["fault"]["message"]
    assert shown["hostId"] == "" and member.ports_of(server_id) == []
    assert member.delete(f"/servers/{server_id}").status == 204
    cloud.settle()
    assert member.get(f"/servers/{server_id}").status == 404


def test_a_guest_that_does_not_start_leaves_nothing_behind(member, admin, agent, image, network):
    agent.fail["*"] = "The hypervisor could not start the guest: out of luck."
    server_id = member.make_server(image, network, expect="ERROR")
    assert "out of luck" in member.show(server_id)["fault"]["message"]
    assert member.ports_of(server_id) == [] and agent.driver.list_servers() == []
    usages = admin.client.get("/placement/resource_providers").json["resource_providers"]
    usage = admin.client.get(f"/placement/resource_providers/{usages[0]['uuid']}/usages").json["usages"]
    assert set(usage.values()) == {0}
    actions = member.read(f"/servers/{server_id}/os-instance-actions")["instanceActions"]
    assert [(one["action"], one["message"]) for one in actions] == [("create", "Error")]


def test_delete_while_it_is_being_built(member, cloud, agent, image, network):
    server_id = member.begin_server(image, network)
    agent.deaf.add(server_id)
    cloud.settle()
    assert member.show(server_id)["OS-EXT-STS:task_state"] == "spawning"
    agent.deaf.clear()
    assert member.delete(f"/servers/{server_id}").status == 204
    assert member.delete(f"/servers/{server_id}").status == 204  # twice is once
    cloud.settle()
    assert member.get(f"/servers/{server_id}").status == 404
    assert member.ports_of(server_id) == [] and agent.driver.list_servers() == []


def test_several_at_once(member, cloud, image, network):
    made = member.try_server(image, network, name="many", min_count=2, max_count=3, return_reservation_id=True)
    assert made.json["reservation_id"].startswith("r-")
    cloud.settle()
    found = member.read(f"/servers?reservation_id={made.json['reservation_id']}")["servers"]
    assert sorted(one["name"] for one in found) == ["many-1", "many-2", "many-3"]


def test_between_min_and_max_the_quota_decides(member, admin, cloud, image, network):
    admin.put(f"/os-quota-sets/{member.project_id}", {"quota_set": {"instances": 2}})
    assert member.try_server(image, network, min_count=1, max_count=5).status == 202
    assert len(member.read("/servers")["servers"]) == 2
    refused = member.try_server(image, network)
    assert refused.status == 403
    assert words_of(refused) == "Quota exceeded for instances: Requested 1, but already used 2 of 2 instances"


def test_who_sees_what(member, other, reader, admin, server):
    path = f"/servers/{server}"
    assert other.get(path).status == 404 and other.delete(path).status == 404
    assert reader.get(path).status == 200 and reader.delete(path).status == 403
    shown = member.show(server)
    assert "OS-EXT-SRV-ATTR:host" not in shown and "host_status" not in shown
    assert shown["OS-EXT-SRV-ATTR:hostname"] == "s"
    shown = admin.show(server)
    assert shown["OS-EXT-SRV-ATTR:host"] == "host-1" and shown["host_status"] == "UP"
    assert shown["OS-EXT-SRV-ATTR:instance_name"].startswith("instance-")
    assert admin.read("/servers")["servers"] == []
    assert [one["id"] for one in admin.read("/servers?all_tenants=1")["servers"]] == [server]
    assert member.get("/servers?all_tenants=1").status == 403


@pytest.mark.parametrize(
    ("version", "present", "absent"),
    [
        ("2.1", {"flavor", "OS-EXT-STS:vm_state", "os-extended-volumes:volumes_attached"}, {"locked", "description"}),
        ("2.9", {"locked"}, {"description"}),
        ("2.19", {"description"}, {"tags"}),
        ("2.26", {"tags"}, {"trusted_image_certificates"}),
        ("2.63", {"trusted_image_certificates"}, {"server_groups"}),
        ("2.71", {"server_groups"}, {"locked_reason"}),
        ("2.73", {"locked_reason"}, {"OS-EXT-SRV-ATTR:hostname"}),
        ("2.90", {"OS-EXT-SRV-ATTR:hostname"}, {"pinned_availability_zone"}),
        ("2.96", {"pinned_availability_zone"}, set()),
    ],
)
def test_members_by_version(member, server, version, present, absent):
    shown = member.show(server, version=version)
    assert present <= set(shown) and not absent & set(shown)
    assert ("id" in shown["flavor"]) == (float(version[2:]) < 47)
    detail = member.read("/servers/detail", version=version)["servers"][0]
    assert set(shown) - set(detail) == ({"server_groups"} if int(version[2:]) >= 71 else set())


def test_update(member, server):
    changed = member.put(f"/servers/{server}", {"server": {"name": "new", "description": "d", "accessIPv4": "1.2.3.4"}})
    assert changed.status == 200
    assert changed.json["server"]["name"] == "new" and changed.json["server"]["accessIPv4"] == "1.2.3.4"
    assert member.put(f"/servers/{server}", {"server": {"name": " bad "}}).status == 400
    assert member.put(f"/servers/{server}", {"server": {"flavorRef": "1"}}).status == 400
    old = member.put(f"/servers/{server}", {"server": {"name": "x"}}, version="2.1").json["server"]
    assert "OS-EXT-STS:vm_state" not in old


def test_lock(member, admin, server):
    member.do(server, "lock", {"locked_reason": "mine"})
    assert member.show(server)["locked"] is True and member.show(server)["locked_reason"] == "mine"
    refused = member.act(server, "os-stop")
    assert refused.status == 409 and "locked" in words_of(refused)
    assert member.delete(f"/servers/{server}").status == 409
    member.do(server, "unlock")
    admin.do(server, "lock")
    assert member.act(server, "unlock").status == 403
    admin.do(server, "unlock")
    assert member.show(server)["locked"] is False


def test_reset_state_and_force_delete(member, admin, cloud, server):
    assert member.act(server, "os-resetState", {"state": "error"}).status == 403
    admin.do(server, "os-resetState", {"state": "error"})
    assert member.show(server)["status"] == "ERROR"
    member.do(server, "forceDelete")
    assert member.get(f"/servers/{server}").status == 404


def test_list_costs_constant_queries(member, cloud, image, network):
    member.make_server(image, network)
    few = cloud.count_queries(lambda: member.read("/servers/detail"))
    for _ in range(3):
        member.begin_server(image, network)
    cloud.settle()
    assert cloud.count_queries(lambda: member.read("/servers/detail")) == few


def test_a_guest_that_ends_by_itself_is_shut_off(member, cloud, agent, server):
    row = agent.last[server]
    agent.driver.end_guest(server)
    state = {"power": "stopped", "reason": "The guest powered itself off."}
    cloud.cloud.desired.report("host-1", [Report(kind="server", id=server, generation=row.generation, state=state)])
    shown = member.show(server)
    assert shown["status"] == "SHUTOFF" and shown["OS-EXT-STS:power_state"] == 4
