# SPDX-License-Identifier: Apache-2.0
"""What every network driver must do. Subclass `NetworkConformance` and give it a driver.

`WorldBuilder` builds worlds: a tenant network, an external one, a router, ports and groups, with ids and
addresses that are easy to read in a failure.
"""

import uuid
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from altostratus.contracts.network import (
    DhcpPort,
    FixedIp,
    FloatingIpSpec,
    NetworkDriver,
    NetworkSpec,
    NetworkWorld,
    PortSpec,
    RouterGateway,
    RouterInterface,
    RouterSpec,
    SecurityGroupSpec,
    SecurityRule,
    SubnetSpec,
)

PUBLIC = "public"
_SPACE = uuid.UUID("8f0b9a52-6f5c-4a7e-9d3e-2f4f7a1c0de0")


def id_of(name: str) -> str:
    """A fixed id for a readable name."""
    return str(uuid.uuid5(_SPACE, name))


def mac_of(name: str) -> str:
    """A fixed MAC for a readable name."""
    digits = uuid.uuid5(_SPACE, name).hex
    return f"fa:16:3e:{digits[0:2]}:{digits[2:4]}:{digits[4:6]}"


class WorldBuilder:
    """A small cloud's network, row by row. Rows are plain attributes: replace them at will."""

    def __init__(self) -> None:
        self.networks: dict[str, NetworkSpec] = {}
        self.ports: dict[str, PortSpec] = {}
        self.groups: dict[str, SecurityGroupSpec] = {}
        self.routers: dict[str, RouterSpec] = {}

    def world(self) -> NetworkWorld:
        return NetworkWorld(
            networks={row.id: row for row in self.networks.values()},
            ports={row.id: row for row in self.ports.values()},
            security_groups={row.id: row for row in self.groups.values()},
            routers={row.id: row for row in self.routers.values()},
        )

    def add_network(self, name: str, prefix: str, **changes: Any) -> NetworkSpec:
        """A tenant network with DHCP; `prefix` is like "10.0.0": gateway .1, DHCP .2."""
        subnet = SubnetSpec(
            id=id_of(f"{name}-subnet"), cidr=f"{prefix}.0/24", ip_version=4, gateway_ip=f"{prefix}.1", enable_dhcp=True
        )
        network = NetworkSpec(
            id=id_of(name),
            name=name,
            project_id="p",
            network_type="vxlan",
            segmentation_id=100 + len(self.networks),
            mtu=1450,
            subnets=[subnet],
            dhcp=DhcpPort(
                port_id=id_of(f"{name}-dhcp"), mac=mac_of(f"{name}-dhcp"), fixed_ips=[self.fixed(name, f"{prefix}.2")]
            ),
        )
        self.networks[name] = msgspec.structs.replace(network, **changes)
        return self.networks[name]

    def add_external(self, name: str = PUBLIC, prefix: str = "192.168.251", physical: str = PUBLIC) -> NetworkSpec:
        """An external flat network whose gateway is the world."""
        subnet = SubnetSpec(
            id=id_of(f"{name}-subnet"), cidr=f"{prefix}.0/24", ip_version=4, gateway_ip=f"{prefix}.1", enable_dhcp=False
        )
        self.networks[name] = NetworkSpec(
            id=id_of(name),
            name=name,
            project_id="p",
            network_type="flat",
            physical_network=physical,
            external=True,
            mtu=1500,
            subnets=[subnet],
        )
        return self.networks[name]

    def fixed(self, network: str, address: str, prefix_length: int = 24) -> FixedIp:
        return FixedIp(subnet_id=id_of(f"{network}-subnet"), ip_address=address, prefix_length=prefix_length)

    def add_port(self, name: str, network: str, address: str, *groups: str, **changes: Any) -> PortSpec:
        port = PortSpec(
            id=id_of(name),
            network_id=id_of(network),
            mac=mac_of(name),
            tap="tap" + id_of(name)[:11],
            hostname=name,
            fixed_ips=[self.fixed(network, address)],
            security_groups=[id_of(group) for group in groups],
        )
        self.ports[name] = msgspec.structs.replace(port, **changes)
        return self.ports[name]

    def add_group(self, name: str, *rules: SecurityRule) -> SecurityGroupSpec:
        """A group with these rules, and like all new groups free to send."""
        out = [rule(f"{name}-out{version}", "egress", version) for version in (4, 6)]
        self.groups[name] = SecurityGroupSpec(id=id_of(name), rules=[*out, *rules])
        return self.groups[name]

    def add_router(self, name: str, legs: dict[str, str], gateway: str | None = None) -> RouterSpec:
        """`legs` maps network names to addresses; `gateway` is an address on the external network."""
        interfaces = [
            RouterInterface(
                port_id=id_of(f"{name}-{network}"),
                network_id=id_of(network),
                mac=mac_of(f"{name}-{network}"),
                fixed_ips=[self.fixed(network, address)],
            )
            for network, address in legs.items()
        ]
        outside = None
        if gateway is not None:
            outside = RouterGateway(
                port_id=id_of(f"{name}-gateway"),
                network_id=id_of(PUBLIC),
                mac=mac_of(f"{name}-gateway"),
                fixed_ips=[self.fixed(PUBLIC, gateway)],
                gateway_ips=[gateway.rsplit(".", 1)[0] + ".1"],
            )
        router = RouterSpec(id=id_of(name), name=name, project_id="p", gateway=outside, interfaces=interfaces)
        self.routers[name] = router
        return router

    def add_floating_ip(self, router: str, floating: str, port: str) -> None:
        spec = self.routers[router]
        target = self.ports[port]
        row = FloatingIpSpec(
            id=id_of(floating),
            floating_ip_address=floating,
            fixed_ip_address=target.fixed_ips[0].ip_address,
            port_id=target.id,
        )
        self.routers[router] = msgspec.structs.replace(spec, floating_ips=[*spec.floating_ips, row])


