# SPDX-License-Identifier: Apache-2.0
"""The linuxbridge driver: plan, compare, apply, remember.

A pass costs one `ip -batch` per namespace that changed and one `nft -f` per namespace whose filters
changed. What could not be made is reported per row; after any failure the memory is dropped, and the
next pass looks at the machine itself.
"""

import contextlib
import logging
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from altostratus.contracts.network import MetadataLookup, NetworkInfo, NetworkWorld, PassResult
from altostratus.drivers.network.linuxbridge.config import LinuxBridgeConfig
from altostratus.drivers.network.linuxbridge.converge import Convergence
from altostratus.drivers.network.linuxbridge.dnsmasq import DnsmasqSupervisor
from altostratus.drivers.network.linuxbridge.execute import CommandFailure
from altostratus.drivers.network.linuxbridge.metadata import MetadataProxy
from altostratus.drivers.network.linuxbridge.model import HOST, HostPlan, Owner
from altostratus.drivers.network.linuxbridge.netns import NETNS_DIRECTORY, list_netns, unmount
from altostratus.drivers.network.linuxbridge.observe import Ledger, observe_host
from altostratus.drivers.network.linuxbridge.plan import HostPlanner
from altostratus.drivers.network.linuxbridge.probe import Capabilities, probe_kernel

_log = logging.getLogger(__name__)


class LinuxBridgeDriver:
    """`contracts.network.NetworkDriver` with bridges, namespaces, nftables and dnsmasq.

    Needs root, or root inside a user namespace with a network and a mount namespace of its own.
    The constructor probes the kernel (about a tenth of a second) unless `capabilities` are given.
    Raises OSError or MissingTool with a sentence when this host cannot do it at all.
    """

    def __init__(self, config: LinuxBridgeConfig, capabilities: Capabilities | None = None) -> None:
        self._config = config
        self.capabilities = capabilities or probe_kernel(config.probe_netns)
        self._planner = HostPlanner(config, self.capabilities)
        self._ledger = Ledger(config.state_dir / "namespaces.json")
        self._dnsmasq = DnsmasqSupervisor(config.state_dir / "dnsmasq")
        self._proxy = MetadataProxy(workers=config.metadata_workers, max_connections=config.metadata_max_connections)
        self._lock = threading.Lock()
        self._done: HostPlan | None = None
        self._world: NetworkWorld | None = None
        self._result = PassResult()

    def info(self) -> NetworkInfo:
        types = ["local", "flat", "vlan"]
        if self._config.tunnel_ip is None or self.capabilities.vxlan:
            types.append("vxlan")
        return NetworkInfo(
            driver="linuxbridge",
            hypervisor_netns=self._config.hypervisor_netns,
            world_netns=self._config.world_netns,
            network_types=types,
            physical_networks=[physical.name for physical in self._config.physical_networks],
            capabilities=self.capabilities.names(),
            tunnel_address=self._config.tunnel_ip if self.capabilities.vxlan else None,
        )

    def apply(self, world: NetworkWorld, *, resync: bool) -> PassResult:
        """Make the host match `world`; see the contract."""
        with self._lock:
            if self._done is None:
                resync = True
            elif not resync and world == self._world:
                return self._result
            wanted = self._planner.plan(world)
            observed = self._observe() if resync else self._done
            assert observed is not None
            self._ledger.write(self._ledger.namespaces | wanted.namespaces.keys())
            convergence = Convergence(self._config, self.capabilities, self._dnsmasq, self._proxy)
            failures = convergence.run(observed, wanted, resync=resync)
            self._ledger.write(frozenset(wanted.namespaces))
            self._done = None if failures else wanted
            self._world = None if failures else world
            self._result = _result_of(world, wanted, failures, self._config.hypervisor_netns)
            return self._result

    def problems(self) -> list[str]:
        """Dead helpers and vanished namespaces."""
        with self._lock:
            if self._done is None:
                return []
            gone = self._done.namespaces.keys() - list_netns()
            return [f"Network namespace {name} is gone." for name in sorted(gone)] + self._dnsmasq.problems()

    def serve_metadata(self, lookup: MetadataLookup) -> None:
        self._proxy.serve(lookup)

    def leases(self, network_id: str) -> list[dict[str, str]]:
        return self._dnsmasq.leases(f"dhcp-{network_id}")

    def world_command(self, argv: list[str]) -> list[str]:
        """Through the agent's own namespaces when it is rootless, else directly."""
        return [*_into_our_namespaces(), "ip", "netns", "exec", self._config.world_netns, *argv]

    def remove_everything(self) -> None:
        """Leaves the machine as it was before the first pass; the state directory's files go as well."""
        with self._lock:
            observed = self._observe()
            convergence = Convergence(self._config, self.capabilities, self._dnsmasq, self._proxy)
            for failure in convergence.run(observed, HostPlan(), resync=True):
                _log.warning("while removing everything: %s", failure.sentence)
            self._dnsmasq.remove_everything()
            _restore_netns_directory(self._ledger)
            self._ledger.remove()
            with contextlib.suppress(OSError):
                self._config.state_dir.rmdir()
            self._done = None
            self._world = None

    def close(self) -> None:
        """Stop answering metadata. Everything else goes on without us."""
        self._proxy.close()

    def _observe(self) -> HostPlan:
        return observe_host(self._config, self._ledger)


def _result_of(
    world: NetworkWorld, wanted: HostPlan, failures: Iterable[CommandFailure], hypervisor_netns: str
) -> PassResult:
    errors: dict[Owner, str] = dict(wanted.errors)
    for failure in failures:
        _log.error("network: %s", failure.sentence)
        if failure.owner != HOST:
            errors.setdefault(failure.owner, failure.sentence)
    states: dict[tuple[str, str], dict[str, Any]] = {}
    active = {"status": "ACTIVE"}
    for port in world.ports.values():
        states["port", port.id] = {"tap": port.tap, "netns": hypervisor_netns} if port.plugged else active
    for kind, ids in (
        ("network", world.networks.keys()),
        ("router", world.routers.keys()),
        ("security_group", world.security_groups.keys()),
    ):
        for identifier in ids:
            states[kind, identifier] = active
    shared = next((failure.sentence for failure in failures if failure.owner == HOST), None)
    if shared is not None:
        # what all rows stand on is broken: none of them can be called done
        for key in states:
            errors.setdefault(key, f"This host's network is not in order: {shared}")
    return PassResult(errors=errors, states={key: state for key, state in states.items() if key not in errors})


def _into_our_namespaces() -> list[str]:
    """How another process of the same user gets to where our namespaces have names."""
    whole = Path("/proc/self/uid_map").read_text(encoding="ascii").split() == ["0", "0", "4294967295"]
    if whole:
        return []
    return ["nsenter", "--target", str(os.getpid()), "--user", "--mount", "--net", "--preserve-credentials"]


def _restore_netns_directory(ledger: Ledger) -> None:
    """Undo what the first `ip netns add` did to the machine, if it was ours and nobody else uses it."""
    if ledger.made_mount and not list_netns() and unmount(NETNS_DIRECTORY):
        with contextlib.suppress(OSError):
            NETNS_DIRECTORY.rmdir()
