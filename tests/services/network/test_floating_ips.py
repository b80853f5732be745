# SPDX-License-Identifier: Apache-2.0
"""Floating IPs and port forwardings."""

import pytest

from .people import kind_of, words_of


@pytest.fixture
def port(member, inside, outside):
    """A port behind a router that leads outside."""
    router = member.make("router", external_gateway_info={"network_id": outside["id"]})
    member.add_subnet(router["id"], inside[1]["id"])
    return member.make("port", network_id=inside[0]["id"], name="p") | {"router": router["id"]}


def test_whole_life(member, outside, port, cloud, agent, inside):
    fip = member.make("floatingip", floating_network_id=outside["id"])
    assert fip["status"] == "DOWN" and fip["port_id"] is None and fip["port_details"] is None
    changed = member.set("floatingip", fip["id"], port_id=port["id"])
    assert changed["fixed_ip_address"] == port["fixed_ips"][0]["ip_address"] and changed["router_id"] == port["router"]
    assert changed["port_details"]["name"] == "p"
    cloud.settle()
    assert member.show("floatingip", fip["id"])["status"] == "ACTIVE"
    assert (
        agent.seen["router", port["router"]].spec["floating_ips"][0]["floating_ip_address"]
        == fip["floating_ip_address"]
    )
    assert kind_of(member.remove_subnet(port["router"], inside[1]["id"])) == "RouterInterfaceInUseByFloatingIP"
    refused = member.try_set("router", port["router"], external_gateway_info={})
    assert kind_of(refused) == "RouterExternalGatewayInUseByFloatingIp"
    free = member.set("floatingip", fip["id"], port_id=None)
    assert free["status"] == "DOWN" and free["router_id"] is None
    cloud.settle()
    assert agent.seen["router", port["router"]].spec["floating_ips"] == []
    member.delete("floatingip", fip["id"])
    assert member.list("floatingip") == []


def test_port_that_goes_frees_it(member, outside, port, cloud):
    fip = member.make("floatingip", floating_network_id=outside["id"], port_id=port["id"])
    member.delete("port", port["id"])
    assert member.show("floatingip", fip["id"])["port_id"] is None
    cloud.settle()
    assert member.show("floatingip", fip["id"])["status"] == "DOWN"


def test_failed_router_shows(member, outside, port, cloud, agent):
    agent.fail["router", port["router"]] = "The router cannot be made."
    fip = member.make("floatingip", floating_network_id=outside["id"], port_id=port["id"])
    cloud.settle()
    assert member.show("floatingip", fip["id"])["status"] == "ERROR"


@pytest.mark.parametrize(
    ("wish", "status", "words"),
    [
        ({"floating_ip_address": "192.168.100.77"}, 403, "floating_ip_address"),
        ({"fixed_ip_address": "10.0.0.3"}, 400, "without a port_id"),
        ({"port_id": "11111111-1111-1111-1111-111111111111"}, 404, "Port"),
        ({"floating_network_id": "11111111-1111-1111-1111-111111111111"}, 404, "Network"),
        ({"floating_network_id": "ten"}, 400, "floating_network_id"),
        ({"nonsense": 1}, 400, "nonsense"),
    ],
)
def test_what_cannot_be(member, outside, wish, status, words):
    refused = member.try_make("floatingip", **({"floating_network_id": outside["id"]} | wish))
    assert refused.status == status and words in words_of(refused)


def test_not_external(member, inside):
    refused = member.try_make("floatingip", floating_network_id=inside[0]["id"])
    assert refused.status == 400 and "not a valid external network" in words_of(refused)


def test_unreachable(member, outside, inside):
    port = member.make("port", network_id=inside[0]["id"])
    refused = member.try_make("floatingip", floating_network_id=outside["id"], port_id=port["id"])
    assert refused.status == 404 and kind_of(refused) == "ExternalGatewayForFloatingIPNotFound"
    assert member.list("floatingip") == []


