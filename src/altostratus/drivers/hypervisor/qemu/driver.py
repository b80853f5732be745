# SPDX-License-Identifier: Apache-2.0
"""`QemuHypervisor`: servers as QEMU processes that outlive the agent."""

import fcntl
import os
import threading
import time
from pathlib import Path
from typing import Any

from altostratus.contracts.hypervisor import (
    HostUsage,
    HypervisorError,
    HypervisorInfo,
    Listener,
    ServerSpec,
    ServerState,
)
from altostratus.kernel import clock, log

from . import boot, disks, hotplug, power, snapshot, state
from .config import QemuConfig
from .images import ImageCache
from .plan import Devices, Step, plan_server
from .probe import find_host_facts, host_boot
from .process import Children, Guest, kill, scan_guests
from .qmp import MonitorError, MonitorLoop, MonitorLostError
from .reaper import Reaper
from .record import Record, ServerFiles, is_server_id
from .server import Host, Server, end_process

_log = log.get("hypervisor.qemu")

# The kernel's limit for a socket's path is 107 bytes; ids are UUIDs.
_LONGEST_SOCKET = 36 + len("//run/serial")
_LOCK_WAIT_S = 5.0


class QemuHypervisor:
    """The driver contract `Hypervisor`. One object per instances_dir on a host at a time.

    Raises HypervisorError if this host cannot run guests or another process holds the directory.
    """

    def __init__(self, config: QemuConfig) -> None:
        if len(os.fsencode(config.instances_dir)) + _LONGEST_SOCKET > 107:
            raise HypervisorError(
                f"The path {config.instances_dir} is too long for sockets. Choose a shorter one.", final=True
            )
        config.instances_dir.mkdir(parents=True, exist_ok=True)
        self._held = _hold(config.instances_dir)
        group = config.run_as[1] if config.run_as is not None else None
        self._host = Host(
            config=config,
            facts=find_host_facts(config),
            cache=ImageCache(config.base_cache_dir, group),
            children=Children(),
            loop=MonitorLoop(),
            boot=f"{host_boot()}/{config.session}",
        )
        self._servers: dict[str, Server] = {}
        self._broken: dict[str, tuple[str, Guest | None]] = {}
        self._lock = threading.Lock()
        self._reaper = Reaper(self._host, self._servers.get)
        self._adopt()

    def _adopt(self) -> None:
        """Take over what an earlier process has left, guests included."""
        guests = scan_guests(self._host.config.instances_dir)
        for directory in self._host.config.instances_dir.iterdir():
            if not directory.is_dir() or not is_server_id(directory.name):
                continue
            files, guest = ServerFiles(directory), guests.get(directory.name)
            try:
                record = files.load()
            except HypervisorError as error:
                _log.error("%s", error)
                self._broken[directory.name] = (str(error), guest)
                continue
            if record is None:
                # Made a moment before a crash; nothing can have been in it.
                files.remove()
                continue
            server = self._add(directory.name, record)
            server.guest = guest
            if server.is_alive() and record.host_boot != self._host.boot:
                record.host_boot = self._host.boot
                server.store()
            if guest is not None or record.pid is not None:
                self._reaper.look_at(server.id)

    def _add(self, server_id: str, record: Record) -> Server:
        files = ServerFiles(self._host.config.instances_dir / server_id)
        server = Server(server_id, files, record, on_event=lambda name: self._reaper.on_event(server_id, name))
        self._servers[server_id] = server
        return server

    def info(self) -> HypervisorInfo:
        facts = self._host.facts
        disk = os.statvfs(self._host.config.instances_dir)
        capabilities = ["bios", "console_log", "hotplug", "live_snapshot", "pause", "resize_live", "suspend", "vnc"]
        capabilities += ["uefi"] if facts.uefi else []
        capabilities += ["config_drive"] if facts.iso_tool else []
        capabilities += ["sandbox"] if facts.sandbox else []
        return HypervisorInfo(
            type="QEMU",
            version=facts.version,
            accelerator=facts.accelerator,
            cpu_model=facts.cpu_model,
            architecture=facts.architecture,
            vcpus=len(os.sched_getaffinity(0)),
            memory_mib=max(0, _meminfo_mib("MemTotal") - self._host.config.reserved_memory_mib),
            disk_gib=disk.f_frsize * disk.f_blocks >> 30,
            capabilities=sorted(capabilities),
        )

    def usage(self) -> HostUsage:
        disk = os.statvfs(self._host.config.instances_dir)
        specs = [
            server.record.booted or server.record.spec for server in list(self._servers.values()) if server.is_alive()
        ]
        return HostUsage(
            servers=len(self._servers),
            running=len(specs),
            vcpus_used=sum(spec.vcpus for spec in specs),
            memory_mib_used=_meminfo_mib("MemTotal") - _meminfo_mib("MemAvailable"),
            memory_mib_promised=sum(spec.memory_mib for spec in specs),
            disk_gib_free=disk.f_frsize * disk.f_bavail >> 30,
            load_1m=os.getloadavg()[0],
        )

    def set_listener(self, listener: Listener | None) -> None:
        self._reaper.set_listener(listener)

    def list_servers(self) -> list[ServerState]:
        found = [state.show_state(self._host, server) for server in list(self._servers.values())]
        return found + [ServerState(id=id, power="crashed", reason=why) for id, (why, _) in self._broken.items()]

    def show_server(self, server_id: str) -> ServerState:
        server = self._servers.get(server_id)
        if server is None:
            if server_id in self._broken:
                return ServerState(id=server_id, power="crashed", reason=self._broken[server_id][0])
            return ServerState(id=server_id, power="absent")
        return state.show_state(self._host, server)

    def ensure_server(self, spec: ServerSpec) -> ServerState:
        server = self._get_or_make(spec)
        with server.lock:
            try:
                self._ensure(server, spec)
            except (MonitorError, MonitorLostError) as error:
                raise HypervisorError(f"Server {spec.id}: {error}") from error
            except OSError as error:
                raise HypervisorError(f"Server {spec.id}: {error.strerror or error} ({error.filename})") from error
            finally:
                server.hurry.clear()
            return state.show_state(self._host, server)

    def _get_or_make(self, spec: ServerSpec) -> Server:
        if not is_server_id(spec.id):
            raise HypervisorError(f"{spec.id!r} is not a server id.", final=True)
        if spec.id in self._broken:
            raise HypervisorError(self._broken[spec.id][0], final=True)
        with self._lock:
            server = self._servers.get(spec.id)
            if server is None:
                directory = self._host.config.instances_dir / spec.id
                directory.mkdir(mode=0o700, exist_ok=True)
                server = self._add(spec.id, Record(spec=spec))
                server.store()
            return server

    def _ensure(self, server: Server, spec: ServerSpec) -> None:
        host, record = self._host, server.record
        power.settle(host, server)
        observed = state.observe(host, server)
        devices = state.observe_devices(host, server) if observed in {"running", "paused"} else Devices()
        steps = plan_server(spec, record, observed, devices)
        if record.spec != spec:
            record.spec = spec
            server.store()
        for step in steps:
            self._carry_out(server, spec, step)
        if steps and server.is_alive():
            state.observe_devices(host, server)
        if not server.is_alive() and not record.saved:
            for disk in spec.disks:
                if disk.source == "volume":
                    disks.ensure_disk(host.cache, server.files, record, disk)
        power.settle(host, server)
        self._remember_asks(server, spec)

    def _remember_asks(self, server: Server, spec: ServerSpec) -> None:
        record = server.record
        done = (spec.power, spec.power_token, spec.reboot_token)
        asked_for_the_end = spec.power == "stopped" and record.ended is not None
        if asked_for_the_end or (record.power_done, record.power_token, record.reboot_token) != done:
            if asked_for_the_end:
                record.ended = record.ended_reason = None
            record.power_done, record.power_token, record.reboot_token = done
            server.store()

    def _carry_out(self, server: Server, spec: ServerSpec, step: Step) -> None:
        host = self._host
        match step.verb:
            case "start":
                boot.start(host, server, spec)
            case "restore":
                power.restore(host, server)
            case "stop":
                power.stop(host, server, spec.shutdown_timeout_s)
            case "kill":
                power.stop(host, server, 0)
            case "pause":
                power.pause(host, server)
            case "unpause":
                power.resume_from_pause(host, server)
            case "suspend":
                power.suspend(host, server)
            case "forget_saved_state":
                power.forget_saved_state(server)
            case "snapshot":
                snapshot.take_snapshot(host, server, spec)
            case _:
                self._change_devices(server, step)

    def _change_devices(self, server: Server, step: Step) -> None:
        if step.verb == "attach_disk" and step.disk is not None:
            hotplug.attach_disk(self._host, server, step.disk)
        elif step.verb == "resize_disk" and step.disk is not None:
            hotplug.resize_disk(self._host, server, step.disk)
        elif step.verb == "attach_nic" and step.nic is not None:
            hotplug.attach_nic(self._host, server, step.nic)
        elif step.verb == "detach_disk" and step.name is not None:
            hotplug.detach_disk(self._host, server, step.name)
        elif step.verb == "detach_nic" and step.name is not None:
            hotplug.detach_nic(self._host, server, step.name)

    def remove_server(self, server_id: str) -> None:
        if server_id in self._broken:
            _, guest = self._broken[server_id]
            if guest is not None and not kill(guest):
                raise HypervisorError(f"QEMU of server {server_id} cannot be killed; the host hangs.")
            ServerFiles(self._host.config.instances_dir / server_id).remove()
            del self._broken[server_id]
            return
        server = self._servers.get(server_id)
        if server is None:
            return
        server.hurry.set()
        with server.lock:
            end_process(self._host, server)
            server.files.remove()
            with self._lock:
                self._servers.pop(server_id, None)

    def halt_server(self, server_id: str, timeout_s: float) -> None:
        server = self._servers.get(server_id)
        if server is not None:
            with server.lock:
                power.settle(self._host, server)
                power.stop(self._host, server, timeout_s)

    def hurry(self, server_id: str) -> None:
        if server := self._servers.get(server_id):
            server.hurry.set()

    def prune(self) -> None:
        servers = list(self._servers.values())
        in_use = [disk.base for server in servers for disk in server.record.local_disks.values() if disk.base]
        if not self._broken:
            for name in self._host.cache.prune(in_use):
                _log.info("removed %s from the image cache: no server stands on it", name)
        for server in servers:
            state.bound_console_log(server, self._host.config.console_log_max_mib << 20)

    def console_log(self, server_id: str, max_bytes: int) -> bytes:
        server = self._servers.get(server_id)
        return b"" if server is None else state.console_log(server, max_bytes)

    def stats(self, server_id: str) -> dict[str, Any]:
        server = self._servers.get(server_id)
        if server is None:
            raise HypervisorError(f"Server {server_id} is not on this host.", final=True)
        return state.diagnostics(self._host, server)

    def close(self) -> None:
        """Let go of every guest; they keep running."""
        self._reaper.close()
        for server in list(self._servers.values()):
            if server.monitor is not None:
                server.monitor.close()
                server.monitor = None
        self._host.loop.close()
        os.close(self._held)


def _hold(directory: Path) -> int:
    """One driver per directory: two would both carry out the same asks."""
    handle = os.open(directory / ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    deadline = clock.monotonic() + _LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return handle
        except BlockingIOError as error:
            if clock.monotonic() > deadline:
                os.close(handle)
                raise HypervisorError(f"Another compute agent uses {directory}. Stop it first.") from error
            time.sleep(0.05)


def _meminfo_mib(name: str) -> int:
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        key, _, rest = line.partition(":")
        if key == name:
            return int(rest.split()[0]) >> 10
    return 0
