# SPDX-License-Identifier: Apache-2.0
"""The wanted state of a server: its rows as the `ServerSpec` that its host is asked for."""

import base64
import string
from collections.abc import Iterable
from typing import Any, Literal

import msgspec
from sqlalchemy import select

from altostratus.contracts.hypervisor import BaseImage, ConfigDriveSpec, DiskSpec, NicSpec, ServerSpec
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.jobs import Want
from altostratus.kernel.numbers import whole_number
from altostratus.services.block_storage import public as block_storage
from altostratus.services.compute.config import ComputeOptions
from altostratus.services.compute.models.servers import BlockDevice, ConfigDrive, Server
from altostratus.services.network import public as network

KIND = "server"
# the block device that a rescued server starts from
RESCUE_POSITION = -1
Bus = Literal["virtio", "scsi", "sata", "ide"]
_BUSES: dict[str, Bus] = {"virtio": "virtio", "scsi": "scsi", "sata": "sata", "ide": "ide", "usb": "sata"}


def server_want(tx: Tx, cloud: Cloud, server_id: str) -> Want:
    """What the server's host is asked for now. The server must have a host."""
    row = tx.get(Server, server_id, what="server")
    devices = tx.rows(
        select(table_of(BlockDevice))
        .where(table_of(BlockDevice).c.server_id == server_id, table_of(BlockDevice).c.wired.is_(True))
        .order_by(table_of(BlockDevice).c.position)
    )
    return Want(KIND, server_id, row.host, build_spec(tx, cloud, row, devices))


def absent_want(row: Row[Any]) -> list[Want]:
    """The wish that nothing of the server is left on its host."""
    return [Want(KIND, row.id, row.host, None)] if row.host else []


def build_spec(tx: Tx, cloud: Cloud, row: Row[Any], devices: Iterable[Row[Any]]) -> ServerSpec:
    options = cloud[ComputeOptions]
    devices = list(devices)
    volumes = block_storage.find_volumes(tx, [one.volume_id for one in devices if one.volume_id])
    properties = row.image_properties or {}
    drive = tx.find(ConfigDrive, row.id) if row.config_drive else None
    return ServerSpec(
        id=row.id,
        name=instance_name(row.id),
        hostname=row.hostname,
        vcpus=row.flavor["vcpus"],
        memory_mib=row.flavor["ram"],
        power=row.wanted_power,
        power_token=row.power_token,
        restart_on_crash=options.resume_servers_on_host_start,
        firmware="uefi" if properties.get("hw_firmware_type") == "uefi" else "bios",
        disks=_rescued([_disk(one, row, volumes.get(one.volume_id)) for one in devices], devices),
        nics=_nics(tx, row),
        config_drive=ConfigDriveSpec(files=drive.files) if drive is not None else None,
        reboot_token=row.reboot_token,
        reboot_kind=row.reboot_kind,
        snapshot_token=row.snapshot_token,
        snapshot_path=row.snapshot_path,
        shutdown_timeout_s=_shutdown_timeout(properties, options),
    )


def instance_name(server_id: str) -> str:
    """The name of the guest on its host, as administrators see it."""
    return f"instance-{server_id[:8]}"


def _shutdown_timeout(properties: dict[str, Any], options: ComputeOptions) -> int:
    timeout_s = whole_number(str(properties.get("os_shutdown_timeout", "")))
    return options.shutdown_timeout_s if timeout_s is None else timeout_s


def _rescued(disks: list[DiskSpec], devices: list[Row[Any]]) -> list[DiskSpec]:
    """With a rescue disk: it is the one to boot from, and all names move on by one."""
    if not devices or devices[0].position != RESCUE_POSITION:
        return disks
    moved: list[DiskSpec] = []
    for place, disk in enumerate(disks):
        name = next_device_name([one.device for one in moved])
        moved.append(msgspec.structs.replace(disk, device=name, boot_index=0 if place == 0 else None))
    return moved


def _disk(device: Row[Any], server: Row[Any], volume: Any) -> DiskSpec:
    if device.destination_type == "volume":
        return DiskSpec(
            device=device.device_name or "",
            source="volume",
            serial=device.volume_id or device.id,
            boot_index=device.boot_index if device.boot_index is not None and device.boot_index >= 0 else None,
            size_gib=volume.size_gib if volume else 0,
            volume_id=device.volume_id,
            volume_path=volume.path if volume else None,
            volume_format=volume.format if volume else None,
            bus=_BUSES.get(device.disk_bus or "", "virtio"),
            tag=device.tag,
        )
    image = msgspec.convert(device.base_image, BaseImage) if device.base_image else None
    return DiskSpec(
        device=device.device_name or "",
        source="image" if image is not None else "blank",
        serial=device.id,
        boot_index=device.boot_index if device.boot_index is not None and device.boot_index >= 0 else None,
        size_gib=device.size_gib or 0,
        size_mib=device.size_mib,
        image=image,
        guest_format=device.guest_format,
        bus=_BUSES.get(device.disk_bus or "", "virtio"),
        device_type="cdrom" if device.device_type == "cdrom" else "disk",
        read_only=device.device_type == "cdrom",
        tag=device.tag,
        fill_token=server.fill_token if device.boot_index == 0 else None,
    )


def _nics(tx: Tx, row: Row[Any]) -> list[NicSpec]:
    ports = {port.id: port for port in network.ports_of_servers(tx, [row.id]).get(row.id, [])}
    tags = {one.get("bound"): one.get("tag") for one in row.requested_nics}
    return [
        NicSpec(port_id=port.id, mac=port.mac, tap=port.tap, netns=port.netns, mtu=port.mtu, tag=tags.get(port.id))
        for port in (ports[port_id] for port_id in row.nics if port_id in ports)
    ]


def next_device_name(taken: Iterable[str | None], bus: str | None = None) -> str:
    """The first free name: vda, vdb ... (sda ... on buses that show so). Raises ValueError after vdzz."""
    prefix = "sd" if bus in ("scsi", "sata", "usb") else "hd" if bus == "ide" else "vd"
    used = {(name or "").removeprefix("/dev/")[2:] for name in taken}
    letters = string.ascii_lowercase
    suffixes: list[str] = [*letters, *(first + second for first in letters for second in letters)]
    for suffix in suffixes:
        if suffix not in used:
            return prefix + suffix
    raise ValueError("no device name is left")


def to_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
