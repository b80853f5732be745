# SPDX-License-Identifier: Apache-2.0
"""The operator's view: hypervisors, services, zones, aggregates, quotas, usage, groups."""

import pytest

from .people import words_of


def test_hypervisors(admin, member, server):
    assert member.get("/os-hypervisors").status == 403
    (brief,) = admin.read("/os-hypervisors")["hypervisors"]
    assert brief["hypervisor_hostname"] == "host-1" and brief["state"] == "up" and brief["status"] == "enabled"
    (detail,) = admin.read("/os-hypervisors/detail?with_servers=true")["hypervisors"]
    assert detail["servers"][0]["uuid"] == server and "uptime" in detail and "vcpus" not in detail
    old = admin.read("/os-hypervisors/detail", version="2.1")["hypervisors"][0]
    assert old["id"] == 1 and old["vcpus"] == 64 and old["vcpus_used"] == 1 and old["memory_mb_used"] == 640
    assert old["hypervisor_type"] == "fake"  # simulated hosts say so
    assert admin.read(f"/os-hypervisors/{brief['id']}")["hypervisor"]["id"] == brief["id"]
    assert admin.get("/os-hypervisors/nothing").status == 404
    stats = admin.read("/os-hypervisors/statistics", version="2.87")["hypervisor_statistics"]
    assert stats["count"] == 1 and stats["running_vms"] == 1
    assert admin.get("/os-hypervisors/statistics").status == 404
    found = admin.read("/os-hypervisors/host/search", version="2.52")["hypervisors"]
    assert found[0]["hypervisor_hostname"] == "host-1"
    assert admin.get("/os-hypervisors?hypervisor_hostname_pattern=moon").status == 404


def test_hosts(admin, server):
    assert admin.read("/os-hosts", version="2.42")["hosts"][0]["host_name"] == "host-1"
    rows = [one["resource"] for one in admin.read("/os-hosts/host-1", version="2.1")["host"]]
    assert [one["project"] for one in rows[:3]] == ["(total)", "(used_now)", "(used_max)"]
    assert rows[1]["memory_mb"] == rows[2]["memory_mb"] + 512
    assert admin.get("/os-hosts").status == 404


def test_services(admin, member, image, network):
    services = admin.read("/os-services")["services"]
    assert {one["binary"] for one in services} == {"nova-compute", "nova-conductor", "nova-scheduler"}
    compute = next(one for one in services if one["binary"] == "nova-compute")
    assert compute["state"] == "up" and compute["zone"] == "nova"
    path = f"/os-services/{compute['id']}"
    off = admin.put(path, {"status": "disabled", "disabled_reason": "repair"})
    assert off.json["service"]["disabled_reason"] == "repair"
    server = member.make_server(image, network, expect="ERROR")
    message = member.show(server)["fault"]["message"]
    assert "ComputeFilter" in message and "repair" in message
    assert admin.put(path, {"status": "enabled", "disabled_reason": "x"}).status == 400
    assert admin.put(path, {"status": "enabled"}).json["service"]["status"] == "enabled"
    member.make_server(image, network)
    assert admin.delete(path).status == 409
    assert admin.put("/os-services/bogus", {"status": "enabled"}).status == 400
    old = admin.put("/os-services/disable", {"host": "host-1", "binary": "nova-compute"}, version="2.1")
    assert old.json["service"]["status"] == "disabled"


def test_zones_and_aggregates(admin, member, cloud, image, network):
    assert member.read("/os-availability-zone")["availabilityZoneInfo"] == [
        {"zoneName": "nova", "zoneState": {"available": True}, "hosts": None}
    ]
    assert member.get("/os-availability-zone/detail").status == 403 and member.get("/os-aggregates").status == 403
    made = admin.post("/os-aggregates", {"aggregate": {"name": "vip", "availability_zone": "vip_zone"}})
    assert made.status == 200 and made.json["aggregate"]["availability_zone"] == "vip_zone"
    path = f"/os-aggregates/{made.json['aggregate']['id']}"
    assert admin.post("/os-aggregates", {"aggregate": {"name": "vip"}}).status == 409
    assert admin.post("/os-aggregates", {"aggregate": {"name": "a:b", "availability_zone": "a:b"}}).status == 400
    assert admin.post(f"{path}/action", {"add_host": {"host": "nobody"}}).status == 404
    added = admin.post(f"{path}/action", {"add_host": {"host": "host-1"}})
    assert added.json["aggregate"]["hosts"] == ["host-1"]
    assert admin.post(f"{path}/action", {"add_host": {"host": "host-1"}}).status == 409
    second = admin.post("/os-aggregates", {"aggregate": {"name": "b", "availability_zone": "other"}}).json["aggregate"]
    refused = admin.post(f"/os-aggregates/{second['id']}/action", {"add_host": {"host": "host-1"}})
    assert refused.status == 409 and "one only" in words_of(refused)
    server = member.make_server(image, network, availability_zone="vip_zone")
    assert member.show(server)["OS-EXT-AZ:availability_zone"] == "vip_zone"
    assert member.try_server(image, network, availability_zone="nova").status == 400
    zones = admin.read("/os-availability-zone/detail")["availabilityZoneInfo"]
    assert [one["zoneName"] for one in zones] == ["vip_zone", "internal"]
    assert admin.delete(path).status == 400
    admin.post(f"{path}/action", {"remove_host": {"host": "host-1"}})
    assert admin.delete(path).status == 200 and admin.get(path).status == 404


