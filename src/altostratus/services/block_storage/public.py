# SPDX-License-Identifier: Apache-2.0
"""The door of block storage for other services."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from altostratus.kernel.auth import Context
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import BadRequest, Conflict, NotFound
from altostratus.kernel.jobs import Want
from altostratus.services.block_storage.jobs import begin
from altostratus.services.block_storage.jobs.volumes import want_of
from altostratus.services.block_storage.logic import attachments, messages, proxied, snapshots, types, volumes
from altostratus.services.block_storage.models.volumes import Attachment, Snapshot, Volume
from altostratus.services.image import public as image_service

__all__ = [
    "AttachmentInfo",
    "SnapshotInfo",
    "VolumeInfo",
    "attachments_of_servers",
    "begin_detach",
    "complete",
    "create_snapshot",
    "create_volume",
    "delete_volume",
    "detach",
    "find_volumes",
    "get_snapshot",
    "get_volume",
    "proxied",
    "reserve",
    "roll_back_detach",
    "set_device",
    "volume_want",
]


@dataclass(frozen=True, slots=True)
class AttachmentInfo:
    """A volume given to a server."""

    id: str
    volume_id: str
    server_id: str | None
    device: str | None
    mode: str | None
    status: str


@dataclass(frozen=True, slots=True)
class VolumeInfo:
    """A volume; `path` is on its host, and None until it was filled."""

    id: str
    name: str | None
    status: str
    size_gib: int
    bootable: bool
    multiattach: bool
    image_id: str | None
    image_metadata: dict[str, str]
    path: str | None
    format: str | None
    project_id: str
    availability_zone: str
    type: str | None
    host: str | None
    readonly: bool
    reason: str | None
    attachments: list[AttachmentInfo] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SnapshotInfo:
    """A snapshot of a volume."""

    id: str
    volume_id: str
    name: str | None
    status: str
    size_gib: int
    project_id: str


def get_volume(tx: Tx, ctx: Context, volume_id: str) -> VolumeInfo:
    """Raises NotFound when there is none, or it is another project's."""
    found = find_volumes(tx, [volume_id]).get(volume_id)
    if found is None or not (ctx.is_admin or found.project_id == ctx.project_id):
        raise NotFound(f"Volume {volume_id} could not be found.", kind="VolumeNotFound")
    return found


def find_volumes(tx: Tx, volume_ids: Iterable[str]) -> dict[str, VolumeInfo]:
    """Those that exist, whoever owns them; two queries."""
    wanted = set(volume_ids)
    if not wanted:
        return {}
    table, attachment = table_of(Volume), table_of(Attachment)
    attached: dict[str, list[AttachmentInfo]] = {}
    for row in tx.rows(select(attachment).where(attachment.c.volume_id.in_(wanted)).order_by(attachment.c.created_at)):
        attached.setdefault(row.volume_id, []).append(_attachment(row))
    return {
        row.id: _info(row, attached.get(row.id, [])) for row in tx.rows(select(table).where(table.c.id.in_(wanted)))
    }


def _info(row: Row[Any], attached: list[AttachmentInfo]) -> VolumeInfo:
    return VolumeInfo(
        id=row.id, name=row.name, status=row.status, size_gib=row.size, bootable=row.bootable,
        multiattach=row.multiattach, image_id=row.image_id or row.image_metadata.get("image_id"),
        image_metadata=row.image_metadata, path=row.path, format=row.format, project_id=row.project_id,
        availability_zone=row.availability_zone, type=row.volume_type_id, host=row.host,
        readonly=bool(row.readonly), reason=row.reason, attachments=attached,
    )  # fmt: skip


def _attachment(row: Row[Any]) -> AttachmentInfo:
    return AttachmentInfo(row.id, row.volume_id, row.server_id, row.mountpoint, row.mode, row.status)


def get_snapshot(tx: Tx, ctx: Context, snapshot_id: str) -> SnapshotInfo:
    """Raises NotFound when there is none, or it is another project's."""
    row = _find_snapshot(tx, ctx, snapshot_id)
    return SnapshotInfo(row.id, row.volume_id, row.name, row.status, row.size, row.project_id)


def _find_snapshot(tx: Tx, ctx: Context, snapshot_id: str) -> Row[Any]:
    row = tx.find(Snapshot, snapshot_id)
    if row is None or not (ctx.is_admin or row.project_id == ctx.project_id):
        raise NotFound(f"Snapshot {snapshot_id} could not be found.", kind="SnapshotNotFound")
    return row


