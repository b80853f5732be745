# SPDX-License-Identifier: Apache-2.0
"""The plan is a pure function of the world: what should exist, and what cannot."""

from pathlib import Path
from typing import Any, Literal

import pytest
from msgspec.structs import replace

from altostratus.contracts.network import AddressPair, HostRoute, NetworkWorld, PhysicalNetwork, SubnetSpec
from altostratus.drivers.network.linuxbridge import Capabilities, LinuxBridgeConfig
from altostratus.drivers.network.linuxbridge.filter_tables import plan_zones
from altostratus.drivers.network.linuxbridge.filters import link_local
from altostratus.drivers.network.linuxbridge.model import HOST, HostPlan, Link, TablePlan
from altostratus.drivers.network.linuxbridge.plan import HostPlanner
from altostratus.testing.network_conformance import PUBLIC, WorldBuilder, id_of, mac_of, rule

HV, WORLD = "alto-t-hv", "alto-t-world"


def capabilities(conntrack: Literal["native", "mark"] | None = "native", **changes: Any) -> Capabilities:
    found = {"br_netfilter": True, "vlan": True, "vxlan": True, "ifb": True, "police": True, "tun": True}
    return Capabilities(conntrack=conntrack, **{**found, **changes})


def config(**changes: Any) -> LinuxBridgeConfig:
    fields: dict[str, Any] = {
        "cloud_tag": "t",
        "state_dir": Path("/state"),
        "physical_networks": (PhysicalNetwork(name=PUBLIC, world_addresses=["198.18.0.1/24"]),),
        **changes,
    }
    return LinuxBridgeConfig(**fields)


def plan_of(cloud: WorldBuilder, found: Capabilities | None = None, **changes: Any) -> HostPlan:
    return HostPlanner(config(**changes), found or capabilities()).plan(cloud.world())


def filters_of(plan: HostPlan) -> TablePlan:
    return plan.tables[HV, "bridge", "alto"]


@pytest.fixture
def cloud() -> WorldBuilder:
    builder = WorldBuilder()
    builder.add_external()
    builder.add_network("net", "10.0.0")
    builder.add_group("default", rule("members", "ingress", remote_group_id=id_of("default")))
    builder.add_port("one", "net", "10.0.0.5", "default")
    builder.add_router("router", {"net": "10.0.0.1"}, gateway="192.168.251.10")
    builder.add_floating_ip("router", "192.168.251.50", "one")
    return builder


def test_namespaces_and_their_marks(cloud: WorldBuilder) -> None:
    plan = plan_of(cloud)
    assert plan.errors == {}
    assert set(plan.namespaces) == {HV, WORLD, f"qrouter-{id_of('router')}", f"qdhcp-{id_of('net')}"}
    assert all(plan.links[netns, "lo"].alias == "altostratus:t" for netns in plan.namespaces)


def test_every_cable_has_two_ends_and_a_bridge(cloud: WorldBuilder) -> None:
    plan = plan_of(cloud)
    for link in plan.links.values():
        if link.kind == "veth":
            assert link.netns == HV
            assert link.peer is not None and plan.links[link.peer].kind == "end"
            assert link.master is not None and plan.links[HV, link.master].kind == "bridge"
        assert len(link.name) <= 15


def test_a_port_is_a_tap_on_the_bridge_of_its_network(cloud: WorldBuilder) -> None:
    link = plan_of(cloud).links[HV, cloud.ports["one"].tap]
    assert (link.kind, link.master, link.mtu, link.up) == ("tap", "brq" + id_of("net")[:11], 1450, True)
    cloud.ports["one"] = replace(cloud.ports["one"], admin_state_up=False)
    assert not plan_of(cloud).links[HV, link.name].up


def test_the_world_holds_gateways_of_external_networks(cloud: WorldBuilder) -> None:
    plan = plan_of(cloud)
    assert plan.links[WORLD, PUBLIC].addresses == {"198.18.0.1/24", "192.168.251.1/24"}
    # a real card leads to a real gateway
    card = PhysicalNetwork(name=PUBLIC, interface="eth9", world_addresses=["198.18.0.1/24"])
    plan = plan_of(cloud, physical_networks=(card,))
    assert plan.links[WORLD, PUBLIC].addresses == {"198.18.0.1/24"}
    assert plan.links[HV, "eth9"].kind == "card"


