# SPDX-License-Identifier: Apache-2.0
"""Subnets: addresses, pools, gateways, IPv6 modes."""

import pytest

from .people import kind_of, words_of


@pytest.fixture
def network(member):
    return member.make("network", name="n")


def test_defaults(member, network):
    subnet = member.make("subnet", network_id=network["id"], ip_version=4, cidr="10.0.0.0/24")
    assert subnet["gateway_ip"] == "10.0.0.1" and subnet["enable_dhcp"] is True
    assert subnet["allocation_pools"] == [{"start": "10.0.0.2", "end": "10.0.0.254"}]
    assert member.show("network", network["id"])["subnets"] == [subnet["id"]]
    six = member.make("subnet", network_id=network["id"], ip_version=6, cidr="fd00::/64")
    assert six["allocation_pools"] == [{"start": "fd00::2", "end": "fd00::ffff:ffff:ffff:ffff"}]


def test_the_demo_exactly(outside, admin):
    subnet = admin.list("subnet", f"network_id={outside['id']}")[0]
    assert subnet["cidr"] == "192.168.100.0/24" and subnet["enable_dhcp"] is False


def test_gateway_in_the_middle_and_none(member, network):
    middle = member.make("subnet", network_id=network["id"], ip_version=4, cidr="10.0.0.0/24", gateway_ip="10.0.0.100")
    assert middle["allocation_pools"] == [
        {"start": "10.0.0.1", "end": "10.0.0.99"},
        {"start": "10.0.0.101", "end": "10.0.0.254"},
    ]
    none = member.make("subnet", network_id=network["id"], ip_version=4, cidr="10.0.1.0/24", gateway_ip=None)
    assert none["gateway_ip"] is None and none["allocation_pools"][0]["start"] == "10.0.1.1"


@pytest.mark.parametrize(
    ("wish", "status", "words"),
    [
        ({"cidr": "10.0.0.5/24"}, 400, "10.0.0.0/24"),
        ({"cidr": "ten"}, 400, "valid IP subnet"),
        ({"cidr": "0.0.0.0/0"}, 400, "prefix"),
        ({"cidr": "fd00::/64"}, 400, "ip_version"),
        ({"cidr": "224.0.0.0/24"}, 400, "Multicast"),
        ({"cidr": "127.0.0.0/24"}, 400, "Loopback"),
        ({"gateway_ip": "10.0.0.0"}, 400, "Gateway is not valid"),
        ({"gateway_ip": "fd00::1"}, 400, "ip_version"),
        ({"gateway_ip": "ten"}, 400, "gateway_ip"),
        ({"allocation_pools": [{"start": "10.0.0.9", "end": "10.0.0.3"}]}, 400, "not valid"),
        ({"allocation_pools": [{"start": "10.0.1.3", "end": "10.0.1.9"}]}, 400, "beyond"),
        ({"allocation_pools": [{"start": "10.0.0.1", "end": "10.0.0.9"}]}, 409, "conflicts"),
        (
            {"allocation_pools": [{"start": "10.0.0.3", "end": "10.0.0.9"}, {"start": "10.0.0.9", "end": "10.0.0.12"}]},
            409,
            "overlapping",
        ),
        ({"allocation_pools": [{"start": "10.0.0.3"}]}, 400, "end"),
        ({"dns_nameservers": ["ten"]}, 400, "valid IP"),
        ({"dns_nameservers": [f"10.0.0.{n}" for n in range(6)]}, 400, "maximum"),
        ({"dns_nameservers": ["10.0.0.9", "10.0.0.9"]}, 400, "Duplicate"),
        ({"host_routes": [{"destination": "ten", "nexthop": "10.0.0.2"}]}, 400, "CIDR"),
        ({"host_routes": [{"destination": "fd00::/64", "nexthop": "10.0.0.2"}]}, 400, "IP version"),
        ({"ipv6_ra_mode": "slaac"}, 400, "ip_version is 4"),
        ({"ip_version": 5}, 400, "ip_version"),
        ({"network_id": "ten"}, 400, "network_id"),
        ({"network_id": "11111111-1111-1111-1111-111111111111"}, 404, "could not be found"),
    ],
)
def test_what_cannot_be(member, network, wish, status, words):
    members = {"network_id": network["id"], "ip_version": 4, "cidr": "10.0.0.0/24"} | wish
    refused = member.try_make("subnet", **members)
    assert refused.status == status, refused.text
    assert words in words_of(refused)
    assert member.list("subnet") == []


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"ipv6_ra_mode": "slaac", "ipv6_address_mode": "dhcpv6-stateful"}, "same value"),
        ({"ipv6_address_mode": "slaac", "cidr": "fd00::/80"}, "/64"),
        ({"ipv6_address_mode": "slaac", "enable_dhcp": False}, "enable_dhcp"),
        ({"ipv6_ra_mode": "sometimes"}, "ipv6_ra_mode"),
    ],
)
def test_modes_that_cannot_be(member, network, wish, words):
    refused = member.try_make("subnet", **{"network_id": network["id"], "ip_version": 6, "cidr": "fd00::/64"} | wish)
    assert refused.status == 400 and words in words_of(refused)


def test_overlap_only_matters_inside_a_network(member, network):
    member.make("subnet", network_id=network["id"], ip_version=4, cidr="10.0.0.0/24")
    refused = member.try_make("subnet", network_id=network["id"], ip_version=4, cidr="10.0.0.128/25")
    assert refused.status == 400 and "overlaps" in words_of(refused)
    twin = member.make("network")
    member.make("subnet", network_id=twin["id"], ip_version=4, cidr="10.0.0.0/24")


