# SPDX-License-Identifier: Apache-2.0
"""Connections are forgotten exactly where something became narrower."""

import pytest
from msgspec.structs import replace

from altostratus.drivers.network.linuxbridge.forgetting import plan_forgetting
from altostratus.testing.network_conformance import WorldBuilder, id_of, rule
from tests.drivers.network.test_plan import HV, capabilities, plan_of

SSH = rule("ssh", "ingress", protocol="tcp", port_min=22, port_max=22)


@pytest.fixture
def cloud() -> WorldBuilder:
    builder = WorldBuilder()
    builder.add_external()
    builder.add_network("net", "10.0.0")
    builder.add_group("ssh", SSH)
    builder.add_group("friends", rule("friends", "ingress", remote_group_id=id_of("callers")))
    builder.add_group("callers")
    builder.add_port("one", "net", "10.0.0.5", "ssh")
    builder.add_port("two", "net", "10.0.0.6", "friends")
    builder.add_port("three", "net", "10.0.0.7", "callers")
    builder.add_router("router", {"net": "10.0.0.1"}, gateway="192.168.251.10")
    builder.add_floating_ip("router", "192.168.251.50", "one")
    return builder


def change(cloud: WorldBuilder, name: str) -> None:
    if name == "a rule less":
        cloud.add_group("ssh")
    elif name == "a rule more":
        cloud.add_group("ssh", SSH, rule("ping", "ingress", protocol="icmp"))
    elif name == "a port more":
        cloud.add_port("four", "net", "10.0.0.8", "ssh")
    elif name == "a port less":
        del cloud.ports["one"]
    elif name == "other groups":
        cloud.add_port("one", "net", "10.0.0.5", "friends")
    elif name == "a member less":
        cloud.add_port("three", "net", "10.0.0.7", "ssh")
    elif name == "quarantine":
        cloud.add_port("one", "net", "10.0.0.5", "ssh", quarantined=True)


@pytest.mark.parametrize(
    "name, forgotten",
    [
        ("nothing", set()),
        ("a rule less", {"10.0.0.5"}),
        ("a rule more", set()),
        ("a port more", set()),
        ("a port less", {"10.0.0.5"}),
        ("other groups", {"10.0.0.5"}),
        ("a member less", {"10.0.0.6", "10.0.0.7"}),
        ("quarantine", {"10.0.0.5"}),
    ],
)
def test_filters(cloud: WorldBuilder, name: str, forgotten: set[str]) -> None:
    before = plan_of(cloud)
    cloud.routers.clear()
    change(cloud, name)
    assert set(plan_forgetting(before, plan_of(cloud), HV).get(HV, {})) == forgotten


def test_the_zone_is_that_of_the_network(cloud: WorldBuilder) -> None:
    for found in (capabilities("native"), capabilities("mark")):
        before = plan_of(cloud, found)
        zones = plan_forgetting(before, plan_of(WorldBuilder(), found), HV)[HV]
        bridge = "brq" + id_of("net")[:11]
        table = before.tables.get((HV, "inet", "alto_track"), before.tables[HV, "bridge", "alto"])
        assert f'"{bridge}" : {zones["10.0.0.5"]}' in table.sets["zones"].elements


def test_floating_ips(cloud: WorldBuilder) -> None:
    before = plan_of(cloud)
    netns = f"qrouter-{id_of('router')}"
    router = cloud.routers["router"]
    moved = replace(router.floating_ips[0], fixed_ip_address="10.0.0.6")
    cloud.routers["router"] = replace(router, floating_ips=[moved])
    assert plan_forgetting(before, plan_of(cloud), HV) == {netns: {"192.168.251.50": None}}
    cloud.routers["router"] = replace(router, floating_ips=[])
    assert plan_forgetting(before, plan_of(cloud), HV) == {netns: {"192.168.251.50": None}}
    assert plan_forgetting(plan_of(cloud), before, HV) == {}