def test_external_networks_of_their_own_reach_the_world_too(cloud: WorldBuilder) -> None:
    network = cloud.add_external("tagged", "192.168.252")
    cloud.networks["tagged"] = replace(network, network_type="vlan", segmentation_id=7)
    ends = [link for link in plan_of(cloud).links.values() if link.netns == WORLD and link.kind == "end"]
    assert {frozenset({"192.168.252.1/24"}), frozenset({"198.18.0.1/24", "192.168.251.1/24"})} == {
        link.addresses for link in ends
    }


@pytest.mark.parametrize(
    "network_type, fields, sentence",
    [
        ("flat", {"physical_network": None}, "needs a physical network"),
        ("flat", {"physical_network": "other"}, "'other' is not configured on this host"),
        ("vlan", {"physical_network": PUBLIC}, "segmentation id"),
        ("vxlan", {"segmentation_id": 5, "vxlan_peers": ["192.0.2.9"]}, "no tunnel address"),
    ],
)
def test_networks_that_cannot_be(network_type: Any, fields: dict[str, Any], sentence: str) -> None:
    cloud = WorldBuilder()
    network = cloud.add_network("net", "10.0.0")
    cloud.add_port("one", "net", "10.0.0.5")
    cloud.networks["net"] = replace(network, network_type=network_type, **{"segmentation_id": None, **fields})
    plan = plan_of(cloud)
    assert sentence in plan.errors["network", network.id]
    assert "not on this host" in plan.errors["port", id_of("one")]
    assert f"qdhcp-{network.id}" not in plan.namespaces


def test_a_vlan_on_a_real_card_needs_802_1q(cloud: WorldBuilder) -> None:
    network = cloud.networks["net"]
    cloud.networks["net"] = replace(network, network_type="vlan", physical_network=PUBLIC, segmentation_id=9)
    card: dict[str, Any] = {"physical_networks": (PhysicalNetwork(name=PUBLIC, interface="eth9"),)}
    link = next(link for link in plan_of(cloud, **card).links.values() if link.kind == "vlan")
    assert (link.vlan, link.parent, link.master) == (9, next_bridge(cloud, card), "brq" + network.id[:11])
    assert "802.1q" in plan_of(cloud, capabilities(vlan=False), **card).errors["network", network.id]
    assert plan_of(cloud, capabilities(vlan=False)).errors == {}


def next_bridge(cloud: WorldBuilder, changes: dict[str, Any]) -> str:
    return next(name for netns, name in plan_of(cloud, **changes).links if name.startswith("brp-"))


def test_a_tunnel_when_the_network_spans_hosts(cloud: WorldBuilder) -> None:
    cloud.networks["net"] = replace(cloud.networks["net"], vxlan_peers=["192.0.2.9"])
    vni = cloud.networks["net"].segmentation_id
    link = plan_of(cloud, tunnel_ip="192.0.2.8").links[HV, f"vxl{vni}"]
    assert (link.kind, link.vni, link.remotes) == ("vxlan", vni, frozenset({"192.0.2.9"}))


def test_no_filters_no_port() -> None:
    cloud = WorldBuilder()
    cloud.add_network("net", "10.0.0")
    cloud.add_port("guarded", "net", "10.0.0.5")
    cloud.add_port("open", "net", "10.0.0.6", port_security=False)
    plan = plan_of(cloud, capabilities(None))
    assert "modprobe nf_conntrack_bridge" in plan.errors["port", id_of("guarded")]
    assert (HV, cloud.ports["open"].tap) in plan.links
    assert (HV, cloud.ports["guarded"].tap) not in plan.links


def test_filters_of_a_port(cloud: WorldBuilder) -> None:
    pairs = [
        AddressPair(ip_address="10.0.0.99", mac_address=""),
        AddressPair(ip_address="10.9.0.0/16", mac_address="fa:16:3e:00:00:99"),
        AddressPair(ip_address="10.9.1.0/24", mac_address="fa:16:3e:00:00:99"),
    ]
    port = cloud.add_port("one", "net", "10.0.0.5", "default", allowed_address_pairs=pairs)
    sets = filters_of(plan_of(cloud)).sets
    start = f'"{port.tap}" . {port.mac}'
    assert set(sets["macs"].elements) == {start, f'"{port.tap}" . fa:16:3e:00:00:99'}
    assert set(sets["src4"].elements) == {f"{start} . 10.0.0.5", f"{start} . 10.0.0.99"}
    # what overlaps is one
    assert set(sets["src4n"].elements) == {f'"{port.tap}" . fa:16:3e:00:00:99 . 10.9.0.0/16'}
    assert f"{start} . {link_local(port.mac)}" in sets["src6"].elements
    assert set(sets[f"m4-{id_of('default')}"].elements) == {"10.0.0.5", "10.0.0.99"}
    assert set(sets[f"m4n-{id_of('default')}"].elements) == {"10.9.0.0/16"}


