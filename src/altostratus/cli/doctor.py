# SPDX-License-Identifier: Apache-2.0
"""`alto doctor`: what was found on this host, what is therefore used, and what would give more."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import typer
from rich.table import Table

from altostratus.app.files import in_user_namespace
from altostratus.app.options import Paths
from altostratus.cli.place import find_place, running_pid
from altostratus.cli.screen import out
from altostratus.drivers.hypervisor.qemu.probe import kvm_works
from altostratus.drivers.network.linuxbridge.probe import probe_kernel


class Finding(NamedTuple):
    """One line: what, what is so, whether that is good, and the command that gives more."""

    what: str
    found: str
    good: bool
    more: str = ""


_PROGRAMS = (
    ("qemu-system-x86_64", "virtual machines", "qemu-system-x86"),
    ("qemu-img", "disks", "qemu-utils"),
    ("dnsmasq", "DHCP and DNS for guests", "dnsmasq-base"),
    ("nft", "security groups, NAT", "nftables"),
    ("ip", "networks", "iproute2"),
    ("mkfs.vfat", "the mini image", "dosfstools"),
    ("ssh", "logging in to guests", "openssh-client"),
)


def doctor() -> None:
    """Look at this host and say what the cloud will use, and what would give more."""
    paths, options = find_place()
    findings = [*_programs(), _privileges(), _kvm(), *_network(paths), _disk(paths), _memory(), _running(paths)]
    table = Table("", "what", "found", "for more")
    for one in findings:
        table.add_row("[green]ok[/green]" if one.good else "[yellow]--[/yellow]", one.what, one.found, one.more)
    out.print(table)
    missing = [one for one in findings if not one.good and one.what.startswith("program")]
    raise typer.Exit(1 if missing else 0)


def _programs() -> list[Finding]:
    found = []
    for program, purpose, package in _PROGRAMS:
        path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        more = "" if path else f"apt-get install {package}"
        found.append(Finding(f"program {program}", f"{path or 'missing'} ({purpose})", path is not None, more))
    return found


def _privileges() -> Finding:
    if os.geteuid() == 0:
        words = "root in a user namespace" if in_user_namespace() else "root; control process and guests give it up"
        return Finding("privileges", words, True)
    return Finding("privileges", "an ordinary user: no networks or guests", False, "sudo ./alto ...")


def _kvm() -> Finding:
    if not Path("/dev/kvm").exists():
        return Finding(
            "KVM", "no /dev/kvm; guests are emulated (TCG, slower)", False, "enable virtualisation in the firmware"
        )
    if kvm_works():
        return Finding("KVM", "a test guest ran; guests use it", True)
    return Finding("KVM", "/dev/kvm is there but no guest runs under it; guests are emulated (TCG, slower)", False)


def _network(paths: Paths) -> list[Finding]:
    if os.geteuid() != 0:
        return []
    try:
        capabilities = probe_kernel(f"alto-{paths.tag}-probe")
    except (OSError, subprocess.SubprocessError) as error:
        return [Finding("network", f"this kernel cannot make our networks: {error}", False)]
    return [Finding("network", str(capabilities), True)]


def _disk(paths: Paths) -> Finding:
    place = next(path for path in (paths.state, *paths.state.parents) if path.exists())
    free_gib = shutil.disk_usage(place).free / 2**30
    return Finding(
        "disk", f"{free_gib:.1f} GiB free in {place}", free_gib > 2, "" if free_gib > 2 else "ALTO_STATE=/big/disk"
    )


def _memory() -> Finding:
    with open("/proc/meminfo") as handle:
        values = {line.split(":")[0]: int(line.split()[1]) for line in handle}
    free_mib = values["MemAvailable"] // 1024
    return Finding("memory", f"{free_mib} MiB available", free_mib > 512)


def _running(paths: Paths) -> Finding:
    pid = running_pid(paths)
    return Finding(
        "cloud", f"running, pid {pid}" if pid else f"not running ({paths.state})", True, "" if pid else "alto up"
    )
