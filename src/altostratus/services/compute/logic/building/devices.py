# SPDX-License-Identifier: Apache-2.0
"""Block devices of a request: every spelling to one form, and the rules between them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Row

from altostratus.kernel.auth import Context
from altostratus.kernel.db import Tx
from altostratus.kernel.errors import BadRequest, NotFound
from altostratus.kernel.resource.fields import parse_bool
from altostratus.services.block_storage import public as block_storage
from altostratus.services.compute.logic.building import images
from altostratus.services.image.public import ImageInfo

_INVALID = "Block Device Mapping is Invalid: "
_MOST_LOCAL = 16


@dataclass(frozen=True, slots=True)
class Device:
    """One disk that was asked for. Sizes in GiB, `size_mib` (swap) in MiB."""

    source_type: str
    destination_type: str
    boot_index: int | None = None
    source_id: str | None = None
    size_gib: int | None = None
    size_mib: int = 0
    volume_type: str | None = None
    device_type: str | None = None
    disk_bus: str | None = None
    guest_format: str | None = None
    delete_on_termination: bool = False
    tag: str | None = None

    @property
    def is_root(self) -> bool:
        return self.boot_index == 0

    @property
    def local_blank(self) -> bool:
        return self.source_type == "blank" and self.destination_type == "local"


def parse_devices(
    new: Sequence[dict[str, Any]] | None, old: Sequence[dict[str, Any]] | None, image_id: str | None
) -> list[Device]:
    """`block_device_mapping_v2` or the older form as devices, and the image's own disk. Raises BadRequest.

    The image gets no disk when another device is the one to boot from: clients that always name an image mean that.
    """
    if new and old:
        raise BadRequest("Using different block_device_mapping syntaxes is not allowed in the same request.")
    if old:
        devices = [_from_old(given, first=place == 0 and not image_id) for place, given in enumerate(old)]
    else:
        devices = [_from_new(given) for given in new or ()]
    found = [device for device in devices if device is not None]
    if image_id and not any(device.is_root and device.source_type != "blank" for device in found):
        found.insert(0, Device("image", "local", 0, image_id, delete_on_termination=True))
    return found


def mappings_of_image(found: ImageInfo) -> list[dict[str, Any]]:
    """The block devices that an image of a volume-backed server stands for. Raises BadRequest if unreadable."""
    text = found.properties.get("block_device_mapping")
    if not text:
        return []
    try:
        given = json.loads(text) if isinstance(text, str) else text
        return [{name: value for name, value in one.items() if value is not None} for one in given]
    except (ValueError, TypeError, AttributeError):
        raise BadRequest(_INVALID + f"image {found.id} has an unreadable block_device_mapping property.") from None


def _from_old(given: dict[str, Any], *, first: bool) -> Device | None:
    if given.get("no_device"):
        return None
    volume_id, snapshot_id = given.get("volume_id"), given.get("snapshot_id")
    if not volume_id and not snapshot_id:
        raise BadRequest(_INVALID + "each mapping needs a volume_id or a snapshot_id.")
    return Device(
        "volume" if volume_id else "snapshot",
        "volume",
        0 if first else None,
        volume_id or snapshot_id,
        int(given["volume_size"]) if given.get("volume_size") else None,
        delete_on_termination=bool(parse_bool(given.get("delete_on_termination", False))),
    )


def _from_new(given: dict[str, Any]) -> Device | None:
    if given.get("no_device"):
        return None
    source = given.get("source_type")
    by_name = {name: given.get(f"{name}_id") for name in ("volume", "snapshot", "image")}
    if source is None:
        source = next((name for name, value in by_name.items() if value), None)
    if source is None:
        raise BadRequest(_INVALID + "Invalid source_type field: say image, volume, snapshot or blank.")
    source_id = None if source == "blank" else given.get("uuid") or by_name.get(source)
    if source != "blank" and not source_id:
        raise BadRequest(_INVALID + "Missing device UUID.")
    destination = given.get("destination_type") or ("local" if source in ("blank", "image") else "volume")
    boot_index = None if given.get("boot_index") in (None, "") else int(given["boot_index"])
    if source == "volume" and destination == "local":
        raise BadRequest(_INVALID + "Mapping a volume to local is not supported; use destination_type volume.")
    if source == "snapshot" and destination == "local":
        raise BadRequest(_INVALID + "Mapping a snapshot to local is not supported; use destination_type volume.")
    if source == "image" and destination == "local" and boot_index != 0:
        raise BadRequest(_INVALID + "Mapping an image to local is only supported for the boot disk (boot_index 0).")
    return Device(
        source,
        destination,
        boot_index if boot_index is None or boot_index >= 0 else None,
        source_id,
        int(given["volume_size"]) if given.get("volume_size") else None,
        volume_type=given.get("volume_type"),
        device_type=given.get("device_type"),
        disk_bus=given.get("disk_bus"),
        guest_format=given.get("guest_format"),
        delete_on_termination=bool(parse_bool(given.get("delete_on_termination", False))),
        tag=given.get("tag"),
    )


def with_flavor(devices: list[Device], flavor: Row[Any]) -> list[Device]:
    """The root disk's size and the flavor's ephemeral and swap disks. Raises BadRequest for more than it has."""
    sized = [
        replace(device, size_gib=flavor.disk, delete_on_termination=True)
        if device.source_type == "image" and device.destination_type == "local"
        else device
        for device in devices
    ]
    swaps = [device for device in sized if device.local_blank and device.guest_format == "swap"]
    extras = [device for device in sized if device.local_blank and device.guest_format != "swap"]
    if len([device for device in sized if device.destination_type == "local"]) > _MOST_LOCAL:
        raise BadRequest(_INVALID + f"the limit of {_MOST_LOCAL} local devices is exceeded.")
    if any((device.size_gib or 0) > flavor.ephemeral for device in extras) or (
        sum(device.size_gib or flavor.ephemeral for device in extras) > flavor.ephemeral
    ):
        raise BadRequest("Ephemeral disks requested are larger than the instance type allows. Choose a larger flavor.")
    if len(swaps) > 1 or any((device.size_gib or 0) > flavor.swap for device in swaps):
        raise BadRequest("Swap drive requested is larger than instance type allows. Choose a larger flavor.")
    sized = [
        replace(device, size_gib=None, size_mib=device.size_gib or flavor.swap, delete_on_termination=True)
        if device in swaps
        else replace(device, size_gib=device.size_gib or flavor.ephemeral, delete_on_termination=True)
        if device in extras
        else device
        for device in sized
    ]
    if flavor.ephemeral and not extras:
        sized.append(Device("blank", "local", size_gib=flavor.ephemeral, delete_on_termination=True))
    if flavor.swap and not swaps:
        sized.append(Device("blank", "local", size_mib=flavor.swap, guest_format="swap", delete_on_termination=True))
    return sized


def demand_boot_order(devices: list[Device]) -> None:
    """Raises BadRequest unless the boot indexes are 0, 1, 2 ... without gap or repetition."""
    order = sorted(device.boot_index for device in devices if device.boot_index is not None)
    if not order or order != list(range(len(order))):
        raise BadRequest(
            _INVALID + "Boot sequence for the instance and image/block device mapping combination is not valid. "
            "Exactly one disk needs boot_index 0, the others count on from it or have none.",
            kind="InvalidBDMBootSequence",
        )


def demand_sources(tx: Tx, ctx: Context, devices: list[Device], flavor: Row[Any]) -> dict[str, Any]:
    """Raises BadRequest for a source that is missing or unusable; returns the properties to boot with."""
    boot: dict[str, Any] = {}
    for device in devices:
        if device.source_type == "volume":
            found = _get_volume(tx, ctx, str(device.source_id))
            if device.is_root:
                if not found.bootable:
                    raise BadRequest(
                        f"Block Device {found.id} is not bootable. Make the volume bootable first "
                        "(volume set --bootable), or boot from another.",
                        kind="InvalidBDMVolumeNotBootable",
                    )
                boot = dict(found.image_metadata or {})
        elif device.source_type == "image":
            image = images.get_usable(tx, ctx, str(device.source_id))
            images.demand_fits(image, flavor.ram, device.size_gib if device.is_root else None)
            if device.destination_type == "volume" and not device.size_gib:
                raise BadRequest(
                    _INVALID + "Images with destination_type 'volume' need to have a non-zero size specified."
                )
            if device.is_root:
                boot = images.properties_of(image)
        elif device.source_type == "snapshot":
            _demand_snapshot(tx, ctx, str(device.source_id))
        elif device.destination_type == "volume" and not device.size_gib:
            raise BadRequest(_INVALID + "Blank volumes (source: 'blank', dest: 'volume') need to have non-zero size.")
    return boot


def _get_volume(tx: Tx, ctx: Context, volume_id: str) -> Any:
    try:
        found = block_storage.get_volume(tx, ctx, volume_id)
    except NotFound:
        raise BadRequest(_INVALID + f"failed to get volume {volume_id}.", kind="InvalidBDMVolume") from None
    if found.status != "available" and not (found.multiattach and found.status == "in-use"):
        raise BadRequest(
            f"Invalid volume: volume '{volume_id}' status must be 'available'. Currently in '{found.status}' status.",
            kind="InvalidVolume",
        )
    return found


def _demand_snapshot(tx: Tx, ctx: Context, snapshot_id: str) -> None:
    try:
        found = block_storage.get_snapshot(tx, ctx, snapshot_id)
    except NotFound:
        raise BadRequest(_INVALID + f"failed to get snapshot {snapshot_id}.", kind="InvalidBDMSnapshot") from None
    if found.status != "available":
        raise BadRequest(_INVALID + f"snapshot {snapshot_id} is {found.status}, not available.")
