# SPDX-License-Identifier: Apache-2.0
"""Snapshots of volumes."""

from typing import Any

from altostratus.kernel import clock, ids
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx
from altostratus.kernel.errors import BadRequest
from altostratus.services.block_storage.logic import quota
from altostratus.services.block_storage.logic.volumes import PUBLISHER
from altostratus.services.block_storage.models.volumes import Snapshot

DELETABLE = ("available", "error", "error_deleting")


def create_snapshot(tx: Tx, cloud: Cloud, volume: Row[Any], values: dict[str, Any], *, allow_in_use: bool) -> Row[Any]:
    """Insert a snapshot in status creating. Raises BadRequest, QuotaExceeded."""
    allowed = ("available", "in-use") if allow_in_use else ("available",)
    if volume.status not in allowed or volume.host is None:
        raise BadRequest(
            f"Invalid volume: Volume {volume.id} status must be {' or '.join(allowed)}, but current status is: "
            f"{volume.status}."
        )
    wanted = {"snapshots": 1, "gigabytes": volume.size}
    quota.demand(tx, cloud, volume.project_id, quota.type_names(tx).get(volume.volume_type_id), wanted)
    snapshot_id, moment = ids.new_id(), clock.now()
    tx.insert(
        Snapshot, id=snapshot_id, project_id=volume.project_id, volume_id=volume.id, size=volume.size,
        status="creating", progress="0%", volume_type_id=volume.volume_type_id, host=volume.host,
        created_at=moment, updated_at=moment, **values,
    )  # fmt: skip
    row = tx.get(Snapshot, snapshot_id)
    emit(tx, cloud, "snapshot.create.start", row)
    return row


def change(tx: Tx, snapshot_id: str, **values: Any) -> None:
    tx.update(Snapshot, snapshot_id, updated_at=clock.now(), **values)


def begin_delete(tx: Tx, cloud: Cloud, row: Row[Any], *, force: bool) -> None:
    """Raises BadRequest unless it can be deleted now."""
    if not force and row.status not in DELETABLE:
        raise BadRequest(
            f"Invalid snapshot: Snapshot {row.id} status must be {' or '.join(DELETABLE)} and must not be part of a "
            f"group; it is {row.status}."
        )
    if row.group_snapshot_id is not None:
        raise BadRequest(f"Invalid snapshot: Snapshot {row.id} must not be part of a group.")
    change(tx, row.id, status="deleting", reason=None)
    emit(tx, cloud, "snapshot.delete.start", row)


def forget(tx: Tx, cloud: Cloud, snapshot_id: str) -> None:
    row = tx.find(Snapshot, snapshot_id)
    if row is not None:
        tx.delete(Snapshot, snapshot_id)
        emit(tx, cloud, "snapshot.delete.end", row)


def emit(tx: Tx, cloud: Cloud, event_type: str, row: Row[Any]) -> None:
    """Notify with upstream's payload."""
    payload = {
        "tenant_id": row.project_id,
        "user_id": row.user_id,
        "volume_id": row.volume_id,
        "volume_size": row.size,
        "snapshot_id": row.id,
        "display_name": row.name,
        "created_at": row.created_at,
        "status": row.status,
        "deleted": "",
        "metadata": str(row._mapping["metadata"]),
    }
    cloud.events.emit(tx, event_type, payload, publisher_id=PUBLISHER)
