# SPDX-License-Identifier: Apache-2.0
"""Manners of the API that only Tempest and old clients know."""

import pytest

from .people import kind_of, words_of


def test_an_empty_update_frees_a_floating_ip(member, outside, inside):
    router = member.make("router", external_gateway_info={"network_id": outside["id"]})
    member.add_subnet(router["id"], inside[1]["id"])
    port = member.make("port", network_id=inside[0]["id"])
    fip = member.make("floatingip", floating_network_id=outside["id"], port_id=port["id"])
    assert member.set("floatingip", fip["id"], description="d")["port_id"] == port["id"]
    assert member.set("floatingip", fip["id"])["port_id"] is None
    refused = member.try_set("floatingip", fip["id"], fixed_ip_address="10.0.0.3")
    assert refused.status == 400


def test_ports_of_others(admin, member, other, outside, inside):
    port = admin.make("port", network_id=inside[0]["id"], project_id=other.project_id)
    fip = member.make("floatingip", floating_network_id=outside["id"])
    refused = member.try_set("floatingip", fip["id"], port_id=port["id"])
    assert refused.status == 400 and "different project" in words_of(refused)


def test_subnets_by_shared(admin, member, inside):
    network = admin.make("network", shared=True)
    shared = admin.make("subnet", network_id=network["id"], ip_version=4, cidr="10.4.0.0/24")
    assert [one["id"] for one in member.list("subnet", "shared=True")] == [shared["id"]]
    assert [one["id"] for one in member.list("subnet", "shared=False")] == [inside[1]["id"]]


def test_small_mtu(member):
    network = member.make("network", mtu=67)
    refused = member.try_make("subnet", network_id=network["id"], ip_version=4, cidr="10.0.0.0/24")
    assert refused.status == 409 and kind_of(refused) == "NetworkMTUSubnetConflict"
    member.set("network", network["id"], mtu=1000)
    member.make("subnet", network_id=network["id"], ip_version=4, cidr="10.0.0.0/24")
    assert member.try_make("subnet", network_id=network["id"], ip_version=6, cidr="fd00::/64").status == 409
    assert member.try_set("network", network["id"], mtu=60).status == 409


@pytest.mark.parametrize("wrap", [False, True])
def test_bulk_with_inner_envelopes(member, inside, wrap):
    wish = {"network_id": inside[0]["id"], "tags": ["a"]}
    made = member.client.post("/network/v2.0/ports", {"ports": [{"port": wish} if wrap else wish]})
    assert made.status == 201 and made.json["ports"][0]["tags"] == ["a"]


def test_revisions_climb(member, inside):
    network, subnet = inside
    before = member.show("network", network["id"])["revision_number"]
    member.set("subnet", subnet["id"], name="x")
    assert member.show("network", network["id"])["revision_number"] > before
    group = member.make("security_group", name="g")
    rule = member.make("security_group_rule", security_group_id=group["id"], direction="ingress")
    middle = member.show("security_group", group["id"])["revision_number"]
    member.delete("security_group_rule", rule["id"])
    assert group["revision_number"] < middle < member.show("security_group", group["id"])["revision_number"]


def test_links_both_ways(member):
    for name in "abcd":
        member.make("network", name=name)

    def page(path):
        shown = member.client.get(path).json
        links = {link["rel"]: link["href"].split("falconframework.org")[1] for link in shown["networks_links"]}
        return [one["name"] for one in shown["networks"]], links

    names, links = page("/network/v2.0/networks?limit=2&sort_key=name")
    assert names == ["a", "b"] and set(links) == {"next", "previous"}
    names, links = page(links["next"])
    assert names == ["c", "d"]
    assert page(links["previous"])[0] == ["a", "b"]
    assert page(links["next"])[0] == []
    names, links = page("/network/v2.0/networks?limit=2&sort_key=name&page_reverse=True")
    assert names == ["c", "d"] and page(links["previous"])[0] == ["a", "b"]


def test_security_groups_of_a_kind(member, inside):
    network, _ = inside
    (default,) = member.list("security_group")
    group = member.make("security_group", name="g", stateful=False)
    both = [default["id"], group["id"]]
    refused = member.try_make("port", network_id=network["id"], security_groups=both)
    assert refused.status == 409 and kind_of(refused) == "SecurityGroupConflict"
    assert member.try_make("port", network_id=network["id"], security_groups=[group["id"]] * 2).status == 400


def test_forwardings_and_whole_floating_ips_exclude_each_other(member, outside, inside):
    router = member.make("router", external_gateway_info={"network_id": outside["id"]})
    member.add_subnet(router["id"], inside[1]["id"])
    port = member.make("port", network_id=inside[0]["id"])
    whole = member.make("floatingip", floating_network_id=outside["id"])
    fip = member.make("floatingip", floating_network_id=outside["id"])
    path = member.path("floatingip", fip["id"]) + "/port_forwardings"
    wish = {"internal_port_id": port["id"], "internal_port": 22, "external_port": 2222, "protocol": "tcp"}
    made = member.client.post(path, {"port_forwarding": wish})
    assert made.status == 201
    assert member.client.post(path, {"port_forwarding": wish | {"external_port": 2223}}).status == 400
    assert kind_of(member.try_set("floatingip", whole["id"], port_id=port["id"])) == "PortHasPortForwarding"
    assert kind_of(member.try_delete("floatingip", fip["id"])) == "FloatingIPInUseByPortForwarding"
    assert member.client.delete(f"{path}/{made.json['port_forwarding']['id']}").status == 204
    member.set("floatingip", whole["id"], port_id=port["id"])
    assert kind_of(member.client.post(path, {"port_forwarding": wish})) == "PortHasBindingFloatingIP"


def test_agents_stay(admin):
    agent = admin.client.get("/network/v2.0/agents").json["agents"][0]
    assert admin.client.delete(f"/network/v2.0/agents/{agent['id']}").status == 409
    assert admin.client.delete("/network/v2.0/agents/none").status == 404
