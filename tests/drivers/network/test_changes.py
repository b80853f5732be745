# SPDX-License-Identifier: Apache-2.0
"""The difference between two plans is as few lines as possible, in an order that works."""

from typing import Any

import pytest
from msgspec.structs import replace

from altostratus.drivers.network.linuxbridge.changes import Changes, LinkSettings, plan_changes
from altostratus.drivers.network.linuxbridge.execute import Command
from altostratus.drivers.network.linuxbridge.model import (
    HOST,
    ChainPlan,
    HostPlan,
    Link,
    Namespace,
    Route,
    SetPlan,
    Shaper,
    TablePlan,
)
from altostratus.drivers.network.linuxbridge.shaping import plan_shaping
from altostratus.drivers.network.linuxbridge.tables import plan_table_change
from altostratus.testing.network_conformance import WorldBuilder
from tests.drivers.network.test_plan import plan_of

SETTINGS = LinkSettings(tunnel_ip="192.0.2.8", vxlan_port=4789, home_pid=77)


def plan_with(*links: Link, routes: tuple[Route, ...] = ()) -> HostPlan:
    plan = HostPlan()
    for link in links:
        plan.namespaces.setdefault(link.netns, Namespace(name=link.netns))
        plan.links[link.key] = link
    for route in routes:
        plan.routes[route.netns, route.destination] = route
    return plan


def changes_of(before: HostPlan, after: HostPlan) -> Changes:
    return plan_changes(before, after, SETTINGS)


def texts(commands: list[Command]) -> list[str]:
    return [command.text for command in commands]


def test_the_same_needs_nothing() -> None:
    cloud = WorldBuilder()
    cloud.add_network("net", "10.0.0")
    cloud.add_port("one", "net", "10.0.0.5")
    assert changes_of(plan_of(cloud), plan_of(cloud)).is_empty()


def test_from_nothing() -> None:
    bridge = Link(netns="hv", name="br", kind="bridge", mtu=1450)
    tap = Link(netns="hv", name="tap1", kind="tap", mtu=1450, master="br")
    changes = changes_of(HostPlan(), plan_with(tap, bridge))
    assert changes.new_namespaces == ["hv"]
    assert texts(changes.creations["hv"]) == [
        "link add br type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
        "link set br mtu 1450 up",
        "tuntap add dev tap1 mode tap vnet_hdr",
        "link set tap1 mtu 1450 master br up",
    ]


def cable(addresses: frozenset[str] = frozenset({"10.0.0.1/24"})) -> tuple[Link, Link]:
    return (
        Link(netns="hv", name="v", kind="veth", peer=("q", "e")),
        Link(netns="q", name="e", kind="end", mac="fa:16:3e:00:00:01", addresses=addresses),
    )


def test_only_addresses_differ() -> None:
    route = Route(netns="q", destination="default4", via="10.0.0.9", device="e")
    before = plan_with(*cable(), routes=(route,))
    after = plan_with(*cable(frozenset({"10.0.0.2/24", "fd00::1/64"})), routes=(route,))
    changes = changes_of(before, after)
    assert changes.removals == {}
    assert texts(changes.creations["q"]) == [
        "addr del 10.0.0.1/24 dev e",
        "addr add 10.0.0.2/24 dev e",
        "addr add fd00::1/64 dev e nodad",
        # lost by the kernel together with the address
        "route replace 0.0.0.0/0 via 10.0.0.9 dev e onlink",
    ]


@pytest.mark.parametrize("lost", [0, 1])
def test_a_cable_that_lost_one_end_is_made_anew(lost: int) -> None:
    halves = cable()
    before = plan_with(*halves)
    del before.links[halves[lost].key]
    changes = changes_of(before, plan_with(*halves))
    assert texts(changes.creations["hv"])[0] == "link add v type veth peer name e netns q"
    assert texts(changes.creations["q"])[0] == "link set e address fa:16:3e:00:00:01 up"
    assert texts(changes.removals.get("hv", [])) == (["link del v"] if lost == 1 else [])


def test_what_goes_with_its_namespace_is_not_removed_by_hand() -> None:
    before = plan_with(*cable(), Link(netns="hv", name="br", kind="bridge"))
    after = plan_with(Link(netns="hv", name="br", kind="bridge"))
    changes = changes_of(before, after)
    assert changes.doomed_namespaces == ["q"]
    assert changes.removals == {"hv": [Command("link del v", HOST, tolerant=True)]}


def test_many_devices_go_as_a_group() -> None:
    taps = [Link(netns="hv", name=f"tap{n}", kind="tap") for n in range(3)]
    bridge = Link(netns="hv", name="br", kind="bridge")
    changes = changes_of(plan_with(bridge, *taps), plan_with(bridge))
    assert texts(changes.removals["hv"])[-1] == "link del group 7777"
    assert len(changes.removals["hv"]) == 4


def test_a_foreign_device_with_our_name_goes_and_others_stay() -> None:
    bridge = Link(netns="hv", name="br", kind="bridge")
    strangers = [Link(netns="hv", name=name, kind="foreign") for name in ("tap9", "sit0")]
    changes = changes_of(plan_with(bridge, *strangers), plan_with(bridge))
    assert texts(changes.removals["hv"]) == ["link del tap9"]


def test_a_device_of_another_kind_is_replaced() -> None:
    changes = changes_of(
        plan_with(Link(netns="hv", name="tap1", kind="foreign")), plan_with(Link(netns="hv", name="tap1", kind="tap"))
    )
    assert texts(changes.removals["hv"]) == ["link del tap1"]
    assert texts(changes.creations["hv"]) == ["tuntap add dev tap1 mode tap vnet_hdr", "link set tap1 up"]


