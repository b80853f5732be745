# SPDX-License-Identifier: Apache-2.0
"""`alto doctor`: what was found on this host, what is therefore used, and what would give more."""

import os
import shutil
import subprocess
from typing import NamedTuple

import typer
from rich.markup import escape
from rich.table import Table

from altostratus.app.drivers import qemu_config
from altostratus.app.object_pools import pool_state
from altostratus.app.options import CloudOptions, Paths
from altostratus.app.privileges import control_identity, in_user_namespace
from altostratus.cli.place import find_place, policy_problems, running_pid
from altostratus.cli.screen import out
from altostratus.contracts.hypervisor import HypervisorError
from altostratus.drivers.hypervisor.qemu.probe import find_host_facts
from altostratus.drivers.network.linuxbridge.probe import probe_kernel
from altostratus.drivers.object_store.rados import RadosError
from altostratus.kernel.config import ConfigError


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
    findings = [
        *_programs(),
        _privileges(options),
        _kvm(options, paths),
        *_network(paths),
        _disk(paths),
        _memory(),
        _policy(paths),
        _running(paths),
        # the last: it gives up root
        *_pool(paths, options),
    ]
    table = Table("", "what", "found", "for more")
    for one in findings:
        table.add_row(
            "[green]ok[/green]" if one.good else "[yellow]--[/yellow]", one.what, escape(one.found), escape(one.more)
        )
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


def _privileges(options: CloudOptions) -> Finding:
    if os.geteuid() == 0:
        identity = control_identity(options)
        words = "root in a user namespace" if in_user_namespace() else f"root; the APIs run as {identity.why}"
        return Finding("privileges", words, True)
    return Finding("privileges", "an ordinary user: no networks or guests", False, "sudo ./alto ...")


def _kvm(options: CloudOptions, paths: Paths) -> Finding:
    try:
        facts = find_host_facts(qemu_config(options, paths))
    except (HypervisorError, OSError) as error:
        return Finding("guests", str(error), False)
    words = f"QEMU {facts.version}, {facts.accelerator}"
    if facts.accelerator == "kvm":
        return Finding("guests", f"{words}: a test guest ran under KVM", True)
    return Finding(
        "guests", f"{words} (slower): {facts.accelerator_reason}", False, "a host whose CPU virtualisation works"
    )


def _network(paths: Paths) -> list[Finding]:
    if os.geteuid() != 0:
        return []
    try:
        capabilities = probe_kernel(f"alto-{paths.tag}-probe")
    except (OSError, subprocess.SubprocessError) as error:
        return [Finding("network", f"this kernel cannot make our networks: {error}", False)]
    return [Finding("network", ", ".join(capabilities.names()), True)]


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


def _policy(paths: Paths) -> Finding:
    problems = policy_problems(paths)
    if problems:
        return Finding("policy files", "; ".join(problems), False, "mend them; until then older rules stay in force")
    return Finding("policy files", "can be used", True)


def _pool(paths: Paths, options: CloudOptions) -> list[Finding]:
    if options.objects != "rados":
        return []
    try:
        return [Finding("objects", pool_state(paths, options), True)]
    except (ConfigError, RadosError) as error:
        return [Finding("objects", str(error), False, "see docs/object-store-ceph.md")]


def _running(paths: Paths) -> Finding:
    pid = running_pid(paths)
    return Finding(
        "cloud", f"running, pid {pid}" if pid else f"not running ({paths.state})", True, "" if pid else "alto up"
    )
