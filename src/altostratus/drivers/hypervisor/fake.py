# SPDX-License-Identifier: Apache-2.0
"""A hypervisor without guests: for tests, and for simulated hosts, which the API shows as simulated.

It keeps the contract (tokens, guests that end by themselves, hot plug, survival of the agent) but nothing runs.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from altostratus.contracts.hypervisor import (
    HostUsage,
    HypervisorError,
    HypervisorInfo,
    Listener,
    ServerSpec,
    ServerState,
)
from altostratus.kernel import clock

_GIB = 1 << 30
_MIB = 1 << 20
_BOOT_TEXT = "[    0.000000] Simulated guest {hostname} ({vcpus} vCPU, {memory_mib} MiB)\r\n\r\n{hostname} login: "


@dataclass(frozen=True, kw_only=True)
class FakeConfig:
    """Size and manners of the simulated host.

    state_dir   a directory in which servers survive the agent; None: memory only
    delay_s     how long every change takes
    fail_start  called with the server id before each start; a HypervisorError that it returns is raised
    """

    vcpus: int = 64
    memory_mib: int = 262_144
    disk_gib: int = 4_096
    state_dir: Path | None = None
    delay_s: float = 0.0
    fail_start: Callable[[str], HypervisorError | None] | None = None


class _Server(msgspec.Struct, kw_only=True):
    spec: ServerSpec
    power: Literal["running", "stopped", "paused", "suspended", "crashed"] = "stopped"
    ended: bool = False
    reason: str | None = None
    power_done: str | None = None
    power_token: str | None = None
    reboot_token: str | None = None
    snapshot_token: str | None = None
    snapshot_size_bytes: int | None = None
    started_at: str | None = None
    starts: int = 0


@dataclass
class FailStarts:
    """Fault injection: the named starts of every server fail. `FailStarts({1}, final=True)`: the first, for good."""

    numbers: set[int]
    final: bool = False
    message: str = "The simulated host was told to fail this start."
    _seen: dict[str, int] = field(default_factory=dict)

    def __call__(self, server_id: str) -> HypervisorError | None:
        number = self._seen[server_id] = self._seen.get(server_id, 0) + 1
        return HypervisorError(self.message, final=self.final) if number in self.numbers else None


class FakeHypervisor:
    """The driver contract `Hypervisor`, simulated. Safe for many threads."""

    def __init__(self, config: FakeConfig | None = None) -> None:
        self._config = config or FakeConfig()
        self._lock = threading.RLock()
        self._servers: dict[str, _Server] = {}
        self._logs: dict[str, bytearray] = {}
        self._listener: Listener | None = None
        if self._config.state_dir is not None:
            self._config.state_dir.mkdir(parents=True, exist_ok=True)
            for path in self._config.state_dir.glob("*.json"):
                self._servers[path.stem] = msgspec.json.decode(path.read_bytes(), type=_Server)

    def info(self) -> HypervisorInfo:
        config = self._config
        return HypervisorInfo(
            type="fake",
            version="1.0",
            accelerator="simulated",
            cpu_model="simulated",
            architecture="x86_64",
            vcpus=config.vcpus,
            memory_mib=config.memory_mib,
            disk_gib=config.disk_gib,
            capabilities=[
                "bios",
                "config_drive",
                "console_log",
                "hotplug",
                "live_snapshot",
                "pause",
                "suspend",
                "uefi",
            ],
            simulated=True,
        )

    def usage(self) -> HostUsage:
        with self._lock:
            servers = list(self._servers.values())
        on = [server.spec for server in servers if server.power in {"running", "paused"}]
        disk = sum(disk.size_gib for server in servers for disk in server.spec.disks if disk.source != "volume")
        return HostUsage(
            servers=len(servers),
            running=len(on),
            vcpus_used=sum(spec.vcpus for spec in on),
            memory_mib_used=sum(spec.memory_mib for spec in on),
            memory_mib_promised=sum(spec.memory_mib for spec in on),
            disk_gib_free=max(0, self._config.disk_gib - disk),
            load_1m=0.0,
        )

    def set_listener(self, listener: Listener | None) -> None:
        self._listener = listener

    def list_servers(self) -> list[ServerState]:
        with self._lock:
            return [_state(server) for server in self._servers.values()]

    def show_server(self, server_id: str) -> ServerState:
        with self._lock:
            server = self._servers.get(server_id)
            return ServerState(id=server_id, power="absent", simulated=True) if server is None else _state(server)

    def ensure_server(self, spec: ServerSpec) -> ServerState:
        if self._config.delay_s:
            time.sleep(self._config.delay_s)
        with self._lock:
            server = self._servers.get(spec.id)
            if server is None:
                server = self._servers[spec.id] = _Server(spec=spec)
            try:
                self._change_power(server, spec)
                self._take_snapshot(server, spec)
            finally:
                self._store(spec.id)
            server.power_done, server.power_token, server.reboot_token = spec.power, spec.power_token, spec.reboot_token
            self._store(spec.id)
            return _state(server)

    def _change_power(self, server: _Server, spec: ServerSpec) -> None:
        before, now = _fill_tokens(server.spec), _fill_tokens(spec)
        refilled = any(before[serial] != now[serial] for serial in before.keys() & now.keys())
        asked = (spec.power_token, spec.reboot_token) != (server.power_token, server.reboot_token) or refilled
        reboot = refilled or spec.reboot_token != server.reboot_token
        server.spec = spec
        if spec.power == "stopped":
            server.power, server.ended, server.reason = "stopped", False, None
            return
        if server.ended and not asked and server.power_done != "stopped":
            return
        down = server.power in {"stopped", "crashed"}
        if down and spec.power == "suspended" and server.power_done is not None:
            raise HypervisorError(
                "The server is not running, so there is no memory to save. Start it first.", final=True
            )
        if down or (reboot and server.starts):
            self._start(server)
        server.power = spec.power

    def _start(self, server: _Server) -> None:
        spec = server.spec
        if self._config.fail_start is not None and (error := self._config.fail_start(spec.id)):
            raise error
        server.starts += 1
        server.power, server.ended, server.reason = "running", False, None
        server.started_at = clock.now()
        text = _BOOT_TEXT.format(hostname=spec.hostname, vcpus=spec.vcpus, memory_mib=spec.memory_mib)
        self._logs.setdefault(spec.id, bytearray()).extend(text.encode())

    def _take_snapshot(self, server: _Server, spec: ServerSpec) -> None:
        if spec.snapshot_token is None or spec.snapshot_token == server.snapshot_token:
            return
        if spec.snapshot_path is None:
            raise HypervisorError("A snapshot needs a root disk and a path to write to.", final=True)
        # An empty qcow2 of 1 GiB is enough of an image for whoever reads it.
        content = _empty_qcow2(_GIB)
        Path(spec.snapshot_path).write_bytes(content)
        server.snapshot_token, server.snapshot_size_bytes = spec.snapshot_token, len(content)

    def remove_server(self, server_id: str) -> None:
        with self._lock:
            self._servers.pop(server_id, None)
            self._logs.pop(server_id, None)
            if self._config.state_dir is not None:
                (self._config.state_dir / f"{server_id}.json").unlink(missing_ok=True)

    def halt_server(self, server_id: str, timeout_s: float) -> None:
        """Simulated guests end with the process that simulates them."""

    def hurry(self, server_id: str) -> None:
        """Nothing here ever waits for a guest."""

    def prune(self) -> None:
        """Nothing is cached."""

    def end_guest(self, server_id: str, *, crashed: bool = False) -> None:
        """For tests: the guest powers itself off, or its process dies."""
        with self._lock:
            server = self._servers[server_id]
            server.power, server.ended = ("crashed" if crashed else "stopped"), True
            server.reason = "The simulated guest crashed." if crashed else "The guest powered itself off."
            self._store(server_id)
        if self._listener is not None:
            self._listener(server_id)

    def console_log(self, server_id: str, max_bytes: int) -> bytes:
        with self._lock:
            return bytes(self._logs.get(server_id, bytearray())[-max_bytes:]) if max_bytes > 0 else b""

    def stats(self, server_id: str) -> dict[str, Any]:
        with self._lock:
            server = self._servers.get(server_id)
            if server is None:
                raise HypervisorError(f"Server {server_id} is not on this host.", final=True)
            spec, power = server.spec, server.power
        disk = {"read_bytes": 0, "read_requests": 0, "write_bytes": 0, "write_requests": 0, "errors_count": 0}
        return {
            "state": {"stopped": "shutdown"}.get(power, power),
            "driver": "libvirt",
            "hypervisor": "qemu",
            "hypervisor_os": "linux",
            "uptime": 0,
            "config_drive": spec.config_drive is not None,
            "num_cpus": spec.vcpus,
            "num_disks": len(spec.disks),
            "num_nics": len(spec.nics),
            "memory_details": {"maximum": spec.memory_mib, "used": 0},
            "cpu_details": [{"id": n, "time": 0, "utilisation": 0} for n in range(spec.vcpus)],
            "disk_details": [dict(disk) for _ in spec.disks],
            "nic_details": [{"mac_address": nic.mac} for nic in spec.nics],
        }

    def close(self) -> None:
        self._listener = None

    def _store(self, server_id: str) -> None:
        if self._config.state_dir is None:
            return
        path = self._config.state_dir / f"{server_id}.json"
        temporary = path.with_suffix(".tmp")
        temporary.write_bytes(msgspec.json.encode(self._servers[server_id]))
        temporary.replace(path)


def _fill_tokens(spec: ServerSpec) -> dict[str, tuple[str | None, str | None]]:
    local = [disk for disk in spec.disks if disk.source != "volume"]
    return {disk.serial: (disk.fill_token, disk.image.checksum if disk.image else None) for disk in local}


def _state(server: _Server) -> ServerState:
    spec = server.spec
    return ServerState(
        id=spec.id,
        power=server.power,
        reason=server.reason,
        reboot_token=server.reboot_token,
        snapshot_token=server.snapshot_token,
        snapshot_size_bytes=server.snapshot_size_bytes,
        disks=[disk.serial for disk in spec.disks],
        disk_sizes_bytes={disk.serial: disk.size_gib * _GIB or disk.size_mib * _MIB for disk in spec.disks},
        nics=[nic.port_id for nic in spec.nics],
        vcpus=spec.vcpus,
        memory_mib=spec.memory_mib,
        started_at=server.started_at if server.power in {"running", "paused"} else None,
        simulated=True,
    )


def _empty_qcow2(size_bytes: int) -> bytes:
    """The smallest honest qcow2 (version 2): header, refcount table and block, an L1 table without entries."""
    cluster = 1 << 16
    l1_entries = -(-size_bytes // (cluster * (cluster // 8)))
    header = b"QFI\xfb" + (2).to_bytes(4, "big") + bytes(8 + 4) + (16).to_bytes(4, "big")
    header += (
        size_bytes.to_bytes(8, "big") + bytes(4) + l1_entries.to_bytes(4, "big") + (3 * cluster).to_bytes(8, "big")
    )
    header += cluster.to_bytes(8, "big") + (1).to_bytes(4, "big") + bytes(4 + 8)
    table = (2 * cluster).to_bytes(8, "big")
    block = (1).to_bytes(2, "big") * 4
    return b"".join(part.ljust(cluster, b"\0") for part in (header, table, block, b""))
