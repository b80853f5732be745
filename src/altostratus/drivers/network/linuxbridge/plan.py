# SPDX-License-Identifier: Apache-2.0
"""From the wanted world to everything that should exist on this host.

A pure function of (world, configuration, capabilities). The planner object only remembers what
unchanged rows came to, so that a pass costs what has changed and not what there is.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from altostratus.contracts.network import NetworkSpec, NetworkWorld, PortSpec, RouterSpec
from altostratus.drivers.network.linuxbridge import dhcp, names, routers, segments
from altostratus.drivers.network.linuxbridge.config import LinuxBridgeConfig
from altostratus.drivers.network.linuxbridge.dhcp import PortDhcp, Surroundings
from altostratus.drivers.network.linuxbridge.filter_tables import FilterPlanner
from altostratus.drivers.network.linuxbridge.model import Fragment, HostPlan, Link, Owner
from altostratus.drivers.network.linuxbridge.probe import Capabilities


class _Planned(NamedTuple):
    """What a row came to, valid while `inputs` are the very same objects."""

    inputs: tuple[object, ...]
    fragment: Fragment
    lines: PortDhcp | None
    error: str | None


_NO_FILTERS = (
    "This kernel cannot filter bridged traffic, so the port stays unplugged: run `modprobe nf_conntrack_bridge`."
)


class HostPlanner:
    """Plans one host. Not safe for several threads."""

    def __init__(self, config: LinuxBridgeConfig, capabilities: Capabilities) -> None:
        self._config = config
        self._capabilities = capabilities
        self._filters = FilterPlanner(capabilities.conntrack) if capabilities.conntrack else None
        self._host = self._marked(segments.plan_host_namespaces(config, capabilities))
        self._memory: dict[Owner, _Planned] = {}

    def plan(self, world: NetworkWorld) -> HostPlan:
        """All that should exist; `errors` of the result name the rows that cannot."""
        plan = HostPlan()
        world = _without_malformed_ids(world, plan.errors)
        plan.add(self._host)
        networks = self._plan_segments(world, plan)
        bridges = {network.id: segments.bridge_of(network) for network in networks.values()}
        lines, taps = self._plan_ports(world, networks, plan)
        self._plan_routers(world, bridges, plan)
        self._plan_dhcp(networks, lines, world, plan)
        self._plan_world(networks.values(), plan)
        self._plan_filters(world, taps, bridges.values(), plan)
        self._forget(world)
        return plan

    def _remember(self, owner: Owner, inputs: tuple[object, ...]) -> _Planned | None:
        known = self._memory.get(owner)
        if known is not None and all(a is b for a, b in zip(known.inputs, inputs, strict=True)):
            return known
        return None

    def _plan_segments(self, world: NetworkWorld, plan: HostPlan) -> dict[str, NetworkSpec]:
        usable: dict[str, NetworkSpec] = {}
        for network in world.networks.values():
            owner: Owner = ("network", network.id)
            planned = self._remember(owner, (network,))
            if planned is None:
                planned = self._plan_network(network)
                self._memory[owner] = planned
            if planned.error is not None:
                plan.errors[owner] = planned.error
                continue
            usable[network.id] = network
            plan.add(planned.fragment)
        return usable

    def _plan_network(self, network: NetworkSpec) -> _Planned:
        try:
            links = segments.plan_segment(network, self._config, self._capabilities)
            place = segments.plan_dhcp_place(network, self._config) if network.admin_state_up else Fragment()
        except ValueError as error:
            return _Planned((network,), Fragment(), None, f"This network cannot be made here: {error}.")
        return _Planned((network,), self._marked(_with_links(place, links)), None, None)

    def _marked(self, fragment: Fragment) -> Fragment:
        """The same with our marker on every loopback: how a namespace is known to be ours."""
        alias = self._config.marker
        links = [replace(link, alias=alias) if link.kind == "loopback" else link for link in fragment.links]
        return replace(fragment, links=tuple(links))

    def _plan_ports(
        self, world: NetworkWorld, networks: Mapping[str, NetworkSpec], plan: HostPlan
    ) -> tuple[dict[str, list[PortDhcp]], list[PortSpec]]:
        lines: dict[str, list[PortDhcp]] = {network_id: [] for network_id in networks}
        taps: list[PortSpec] = []
        links, shapers = plan.links, plan.shapers
        for port in world.ports.values():
            owner: Owner = ("port", port.id)
            network = networks.get(port.network_id)
            if network is None:
                plan.errors[owner] = f"The network {port.network_id} of this port is not on this host (yet)."
                continue
            planned = self._remember(owner, (port, network))
            if planned is None:
                planned = self._plan_port(port, network)
                self._memory[owner] = planned
            if planned.error is not None:
                plan.errors[owner] = planned.error
                continue
            if planned.lines is not None:
                lines[network.id].append(planned.lines)
                if planned.lines.refused:
                    plan.errors[owner] = planned.lines.refused
            for link in planned.fragment.links:
                links[link.key] = link
            if port.plugged:
                taps.append(port)
            for shaper in planned.fragment.shapers:
                shapers[shaper.tap] = shaper
        return lines, taps

    def _plan_port(self, port: PortSpec, network: NetworkSpec) -> _Planned:
        inputs = (port, network)
        if port.plugged and self._filters is None and (port.port_security or port.quarantined):
            return _Planned(inputs, Fragment(), None, _NO_FILTERS)
        try:
            lines = dhcp.plan_port_lines(port, network, dhcp.network_domain(network, self._config.dns_domain))
            fragment = self._plan_tap(port, network) if port.plugged else Fragment()
        except ValueError as error:
            return _Planned(inputs, Fragment(), None, f"This port cannot be made: {error}.")
        return _Planned(inputs, fragment, lines, None)

    def _plan_tap(self, port: PortSpec, network: NetworkSpec) -> Fragment:
        return segments.plan_tap(port, network, self._config, self._capabilities)

    def _plan_routers(self, world: NetworkWorld, bridges: Mapping[str, str], plan: HostPlan) -> None:
        for router in world.routers.values():
            if not router.admin_state_up:
                continue
            owner: Owner = ("router", router.id)
            networks = tuple(world.networks.get(network_id) for network_id in _networks_of(router))
            planned = self._remember(owner, (router, *networks)) if self._same_size(owner, networks) else None
            if planned is None:
                planned = self._plan_router(router, networks, bridges)
                self._memory[owner] = planned
            if planned.error is not None:
                plan.errors[owner] = planned.error
                continue
            plan.add(planned.fragment)

    def _same_size(self, owner: Owner, networks: tuple[object, ...]) -> bool:
        known = self._memory.get(owner)
        return known is not None and len(known.inputs) == len(networks) + 1

    def _plan_router(
        self, router: RouterSpec, networks: tuple[NetworkSpec | None, ...], bridges: Mapping[str, str]
    ) -> _Planned:
        inputs = (router, *networks)
        try:
            fragment = routers.plan_router(router, bridges, self.process_directory(f"ra-{router.id}"))
            cables = routers.plan_router_cables(router, bridges, self._config.hypervisor_netns)
        except ValueError as error:
            return _Planned(inputs, Fragment(), None, f"This router cannot be made: {error}.")
        return _Planned(inputs, self._marked(_with_links(fragment, cables)), None, None)

    def process_directory(self, key: str) -> Path:
        """Where the files of a helper process live."""
        return self._config.state_dir / "dnsmasq" / key

    def _plan_dhcp(
        self,
        networks: Mapping[str, NetworkSpec],
        lines: Mapping[str, list[PortDhcp]],
        world: NetworkWorld,
        plan: HostPlan,
    ) -> None:
        router_addresses: dict[str, set[str]] = {}
        advertised: set[str] = set()
        for router in world.routers.values():
            if not router.admin_state_up or ("router", router.id) in plan.errors:
                continue
            for interface in router.interfaces:
                known = router_addresses.setdefault(interface.network_id, set())
                known.update(fixed.ip_address for fixed in interface.fixed_ips)
                if interface.ra_subnets:
                    advertised.add(interface.network_id)
        for network in networks.values():
            if not network.admin_state_up or network.dhcp is None:
                continue
            around = Surroundings(
                frozenset(router_addresses.get(network.id, ())),
                network.id in advertised,
                dhcp.network_domain(network, self._config.dns_domain),
                self._config.lease_time_s,
            )
            directory = self.process_directory(f"dhcp-{network.id}")
            try:
                process = dhcp.plan_dhcp(network, lines[network.id], around, directory)
            except ValueError as error:
                plan.errors["network", network.id] = f"DHCP of this network cannot be set up: {error}."
                continue
            if process is not None:
                plan.processes[process.key] = process

    def _plan_world(self, networks: Iterable[NetworkSpec], plan: HostPlan) -> None:
        usable: list[NetworkSpec] = []
        for network in networks:
            if not network.external:
                continue
            try:
                segments.plan_world([network], self._config)
                usable.append(network)
            except ValueError as error:
                plan.errors["network", network.id] = f"The outside of this network cannot be made: {error}."
        plan.add(segments.plan_world(usable, self._config))

    def _plan_filters(self, world: NetworkWorld, taps: list[PortSpec], bridges: Iterable[str], plan: HostPlan) -> None:
        if self._filters is None:
            return
        filters = self._filters.plan(world, taps, set(bridges))
        for table in filters.tables:
            plan.tables[self._config.hypervisor_netns, table.family, table.name] = table
        plan.errors.update(filters.errors)

    def _forget(self, world: NetworkWorld) -> None:
        rows: dict[str, Mapping[str, object]] = {
            "port": world.ports,
            "network": world.networks,
            "router": world.routers,
        }
        known = len(world.ports) + len(world.networks) + len(world.routers)
        if len(self._memory) <= known:
            return
        gone = [owner for owner in self._memory if owner[1] not in rows[owner[0]]]
        for owner in gone:
            del self._memory[owner]
        if self._filters is not None:
            self._filters.forget(world.ports.keys(), world.security_groups.keys())


def _with_links(fragment: Fragment, links: tuple[Link, ...]) -> Fragment:
    return replace(fragment, links=(*links, *fragment.links))


def _networks_of(router: RouterSpec) -> list[str]:
    found = [interface.network_id for interface in router.interfaces]
    return [*found, router.gateway.network_id] if router.gateway is not None else found


def _without_malformed_ids(world: NetworkWorld, errors: dict[Owner, str]) -> NetworkWorld:
    """Ids become parts of names and paths: rows with anything but id characters are refused here."""
    rows: dict[str, Mapping[str, object]] = {
        "network": world.networks,
        "port": world.ports,
        "security_group": world.security_groups,
        "router": world.routers,
    }
    bad = {kind: [i for i in table if not names.is_id(i)] for kind, table in rows.items()}
    if not any(bad.values()):
        return world
    for kind, ids in bad.items():
        errors.update(dict.fromkeys([(kind, i) for i in ids], "The id of this row is not an id."))
    return NetworkWorld(
        networks={i: row for i, row in world.networks.items() if i not in bad["network"]},
        ports={i: row for i, row in world.ports.items() if i not in bad["port"]},
        security_groups={i: row for i, row in world.security_groups.items() if i not in bad["security_group"]},
        routers={i: row for i, row in world.routers.items() if i not in bad["router"]},
    )
