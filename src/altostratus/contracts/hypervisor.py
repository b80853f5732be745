# SPDX-License-Identifier: Apache-2.0
"""What a compute host is asked for (`ServerSpec`, desired kind `server`) and the driver below it."""

from collections.abc import Callable
from typing import Any, Literal, Protocol

import msgspec

Power = Literal["running", "stopped", "paused", "suspended"]


class BaseImage(msgspec.Struct, frozen=True, kw_only=True):
    """An image in the image store. `path` is readable on this host; `checksum` names the content."""

    id: str
    path: str
    format: str
    checksum: str
    size_bytes: int


class DiskSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One disk of a server.

    `source` decides which of the optional fields count:
    `image`  a local overlay over `image`, grown to `size_gib` (0: size of the image);
    `blank`  a local empty disk of `size_gib` (`guest_format`: `ext4`, `swap`, ... or None);
    `volume` the volume file `volume_path` of `volume_format`, which outlives the server. When
             `size_gib` is above the size of the file, the driver grows it, live if the guest runs.

    `serial` names the disk: a disk with another serial is another disk. A new `fill_token` throws the
    content of a local disk away and fills it anew (rebuild); a guest that runs is ended for it.
    """

    device: str
    source: Literal["image", "blank", "volume"]
    serial: str
    boot_index: int | None = None
    size_gib: int = 0
    size_mib: int = 0
    image: BaseImage | None = None
    guest_format: str | None = None
    volume_id: str | None = None
    volume_path: str | None = None
    volume_format: str | None = None
    bus: Literal["virtio", "scsi", "sata", "ide"] = "virtio"
    device_type: Literal["disk", "cdrom"] = "disk"
    read_only: bool = False
    tag: str | None = None
    fill_token: str | None = None


class NicSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One network card, behind the tap that the network agent has made for the port."""

    port_id: str
    mac: str
    tap: str
    netns: str | None
    mtu: int = 1450
    tag: str | None = None


class ConfigDriveSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Files of the config drive, by path below its root; contents are base64."""

    files: dict[str, str]


class ServerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The wanted state of one server.

    Tokens are asks that are not states: a new value means "do it once". The driver remembers, on
    disk, the tokens it has carried out. A guest that ended by itself (powered off from inside, or its
    process died) stays down until a new `power_token` or `reboot_token` comes, or until `power` was
    `stopped` in between. `restart_on_crash` brings a guest back that ended because the host itself
    was restarted.
    """

    id: str
    name: str
    hostname: str
    vcpus: int
    memory_mib: int
    power: Power = "running"
    power_token: str | None = None
    restart_on_crash: bool = True
    firmware: Literal["bios", "uefi"] = "bios"
    disks: list[DiskSpec] = []
    nics: list[NicSpec] = []
    config_drive: ConfigDriveSpec | None = None
    reboot_token: str | None = None
    reboot_kind: Literal["soft", "hard"] = "soft"
    snapshot_token: str | None = None
    snapshot_path: str | None = None
    shutdown_timeout_s: int = 60
    extra: dict[str, Any] = {}


class ServerState(msgspec.Struct, frozen=True, kw_only=True):
    """What is true of one server on this host.

    `reason` is a sentence about a power state that nobody asked for. `disks` holds the serials of the
    disks that the guest has now and `disk_sizes_bytes` their sizes; `nics` holds port ids. `vnc` and
    `serial_console` are paths of Unix sockets. `vcpus` and `memory_mib` are those of the running guest.
    """

    id: str
    power: Literal["running", "stopped", "paused", "suspended", "crashed", "absent"]
    reboot_token: str | None = None
    snapshot_token: str | None = None
    snapshot_size_bytes: int | None = None
    disks: list[str] = []
    disk_sizes_bytes: dict[str, int] = {}
    nics: list[str] = []
    vnc: str | None = None
    serial_console: str | None = None
    vcpus: int = 0
    memory_mib: int = 0
    reason: str | None = None
    started_at: str | None = None
    simulated: bool = False


class HypervisorInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the host can give. Sizes in MiB and GiB; `version` as QEMU prints it."""

    type: str
    version: str
    accelerator: str
    cpu_model: str
    architecture: str
    vcpus: int
    memory_mib: int
    disk_gib: int
    capabilities: list[str]
    simulated: bool = False


class HostUsage(msgspec.Struct, frozen=True, kw_only=True):
    """What is in use now. `memory_mib_used` of the whole host, the other figures of its servers."""

    servers: int
    running: int
    vcpus_used: int
    memory_mib_used: int
    memory_mib_promised: int
    disk_gib_free: int
    load_1m: float


Listener = Callable[[str], None]


class HypervisorError(Exception):
    """A failed ask, told for people; `final` when trying again cannot help."""

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


class Hypervisor(Protocol):
    """Driver contract. Every method is idempotent and safe to repeat after a crash in its middle."""

    def info(self) -> HypervisorInfo: ...

    def usage(self) -> HostUsage: ...

    def set_listener(self, listener: Listener | None) -> None:
        """`listener(server_id)` is called, from any thread, when a server changed by itself."""

    def list_servers(self) -> list[ServerState]:
        """Every server that has anything on this host, running or not."""

    def show_server(self, server_id: str) -> ServerState:
        """State of one; `power="absent"` if nothing of it is here."""

    def ensure_server(self, spec: ServerSpec) -> ServerState:
        """Make the host match `spec` (files, process, devices, power, tokens) and return the state."""

    def remove_server(self, server_id: str) -> None:
        """End the process and delete every file of it except volumes. Nothing there is success."""

    def halt_server(self, server_id: str, timeout_s: float) -> None:
        """End the guest because the host goes down: power button, then the plug. What is wanted stays
        as it is, so that the next `ensure_server` starts the guest again."""

    def hurry(self, server_id: str) -> None:
        """End a wait for the guest's cooperation in another thread's `ensure_server`: use force now."""

    def prune(self) -> None:
        """Drop what no server uses any more (cached images) and bound the console logs."""

    def console_log(self, server_id: str, max_bytes: int) -> bytes:
        """The newest bytes of the serial console, kept over restarts of the guest."""

    def stats(self, server_id: str) -> dict[str, Any]:
        """Diagnostics in the shape of compute's `GET /servers/{id}/diagnostics`."""

    def close(self) -> None: ...