def test_a_flavor_for_one_kind_of_host(admin, member, image, network):
    flavor = {"name": "vip", "ram": 64, "vcpus": 1, "disk": 1, "id": "vip"}
    admin.post("/flavors", {"flavor": flavor})
    admin.post("/flavors/vip/os-extra_specs", {"extra_specs": {"ForVip": "true"}})
    server = member.make_server(image, network, flavorRef="vip", expect="ERROR")
    assert "AggregateInstanceExtraSpecsFilter" in member.show(server)["fault"]["message"]
    group = admin.post("/os-aggregates", {"aggregate": {"name": "vip"}}).json["aggregate"]
    path = f"/os-aggregates/{group['id']}/action"
    admin.post(path, {"add_host": {"host": "host-1"}})
    admin.post(path, {"set_metadata": {"metadata": {"ForVip": "true", "cpu_allocation_ratio": "10"}}})
    member.make_server(image, network, flavorRef="vip")


def test_quotas(admin, member, reader, server):
    path = f"/os-quota-sets/{member.project_id}"
    assert reader.read(path)["quota_set"]["instances"] == 10
    detail = reader.read(f"{path}/detail")["quota_set"]
    assert detail["instances"] == {"limit": 10, "in_use": 1, "reserved": 0}
    assert detail["ram"]["in_use"] == 128
    assert member.put(path, {"quota_set": {"instances": 5}}).status == 403
    changed = admin.put(path, {"quota_set": {"instances": 5}})
    assert changed.status == 200 and changed.json["quota_set"]["instances"] == 5
    low = admin.put(path, {"quota_set": {"instances": 0}})
    assert low.status == 400 and "force" in words_of(low)
    assert admin.put(path, {"quota_set": {"instances": 0, "force": True}}).status == 200
    assert admin.put(path, {"quota_set": {"bogus": 1}}).status == 400
    assert admin.delete(path).status == 202 and reader.read(path)["quota_set"]["instances"] == 10
    limits = member.read("/limits")["limits"]["absolute"]
    assert limits["totalInstancesUsed"] == 1 and limits["maxTotalCores"] == 20
    assert "maxImageMeta" in member.read("/limits", version="2.1")["limits"]["absolute"]
    assert "fixed_ips" in reader.read(path, version="2.35")["quota_set"]
    assert "fixed_ips" not in reader.read(path, version="2.36")["quota_set"]
    admin.put("/os-quota-class-sets/default", {"quota_class_set": {"instances": 3}})
    assert reader.read(path)["quota_set"]["instances"] == 3
    assert member.get("/os-quota-sets/other").status == 403


def test_usage(admin, member, server):
    shown = member.read(f"/os-simple-tenant-usage/{member.project_id}")["tenant_usage"]
    (one,) = shown["server_usages"]
    assert one["instance_id"] == server and one["memory_mb"] == 128 and one["state"] == "active"
    assert admin.read("/os-simple-tenant-usage?detailed=1")["tenant_usages"][0]["tenant_id"] == member.project_id
    assert member.get("/os-simple-tenant-usage").status == 403
    assert member.get(f"/os-simple-tenant-usage/{member.project_id}?start=monday").status == 400


def test_server_groups(member, other, admin, image, network):
    old = member.post("/os-server-groups", {"server_group": {"name": "g", "policies": ["affinity"]}}, version="2.1")
    assert old.json["server_group"]["policies"] == ["affinity"]
    made = member.post("/os-server-groups", {"server_group": {"name": "apart", "policy": "anti-affinity"}})
    group = made.json["server_group"]
    assert group["rules"] == {} and group["members"] == []
    first = member.make_server(image, network, hints={"group": group["id"]})
    assert member.show(first)["server_groups"] == [group["id"]]
    assert member.read(f"/os-server-groups/{group['id']}")["server_group"]["members"] == [first]
    second = member.make_server(image, network, hints={"group": group["id"]}, expect="ERROR")
    assert "ServerGroupAntiAffinityFilter" in member.show(second)["fault"]["message"]
    assert other.get(f"/os-server-groups/{group['id']}").status == 404
    assert len(member.read("/os-server-groups")["server_groups"]) == 2
    assert len(admin.read("/os-server-groups?all_projects=True")["server_groups"]) == 2
    assert member.delete(f"/os-server-groups/{group['id']}").status == 204
    assert member.try_server(image, network, hints={"group": group["id"]}).status == 400
    for members in ({"name": "x"}, {"name": "x", "policy": "none"}, {"name": "", "policy": "affinity"}):
        assert member.post("/os-server-groups", {"server_group": members}).status == 400


@pytest.mark.parametrize(("hint", "status"), [("same_host", "ERROR"), ("different_host", "ACTIVE")])
def test_hints(member, image, network, hint, status):
    unknown = "11111111-1111-1111-1111-111111111111"
    member.make_server(image, network, hints={hint: unknown}, expect=status)


def test_versions_and_small_things(member, admin, cloud):
    root = cloud.client(None).get("/compute")
    first, newest = root.json["versions"]
    assert first["id"] == "v2.0" and newest["version"] == "2.96"
    assert cloud.client(None).get("/compute/v2.1/").json["version"]["min_version"] == "2.1"
    assert member.read("/extensions")["extensions"]
    assert member.read("/extensions/os-hosts")["extension"]["alias"] == "os-hosts"
    assert member.get("/extensions/none").status == 404
    assert admin.read("/os-migrations")["migrations"] == []
    event = {"events": [{"server_uuid": "11111111-1111-1111-1111-111111111111", "name": "network-changed"}]}
    assert admin.post("/os-server-external-events", event).status == 404
    assert member.post("/os-server-external-events", event).status == 403
