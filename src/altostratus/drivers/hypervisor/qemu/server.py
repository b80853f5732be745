# SPDX-License-Identifier: Apache-2.0
"""One server on this host as the driver holds it in memory, and what all operations share."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from altostratus.contracts.hypervisor import HypervisorError

from .config import QemuConfig
from .images import ImageCache
from .probe import HostFacts
from .process import Children, Guest, kill, wait_end
from .qmp import Monitor, MonitorError, MonitorLoop, MonitorLostError
from .record import Record, ServerFiles

_QUIT_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Host:
    """Everything about this host that operations need. `boot` names its present run, and the cloud's."""

    config: QemuConfig
    facts: HostFacts
    cache: ImageCache
    children: Children
    loop: MonitorLoop
    boot: str


@dataclass
class Server:
    """`lock` is held by whoever changes it, `connecting` while a monitor is made: QEMU serves only one.

    `hurry` is set to cut a wait for the guest short.
    """

    id: str
    files: ServerFiles
    record: Record
    on_event: Callable[[str], None]
    lock: threading.RLock = field(default_factory=threading.RLock)
    connecting: threading.Lock = field(default_factory=threading.Lock)
    hurry: threading.Event = field(default_factory=threading.Event)
    guest: Guest | None = None
    monitor: Monitor | None = None
    sizes_bytes: dict[str, int] = field(default_factory=dict)

    def store(self) -> None:
        self.files.store(self.record)

    def is_alive(self) -> bool:
        return self.guest is not None and self.guest.is_alive()


def get_monitor(host: Host, server: Server, timeout_s: float = 5.0) -> Monitor:
    """The connected monitor of a living guest. Raises HypervisorError if QEMU does not answer."""
    monitor = server.monitor
    if monitor is not None and monitor.connected:
        return monitor
    if not server.connecting.acquire(timeout=timeout_s):
        raise HypervisorError(f"QEMU of server {server.id} does not answer yet; it is tried again.")
    try:
        return connect_monitor(host, server, timeout_s)
    except MonitorLostError as error:
        raise HypervisorError(f"QEMU of server {server.id} does not answer; it is tried again.") from error
    finally:
        server.connecting.release()


def connect_monitor(host: Host, server: Server, timeout_s: float) -> Monitor:
    """For the holder of `server.connecting`. Raises MonitorLostError."""
    monitor = server.monitor
    if monitor is None or not monitor.connected:
        monitor = Monitor(host.loop, os.fspath(server.files.monitor), server.on_event)
        monitor.connect(timeout_s)
        server.monitor = monitor
    return monitor


def runstate(host: Host, server: Server) -> str | None:
    """QEMU's own word for what the guest does, "unknown" if it does not tell; None if there is no process."""
    if not server.is_alive():
        return None
    try:
        return str(get_monitor(host, server).execute("query-status")["status"])
    except (HypervisorError, MonitorError, MonitorLostError):
        return "unknown" if server.is_alive() else None


def end_process(host: Host, server: Server) -> None:
    """End QEMU now, its caches written back if it still listens. Raises HypervisorError if it will not die."""
    guest, monitor = server.guest, server.monitor
    # First forget it, so that a crash of ours in between does not make this look like a crash of the guest.
    server.record.pid = None
    server.store()
    if guest is not None and guest.is_alive():
        try:
            monitor = get_monitor(host, server, timeout_s=2.0)
            monitor.mute()
            monitor.execute("quit")
            wait_end(guest, _QUIT_TIMEOUT_S)
        except (HypervisorError, MonitorError, MonitorLostError):
            pass  # it is killed below
        if not kill(guest):
            raise HypervisorError(f"QEMU of server {server.id} (process {guest.pid}) cannot be killed; the host hangs.")
    if monitor is not None:
        monitor.close()
    host.children.reap()
    server.monitor = None
    server.guest = None