def test_one_address_one_floating_ip(member, outside, port, inside):
    member.make("floatingip", floating_network_id=outside["id"], port_id=port["id"])
    refused = member.try_make("floatingip", floating_network_id=outside["id"], port_id=port["id"])
    assert refused.status == 409 and kind_of(refused) == "FloatingIPPortAlreadyAssociated"
    many = member.make("port", network_id=inside[0]["id"], fixed_ips=[{"ip_address": f"10.0.0.{n}"} for n in (50, 51)])
    refused = member.try_make("floatingip", floating_network_id=outside["id"], port_id=many["id"])
    assert refused.status == 400 and "multiple fixed IPv4" in words_of(refused)
    made = member.make(
        "floatingip", floating_network_id=outside["id"], port_id=many["id"], fixed_ip_address="10.0.0.51"
    )
    assert made["fixed_ip_address"] == "10.0.0.51"


def test_chosen_address(admin, outside):
    wish = {"floating_network_id": outside["id"], "floating_ip_address": "192.168.100.77"}
    assert admin.make("floatingip", **wish)["floating_ip_address"] == "192.168.100.77"
    assert admin.try_make("floatingip", **wish).status == 409
    assert admin.try_make("floatingip", **wish | {"floating_ip_address": "10.0.0.1"}).status == 400
    assert admin.try_make("floatingip", **wish | {"floating_ip_address": "ten"}).status == 400


def test_who_may(member, other, reader, outside, port):
    fip = member.make("floatingip", floating_network_id=outside["id"])
    assert other.client.get(other.path("floatingip", fip["id"])).status == 404
    assert reader.try_delete("floatingip", fip["id"]).status == 403
    theirs = other.make("floatingip", floating_network_id=outside["id"])
    assert other.try_set("floatingip", theirs["id"], port_id=port["id"]).status == 404


def test_quota(admin, member, outside):
    admin.client.put(f"/network/v2.0/quotas/{member.project_id}", {"quota": {"floatingip": 0}})
    assert kind_of(member.try_make("floatingip", floating_network_id=outside["id"])) == "OverQuota"


def test_port_forwarding(member, other, outside, port, cloud, agent):
    fip = member.make("floatingip", floating_network_id=outside["id"])
    path = member.path("floatingip", fip["id"]) + "/port_forwardings"
    wish = {"internal_port_id": port["id"], "internal_port": 22, "external_port": 2222, "protocol": "tcp"}
    made = member.client.post(path, {"port_forwarding": wish})
    assert made.status == 201, made.text
    forwarding = made.json["port_forwarding"]
    assert forwarding["internal_ip_address"] == port["fixed_ips"][0]["ip_address"]
    assert member.client.post(path, {"port_forwarding": wish}).status == 400
    assert member.show("floatingip", fip["id"])["port_forwardings"][0]["external_port"] == 2222
    refused = member.try_set("floatingip", fip["id"], port_id=port["id"])
    assert refused.status == 409
    changed = member.client.put(f"{path}/{forwarding['id']}", {"port_forwarding": {"external_port": 2223}})
    assert changed.json["port_forwarding"]["external_port"] == 2223
    cloud.settle()
    assert agent.seen["router", port["router"]].spec["port_forwardings"][0]["external_port"] == 2223
    assert other.client.get(path).status == 404
    assert len(member.client.get(path).json["port_forwardings"]) == 1
    assert member.client.delete(f"{path}/{forwarding['id']}").status == 204
    assert member.show("floatingip", fip["id"])["router_id"] is None


def test_list_costs_constant_queries(member, cloud, outside, port):
    member.make("floatingip", floating_network_id=outside["id"], port_id=port["id"])
    few = cloud.count_queries(lambda: member.list("floatingip"))
    member.make("floatingip", floating_network_id=outside["id"])
    assert cloud.count_queries(lambda: member.list("floatingip")) == few


def test_network_takes_its_unused_floating_ips_along(admin, outside):
    spare = admin.make("floatingip", floating_network_id=outside["id"])
    admin.delete("network", outside["id"])
    assert spare["id"] not in [fip["id"] for fip in admin.list("floatingip")]