def rule(name: str, direction: str, version: int = 4, **fields: Any) -> SecurityRule:
    """A security group rule; without fields it allows everything of its IP version."""
    return msgspec.convert(
        {"id": id_of(name), "direction": direction, "ethertype": f"IPv{version}", **fields}, SecurityRule
    )


class NetworkConformance:
    """Override the fixture `driver`; every `test_` method then runs against it."""

    @pytest.fixture
    def driver(self) -> Iterator[NetworkDriver]:
        raise AssertionError("override the fixture `driver`")

    @pytest.fixture
    def cloud(self) -> WorldBuilder:
        """Two tenant networks behind a router to the outside, one port each."""
        builder = WorldBuilder()
        builder.add_external()
        builder.add_network("net-a", "10.61.1")
        builder.add_network("net-b", "10.61.2")
        builder.add_group("default", rule("members", "ingress", remote_group_id=id_of("default")))
        builder.add_port("one", "net-a", "10.61.1.10", "default")
        builder.add_port("two", "net-b", "10.61.2.10", "default")
        builder.add_router("router", {"net-a": "10.61.1.1", "net-b": "10.61.2.1"}, gateway="192.168.251.10")
        builder.add_floating_ip("router", "192.168.251.50", "one")
        return builder

    def test_info_is_complete(self, driver: NetworkDriver) -> None:
        info = driver.info()
        assert info.driver
        assert {"local", "flat"} <= set(info.network_types)
        assert PUBLIC in info.physical_networks

    def test_every_row_gets_a_state(self, driver: NetworkDriver, cloud: WorldBuilder) -> None:
        world = cloud.world()
        result = driver.apply(world, resync=False)
        assert result.errors == {}
        port = cloud.ports["one"]
        assert result.states["port", port.id] == {"tap": port.tap, "netns": driver.info().hypervisor_netns}
        rows = (world.networks, world.ports, world.security_groups, world.routers)
        assert len(result.states) == sum(len(table) for table in rows)

    def test_the_same_world_again(self, driver: NetworkDriver, cloud: WorldBuilder) -> None:
        first = driver.apply(cloud.world(), resync=False)
        assert driver.apply(cloud.world(), resync=False) == first
        assert driver.apply(cloud.world(), resync=True) == first
        assert driver.problems() == []

    def test_an_empty_world(self, driver: NetworkDriver, cloud: WorldBuilder) -> None:
        driver.apply(cloud.world(), resync=False)
        result = driver.apply(NetworkWorld(), resync=False)
        assert (result.errors, result.states) == ({}, {})

    def test_a_port_may_come_before_its_network(self, driver: NetworkDriver, cloud: WorldBuilder) -> None:
        network = cloud.networks.pop("net-b")
        cloud.routers.clear()
        result = driver.apply(cloud.world(), resync=False)
        two = ("port", id_of("two"))
        assert list(result.errors) == [two]
        assert "network" in result.errors[two].lower()
        assert ("port", id_of("one")) in result.states
        cloud.networks["net-b"] = network
        assert driver.apply(cloud.world(), resync=False).errors == {}

    def test_an_unplugged_port_has_no_device(self, driver: NetworkDriver, cloud: WorldBuilder) -> None:
        cloud.add_port("reserved", "net-a", "10.61.1.20", plugged=False)
        result = driver.apply(cloud.world(), resync=False)
        assert result.errors == {}
        assert "tap" not in result.states["port", id_of("reserved")]

    def test_an_unknown_physical_network(self, driver: NetworkDriver, cloud: WorldBuilder) -> None:
        cloud.add_external("elsewhere", "192.168.252", physical="nowhere")
        result = driver.apply(cloud.world(), resync=False)
        assert list(result.errors) == [("network", id_of("elsewhere"))]
        assert "nowhere" in result.errors["network", id_of("elsewhere")]

    def test_world_command(self, driver: NetworkDriver) -> None:
        assert driver.world_command(["ssh", "guest"])[-2:] == ["ssh", "guest"]

    def test_leases_of_an_unused_network(self, driver: NetworkDriver, cloud: WorldBuilder) -> None:
        driver.apply(cloud.world(), resync=False)
        assert driver.leases(id_of("net-a")) == []

    def test_everything_can_be_removed_and_made_again(self, driver: NetworkDriver, cloud: WorldBuilder) -> None:
        driver.apply(cloud.world(), resync=False)
        driver.remove_everything()
        driver.remove_everything()
        assert driver.apply(cloud.world(), resync=False).errors == {}
