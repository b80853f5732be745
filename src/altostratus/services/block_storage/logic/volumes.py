# SPDX-License-Identifier: Apache-2.0
"""Volumes: making, changing, growing and removing their rows."""

from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import func, select

from altostratus.contracts.volume import VolumeSource, VolumeSpec
from altostratus.kernel import clock, ids
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import BadRequest
from altostratus.kernel.resource.fragments import new_etag
from altostratus.services.block_storage.config import BlockStorageOptions
from altostratus.services.block_storage.logic import quota, scheduling, types
from altostratus.services.block_storage.models.volumes import Attachment, Snapshot, Volume
from altostratus.services.image import public as image_service
from altostratus.services.image.public import ImageInfo

GIB = 1 << 30
PUBLISHER = "volume.altostratus"
DELETABLE = ("available", "error", "error_restoring", "error_extending", "error_managing", "error_deleting")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVolume:
    """What is asked for. At most one of `image`, `snapshot` and `source` is set."""

    project_id: str
    user_id: str
    name: str | None = None
    description: str | None = None
    size_gib: int | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    kind: Row[Any] | None = None
    availability_zone: str | None = None
    image: ImageInfo | None = None
    snapshot: Row[Any] | None = None
    source: Row[Any] | None = None
    group_id: str | None = None


def create_volume(tx: Tx, cloud: Cloud, wanted: NewVolume) -> Row[Any]:
    """Check, place and insert a volume in status creating; the caller starts its job.

    Raises BadRequest, NotFound, QuotaExceeded. A volume that fits nowhere is inserted without a host: its
    job fails at once and the volume says why.
    """
    size_gib = _checked_size(wanted)
    _check_source(wanted, size_gib)
    kind = _kind_of(tx, cloud, wanted)
    if kind.encryption is not None:
        raise BadRequest(
            f"Invalid input received: volumes of type {kind.name} are to be encrypted, which no back end here can do. "
            f"Use another type, or encrypt inside the guest."
        )
    zone = _zone_of(cloud, wanted)
    quota.demand_volume_size(tx, cloud, wanted.project_id, size_gib)
    quota.demand(tx, cloud, wanted.project_id, kind.name, {"volumes": 1, "gigabytes": size_gib})
    origin = wanted.source or wanted.snapshot
    request = scheduling.Request(size_gib, zone, kind.extra_specs, origin.host if origin is not None else None)
    pool, reason = scheduling.choose(scheduling.list_pools(tx, cloud), request)
    volume_id, moment = ids.new_id(), clock.now()
    inherited = _inherited(tx, wanted)
    tx.insert(
        Volume,
        id=volume_id, project_id=wanted.project_id, user_id=wanted.user_id, name=wanted.name,
        description=wanted.description, size=size_gib, status="creating", attach_status="detached",
        volume_type_id=kind.id, availability_zone=zone, multiattach=types.wants_multiattach(kind),
        host=pool.name if pool else None, reason=reason or None,
        snapshot_id=wanted.snapshot.id if wanted.snapshot is not None else None,
        source_volid=wanted.source.id if wanted.source is not None else None,
        image_id=wanted.image.id if wanted.image else None, group_id=wanted.group_id,
        metadata=wanted.metadata, image_metadata=inherited["image_metadata"], bootable=inherited["bootable"],
        spec=_spec(tx, cloud, volume_id, wanted, size_gib, pool.backend) if pool else None,
        etag=new_etag(), created_at=moment, updated_at=moment,
    )  # fmt: skip
    row = tx.get(Volume, volume_id)
    emit(tx, cloud, "volume.create.start", row)
    return row


def _checked_size(wanted: NewVolume) -> int:
    size_gib = wanted.size_gib
    if size_gib is None and wanted.source is not None:
        size_gib = wanted.source.size
    elif size_gib is None and wanted.snapshot is not None:
        size_gib = wanted.snapshot.size
    if size_gib is None or size_gib <= 0:
        raise BadRequest(
            f"Invalid input received: Invalid volume size provided for create request: {size_gib} "
            f"(size argument must be an integer (or string representation of an integer) and greater than zero)."
        )
    return size_gib


def _check_source(wanted: NewVolume, size_gib: int) -> None:
    if wanted.snapshot is not None:
        if wanted.snapshot.status != "available":
            raise BadRequest(
                f"Invalid snapshot: Originating snapshot status must be one of 'available' values, "
                f"it is {wanted.snapshot.status}."
            )
        _demand_room("snapshot", wanted.snapshot.size, size_gib)
    if wanted.source is not None:
        if wanted.source.status not in ("available", "in-use"):
            raise BadRequest(
                f"Invalid volume: Source volume {wanted.source.id} must be available or in-use, "
                f"it is {wanted.source.status}."
            )
        _demand_room("source volume", wanted.source.size, size_gib)
    if wanted.image is not None:
        _check_image(wanted.image, size_gib)


