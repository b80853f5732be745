# SPDX-License-Identifier: Apache-2.0
"""Routers, their interfaces, gateways and routes."""

import pytest

from .people import kind_of, words_of


@pytest.fixture
def router(member, outside):
    return member.make("router", name="r", external_gateway_info={"network_id": outside["id"]})


def test_whole_life(member, router, inside, outside, cloud, agent):
    network, subnet = inside
    gateway = router["external_gateway_info"]
    assert gateway["network_id"] == outside["id"] and gateway["enable_snat"] is True
    assert gateway["external_fixed_ips"][0]["ip_address"] == "192.168.100.2"
    added = member.add_subnet(router["id"], subnet["id"])
    assert added["subnet_id"] == subnet["id"] and added["network_id"] == network["id"]
    port = member.show("port", added["port_id"])
    assert port["fixed_ips"][0]["ip_address"] == "10.0.0.1" and port["device_owner"] == "network:router_interface"
    assert port["status"] == "ACTIVE" and port["security_groups"] == []
    cloud.settle()
    spec = agent.seen["router", router["id"]].spec
    assert spec["gateway"]["gateway_ips"] == ["192.168.100.1"]
    assert spec["interfaces"][0]["fixed_ips"][0] == {
        "subnet_id": subnet["id"], "ip_address": "10.0.0.1", "prefix_length": 24,
    }  # fmt: skip
    assert agent.seen["network", network["id"]].spec["dhcp"] is not None
    assert kind_of(member.try_delete("port", port["id"])) == "ServicePortInUse"
    assert kind_of(member.try_set("port", port["id"], device_owner="compute:x")) == "ServicePortInUse"
    assert member.set("port", port["id"], name="gate")["name"] == "gate"
    assert kind_of(member.try_delete("router", router["id"])) == "RouterInUse"
    assert kind_of(member.try_delete("subnet", subnet["id"])) == "SubnetInUse"
    assert member.remove_subnet(router["id"], subnet["id"]).status == 200
    member.delete("router", router["id"])
    cloud.settle()
    assert ("router", router["id"]) not in agent.seen


def test_interface_by_port(member, inside, cloud, agent):
    network, subnet = inside
    router = member.make("router")
    port = member.make("port", network_id=network["id"], fixed_ips=[{"ip_address": "10.0.0.9"}])
    path = member.path("router", router["id"])
    added = member.client.put(path + "/add_router_interface", {"port_id": port["id"]})
    assert added.status == 200 and added.json["subnet_ids"] == [subnet["id"]]
    cloud.settle()
    assert ("port", port["id"]) not in agent.seen
    again = member.client.put(path + "/add_router_interface", {"port_id": port["id"]})
    assert again.status == 409 and kind_of(again) == "PortInUse"
    gone = member.client.put(path + "/remove_router_interface", {"port_id": port["id"]})
    assert gone.status == 200
    assert member.client.get(member.path("port", port["id"])).status == 404


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 400, "Either subnet_id or port_id"),
        (
            {"subnet_id": "11111111-1111-1111-1111-111111111111", "port_id": "11111111-1111-1111-1111-111111111111"},
            400,
            "both",
        ),
        ({"subnet_id": "a"}, 400, "subnet_id"),
        ({"subnet_id": "11111111-1111-1111-1111-111111111111"}, 404, "Subnet"),
        ({"port_id": "11111111-1111-1111-1111-111111111111"}, 404, "Port"),
        ({"color": "red"}, 400, "color"),
    ],
)
def test_interfaces_that_cannot_be(member, body, status, words):
    router = member.make("router")
    refused = member.client.put(member.path("router", router["id"]) + "/add_router_interface", body)
    assert refused.status == status and words in words_of(refused)


