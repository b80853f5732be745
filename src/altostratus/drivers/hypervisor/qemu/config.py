# SPDX-License-Identifier: Apache-2.0
"""Options of the QEMU driver."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class QemuConfig:
    """What the operator, or the composition root, decides about this host.

    instances_dir       one directory per server id: disks, console log, sockets
    base_cache_dir      images that overlays stand on; best on the file system of the image store (hard links)
    accel               "auto" uses KVM only after a real guest has run under it, else software emulation
    run_as              (uid, gid) that guests run as; None: the agent's own user
    console_group       gid that may connect to the VNC and serial sockets besides root; None: nobody else
    reserved_memory_mib memory kept for the host itself
    tcg_cache_mib       translation cache of an emulated guest; more is faster and costs memory
    machine             QEMU machine type; only q35 is known to work with hot plug as done here
    session             names this start of the cloud: a guest whose process ended under another one comes back, as
                        after a restart of the host
    console_log_max_mib a console log above this is cut to its newest part
    """

    instances_dir: Path
    base_cache_dir: Path
    accel: Literal["auto", "kvm", "tcg"] = "auto"
    run_as: tuple[int, int] | None = None
    console_group: int | None = None
    session: str = ""
    reserved_memory_mib: int = 512
    tcg_cache_mib: int = 64
    machine: str = "q35"
    emulator: str = "qemu-system-x86_64"
    sandbox: bool = True
    console_log_max_mib: int = 4
    detach_timeout_s: float = 15.0
