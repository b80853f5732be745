# SPDX-License-Identifier: Apache-2.0
"""The old calls that compute passes on: security groups, networks, floating IPs; gone since 2.36."""

import pytest

OLD = "2.35"


@pytest.fixture
def group(member):
    return make_group(member)


def make_group(person, name="web"):
    body = {"security_group": {"name": name, "description": "d"}}
    made = person.post("/os-security-groups", body, version=OLD)
    assert made.status == 200, made.text
    return made.json["security_group"]


def try_rule(person, parent_id, **members):
    rule = {"parent_group_id": parent_id, "ip_protocol": "tcp", "from_port": 22, "to_port": 22, **members}
    return person.post("/os-security-group-rules", {"security_group_rule": rule}, version=OLD)


def test_security_group_whole_life(member, other, group):
    assert group["rules"] == [] and group["tenant_id"] == member.project_id
    listed = member.read("/os-security-groups", version=OLD)["security_groups"]
    assert [one["name"] for one in listed] == ["default", "web"]
    assert len(member.read("/os-security-groups?limit=1&offset=1", version=OLD)["security_groups"]) == 1
    path = f"/os-security-groups/{group['id']}"
    assert other.get(path, version=OLD).status == 404
    changed = member.put(path, {"security_group": {"name": "db", "description": "e"}}, version=OLD)
    assert changed.status == 200 and changed.json["security_group"]["name"] == "db"
    assert member.delete(path, version=OLD).status == 202 and member.get(path, version=OLD).status == 404
    default = listed[0]["id"]
    assert member.delete(f"/os-security-groups/{default}", version=OLD).status == 400
    assert member.get("/os-security-groups/web", version=OLD).status == 400
    assert member.get("/os-security-groups").status == 404


def test_rules(member, other, group):
    rule = try_rule(member, group["id"], cidr="10.2.3.124/24").json["security_group_rule"]
    assert rule["ip_range"] == {"cidr": "10.2.3.124/24"} and rule["group"] == {} and rule["from_port"] == 22
    ping = try_rule(member, group["id"], ip_protocol="ICMP", from_port=-1, to_port=-1).json["security_group_rule"]
    assert (ping["ip_protocol"], ping["from_port"], ping["to_port"]) == ("icmp", -1, -1)
    friend = make_group(member, "friend")
    made = try_rule(member, group["id"], group_id=friend["id"]).json["security_group_rule"]
    assert made["group"] == {"name": "friend", "tenant_id": member.project_id} and made["ip_range"] == {}
    shown = member.read(f"/os-security-groups/{group['id']}", version=OLD)["security_group"]["rules"]
    assert {one["id"] for one in shown} == {rule["id"], ping["id"], made["id"]}
    assert other.delete(f"/os-security-group-rules/{rule['id']}", version=OLD).status == 404
    assert member.delete(f"/os-security-group-rules/{rule['id']}", version=OLD).status == 202


@pytest.mark.parametrize(
    "members",
    [
        {"ip_protocol": "999"},
        {"from_port": 70000},
        {"to_port": 70000},
        {"to_port": 21},
        {"from_port": "x"},
        {"from_port": None},
        {"cidr": "ten"},
        {"cidr": "10.0.0.0/0"},
        {"ip_protocol": "icmp", "from_port": 300},
        {"parent_group_id": "web"},
    ],
)
def test_rules_that_cannot_be(member, group, members):
    members = {"parent_group_id": group["id"]} | members
    refused = try_rule(member, members.pop("parent_group_id"), **members)
    assert refused.status == 400, refused.text


def test_rule_that_is_there_already(member, group):
    assert try_rule(member, group["id"]).status == 200
    assert try_rule(member, group["id"]).status == 400


def test_networks(member, other, network):
    listed = member.read("/os-tenant-networks", version=OLD)["networks"]
    assert {"id": network, "label": "inside", "cidr": "None"} in listed
    assert member.read(f"/os-networks/{network}", version=OLD)["network"]["label"] == "inside"
    assert other.get(f"/os-tenant-networks/{network}", version=OLD).status == 404
    assert other.read("/os-networks", version=OLD)["networks"] == []


@pytest.fixture
def outside(admin):
    path = "/network/v2.0"
    network = admin.client.post(f"{path}/networks", {"network": {"name": "public", "router:external": True}})
    subnet = {"network_id": network.json["network"]["id"], "ip_version": 4, "cidr": "192.168.9.0/24"}
    assert admin.client.post(f"{path}/subnets", {"subnet": subnet}).status == 201
    return subnet["network_id"]


