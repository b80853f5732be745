# SPDX-License-Identifier: Apache-2.0
"""What this host's QEMU and CPU can do, by trying.

That /dev/kvm exists proves nothing (containers, nested machines, locked-down kernels): a 512-byte boot sector
that writes one byte to a debug port shows whether a guest really runs.
"""

import os
import platform
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import msgspec

from altostratus.contracts.hypervisor import HypervisorError

from .config import QemuConfig

# mov al,0x31; out 0xf4,al; hlt; jmp back. isa-debug-exit makes QEMU end with status (0x31 << 1) | 1.
_SECTOR = b"\xb0\x31\xe6\xf4\xf4\xeb\xfd".ljust(510, b"\0") + b"\x55\xaa"
_SECTOR_STATUS = 99
_PROBE_TIMEOUT_S = 3

# (code, variables): Debian and Ubuntu, then Fedora, then Arch and openSUSE.
_OVMF = (
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
    ("/usr/share/qemu/ovmf-x86_64-code.bin", "/usr/share/qemu/ovmf-x86_64-vars.bin"),
)


@dataclass(frozen=True)
class Firmware:
    code: Path
    variables: Path


@dataclass(frozen=True)
class HostFacts:
    """Found once, when the driver starts."""

    emulator: str
    version: str
    version_number: tuple[int, int]
    accelerator: str
    accelerator_reason: str
    cpu_model: str
    architecture: str
    uefi: Firmware | None
    sandbox: bool
    iso_tool: tuple[str, ...] | None


class _Cached(msgspec.Struct, frozen=True):
    """The costly findings, valid for one boot of the host and one QEMU version."""

    boot: str
    version: str
    kvm_reason: str | None
    sandbox: bool


def host_boot() -> str:
    """Names this boot of the host; in a container, this start of it."""
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot_id}/{process_start(1)}"


def process_start(pid: int) -> str | None:
    """Start time of a process in clock ticks since boot; None if there is none or it is a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def find_host_facts(config: QemuConfig) -> HostFacts:
    """Raises HypervisorError (final) if there is no usable QEMU."""
    emulator = shutil.which(config.emulator)
    if emulator is None or shutil.which("qemu-img") is None:
        raise HypervisorError(
            f"{config.emulator} or qemu-img is not installed. Install the packages qemu-system-x86 and qemu-utils.",
            final=True,
        )
    banner = subprocess.run([emulator, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"version (\d+)\.(\d+)[\w.]*", banner)
    if found is None:
        raise HypervisorError(f"{emulator} --version says nothing that looks like a version.", final=True)
    version = found[0].removeprefix("version ")
    cached = _cached_probe(config, emulator, version)
    use_kvm = config.accel != "tcg" and cached.kvm_reason is None
    if config.accel == "kvm" and not use_kvm:
        raise HypervisorError(f"KVM was asked for but does not work here: {cached.kvm_reason}", final=True)
    return HostFacts(
        emulator=emulator,
        version=version,
        version_number=(int(found[1]), int(found[2])),
        accelerator="kvm" if use_kvm else "tcg",
        accelerator_reason="a test guest ran under KVM" if use_kvm else (cached.kvm_reason or "asked for"),
        cpu_model=_cpu_model(),
        architecture=platform.machine(),
        uefi=next((Firmware(Path(c), Path(v)) for c, v in _OVMF if os.path.exists(c) and os.path.exists(v)), None),
        sandbox=config.sandbox and cached.sandbox,
        iso_tool=_find_iso_tool(),
    )


def _cached_probe(config: QemuConfig, emulator: str, version: str) -> _Cached:
    boot = host_boot()
    cache = config.base_cache_dir / f"accelerator-{config.accel}.json"
    try:
        known = msgspec.json.decode(cache.read_bytes(), type=_Cached)
        if known.boot == boot and known.version == version:
            return known
    except (OSError, msgspec.DecodeError):
        pass  # never probed, or not by this version of ours
    kvm_reason = "software emulation was asked for" if config.accel == "tcg" else why_no_kvm(emulator)
    found = _Cached(boot, version, kvm_reason, _sandbox_works(emulator))
    config.base_cache_dir.mkdir(parents=True, exist_ok=True)
    temporary = cache.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_bytes(msgspec.json.encode(found))
    temporary.replace(cache)
    return found


def why_no_kvm(emulator: str) -> str | None:
    """None if a real guest ran under KVM, else a sentence why not."""
    if not os.path.exists("/dev/kvm"):
        return "this host has no /dev/kvm (virtualisation is off in the firmware, or this is a container)"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "this user may not open /dev/kvm; add it to the group kvm"
    status = _run_sector([emulator, "-accel", "kvm", "-cpu", "host"])
    if status == _SECTOR_STATUS:
        return None
    told = "hung" if status is None else f"ended with status {status}"
    return f"a test guest {told} under KVM, although /dev/kvm exists"


def _sandbox_works(emulator: str) -> bool:
    return _run_sector([emulator, "-accel", "tcg", "-sandbox", SANDBOX]) == _SECTOR_STATUS


SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"


def _run_sector(command: list[str]) -> int | None:
    with tempfile.NamedTemporaryFile(prefix="alto-probe-", suffix=".img") as image:
        image.write(_SECTOR)
        image.flush()
        drive = f"file={image.name},format=raw,if=floppy,readonly=on"
        machine = ["-m", "16", "-M", "pc", "-nodefaults", "-no-user-config", "-display", "none", "-boot", "a"]
        debug_exit = ["-device", "isa-debug-exit,iobase=0xf4,iosize=1", "-drive", drive]
        try:
            done = subprocess.run(
                [*command, *machine, *debug_exit],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_PROBE_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None
        return done.returncode


def _cpu_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or "unknown"
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def _find_iso_tool() -> tuple[str, ...] | None:
    for tool in ("genisoimage", "mkisofs"):
        if path := shutil.which(tool):
            return (path,)
    if path := shutil.which("xorriso"):
        return (path, "-as", "mkisofs")
    return None
