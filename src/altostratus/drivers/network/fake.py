# SPDX-License-Identifier: Apache-2.0
"""A network that exists on paper only: for tests, teaching and simulated hosts.

It keeps the newest world, answers at once and makes the same refusals as a real driver where a world
does not fit together. Faults can be planted.
"""

import threading
from typing import Any

from altostratus.contracts.network import MetadataLookup, NetworkInfo, NetworkWorld, PassResult

Row = tuple[str, str]


class FakeNetworkDriver:
    """`contracts.network.NetworkDriver` without a network."""

    def __init__(self, physical_networks: tuple[str, ...] = ("public",)) -> None:
        self.world = NetworkWorld()
        self.passes = 0
        self.resyncs = 0
        self._physical_networks = physical_networks
        self._faults: dict[Row, str] = {}
        self._pass_fault: Exception | None = None
        self._problems: list[str] = []
        self._lookup: MetadataLookup | None = None
        self._leases: dict[str, list[dict[str, str]]] = {}
        self._lock = threading.Lock()

    # --- faults and questions of tests

    def break_row(self, kind: str, identifier: str, sentence: str | None) -> None:
        """From now on report `sentence` for this row; None mends it."""
        if sentence is None:
            self._faults.pop((kind, identifier), None)
        else:
            self._faults[kind, identifier] = sentence

    def fail_next_pass(self, error: Exception) -> None:
        """The next `apply` raises, and changes nothing."""
        self._pass_fault = error

    def add_problem(self, sentence: str) -> None:
        """As if something died; a pass with `resync` repairs it."""
        self._problems.append(sentence)

    def ask_metadata(self, request: dict[str, Any]) -> dict[str, Any]:
        """What a guest would be answered. Raises LookupError when nobody serves metadata."""
        if self._lookup is None:
            raise LookupError("nobody serves metadata: call serve_metadata first")
        return self._lookup(request)

    def set_leases(self, network_id: str, leases: list[dict[str, str]]) -> None:
        self._leases[network_id] = leases

    # --- the contract

    def info(self) -> NetworkInfo:
        return NetworkInfo(
            driver="fake",
            hypervisor_netns=None,
            world_netns=None,
            network_types=["local", "flat", "vlan", "vxlan"],
            physical_networks=list(self._physical_networks),
            capabilities=[],
            simulated=True,
        )

    def apply(self, world: NetworkWorld, *, resync: bool) -> PassResult:
        with self._lock:
            fault, self._pass_fault = self._pass_fault, None
            if fault is not None:
                raise fault
            self.passes += 1
            self.resyncs += resync
            if resync:
                self._problems.clear()
            self.world = world
            errors = {**self._misfits(world), **self._faults}
            return PassResult(
                errors={row: sentence for row, sentence in errors.items() if _has(world, row)},
                states={row: state for row, state in _states(world).items() if row not in errors},
            )

    def problems(self) -> list[str]:
        return list(self._problems)

    def serve_metadata(self, lookup: MetadataLookup) -> None:
        self._lookup = lookup

    def leases(self, network_id: str) -> list[dict[str, str]]:
        return list(self._leases.get(network_id, ()))

    def world_command(self, argv: list[str]) -> list[str]:
        return list(argv)

    def remove_everything(self) -> None:
        with self._lock:
            self.world = NetworkWorld()
            self._leases.clear()

    def close(self) -> None:
        self._lookup = None

    def _misfits(self, world: NetworkWorld) -> dict[Row, str]:
        errors: dict[Row, str] = {}
        bad = {
            n.id
            for n in world.networks.values()
            if n.physical_network is not None and n.physical_network not in self._physical_networks
        }
        for network_id in bad:
            name = world.networks[network_id].physical_network
            errors["network", network_id] = f"Physical network '{name}' is not configured on this host."
        usable = world.networks.keys() - bad
        for port in world.ports.values():
            if port.network_id not in usable:
                errors["port", port.id] = f"The network {port.network_id} of this port is not on this host (yet)."
        for router in world.routers.values():
            needed = {interface.network_id for interface in router.interfaces}
            if router.gateway is not None:
                needed.add(router.gateway.network_id)
            if needed - usable:
                errors["router", router.id] = f"The network {min(needed - usable)} of this router is not on this host."
        return errors


def _states(world: NetworkWorld) -> dict[Row, dict[str, Any]]:
    active: dict[str, Any] = {"status": "ACTIVE"}
    states: dict[Row, dict[str, Any]] = {}
    for port in world.ports.values():
        states["port", port.id] = {"tap": port.tap, "netns": None} if port.plugged else active
    states |= {("network", identifier): active for identifier in world.networks}
    states |= {("router", identifier): active for identifier in world.routers}
    states |= {("security_group", identifier): active for identifier in world.security_groups}
    return states


def _has(world: NetworkWorld, row: Row) -> bool:
    tables: dict[str, Any] = {
        "network": world.networks,
        "port": world.ports,
        "security_group": world.security_groups,
        "router": world.routers,
    }
    return row[1] in tables[row[0]]