def test_floating_ips(member, other, image, network, outside):
    pools = member.read("/os-floating-ip-pools", version=OLD)["floating_ip_pools"]
    assert pools == [{"name": "public"}]
    assert member.post("/os-floating-ips", {"pool": "nowhere"}, version=OLD).status == 404
    fip = member.post("/os-floating-ips", {"pool": "public"}, version=OLD).json["floating_ip"]
    assert fip["pool"] == "public" and fip["instance_id"] is None
    assert member.read("/os-floating-ips", version=OLD)["floating_ips"] == [fip]
    assert other.get(f"/os-floating-ips/{fip['id']}", version=OLD).status == 404
    subnet = member.client.get(f"/network/v2.0/subnets?network_id={network}").json["subnets"][0]
    router = {"router": {"name": "r", "external_gateway_info": {"network_id": outside}}}
    router_id = member.client.post("/network/v2.0/routers", router).json["router"]["id"]
    member.client.put(f"/network/v2.0/routers/{router_id}/add_router_interface", {"subnet_id": subnet["id"]})
    server = member.try_server(image, network).json["server"]["id"]
    member.cloud.settle()
    action = f"/servers/{server}/action"
    assert member.post(action, {"addFloatingIp": {"address": "0.0.0.0"}}, version=OLD).status == 404
    assert member.post(action, {"addFloatingIp": {"address": fip["ip"]}}, version=OLD).status == 202
    assert member.read(f"/os-floating-ips/{fip['id']}", version=OLD)["floating_ip"]["instance_id"] == server
    second = member.post("/os-floating-ips", {}, version=OLD).json["floating_ip"]
    assert member.post(action, {"addFloatingIp": {"address": second["ip"]}}, version=OLD).status == 400
    assert member.post(action, {"removeFloatingIp": {"address": second["ip"]}}, version=OLD).status == 409
    assert member.post(action, {"removeFloatingIp": {"address": fip["ip"]}}, version=OLD).status == 202
    assert member.delete(f"/os-floating-ips/{fip['id']}", version=OLD).status == 202
    assert member.get(f"/os-floating-ips/{fip['id']}", version=OLD).status == 404
    assert member.post(action, {"addFloatingIp": {"address": fip["ip"]}}, version="2.44").status == 400


def test_volumes_and_snapshots(member, other, cloud):
    wish = {"size": "1", "display_name": "v", "metadata": {"a": "b"}}
    made = member.post("/os-volumes", {"volume": wish}, version=OLD)
    assert made.status == 200, made.text
    volume = made.json["volume"]["id"]
    cloud.settle()
    shown = member.read(f"/os-volumes/{volume}", version=OLD)["volume"]
    assert shown["status"] == "available" and shown["metadata"] == {"a": "b"} and shown["attachments"] == [{}]
    assert member.read("/os-volumes/detail", version=OLD)["volumes"] == [shown]
    assert member.read("/os-volumes?offset=1", version=OLD)["volumes"] == []
    assert other.get(f"/os-volumes/{volume}", version=OLD).status == 404
    for body in ({"size": 0}, {"size": "x"}, {"display_name": "no size"}):
        assert member.post("/os-volumes", {"volume": body}, version=OLD).status == 400
    wanted = {"snapshot": {"volume_id": volume, "display_name": "s"}}
    snapshot = member.post("/os-snapshots", wanted, version=OLD).json["snapshot"]
    cloud.settle()
    assert snapshot["volumeId"] == volume
    assert member.read(f"/os-snapshots/{snapshot['id']}", version=OLD)["snapshot"]["status"] == "available"
    assert len(member.read("/os-snapshots", version=OLD)["snapshots"]) == 1
    assert member.delete(f"/os-volumes/{volume}", version=OLD).status == 400
    assert member.delete(f"/os-snapshots/{snapshot['id']}", version=OLD).status == 202
    cloud.settle()
    assert member.delete(f"/os-volumes/{volume}", version=OLD).status == 202
    cloud.settle()
    assert member.get(f"/os-volumes/{volume}", version=OLD).status == 404
    assert member.get("/os-volumes", version="2.36").status == 404


def test_fixed_ips_come_and_go(member, image, network):
    server = member.try_server(image, network).json["server"]["id"]
    member.cloud.settle()
    action = f"/servers/{server}/action"

    def addresses():
        return [one["addr"] for one in member.read(f"/servers/{server}/ips/inside", version=OLD)["inside"]]

    assert member.post(action, {"addFixedIp": {"networkId": "none"}}, version=OLD).status == 400
    assert member.post(action, {"addFixedIp": {"networkId": network}}, version=OLD).status == 202
    first, second = addresses()
    assert member.post(action, {"removeFixedIp": {"address": "10.0.0.99"}}, version=OLD).status == 400
    assert member.post(action, {"removeFixedIp": {"address": second}}, version=OLD).status == 202
    assert addresses() == [first]
    assert member.post(action, {"addFixedIp": {"networkId": network}}, version="2.44").status == 400