def test_link_local_of_a_mac() -> None:
    assert str(link_local("fa:16:3e:00:00:0a")) == "fe80::f816:3eff:fe00:a"


def test_ports_with_the_same_groups_share_their_chains(cloud: WorldBuilder) -> None:
    cloud.add_port("two", "net", "10.0.0.6", "default")
    table = filters_of(plan_of(cloud))
    combinations = [name for name in table.chains if name.startswith("pg-")]
    assert len(combinations) == 2
    assert table.chains[combinations[0]].rules[0] == "ct state established,related accept"


def test_an_unknown_group_closes_and_is_reported(cloud: WorldBuilder) -> None:
    cloud.add_port("one", "net", "10.0.0.5", "default", "missing")
    plan = plan_of(cloud)
    assert "is not known on this host yet" in plan.errors["port", id_of("one")]
    chain = next(c for name, c in filters_of(plan).chains.items() if name.startswith("pg-") and name.endswith("-in"))
    assert chain.rules[-2:] == (f"jump sg-{id_of('default')}-in", "drop")


def test_a_bad_rule_is_left_out_and_reported(cloud: WorldBuilder) -> None:
    cloud.add_group("default", rule("bad", "ingress", protocol="nonsense"), rule("good", "ingress", protocol="tcp"))
    plan = plan_of(cloud)
    assert "nonsense" in plan.errors["security_group", id_of("default")]
    assert filters_of(plan).chains[f"sg-{id_of('default')}-in"].rules == ("ether type ip meta l4proto 6 accept",)


def test_quarantine_and_open_ports(cloud: WorldBuilder) -> None:
    shut = cloud.add_port("shut", "net", "10.0.0.6", quarantined=True)
    free = cloud.add_port("free", "net", "10.0.0.7", port_security=False)
    sets = filters_of(plan_of(cloud)).sets
    assert f'"{shut.tap}" : drop' in sets["guest_from"].elements
    assert f'"{shut.tap}" : drop' in sets["guest_in"].elements
    assert f'"{free.tap}" : accept' in sets["guest_from"].elements


def test_mark_mode_has_a_table_of_its_own(cloud: WorldBuilder) -> None:
    plan = plan_of(cloud, capabilities("mark"))
    bridges = {link.name for link in plan.links.values() if link.kind == "bridge"}
    zones = plan.tables[HV, "inet", "alto_track"].sets["zones"].elements
    assert {element.split('"')[1] for element in zones} == bridges
    assert ("bridge/bridge-nf-call-iptables", "1") in plan.namespaces[HV].sysctls
    assert ("bridge/bridge-nf-call-iptables", "0") in plan_of(cloud).namespaces[HV].sysctls


def test_zones_are_distinct_and_stable() -> None:
    names = [f"brq{number:011x}" for number in range(3000)]
    zones = plan_zones(names)
    assert len(set(zones.values())) == 3000
    assert all(0 < zone < 65536 for zone in zones.values())
    assert plan_zones(names[:1])[names[0]] == plan_zones(names[:2])[names[0]]


def test_dhcp_files(cloud: WorldBuilder) -> None:
    subnet = replace(
        cloud.networks["net"].subnets[0],
        dns_nameservers=["9.9.9.9"],
        host_routes=[HostRoute(destination="10.5.0.0/16", nexthop="10.0.0.7")],
    )
    second = SubnetSpec(id=id_of("second"), cidr="10.0.1.0/24", ip_version=4, gateway_ip=None, enable_dhcp=False)
    cloud.networks["net"] = replace(cloud.networks["net"], subnets=[subnet, second])
    cloud.add_port(
        "one", "net", "10.0.0.5", "default", hostname="my server!", dhcp_options={"67": "boot"}, plugged=False
    )
    process = plan_of(cloud).processes[f"dhcp-{id_of('net')}"]
    tag = f"port-{id_of('one')[:11]}"
    assert process.files["hosts"] == f"{mac_of('one')},set:{tag},10.0.0.5,my-server\n"
    assert process.files["names"] == "10.0.0.5 my-server.openstacklocal my-server\n"
    options = process.files["options"].splitlines()
    routes = "169.254.169.254/32,10.0.0.1,10.0.1.0/24,0.0.0.0,10.5.0.0/16,10.0.0.7,0.0.0.0/0,10.0.0.1"
    assert f"tag:subnet-{subnet.id[:11]},option:classless-static-route,{routes}" in options
    assert f"tag:subnet-{subnet.id[:11]},option:dns-server,9.9.9.9" in options
    assert f"tag:{tag},67,boot" in options
    assert process.leases == {"10.0.0.5": mac_of("one")}


