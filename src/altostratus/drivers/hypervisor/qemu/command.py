# SPDX-License-Identifier: Apache-2.0
"""Pure: the command line of a guest."""

import json
import os
import re
from dataclasses import dataclass

from altostratus.contracts.hypervisor import HypervisorError, ServerSpec

from .config import QemuConfig
from .devices import Properties, root_ports
from .probe import SANDBOX, HostFacts
from .record import ServerFiles


@dataclass(frozen=True)
class Parts:
    """What differs between guests beyond their spec, prepared by `boot`."""

    nodes: list[Properties]
    devices: list[Properties]
    netdevs: list[Properties]
    incoming: bool


def build_command(
    config: QemuConfig, facts: HostFacts, files: ServerFiles, spec: ServerSpec, parts: Parts
) -> list[str]:
    """The words to start QEMU with. Raises HypervisorError (final) if this host lacks what the spec needs."""
    label = re.sub(r"[^\w.-]", "-", spec.hostname or spec.name, flags=re.ASCII)[:60]
    accel = f"tcg,thread=multi,tb-size={config.tcg_cache_mib}" if facts.accelerator == "tcg" else "kvm"
    words = [facts.emulator, "-name", f"guest={label}", "-uuid", spec.id]
    words += ["-nodefaults", "-no-user-config", "-display", "none"]
    words += ["-accel", accel, "-cpu", "max" if facts.accelerator == "tcg" else "host"]
    machine = [config.machine, "vmport=off", "hpet=off", "usb=off", "dump-guest-core=off"]
    if spec.firmware == "uefi":
        words += _firmware_nodes(facts, files)
        machine += ["pflash0=uefi-code", "pflash1=uefi-vars"]
    words += ["-machine", ",".join(machine), "-m", f"size={spec.memory_mib}M"]
    words += ["-smp", f"cpus={spec.vcpus},sockets={spec.vcpus},cores=1,threads=1", "-rtc", "base=utc"]
    # cloud-init recognises OpenStack by these names.
    words += ["-smbios", _smbios(spec)]
    # A guest that powers itself off stays as a process in the state "shutdown": that tells it from a crash.
    words += ["-no-shutdown", "-boot", "strict=on", "-pidfile", os.fspath(files.pid)]
    words += ["-chardev", _socket("qmp0", files.monitor), "-mon", "chardev=qmp0,mode=control"]
    words += ["-vnc", "unix:" + _escape(os.fspath(files.vnc))]
    log = f",logfile={_escape(os.fspath(files.console_log))},logappend=on"
    words += ["-chardev", _socket("serial0", files.serial) + log, "-chardev", _socket("agent0", files.guest_agent)]
    for node in parts.nodes:
        words += ["-blockdev", json.dumps(node)]
    for netdev in parts.netdevs:
        words += ["-netdev", json.dumps(netdev)]
    words += ["-object", json.dumps({"qom-type": "rng-random", "id": "rng0", "filename": "/dev/urandom"})]
    for device in [*_fixed_devices(), *root_ports(), *parts.devices]:
        words += ["-device", json.dumps(device)]
    if facts.sandbox:
        words += ["-sandbox", SANDBOX]
    if parts.incoming:
        words += ["-incoming", "defer"]
    return words


def _fixed_devices() -> list[Properties]:
    """What every guest has, soldered to the root complex. Addresses are ours, so that migration data fit."""
    return [
        {"driver": "VGA", "id": "video0", "bus": "pcie.0", "addr": "1"},
        {"driver": "virtio-scsi-pci", "id": "scsi", "bus": "pcie.0", "addr": "2"},
        {"driver": "virtio-balloon-pci", "id": "balloon0", "bus": "pcie.0", "addr": "3.0", "multifunction": True}
        | {"free-page-reporting": True},
        {"driver": "virtio-rng-pci", "id": "random0", "rng": "rng0", "bus": "pcie.0", "addr": "3.1"},
        {"driver": "virtio-serial-pci", "id": "serial-bus0", "bus": "pcie.0", "addr": "3.2"},
        {"driver": "isa-serial", "id": "console0", "chardev": "serial0"},
        {"driver": "virtserialport", "id": "agent-port0", "chardev": "agent0", "name": "org.qemu.guest_agent.0"},
    ]


def _firmware_nodes(facts: HostFacts, files: ServerFiles) -> list[str]:
    if facts.uefi is None:
        raise HypervisorError(
            "This server wants UEFI firmware, which is not on this host. Install the package ovmf.", final=True
        )
    code = {"driver": "raw", "node-name": "uefi-code", "read-only": True}
    code["file"] = {"driver": "file", "filename": os.fspath(facts.uefi.code), "read-only": True}
    variables = {"driver": "raw", "node-name": "uefi-vars"}
    variables_file = {"driver": "file", "filename": os.fspath(files.uefi_variables)}
    return ["-blockdev", json.dumps(code), "-blockdev", json.dumps({**variables, "file": variables_file})]


def _smbios(spec: ServerSpec) -> str:
    maker = "manufacturer=OpenStack Foundation,product=OpenStack Nova,version=1,family=Virtual Machine"
    return f"type=1,{maker},serial={spec.id},uuid={spec.id}"


def _socket(id: str, path: os.PathLike[str]) -> str:
    return f"socket,id={id},path={_escape(os.fspath(path))},server=on,wait=off"


def _escape(text: str) -> str:
    """Commas separate options in QEMU's own syntax; a doubled one is a comma."""
    return text.replace(",", ",,")