def test_update(member, network, cloud, agent):
    subnet = member.make("subnet", network_id=network["id"], ip_version=4, cidr="10.0.0.0/24")
    changed = member.set(
        "subnet",
        subnet["id"],
        name="s",
        dns_nameservers=["10.0.0.9"],
        allocation_pools=[{"start": "10.0.0.50", "end": "10.0.0.60"}],
        host_routes=[{"destination": "10.5.0.0/16", "nexthop": "10.0.0.7"}],
    )
    assert changed["dns_nameservers"] == ["10.0.0.9"] and changed["name"] == "s"
    port = member.make("port", network_id=network["id"])
    assert port["fixed_ips"][0]["ip_address"] == "10.0.0.51"  # .50 went to DHCP
    cloud.settle()
    spec = agent.seen["network", network["id"]].spec
    assert spec["subnets"][0]["host_routes"] == [{"destination": "10.5.0.0/16", "nexthop": "10.0.0.7"}]
    assert member.try_set("subnet", subnet["id"], cidr="10.0.0.0/25").status == 400
    assert member.try_set("subnet", subnet["id"], ip_version=6).status == 400


def test_in_use(member, inside):
    network, subnet = inside
    port = member.make("port", network_id=network["id"])
    refused = member.try_delete("subnet", subnet["id"])
    assert refused.status == 409 and kind_of(refused) == "SubnetInUse"
    member.delete("port", port["id"])
    member.delete("subnet", subnet["id"])
    assert member.list("port") == []  # the DHCP port had no address left


def test_dhcp_follows_the_subnet(member, inside, cloud, agent):
    network, subnet = inside
    member.make("port", network_id=network["id"])
    cloud.settle()
    dhcp = agent.seen["network", network["id"]].spec["dhcp"]
    assert [one["ip_address"] for one in dhcp["fixed_ips"]] == ["10.0.0.2"]
    member.set("subnet", subnet["id"], enable_dhcp=False)
    cloud.settle()
    assert agent.seen["network", network["id"]].spec["dhcp"] is None
    member.set("subnet", subnet["id"], enable_dhcp=True)
    second = member.make("subnet", network_id=network["id"], ip_version=4, cidr="10.0.7.0/24")
    cloud.settle()
    dhcp = agent.seen["network", network["id"]].spec["dhcp"]
    assert {one["subnet_id"] for one in dhcp["fixed_ips"]} == {subnet["id"], second["id"]}
    ports = member.list("port", "device_owner=network:dhcp")
    assert len(ports) == 1 and ports[0]["status"] == "ACTIVE"


def test_slaac_addresses_come_from_the_mac(member, network):
    early = member.make("port", network_id=network["id"], mac_address="fa:16:3e:00:00:01")
    subnet = member.make(
        "subnet",
        network_id=network["id"],
        ip_version=6,
        cidr="fd00::/64",
        ipv6_ra_mode="slaac",
        ipv6_address_mode="slaac",
    )
    assert member.show("port", early["id"])["fixed_ips"] == [
        {"subnet_id": subnet["id"], "ip_address": "fd00::f816:3eff:fe00:1"}
    ]
    late = member.make("port", network_id=network["id"], mac_address="fa:16:3e:00:00:02")
    assert late["fixed_ips"][0]["ip_address"] == "fd00::f816:3eff:fe00:2"
    wish = [{"subnet_id": subnet["id"], "ip_address": "fd00::77"}]
    refused = member.try_make("port", network_id=network["id"], fixed_ips=wish)
    assert refused.status == 400 and kind_of(refused) == "AllocationOnAutoAddressSubnet"
    for port in (early, late):
        member.set("port", port["id"], name="still")
    member.delete("subnet", subnet["id"])  # automatic addresses do not hold it
    assert member.show("port", late["id"])["fixed_ips"] == []


def test_others_cannot(member, other, reader, inside):
    network, subnet = inside
    assert other.client.get(other.path("subnet", subnet["id"])).status == 404
    assert other.try_make("subnet", network_id=network["id"], ip_version=4, cidr="10.3.0.0/24").status == 404
    assert reader.try_delete("subnet", subnet["id"]).status == 403
    assert reader.show("subnet", subnet["id"])["cidr"] == "10.0.0.0/24"


def test_pools(member, network):
    pool = member.make("subnetpool", name="p", prefixes=["10.10.0.0/16"], default_prefixlen=24)
    first = member.make("subnet", network_id=network["id"], ip_version=4, subnetpool_id=pool["id"])
    second = member.make("subnet", network_id=network["id"], ip_version=4, subnetpool_id=pool["id"], prefixlen=26)
    assert (first["cidr"], second["cidr"]) == ("10.10.0.0/24", "10.10.1.0/26")
    refused = member.try_make("subnet", network_id=network["id"], ip_version=4)
    assert refused.status == 400 and "subnetpool" in words_of(refused)
    refused = member.try_make("subnet", network_id=network["id"], ip_version=4, subnetpool_id=pool["id"], prefixlen=4)
    assert kind_of(refused) == "MinPrefixSubnetAllocationError"
    assert kind_of(member.try_delete("subnetpool", pool["id"])) == "SubnetPoolDeleteError"


def test_list_costs_constant_queries(member, cloud, network):
    member.make("subnet", network_id=network["id"], ip_version=4, cidr="10.0.0.0/24")
    few = cloud.count_queries(lambda: member.list("subnet"))
    member.make("subnet", network_id=network["id"], ip_version=4, cidr="10.0.1.0/24")
    assert cloud.count_queries(lambda: member.list("subnet")) == few
