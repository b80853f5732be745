# SPDX-License-Identifier: Apache-2.0
"""What is true of a server, and its diagnostics."""

import os
from pathlib import Path
from typing import Any, Literal

from altostratus.contracts.hypervisor import HypervisorError, ServerState
from altostratus.kernel import clock

from .devices import disk_id, node_name
from .hotplug import attached_devices, node_sizes
from .plan import Devices, Observed
from .qmp import Monitor, MonitorError, MonitorLostError
from .server import Host, Server, get_monitor, runstate
from .taps import tap_counters

# A guest in its own sleep state runs, from outside; "unknown" is a QEMU too busy to answer.
_RUNNING = {"running", "suspended", "unknown"}
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def observe(host: Host, server: Server) -> Observed:
    state = runstate(host, server)
    if state is None:
        return "suspended" if server.record.saved else "down"
    return "running" if state in _RUNNING else "paused"


def observe_devices(host: Host, server: Server) -> Devices:
    """Asks QEMU, because only it knows what a guest has let go of."""
    monitor = get_monitor(host, server)
    nodes = node_sizes(monitor)
    disks = server.record.spec.disks
    if server.record.booted is not None:
        disks = [*disks, *server.record.booted.disks]
    server.sizes_bytes = {d.serial: nodes[node_name(d.serial)] for d in disks if node_name(d.serial) in nodes}
    return Devices(frozenset(attached_devices(monitor)), dict(server.sizes_bytes))


def show_state(host: Host, server: Server) -> ServerState:
    """Takes no lock: it may be asked while another thread waits for the guest."""
    record = server.record
    state = runstate(host, server)
    reason = None
    power: Literal["running", "stopped", "paused", "suspended", "crashed"]
    if state is None:
        power = "suspended" if record.saved else record.ended or "stopped"
        reason = record.ended_reason if power in {"stopped", "crashed"} else None
    elif state == "shutdown":
        power, reason = "stopped", "The guest powered itself off."
    elif state in {"internal-error", "guest-panicked"}:
        power, reason = "crashed", "The guest crashed."
    elif state == "io-error":
        power, reason = (
            "paused",
            "The guest is held because a disk of it could not be written; is the host's disk full?",
        )
    else:
        power = "running" if state in _RUNNING else "paused"
    has = record.booted if power in {"running", "paused", "suspended"} and record.booted else None
    on = state is not None and has is not None
    return ServerState(
        id=server.id,
        power=power,
        reason=reason,
        reboot_token=record.reboot_token,
        snapshot_token=record.snapshot_token,
        snapshot_size_bytes=record.snapshot_size_bytes,
        disks=[disk.serial for disk in (has or record.spec).disks],
        disk_sizes_bytes=dict(server.sizes_bytes),
        nics=[nic.port_id for nic in (has or record.spec).nics],
        vnc=os.fspath(server.files.vnc) if on else None,
        serial_console=os.fspath(server.files.serial) if on else None,
        vcpus=(has or record.spec).vcpus,
        memory_mib=(has or record.spec).memory_mib,
        started_at=record.started_at if on else None,
    )


def console_log(server: Server, max_bytes: int) -> bytes:
    try:
        with server.files.console_log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - max_bytes))
            return file.read(max_bytes)
    except FileNotFoundError:
        return b""


def bound_console_log(server: Server, max_bytes: int) -> None:
    """Keep the newest half of a log that grew too long. QEMU appends, so cutting it from outside is safe."""
    path = server.files.console_log
    try:
        if path.stat().st_size <= max_bytes:
            return
        newest = console_log(server, max_bytes // 2)
        with path.open("r+b") as file:
            file.truncate(0)
        with path.open("ab") as file:
            file.write(newest)
    except FileNotFoundError:
        return


def diagnostics(host: Host, server: Server) -> dict[str, Any]:
    """In the shape of compute's diagnostics since microversion 2.48."""
    spec = server.record.booted or server.record.spec
    state = show_state(host, server)
    found: dict[str, Any] = {
        "state": {"stopped": "shutdown"}.get(state.power, state.power),
        "driver": "libvirt",
        "hypervisor": "qemu" if host.facts.accelerator == "tcg" else "kvm",
        "hypervisor_os": os.uname().sysname.lower(),
        "uptime": None,
        "config_drive": spec.config_drive is not None,
        "num_cpus": spec.vcpus,
        "num_disks": len(spec.disks),
        "num_nics": len(spec.nics),
        "memory_details": {"maximum": spec.memory_mib, "used": None},
        "cpu_details": [],
        "disk_details": [],
        "nic_details": [],
    }
    if state.power not in {"running", "paused"} or server.guest is None:
        return found
    try:
        monitor = get_monitor(host, server)
        found["cpu_details"] = _cpus(monitor, server.guest.pid)
        found["disk_details"] = _disks(monitor, {disk_id(disk.serial) for disk in spec.disks})
    except (MonitorError, MonitorLostError) as error:
        raise HypervisorError(f"QEMU of server {server.id} does not tell its figures: {error}") from error
    if state.started_at is not None:
        found["uptime"] = max(0, int(clock.seconds_between(state.started_at, clock.now())))
    found["memory_details"]["used"] = _resident_mib(server.guest.pid)
    for nic in spec.nics:
        counters = tap_counters(nic) or {}
        found["nic_details"].append({"mac_address": nic.mac, "rx_rate": None, "tx_rate": None, **counters})
    return found


def _cpus(monitor: Monitor, pid: int) -> list[dict[str, Any]]:
    found = []
    for cpu in monitor.execute("query-cpus-fast"):
        try:
            text = Path(f"/proc/{pid}/task/{cpu['thread-id']}/stat").read_text(encoding="ascii", errors="replace")
        except OSError:
            continue
        fields = text.rpartition(")")[2].split()
        time_ns = (int(fields[11]) + int(fields[12])) * 1_000_000_000 // _TICKS_PER_S
        found.append({"id": cpu["cpu-index"], "time": time_ns, "utilisation": None})
    return found


def _disks(monitor: Monitor, ids: set[str]) -> list[dict[str, int]]:
    found = []
    for device in monitor.execute("query-blockstats"):
        name = str(device.get("qdev", ""))
        if not any(part in ids for part in name.split("/")):
            continue
        stats = device["stats"]
        found.append(
            {
                "read_bytes": stats["rd_bytes"],
                "read_requests": stats["rd_operations"],
                "write_bytes": stats["wr_bytes"],
                "write_requests": stats["wr_operations"],
                "errors_count": stats.get("failed_rd_operations", 0) + stats.get("failed_wr_operations", 0),
            }
        )
    return found


def _resident_mib(pid: int) -> int | None:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20