def _demand_room(what: str, needed_gib: int, size_gib: int) -> None:
    if size_gib < needed_gib:
        raise BadRequest(
            f"Invalid input received: Volume size '{size_gib}'GB cannot be smaller than the {what} size "
            f"{needed_gib}GB. They must be >= original {what} size."
        )


def _check_image(image: ImageInfo, size_gib: int) -> None:
    if image.status != "active":
        raise BadRequest(f"Invalid input received: Image {image.id} is not active, it is {image.status}.")
    needed_bytes = max(image.size_bytes or 0, image.virtual_size_bytes or 0)
    needed_gib = -(-needed_bytes // GIB)
    if size_gib < needed_gib:
        raise BadRequest(
            f"Invalid input received: Size of specified image {needed_gib}GB is larger than volume size {size_gib}GB."
        )
    if size_gib < image.min_disk_gib:
        raise BadRequest(
            f"Invalid input received: Volume size {size_gib}GB cannot be smaller than the image minDisk size "
            f"{image.min_disk_gib}GB."
        )


def _kind_of(tx: Tx, cloud: Cloud, wanted: NewVolume) -> Row[Any]:
    """The type: as asked, as the source has it, as the image says, else the default."""
    origin = wanted.source or wanted.snapshot
    if wanted.kind is not None:
        if origin is not None and origin.volume_type_id and wanted.kind.id != origin.volume_type_id:
            backends = {
                kind.extra_specs.get("volume_backend_name")
                for kind in (wanted.kind, types.get_type(tx, origin.volume_type_id))
            }
            if len(backends) > 1:
                raise BadRequest(
                    f"Invalid input received: Invalid volume_type provided: {wanted.kind.id} (requested type is not "
                    f"compatible; either match source volume, or omit type argument)."
                )
        return wanted.kind
    if origin is not None and origin.volume_type_id:
        return types.get_type(tx, origin.volume_type_id)
    if wanted.image is not None and wanted.image.properties.get("cinder_img_volume_type"):
        return types.get_type(tx, wanted.image.properties["cinder_img_volume_type"])
    return types.default_type(tx, cloud, wanted.project_id)


def _zone_of(cloud: Cloud, wanted: NewVolume) -> str:
    only = cloud[BlockStorageOptions].availability_zone
    if wanted.availability_zone not in (None, only):
        raise BadRequest(
            f"Invalid input received: Availability zone '{wanted.availability_zone}' is invalid. Use '{only}'."
        )
    return only


def _inherited(tx: Tx, wanted: NewVolume) -> dict[str, Any]:
    """Bootability and image metadata come with the data."""
    if wanted.image is not None:
        return {"bootable": True, "image_metadata": image_metadata(wanted.image)}
    origin = wanted.source
    if wanted.snapshot is not None:
        origin = tx.find(Volume, wanted.snapshot.volume_id)
    if origin is None:
        return {"bootable": False, "image_metadata": {}}
    return {"bootable": origin.bootable, "image_metadata": origin.image_metadata}


def image_metadata(image: ImageInfo) -> dict[str, str]:
    """What a bootable volume tells of its image; all values are text."""
    values = {
        "image_id": image.id,
        "image_name": image.name,
        "checksum": image.checksum,
        "container_format": image.container_format,
        "disk_format": image.disk_format,
        "min_disk": image.min_disk_gib,
        "min_ram": image.min_ram_mib,
        "size": image.size_bytes,
    }
    kept = {name: value for name, value in image.properties.items() if not name.startswith("os_glance")}
    return {name: str(value) for name, value in (kept | values).items() if value is not None}


def _spec(tx: Tx, cloud: Cloud, volume_id: str, wanted: NewVolume, size_gib: int, backend: str) -> dict[str, Any]:
    source: VolumeSource | None = None
    if wanted.image is not None:
        data = image_service.local_source(cloud, tx, wanted.image.id)
        source = VolumeSource(kind="image", id=data.id, path=data.path, format=data.format)
    elif wanted.snapshot is not None:
        source = VolumeSource(kind="snapshot", id=wanted.snapshot.id)
    elif wanted.source is not None:
        source = VolumeSource(kind="volume", id=wanted.source.id)
    spec = VolumeSpec(
        id=volume_id, name=f"volume-{volume_id}", size_gib=size_gib, source=source, backend=backend,
        format="raw" if cloud[BlockStorageOptions].volume_format == "raw" else "qcow2",
    )  # fmt: skip
    built: dict[str, Any] = msgspec.to_builtins(spec)
    return built


def change(tx: Tx, volume_id: str, **values: Any) -> None:
    """Update the row; the only way, for `etag` and `updated_at` must follow."""
    tx.update(Volume, volume_id, etag=new_etag(), updated_at=clock.now(), **values)


def refresh(tx: Tx, *conditions: Any) -> None:
    """Something that volumes show, but that is in other rows, has changed."""
    tx.update_where(Volume, *conditions, etag=new_etag())


def move(tx: Tx, row: Row[Any], expected: tuple[str, ...], status: str, **values: Any) -> None:
    """Change the status if it is as expected. Raises BadRequest otherwise."""
    if row.status not in expected:
        allowed = " or ".join(expected)
        raise BadRequest(
            f"Invalid volume: Volume {row.id} status must be {allowed}, but current status is: {row.status}."
        )
    change(tx, row.id, status=status, previous_status=row.status, **values)


def begin_delete(tx: Tx, cloud: Cloud, row: Row[Any], *, force: bool, cascade: bool) -> list[Row[Any]]:
    """Put the volume (and with `cascade` its snapshots) into deleting; the snapshots. Raises BadRequest."""
    table = table_of(Snapshot)
    snapshots = tx.rows(select(table).where(table.c.volume_id == row.id))
    attached = row.attach_status == "attached"
    bad_status = not force and row.status not in DELETABLE
    stuck = [one for one in snapshots if one.status not in ("available", "error", "deleting", "error_deleting")]
    if attached or bad_status or row.group_id is not None or (snapshots and not cascade) or (stuck and not force):
        raise BadRequest(
            f"Invalid volume: Volume status must be {' or '.join(DELETABLE)} and must not be migrating, attached, "
            f"belong to a group, have snapshots, awaiting a transfer, or be disassociated from snapshots after "
            f"volume transfer. It is {row.status} and has {len(snapshots)} snapshots."
        )
    change(tx, row.id, status="deleting", previous_status=row.status, reason=None)
    for snapshot in snapshots:
        tx.update(Snapshot, snapshot.id, status="deleting", updated_at=clock.now())
    emit(tx, cloud, "volume.delete.start", row)
    return snapshots


def forget(tx: Tx, cloud: Cloud, volume_id: str) -> None:
    """The data is gone; so are the rows."""
    row = tx.find(Volume, volume_id)
    if row is None:
        return
    tx.delete(Volume, volume_id)
    tx.delete_where(Attachment, table_of(Attachment).c.volume_id == volume_id)
    emit(tx, cloud, "volume.delete.end", row)


def begin_extend(tx: Tx, cloud: Cloud, row: Row[Any], new_size_gib: int) -> None:
    """Raises BadRequest, QuotaExceeded."""
    if new_size_gib <= row.size:
        raise BadRequest(
            f"Invalid input received: New size for extend must be greater than current size. "
            f"(current: {row.size}, extended: {new_size_gib})."
        )
    if row.status != "available":
        raise BadRequest(
            f"Invalid volume: Volume {row.id} status must be 'available' to extend, currently {row.status}."
        )
    quota.demand_volume_size(tx, cloud, row.project_id, new_size_gib)
    name = quota.type_names(tx).get(row.volume_type_id)
    quota.demand(tx, cloud, row.project_id, name, {"gigabytes": new_size_gib - row.size})
    change(tx, row.id, status="extending", previous_status=row.status, new_size=new_size_gib)
    emit(tx, cloud, "volume.resize.start", row)


def summary(tx: Tx, *conditions: Any) -> tuple[int, int]:
    """(number, total GiB)."""
    volume = table_of(Volume).c
    total = func.coalesce(func.sum(volume.size), 0)
    row = tx.rows(select(func.count().label("number"), total.label("size_gib")).where(*conditions))[0]
    return int(row.number), int(row.size_gib)


def emit(tx: Tx, cloud: Cloud, event_type: str, row: Row[Any], **more: Any) -> None:
    """Notify with upstream's payload."""
    values = row._mapping
    payload = {
        "tenant_id": row.project_id,
        "user_id": row.user_id,
        "availability_zone": row.availability_zone,
        "volume_id": row.id,
        "volume_type": row.volume_type_id,
        "display_name": row.name,
        "created_at": row.created_at,
        "launched_at": row.created_at,
        "status": row.status,
        "size": row.size,
        "snapshot_id": row.snapshot_id,
        "host": row.host,
        "metadata": values["metadata"],
    }
    cloud.events.emit(tx, event_type, payload | more, publisher_id=PUBLISHER)
