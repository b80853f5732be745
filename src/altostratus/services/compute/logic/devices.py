# SPDX-License-Identifier: Apache-2.0
"""Block device rows: writing them and what they remember of images."""

from collections.abc import Sequence
from typing import Any

import msgspec

from altostratus.contracts.hypervisor import BaseImage
from altostratus.kernel import ids
from altostratus.kernel.db import Row, Tx
from altostratus.services.compute.logic.building.devices import Device
from altostratus.services.compute.logic.wanted import next_device_name
from altostratus.services.compute.models.servers import BlockDevice


def base_of(source: BaseImage) -> dict[str, Any]:
    """A base image as a column keeps it."""
    found: dict[str, Any] = msgspec.to_builtins(source)
    return found


def insert_devices(tx: Tx, server_id: str, devices: Sequence[Device]) -> list[dict[str, Any]]:
    """Rows for a new server's disks, the boot disk first; returns them."""
    ordered = sorted(devices, key=lambda one: one.boot_index if one.boot_index is not None else len(devices))
    rows: list[dict[str, Any]] = []
    for position, device in enumerate(ordered):
        name = next_device_name([row["device_name"] for row in rows], device.disk_bus)
        rows.append(
            {
                "id": ids.new_id(),
                "server_id": server_id,
                "position": position,
                "source_type": device.source_type,
                "destination_type": device.destination_type,
                "boot_index": device.boot_index,
                "image_id": device.source_id if device.source_type == "image" else None,
                "snapshot_id": device.source_id if device.source_type == "snapshot" else None,
                "volume_id": device.source_id if device.source_type == "volume" else None,
                "attachment_id": None,
                "size_gib": device.size_gib,
                "size_mib": device.size_mib,
                "volume_type": device.volume_type,
                "device_name": name,
                "device_type": device.device_type,
                "disk_bus": device.disk_bus,
                "guest_format": device.guest_format,
                "delete_on_termination": device.delete_on_termination,
                "tag": device.tag,
                "base_image": None,
                "wired": False,
            }
        )
    tx.insert_many(BlockDevice, rows)
    return rows


def add_volume(tx: Tx, server_id: str, own: Sequence[Row[Any]], values: dict[str, Any]) -> Row[Any]:
    """The row of a volume that is being attached to a server that exists."""
    device_id = ids.new_id()
    values = {"device_name": next_device_name([row.device_name for row in own]), **values}
    tx.insert(
        BlockDevice,
        id=device_id,
        server_id=server_id,
        position=max((row.position for row in own), default=-1) + 1,
        source_type="volume",
        destination_type="volume",
        size_mib=0,
        wired=False,
        **values,
    )
    return tx.get(BlockDevice, device_id)
