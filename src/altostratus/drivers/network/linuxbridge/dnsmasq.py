# SPDX-License-Identifier: Apache-2.0
"""Keeps one dnsmasq per network with DHCP, and one per router that announces IPv6.

Reservations and options live in files that dnsmasq reads again on SIGHUP. It is restarted (about ten
milliseconds) when its configuration changed, when it died, when its namespace was made anew, and
when its lease file still gives an address to a port that is gone.
"""

import logging
import shutil
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from altostratus.drivers.network.linuxbridge.execute import CommandFailure
from altostratus.drivers.network.linuxbridge.model import DnsmasqPlan
from altostratus.drivers.network.linuxbridge.netns import netns_inode
from altostratus.drivers.network.linuxbridge.process import (
    Helper,
    find_helpers,
    is_running,
    signal_helper,
    start_helper,
    stop_helper,
)

_log = logging.getLogger(__name__)
# how long a new process is watched for dying of a bad configuration
_SETTLE_S = 0.02
_NO_PLAN = DnsmasqPlan(key="", netns="", owner=("host", "network"), conf="", files={})


class DnsmasqSupervisor:
    """All dnsmasq processes of one cloud. `directory` holds a folder for each."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._running: dict[str, Helper] = {}
        self._plans: dict[str, DnsmasqPlan] = {}

    def apply(self, wanted: Mapping[str, DnsmasqPlan], *, resync: bool) -> list[CommandFailure]:
        """Start, reload, restart and stop what is needed; returns what did not come up."""
        if resync:
            self._adopt()
        for key in [key for key in self._running if key not in wanted]:
            self._remove(key)
        failures: list[CommandFailure] = []
        started: list[DnsmasqPlan] = []
        for key, plan in wanted.items():
            before = self._plans.get(key, _NO_PLAN)
            if not resync and before == plan:
                continue
            try:
                if self._ensure(before, plan):
                    started.append(plan)
                self._plans[key] = plan
            except OSError as error:
                self._plans.pop(key, None)
                failures.append(CommandFailure(plan.owner, f"dnsmasq cannot be started: {error}."))
        if started:
            time.sleep(_SETTLE_S)
        for plan in started:
            if not is_running(self._running[plan.key]):
                self._plans.pop(plan.key, None)
                failures.append(CommandFailure(plan.owner, f"dnsmasq ended at once: {self._last_words(plan.key)}"))
        return failures

    def stop_in(self, netns: str) -> None:
        """Stop what runs in a namespace that is about to go."""
        for key in [key for key, plan in self._plans.items() if plan.netns == netns]:
            self._remove(key)

    def problems(self) -> list[str]:
        """A sentence for every process that should run and does not."""
        dead = [key for key in self._plans if key not in self._running or not is_running(self._running[key])]
        return [f"dnsmasq of {key} has ended: {self._last_words(key)}" for key in dead]

    def leases(self, key: str) -> list[dict[str, str]]:
        """Leases of one process as (mac, ip_address, hostname, expires_at_s)."""
        found = []
        for fields in self._lease_lines(key):
            if len(fields) >= 4:
                mac = fields[1] if ":" in fields[1] else self._plans.get(key, _NO_PLAN).leases.get(fields[2], "")
                hostname = "" if fields[3] == "*" else fields[3]
                found.append({"mac": mac, "ip_address": fields[2], "hostname": hostname, "expires_at_s": fields[0]})
        return found

    def remove_everything(self) -> None:
        """Stop all, also those that an earlier agent started, and delete their files."""
        self._adopt()
        for key in list(self._running):
            self._remove(key)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _adopt(self) -> None:
        """Find processes of earlier agents by the path of their configuration."""
        children = {helper.pid: helper for helper in self._running.values()}
        self._running = {}
        prefix = f"--conf-file={self._directory}/"
        for argument, helpers in find_helpers(prefix).items():
            key = argument.removeprefix(prefix).removesuffix("/dnsmasq.conf")
            for helper in helpers[1:]:
                stop_helper(helper)
            self._running[key] = children.get(helpers[0].pid, helpers[0])

    def _ensure(self, before: DnsmasqPlan, plan: DnsmasqPlan) -> bool:
        """Returns whether a process was started."""
        directory = self._directory / plan.key
        directory.mkdir(parents=True, exist_ok=True)
        conf_changed = _write(directory / "dnsmasq.conf", plan.conf, before.conf)
        files_changed = False
        for name, text in plan.files.items():
            files_changed |= _write(directory / name, text, before.files.get(name))
        helper = self._running.get(plan.key)
        alive = helper is not None and is_running(helper) and helper.netns_inode == netns_inode(plan.netns)
        if helper is not None and alive and not conf_changed and not self._has_stale_leases(before, plan):
            if files_changed:
                signal_helper(helper, signal.SIGHUP)
            return False
        if helper is not None:
            stop_helper(helper)
        self._prune_leases(plan)
        argv = ["dnsmasq", "--no-daemon", f"--conf-file={directory / 'dnsmasq.conf'}"]
        self._running[plan.key] = start_helper(plan.netns, argv, directory / "log")
        return True

    def _remove(self, key: str) -> None:
        stop_helper(self._running.pop(key))
        self._plans.pop(key, None)
        shutil.rmtree(self._directory / key, ignore_errors=True)

    def _has_stale_leases(self, before: DnsmasqPlan, plan: DnsmasqPlan) -> bool:
        # reading the file is only worth it when some address changed hands
        if before.key and all(plan.leases.get(address) == mac for address, mac in before.leases.items()):
            return False
        return any(not _is_current(fields, plan) for fields in self._lease_lines(plan.key))

    def _prune_leases(self, plan: DnsmasqPlan) -> None:
        path = self._directory / plan.key / "leases"
        lines = self._lease_lines(plan.key)
        kept = [" ".join(fields) + "\n" for fields in lines if _is_current(fields, plan)]
        if len(kept) != len(lines):
            path.write_text("".join(kept), encoding="utf-8")

    def _lease_lines(self, key: str) -> list[list[str]]:
        try:
            text = (self._directory / key / "leases").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return []
        return [line.split() for line in text.splitlines() if line.strip()]

    def _last_words(self, key: str) -> str:
        try:
            lines = (self._directory / key / "log").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        return lines[-1] if lines else "it left no message"


def _is_current(fields: list[str], plan: DnsmasqPlan) -> bool:
    """Whether a line of the lease file belongs to an address that its MAC may still have."""
    if len(fields) < 4:
        return True
    owner = plan.leases.get(fields[2])
    # a DHCPv6 line names no MAC
    return owner is not None and (":" not in fields[1] or fields[1].lower() == owner)


def _write(path: Path, text: str, before: str | None) -> bool:
    """Write a file as a whole if it is not so already; returns whether it changed."""
    if before == text and path.exists():
        return False
    try:
        if path.read_text(encoding="utf-8") == text:
            return False
    except FileNotFoundError:
        pass
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
    return True
