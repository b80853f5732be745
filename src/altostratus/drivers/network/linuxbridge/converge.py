# SPDX-License-Identifier: Apache-2.0
"""One pass: from what is to what should be, in an order that never leaves a guest unfiltered.

Filters are in force before devices exist, translation before addresses, devices before processes.
What is going away loses its processes and sockets first, because they would keep it alive.
"""

import logging
import os

from altostratus.drivers.network.linuxbridge.announce import announce
from altostratus.drivers.network.linuxbridge.changes import Changes, LinkSettings, plan_changes
from altostratus.drivers.network.linuxbridge.config import LinuxBridgeConfig
from altostratus.drivers.network.linuxbridge.conntrack import forget_connections
from altostratus.drivers.network.linuxbridge.dnsmasq import DnsmasqSupervisor
from altostratus.drivers.network.linuxbridge.execute import Command, CommandFailure, run_batch, run_nft
from altostratus.drivers.network.linuxbridge.forgetting import plan_forgetting
from altostratus.drivers.network.linuxbridge.metadata import MetadataProxy
from altostratus.drivers.network.linuxbridge.model import HostPlan
from altostratus.drivers.network.linuxbridge.netns import write_sysctls
from altostratus.drivers.network.linuxbridge.probe import Capabilities
from altostratus.drivers.network.linuxbridge.shaping import plan_shaping
from altostratus.drivers.network.linuxbridge.tables import plan_table_change

_log = logging.getLogger(__name__)


class Convergence:
    """Carries out one pass."""

    def __init__(
        self,
        config: LinuxBridgeConfig,
        capabilities: Capabilities,
        dnsmasq: DnsmasqSupervisor,
        proxy: MetadataProxy,
    ) -> None:
        self._config = config
        self._capabilities = capabilities
        self._dnsmasq = dnsmasq
        self._proxy = proxy
        self._failures: list[CommandFailure] = []

    def run(self, observed: HostPlan, wanted: HostPlan, *, resync: bool) -> list[CommandFailure]:
        """Do everything; returns what failed (an owner of HOST concerns all rows)."""
        settings = LinkSettings(
            tunnel_ip=self._config.tunnel_ip, vxlan_port=self._config.vxlan_port, home_pid=os.getpid()
        )
        changes = plan_changes(observed, wanted, settings)
        self._take_down(changes, observed)
        self._put_up_namespaces(changes, wanted, resync=resync)
        self._load_tables(observed, wanted, set(changes.new_namespaces))
        self._put_up_devices(changes)
        self._limit(observed, wanted, changes)
        self._forget(observed, wanted)
        self._failures += self._dnsmasq.apply(wanted.processes, resync=resync)
        self._failures += self._proxy.apply(wanted.listeners, resync=resync)
        announce(wanted.announcements - observed.announcements)
        return self._failures

    def _take_down(self, changes: Changes, observed: HostPlan) -> None:
        for netns in changes.doomed_namespaces:
            self._proxy.close_in(netns)
            self._dnsmasq.stop_in(netns)
        # the hypervisor's devices go even when their namespace does: the kernel is slow to clear namespaces away
        for netns, commands in changes.removals.items():
            self._failures += run_batch("ip", netns, commands)
        gone = [Command(f"netns del {netns}") for netns in changes.doomed_namespaces]
        self._failures += run_batch("ip", None, gone)

    def _put_up_namespaces(self, changes: Changes, wanted: HostPlan, *, resync: bool) -> None:
        fresh = [Command(f"netns add {netns}", wanted.namespaces[netns].owner) for netns in changes.new_namespaces]
        self._failures += run_batch("ip", None, fresh)
        for netns in wanted.namespaces if resync else changes.new_namespaces:
            namespace = wanted.namespaces[netns]
            try:
                refused = write_sysctls(netns, namespace.sysctls)
            except OSError as error:
                refused = [f"{netns} cannot be entered: {error}"]
            self._failures += [CommandFailure(namespace.owner, sentence) for sentence in refused]

    def _load_tables(self, observed: HostPlan, wanted: HostPlan, fresh: set[str]) -> None:
        by_netns: dict[str, list[Command]] = {}
        for key, table in wanted.tables.items():
            before = observed.tables.get(key) if key[0] not in fresh else None
            if before is not table:
                by_netns.setdefault(key[0], []).extend(plan_table_change(before, table))
        for key, table in observed.tables.items():
            if key not in wanted.tables and key[0] in wanted.namespaces:
                by_netns.setdefault(key[0], []).extend(plan_table_change(table, None))
        for netns, lines in by_netns.items():
            self._failures += run_nft(netns, lines)

    def _put_up_devices(self, changes: Changes) -> None:
        self._failures += run_batch("ip", None, changes.home)
        hypervisor = self._config.hypervisor_netns
        # its halves first: they bring the other halves into their namespaces
        for netns in sorted(changes.creations, key=lambda name: name != hypervisor):
            self._failures += run_batch("ip", netns, changes.creations[netns])
        for netns, commands in changes.floods.items():
            self._failures += run_batch("bridge", netns, commands)

    def _forget(self, observed: HostPlan, wanted: HostPlan) -> None:
        for netns, addresses in plan_forgetting(observed, wanted, self._config.hypervisor_netns).items():
            try:
                forget_connections(netns, addresses)
            except OSError as error:
                _log.warning("connections of %d addresses live on in %s: %s", len(addresses), netns, error)

    def _limit(self, observed: HostPlan, wanted: HostPlan, changes: Changes) -> None:
        if not observed.shapers and not wanted.shapers:
            return
        hypervisor = self._config.hypervisor_netns
        remade = {key[1] for key in wanted.links if key[0] == hypervisor and key not in observed.links}
        before = {tap: shaper for tap, shaper in observed.shapers.items() if tap not in remade}
        present = frozenset(key[1] for key in wanted.links if key[0] == hypervisor)
        lines = plan_shaping(before, wanted.shapers, present, ifb=self._capabilities.ifb)
        self._failures += run_batch("tc", hypervisor, lines)
