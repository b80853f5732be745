# SPDX-License-Identifier: Apache-2.0
"""Volumes and snapshots as plain rows: what compute's old APIs (before 2.36) pass on.

Who may do it was asked by the caller; here only the project counts. Raises the errors of this service.
"""

from typing import Any

from sqlalchemy import select

from altostratus.kernel.auth import Context
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Model, Row, Tx, table_of
from altostratus.kernel.errors import NotFound
from altostratus.services.block_storage.jobs import begin
from altostratus.services.block_storage.logic import snapshots, types, volumes
from altostratus.services.block_storage.models.volumes import Attachment, Snapshot, Volume
from altostratus.services.image import public as image_service


def _rows(tx: Tx, ctx: Context, model: type[Model]) -> list[Row[Any]]:
    table = table_of(model)
    mine = select(table).where(table.c.project_id == ctx.project_id)
    return tx.rows(mine.order_by(table.c.created_at.desc(), table.c.id))


def _row(tx: Tx, ctx: Context, model: type[Model], what: str, id: str) -> Row[Any]:
    row = tx.find(model, id)
    if row is None or not (ctx.is_admin or row.project_id == ctx.project_id):
        raise NotFound(f"{what} {id} could not be found.", kind=f"{what}NotFound")
    return row


def list_volumes(tx: Tx, ctx: Context) -> list[Row[Any]]:
    """Rows of the project's volumes, newest first."""
    return _rows(tx, ctx, Volume)


def find_volume(tx: Tx, ctx: Context, volume_id: str) -> Row[Any]:
    return _row(tx, ctx, Volume, "Volume", volume_id)


def attachments_of(tx: Tx, rows: list[Row[Any]]) -> dict[str, list[Row[Any]]]:
    """Rows of attachments to servers, by volume."""
    table = table_of(Attachment)
    wanted = select(table).where(table.c.volume_id.in_([row.id for row in rows]), table.c.server_id.is_not(None))
    found: dict[str, list[Row[Any]]] = {}
    for row in tx.rows(wanted.order_by(table.c.created_at)):
        found.setdefault(row.volume_id, []).append(row)
    return found


def type_names(tx: Tx, ctx: Context, rows: list[Row[Any]]) -> dict[str, str]:
    """Names of the volumes' types, by id."""
    wanted = {row.volume_type_id for row in rows} - {None}
    return {id: types.get_type(tx, id, ctx).name for id in sorted(wanted)}


def create_volume(tx: Tx, cloud: Cloud, ctx: Context, request_id: str, given: dict[str, Any]) -> Row[Any]:
    """`given` has size and may have name, description, metadata, type, zone, snapshot_id and image_id.

    Raises BadRequest, NotFound, QuotaExceeded.
    """
    kind, snapshot_id, image_id = given.get("type"), given.get("snapshot_id"), given.get("image_id")
    wanted = volumes.NewVolume(
        project_id=ctx.project_id or "",
        user_id=ctx.user_id,
        name=given.get("name"),
        description=given.get("description"),
        size_gib=given.get("size"),
        metadata=given.get("metadata") or {},
        kind=types.get_type(tx, kind, ctx) if kind else None,
        availability_zone=given.get("zone"),
        image=image_service.get_image(tx, ctx, image_id) if image_id else None,
        snapshot=_row(tx, ctx, Snapshot, "Snapshot", snapshot_id) if snapshot_id else None,
    )
    row = volumes.create_volume(tx, cloud, wanted)
    begin.create_volume(tx, cloud, row, begin.Origin(request_id, ctx.project_id, ctx.user_id))
    return row


def delete_volume(tx: Tx, cloud: Cloud, ctx: Context, request_id: str, volume_id: str) -> None:
    """Raises NotFound, or BadRequest while something uses it."""
    row = find_volume(tx, ctx, volume_id)
    volumes.begin_delete(tx, cloud, row, force=False, cascade=False)
    begin.delete_volume(tx, cloud, row.id, [], begin.Origin(request_id, ctx.project_id, ctx.user_id))


def list_snapshots(tx: Tx, ctx: Context) -> list[Row[Any]]:
    """Rows of the project's snapshots, newest first."""
    return _rows(tx, ctx, Snapshot)


def find_snapshot(tx: Tx, ctx: Context, snapshot_id: str) -> Row[Any]:
    return _row(tx, ctx, Snapshot, "Snapshot", snapshot_id)


def create_snapshot(
    tx: Tx, cloud: Cloud, ctx: Context, request_id: str, wanted: dict[str, Any], *, force: bool
) -> Row[Any]:
    """`wanted`: volume_id, name, description. `force`: of a volume in use, too.

    Raises NotFound, BadRequest, QuotaExceeded.
    """
    volume = find_volume(tx, ctx, wanted["volume_id"])
    own = {name: value for name, value in wanted.items() if name != "volume_id"}
    values = {"metadata": {}, "user_id": ctx.user_id, **own}
    row = snapshots.create_snapshot(tx, cloud, volume, values, allow_in_use=force)
    begin.create_snapshot(tx, cloud, row, begin.Origin(request_id, ctx.project_id, ctx.user_id))
    return row


def delete_snapshot(tx: Tx, cloud: Cloud, ctx: Context, request_id: str, snapshot_id: str) -> None:
    row = find_snapshot(tx, ctx, snapshot_id)
    snapshots.begin_delete(tx, cloud, row, force=False)
    begin.delete_snapshot(tx, cloud, row, begin.Origin(request_id, ctx.project_id, ctx.user_id))