def create_volume(
    tx: Tx,
    cloud: Cloud,
    ctx: Context,
    *,
    name: str | None,
    size_gib: int | None,
    request_id: str,
    image_id: str | None = None,
    snapshot_id: str | None = None,
    source_volume_id: str | None = None,
    volume_type: str | None = None,
    availability_zone: str | None = None,
    description: str | None = None,
) -> str:
    """Insert a volume and start its job; its id. `ctx` needs `project_id` and `user_id` and what it may see.

    Raises BadRequest, NotFound, QuotaExceeded (413).
    """
    table = table_of(Volume)
    source = tx.first(select(table).where(table.c.id == source_volume_id)) if source_volume_id else None
    if source_volume_id and source is None:
        raise NotFound(f"Volume {source_volume_id} could not be found.")
    wanted = volumes.NewVolume(
        project_id=ctx.project_id or "", user_id=ctx.user_id, name=name, description=description, size_gib=size_gib,
        kind=types.get_type(tx, volume_type, ctx) if volume_type else None, availability_zone=availability_zone,
        image=image_service.get_image(tx, ctx, image_id) if image_id else None,
        snapshot=_find_snapshot(tx, ctx, snapshot_id) if snapshot_id else None, source=source,
    )  # fmt: skip
    row = volumes.create_volume(tx, cloud, wanted)
    begin.create_volume(tx, cloud, row, begin.Origin(request_id, ctx.project_id, ctx.user_id))
    return str(row.id)


def volume_want(tx: Tx, cloud: Cloud, volume_id: str) -> Want:
    """The wanted row its own job writes, for jobs that wait for it. When it is observed, the volume is available.

    Raises NotFound, Conflict (the volume fits nowhere).
    """
    row = tx.get(Volume, volume_id, what="volume")
    if row.host is None:
        raise Conflict(row.reason or f"Volume {volume_id} has no host.")
    return want_of(row)


def delete_volume(tx: Tx, cloud: Cloud, volume_id: str, request_id: str) -> bool:
    """Start its deletion. Nothing there is success.

    False if something stands in the way (snapshots, another server): the volume stays, a message says why.
    """
    row = tx.find(Volume, volume_id)
    if row is None or row.status == "deleting":
        return True
    try:
        volumes.begin_delete(tx, cloud, row, force=True, cascade=False)
    except BadRequest as error:
        messages.keep(tx, cloud, ("VOLUME", volume_id), (row.project_id, request_id), "delete", error.message)
        return False
    begin.delete_volume(tx, cloud, volume_id, [], begin.Origin(request_id, row.project_id, row.user_id))
    return True


def create_snapshot(tx: Tx, cloud: Cloud, ctx: Context, volume_id: str, *, name: str, request_id: str) -> str:
    """Insert a snapshot of a volume, in use or not, and start its job; its id. Raises NotFound, BadRequest, 413."""
    get_volume(tx, ctx, volume_id)
    values: dict[str, Any] = {"name": name, "description": None, "metadata": {}, "user_id": ctx.user_id}
    row = snapshots.create_snapshot(tx, cloud, tx.get(Volume, volume_id), values, allow_in_use=True)
    begin.create_snapshot(tx, cloud, row, begin.Origin(request_id, ctx.project_id, ctx.user_id))
    return str(row.id)


# attaching


def reserve(tx: Tx, volume_id: str, server_id: str, mountpoint: str | None, mode: str = "rw") -> str:
    """The volume is attaching; the attachment's id. Raises NotFound, BadRequest if it is not available."""
    return attachments.reserve(tx, volume_id, server_id, mountpoint=mountpoint, mode=mode, status="attaching")


def complete(tx: Tx, attachment_id: str) -> None:
    """The volume is in use. Raises NotFound."""
    attachments.complete(tx, attachment_id)


def begin_detach(tx: Tx, attachment_id: str) -> None:
    """The volume is detaching. Raises NotFound, BadRequest."""
    attachments.begin_detach(tx, attachment_id)


def roll_back_detach(tx: Tx, attachment_id: str) -> None:
    """It stays attached after all."""
    attachments.roll_back_detach(tx, attachment_id)


def detach(tx: Tx, attachment_id: str) -> str | None:
    """The volume is available again, unless others have it too. Its id; None if it was detached already."""
    return attachments.detach(tx, attachment_id)


def set_device(tx: Tx, attachment_id: str, mountpoint: str) -> None:
    """Where the server sees the volume, once that is known."""
    row = attachments.get_attachment(tx, attachment_id)
    tx.update(Attachment, attachment_id, mountpoint=mountpoint)
    volumes.change(tx, row.volume_id)


def attachments_of_servers(tx: Tx, server_ids: Iterable[str]) -> dict[str, list[AttachmentInfo]]:
    """Attachments by server; one query."""
    table = table_of(Attachment)
    found: dict[str, list[AttachmentInfo]] = {}
    statement = select(table).where(table.c.server_id.in_(set(server_ids))).order_by(table.c.created_at, table.c.id)
    for row in tx.rows(statement):
        found.setdefault(row.server_id, []).append(_attachment(row))
    return found