def test_subnets_must_differ(member, inside, router):
    _, subnet = inside
    member.add_subnet(router["id"], subnet["id"])
    assert "already has a port" in words_of(member.try_add_subnet(router["id"], subnet["id"]))
    twin = member.make("network")
    same = member.make("subnet", network_id=twin["id"], ip_version=4, cidr="10.0.0.0/16")
    assert "overlaps" in words_of(member.try_add_subnet(router["id"], same["id"]))
    bare = member.make("subnet", network_id=twin["id"], ip_version=4, cidr="10.5.0.0/24", gateway_ip=None)
    assert "gateway IP" in words_of(member.try_add_subnet(router["id"], bare["id"]))
    gone = member.remove_subnet(router["id"], same["id"])
    assert gone.status == 404 and kind_of(gone) == "RouterInterfaceNotFoundForSubnet"


def test_gateways(member, admin, router, outside, inside):
    refused = member.try_set("router", router["id"], external_gateway_info={"network_id": inside[0]["id"]})
    assert refused.status == 400 and "not an external network" in words_of(refused)
    fixed = {"network_id": outside["id"], "external_fixed_ips": [{"ip_address": "192.168.100.50"}]}
    assert member.try_set("router", router["id"], external_gateway_info=fixed).status == 403
    changed = admin.set("router", router["id"], external_gateway_info=fixed | {"enable_snat": False})
    assert changed["external_gateway_info"]["external_fixed_ips"][0]["ip_address"] == "192.168.100.50"
    assert changed["external_gateway_info"]["enable_snat"] is False
    cleared = member.set("router", router["id"], external_gateway_info={})
    assert cleared["external_gateway_info"] is None
    assert admin.list("port", f"device_id={router['id']}") == []
    assert member.try_set("router", router["id"], external_gateway_info={"network_id": "no"}).status == 404
    refused = admin.try_set("network", outside["id"], **{"router:external": False})
    assert refused.status == 200
    member.try_set("router", router["id"], external_gateway_info={"network_id": outside["id"]})


def test_network_with_gateways_stays_external(member, admin, router, outside):
    refused = admin.try_set("network", outside["id"], **{"router:external": False})
    assert refused.status == 409 and kind_of(refused) == "ExternalNetworkInUse"


def test_routes(member, router, inside, cloud, agent):
    member.add_subnet(router["id"], inside[1]["id"])
    path = member.path("router", router["id"])
    first = {"destination": "10.8.0.0/16", "nexthop": "10.0.0.8"}
    second = {"destination": "10.9.0.0/16", "nexthop": "10.0.0.8"}
    assert member.client.put(path + "/add_extraroutes", {"router": {"routes": [first, second]}}).status == 200
    assert member.client.put(path + "/remove_extraroutes", {"router": {"routes": [first]}}).json["router"][
        "routes"
    ] == [second]
    for wrong in ("10.99.0.1", "10.0.0.1"):
        bad = [{"destination": "10.8.0.0/16", "nexthop": wrong}]
        refused = member.try_set("router", router["id"], routes=bad)
        assert refused.status == 400 and kind_of(refused) == "InvalidRoutes"
    cloud.settle()
    assert agent.seen["router", router["id"]].spec["routes"] == [second]
    refused = member.remove_subnet(router["id"], inside[1]["id"])
    assert refused.status == 409 and kind_of(refused) == "RouterInterfaceInUseByRoute"


def test_who_may(member, other, reader, admin, router):
    assert other.client.get(other.path("router", router["id"])).status == 404
    assert reader.try_set("router", router["id"], name="x").status == 403
    assert member.try_make("router", ha=True).status == 403
    assert admin.try_make("router", distributed=True).status == 400
    assert admin.make("router", ha=False)["ha"] is False


def test_quota(admin, member):
    admin.client.put(f"/network/v2.0/quotas/{member.project_id}", {"quota": {"router": 0}})
    assert kind_of(member.try_make("router")) == "OverQuota"


def test_list_costs_constant_queries(member, cloud, router):
    few = cloud.count_queries(lambda: member.list("router"))
    member.make("router")
    assert cloud.count_queries(lambda: member.list("router")) == few