def test_a_real_card_comes_and_goes_home() -> None:
    bridge = Link(netns="hv", name="br", kind="bridge")
    card = Link(netns="hv", name="eth9", kind="card", master="br")
    coming = changes_of(plan_with(bridge), plan_with(bridge, card))
    assert texts(coming.home) == ["link set eth9 netns hv"]
    assert texts(coming.creations["hv"]) == ["link set eth9 master br up"]
    going = changes_of(plan_with(bridge, card), HostPlan())
    assert texts(going.removals["hv"]) == ["link set eth9 nomaster netns 77"]


def test_tunnels_are_born_at_home() -> None:
    remotes = frozenset({"192.0.2.9", "192.0.2.10"})
    tunnel = Link(netns="hv", name="vxl5", kind="vxlan", vni=5, remotes=remotes, master="br")
    bridge = Link(netns="hv", name="br", kind="bridge")
    changes = changes_of(plan_with(bridge), plan_with(bridge, tunnel))
    assert texts(changes.home) == ["link add vxl5 netns hv type vxlan id 5 local 192.0.2.8 dstport 4789"]
    assert len(changes.floods["hv"]) == 2
    fewer = changes_of(plan_with(bridge, tunnel), plan_with(bridge, replace(tunnel, remotes=frozenset({"192.0.2.9"}))))
    assert texts(fewer.floods["hv"]) == ["fdb del 00:00:00:00:00:00 dev vxl5 dst 192.0.2.10"]


def test_routes() -> None:
    old = Route(netns="q", destination="10.9.0.0/16", via="10.0.0.9")
    new = Route(netns="q", destination="10.8.0.0/16", via="10.0.0.9")
    changes = changes_of(plan_with(*cable(), routes=(old,)), plan_with(*cable(), routes=(new,)))
    assert texts(changes.creations["q"]) == ["route del 10.9.0.0/16", "route replace 10.8.0.0/16 via 10.0.0.9"]


def test_names_without_a_namespace_are_cleared_away() -> None:
    before = HostPlan(broken=["q"])
    after = plan_with(Link(netns="q", name="lo", kind="loopback"))
    changes = changes_of(before, after)
    assert (changes.doomed_namespaces, changes.new_namespaces) == (["q"], ["q"])


def table(**changes: Any) -> TablePlan:
    base = TablePlan(
        family="bridge",
        name="t",
        sets={"m": SetPlan(kind="map", typed="type ifname : verdict;", elements={'"a" : goto c': HOST})},
        chains={"b": ChainPlan(rules=("iifname vmap @m",), hook="type filter hook forward priority 0;"), "c": chain()},
    )
    return replace(base, **changes)


def chain(*rules: str) -> ChainPlan:
    return ChainPlan(rules=rules or ("drop",))


def test_a_table_from_nothing_replaces_what_may_be_there() -> None:
    lines = texts(plan_table_change(None, table()))
    assert lines[:3] == ["add table bridge t", "delete table bridge t", "add table bridge t"]
    # chains before rules before the elements that lead to them
    assert lines.index("add chain bridge t c") < lines.index("add rule bridge t c drop")
    assert lines.index("add rule bridge t c drop") < lines.index("add element bridge t m {")


def test_only_what_changed_is_in_the_transaction() -> None:
    assert plan_table_change(table(), table()) == []
    more = {"m": replace(table().sets["m"], elements={'"a" : goto c': HOST, '"z" : goto c': ("port", "z")})}
    lines = plan_table_change(table(), table(sets=more))
    assert texts(lines) == ["add element bridge t m {", '  "z" : goto c,', "}"]
    assert lines[1].owner == ("port", "z")
    rules = {**table().chains, "c": chain("accept")}
    lines = plan_table_change(table(), table(chains=rules))
    assert texts(lines) == ["flush chain bridge t c", "add rule bridge t c accept"]


def test_a_chain_goes_after_what_leads_to_it() -> None:
    fewer = table(sets={"m": replace(table().sets["m"], elements={})}, chains={"b": table().chains["b"]})
    assert texts(plan_table_change(table(), fewer)) == [
        "delete element bridge t m {",
        '  "a" : goto c,',
        "}",
        "flush chain bridge t c",
        "delete chain bridge t c",
    ]


def test_a_set_of_another_type_replaces_the_table() -> None:
    other = {"m": replace(table().sets["m"], typed="type ipv4_addr : verdict;", elements={})}
    assert texts(plan_table_change(table(), table(sets=other)))[1] == "delete table bridge t"


def test_limits() -> None:
    slow = Shaper(tap="tap1", kbps_in=1000, kbps_out=2000, owner=HOST)
    assert plan_shaping({"tap1": slow}, {"tap1": slow}, frozenset({"tap1"}), ifb=True) == []
    lines = texts(plan_shaping({}, {"tap1": slow}, frozenset({"tap1"}), ifb=True))
    assert "qdisc replace dev tap1 root tbf rate 1000kbit burst 66560 latency 50ms" in lines
    assert any(line.endswith("mirred egress redirect dev ifb1") for line in lines)
    without = texts(plan_shaping({}, {"tap1": slow}, frozenset({"tap1"}), ifb=False))
    assert any("police rate 2000kbit" in line for line in without)
    lifted = texts(plan_shaping({"tap1": slow}, {}, frozenset({"tap1"}), ifb=True))
    assert lifted == ["qdisc del dev tap1 root", "qdisc del dev tap1 ingress"]
    assert plan_shaping({"tap1": slow}, {}, frozenset(), ifb=True) == []
