# SPDX-License-Identifier: Apache-2.0
"""Pure: how disks and network cards look to QEMU, and which PCIe port each one sits in.

Guests name virtio disks in the order of their PCI addresses, so /dev/vdb gets the second disk port. Everything that
may be plugged in sits in a root port of its own; QEMU cannot add such ports to a running guest.
"""

import hashlib
import re
from typing import Any

from altostratus.contracts.hypervisor import DiskSpec, HypervisorError, NicSpec

DISK_PORTS = [f"disk-port-{n}" for n in range(16)]
NIC_PORTS = [f"nic-port-{n}" for n in range(8)]
SCSI_BUS = "scsi.0"

Properties = dict[str, Any]


def _key(name: str) -> str:
    # QEMU allows 31 characters for a node's name, less than a UUID and a prefix need.
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def disk_id(serial: str) -> str:
    """Id of the guest device of a disk; the node below it is `node_name(serial)`."""
    return f"disk-{_key(serial)}"


def node_name(serial: str) -> str:
    return f"node-{_key(serial)}"


def nic_id(port_id: str) -> str:
    return f"nic-{_key(port_id)}"


def netdev_id(port_id: str) -> str:
    return f"net-{_key(port_id)}"


def _letter(device: str) -> int | None:
    found = re.fullmatch(r"(?:/dev/)?[a-z]d([a-z])", device)
    return ord(found[1]) - ord("a") if found else None


def uses_port(disk: DiskSpec) -> bool:
    return disk.bus == "virtio" and disk.device_type == "disk"


def plan_ports(known: dict[str, str], disks: list[DiskSpec], nics: list[NicSpec]) -> dict[str, str]:
    """Which port each device sits in: those already placed stay, /dev/vdX gets port X if it is free.

    Raises HypervisorError (final) when there are more devices than ports.
    """
    wanted = {disk_id(d.serial) for d in disks if uses_port(d)} | {nic_id(n.port_id) for n in nics}
    ports = {device: port for device, port in known.items() if device in wanted}
    for disk in disks:
        if uses_port(disk) and disk_id(disk.serial) not in ports:
            free = [port for port in DISK_PORTS if port not in ports.values()]
            letter = _letter(disk.device)
            preferred = DISK_PORTS[letter] if letter is not None and letter < len(DISK_PORTS) else None
            ports[disk_id(disk.serial)] = preferred if preferred in free and preferred else _first(free, "disks")
    for nic in nics:
        if nic_id(nic.port_id) not in ports:
            free = [port for port in NIC_PORTS if port not in ports.values()]
            ports[nic_id(nic.port_id)] = _first(free, "network cards")
    return ports


def _first(free: list[str], what: str) -> str:
    if not free:
        most = len(DISK_PORTS) if what == "disks" else len(NIC_PORTS)
        raise HypervisorError(f"A server can have {most} {what} at most. Remove one first.", final=True)
    return free[0]


def root_ports() -> list[Properties]:
    """The PCIe root ports: eight to a slot, disks below network cards."""
    found = []
    for number, name in enumerate([*DISK_PORTS, *NIC_PORTS]):
        found.append(
            {
                "driver": "pcie-root-port",
                "id": name,
                "bus": "pcie.0",
                "addr": f"{4 + number // 8:x}.{number % 8:x}",
                "multifunction": number % 8 == 0,
                "chassis": number + 1,
                "port": number,
                # Legacy I/O space is scarce and virtio does not need it.
                "io-reserve": 0,
            }
        )
    return found


def file_node(path: str, *, read_only: bool, shared: bool = False) -> Properties:
    node: Properties = {"driver": "file", "filename": path, "read-only": read_only}
    if shared:
        node["locking"] = "off"
    return node


def format_node(driver: str, file: Properties, backing: Properties | None, *, read_only: bool) -> Properties:
    """A node whose every level is spelt out: nothing inside the image decides what is opened."""
    node: Properties = {"driver": driver, "read-only": read_only, "file": file}
    if driver == "qcow2":
        node["backing"] = backing
    if not read_only:
        node["discard"] = "unmap"
    return node


def disk_device(disk: DiskSpec, port: str | None) -> Properties:
    """The guest's side of a disk."""
    device: Properties = {"id": disk_id(disk.serial), "drive": node_name(disk.serial)}
    if disk.boot_index is not None and disk.boot_index >= 0:
        device["bootindex"] = disk.boot_index + 1
    letter = _letter(disk.device)
    if disk.device_type == "cdrom":
        return {"driver": "scsi-cd", "bus": SCSI_BUS, **device}
    if disk.bus == "virtio":
        assert port is not None
        return {"driver": "virtio-blk-pci", "bus": port, "serial": disk.serial[:20], **device}
    if disk.bus == "scsi":
        place = {"scsi-id": letter} if letter is not None else {}
        return {"driver": "scsi-hd", "bus": SCSI_BUS, "serial": disk.serial[:36], **place, **device}
    if letter is None or letter > 5:
        raise HypervisorError(f"Disk {disk.device} cannot be a SATA disk: there are sda to sdf.", final=True)
    return {"driver": "ide-hd", "bus": f"ide.{letter}", "serial": disk.serial[:20], **device}


def nic_device(nic: NicSpec, port: str) -> Properties:
    return {
        "driver": "virtio-net-pci",
        "id": nic_id(nic.port_id),
        "netdev": netdev_id(nic.port_id),
        "mac": nic.mac,
        "bus": port,
        "host_mtu": nic.mtu,
        # No network boot, so no boot ROM: the firmware is through sooner.
        "romfile": "",
    }


def nic_netdev(nic: NicSpec, fd: str) -> Properties:
    """`fd` is the number of an inherited descriptor, or the name of one that was sent over QMP."""
    return {"type": "tap", "id": netdev_id(nic.port_id), "fd": fd}
