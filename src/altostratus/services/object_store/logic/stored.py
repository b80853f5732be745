# SPDX-License-Identifier: Apache-2.0
"""What the row of an object says of its bytes, whether it is the current one or a version."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from altostratus.kernel import clock
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.services.object_store.logic import parts
from altostratus.services.object_store.models import ObjectVersion, StoredObject, UploadPart, Waste


def has_expired(row: Row[Any]) -> bool:
    return row.expires_at is not None and row.expires_at <= clock.unix()


def held_bytes(values: Mapping[Any, Any]) -> int:
    """What the object counts: the bytes of segments are counted where they are."""
    return int(values["size"]) if values.get("blob_id") or values.get("parts_id") else 0


def waste(tx: Tx, row: Row[Any]) -> None:
    """Nobody needs its bytes any longer."""
    if row.blob_id is not None:
        tx.insert(Waste, blob_id=row.blob_id)
    if row.parts_id is not None:
        parts.drop_parts(tx, row.parts_id)


def unreferenced(tx: Tx, blob_ids: list[str]) -> set[str]:
    """Which of these blobs belong to no object, no version and no part."""
    found: set[str] = set()
    for model in (StoredObject, ObjectVersion, UploadPart):
        column = table_of(model).c.blob_id
        found.update(tx.scalars(select(column).where(column.in_(blob_ids))))
    return set(blob_ids) - found