def test_metadata_of_an_isolated_network_is_with_dhcp(cloud: WorldBuilder) -> None:
    cloud.routers.clear()
    options = plan_of(cloud).processes[f"dhcp-{id_of('net')}"].files["options"]
    assert "169.254.169.254/32,10.0.0.2,0.0.0.0/0,10.0.0.1" in options


@pytest.mark.parametrize(
    "change",
    [
        {"tap": "tap x"},
        {"tap": "eth0"},
        {"mac": "fa:16:3e:00:00:01\nlink del x"},
    ],
)
def test_text_that_could_be_a_command_is_refused(cloud: WorldBuilder, change: dict[str, Any]) -> None:
    cloud.ports["one"] = replace(cloud.ports["one"], **change)
    plan = plan_of(cloud)
    assert ("port", id_of("one")) in plan.errors
    assert not any(link.kind == "tap" for link in plan.links.values())


def test_options_that_cannot_be_sent_are_left_out_and_reported(cloud: WorldBuilder) -> None:
    options = {"67": "a\ndhcp-script=/bin/sh", "6 7": "a", "tag:!ipxe,bootfile-name": "x", "tag:ipxe,66": "y"}
    port = cloud.add_port("one", "net", "10.0.0.5", dhcp_options=options)
    plan = plan_of(cloud)
    assert "['6 7', '67']" in plan.errors["port", port.id]
    assert (HV, port.tap) in plan.links
    lines = plan.processes[f"dhcp-{id_of('net')}"].files["options"]
    tag = f"tag:port-{port.id[:11]}"
    assert lines.endswith(f"{tag},tag:!ipxe,option:bootfile-name,x\n{tag},tag:ipxe,66,y\n")
    assert "dhcp-script" not in lines


def test_ids_that_are_none_are_refused(cloud: WorldBuilder) -> None:
    bad = "../../etc"
    world = cloud.world()
    port = replace(cloud.ports["one"], id=bad)
    broken = NetworkWorld(networks=world.networks, ports={bad: port}, security_groups={}, routers={})
    plan = HostPlanner(config(), capabilities()).plan(broken)
    assert list(plan.errors) == [("port", bad)]


def test_a_router_without_its_network(cloud: WorldBuilder) -> None:
    del cloud.networks["net"]
    plan = plan_of(cloud)
    assert "is not on this host" in plan.errors["router", id_of("router")]
    assert f"qrouter-{id_of('router')}" not in plan.namespaces


def test_a_router_that_is_down_is_away(cloud: WorldBuilder) -> None:
    cloud.routers["router"] = replace(cloud.routers["router"], admin_state_up=False)
    plan = plan_of(cloud)
    assert plan.errors == {}
    assert f"qrouter-{id_of('router')}" not in plan.namespaces


def test_address_translation(cloud: WorldBuilder) -> None:
    plan = plan_of(cloud)
    netns = f"qrouter-{id_of('router')}"
    table = plan.tables[netns, "ip", "alto_nat"]
    assert set(table.sets["to_fixed"].elements) == {"192.168.251.50 : 10.0.0.5"}
    gateway = plan.links[netns, "qg-" + id_of("router-gateway")[:11]]
    assert gateway.addresses == {"192.168.251.10/24", "192.168.251.50/32"}
    assert "ip saddr != 192.168.251.10 snat to 192.168.251.10" in table.chains["postrouting"].rules
    router = cloud.routers["router"]
    assert router.gateway is not None
    cloud.routers["router"] = replace(router, gateway=replace(router.gateway, enable_snat=False))
    rules = plan_of(cloud).tables[netns, "ip", "alto_nat"].chains["postrouting"].rules
    assert not any(text.startswith("ip saddr !=") for text in rules)
    assert {a.address for a in plan.announcements} == {"10.0.0.1", "192.168.251.10", "192.168.251.50"}


def test_unchanged_rows_are_planned_once(cloud: WorldBuilder) -> None:
    planner = HostPlanner(config(), capabilities())
    first = planner.plan(cloud.world())
    cloud.add_port("two", "net", "10.0.0.6", "default")
    second = planner.plan(cloud.world())
    rows: list[Link] = [link for link in first.links.values() if link.owner != HOST]
    assert rows
    assert all(second.links[link.key] is link for link in rows)
    assert second == HostPlanner(config(), capabilities()).plan(cloud.world())
    # and forgotten rows do not come back
    del cloud.ports["two"]
    assert planner.plan(cloud.world()) == first
