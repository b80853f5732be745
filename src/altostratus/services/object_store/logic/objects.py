# SPDX-License-Identifier: Apache-2.0
"""Objects as rows. What replaces or deletes one leaves its bytes to the waste, in the same transaction."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from altostratus.kernel import clock
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.services.object_store.logic import containers, parts, quotas, versions
from altostratus.services.object_store.models import StoredObject, UploadPart, Waste

_UNSAID: dict[str, Any] = {"expires_at": None, "segments": None, "parts_id": None, "s3": None}


def find(tx: Tx, container_id: str, name: str) -> Row[Any] | None:
    """The object, unless it has expired: then it is gone, whether its row is still there or not."""
    row = tx.find(StoredObject, container_id, name)
    return None if row is None or has_expired(row) else row


def has_expired(row: Row[Any]) -> bool:
    return row.expires_at is not None and row.expires_at <= clock.unix()


def held_bytes(values: Mapping[Any, Any]) -> int:
    """What the object counts: the bytes of segments are counted where they are."""
    return int(values["size"]) if values.get("blob_id") or values.get("parts_id") else 0


def put(tx: Tx, container: Row[Any], values: dict[str, Any]) -> None:
    """Write the row of a new or replaced object. Raises NotFound (container), TooLarge (quota)."""
    counts = quotas.counts_of(tx, container)
    name, values = values["name"], {**_UNSAID, **values}
    before = tx.find(StoredObject, container.id, name)
    held = held_bytes(values) - (held_bytes(before._mapping) if before is not None else 0)
    quotas.demand(counts, int(before is None), held)
    if before is None:
        tx.insert(StoredObject, container_id=container.id, **values)
        containers.count(tx, container, 1, held)
        return
    if versions.keeps(counts.settings) and not has_expired(before):
        versions.archive(tx, counts, before, held_bytes(before._mapping))
    else:
        _waste(tx, before)
    _replace(tx, container, before, values)


def delete(tx: Tx, container: Row[Any], row: Row[Any]) -> bool:
    """Delete the object as it was read; False if it was replaced or deleted meanwhile."""
    now = tx.find(StoredObject, container.id, row.name)
    if now is None or (now.blob_id, now.modified_us) != (row.blob_id, row.modified_us):
        return False
    if versions.keeps(container.settings):
        return _delete_version(tx, container, row)
    _waste(tx, row)
    _remove(tx, container, row)
    return True


def drop_expired(tx: Tx, container: Row[Any]) -> None:
    """What is gone for clients already must not keep its container; some hundred rows at most, the rest has time."""
    item = table_of(StoredObject)
    due = (item.c.container_id == container.id, item.c.expires_at <= int(clock.unix()))
    for row in tx.rows(select(item).where(*due).limit(500)):
        delete(tx, container, row)


def _delete_version(tx: Tx, container: Row[Any], row: Row[Any]) -> bool:
    before = versions.newest(tx, container, row.name)
    if before is not None:
        keeper, version = before
        _waste(tx, row)
        tx.delete(StoredObject, keeper.id, version.name)
        containers.count(tx, keeper, -1, -held_bytes(version._mapping))
        _replace(tx, container, row, {**version._mapping, "container_id": container.id, "name": row.name})
        return True
    if versions.HISTORY in container.settings:
        versions.archive(tx, container, row, held_bytes(row._mapping))
        versions.mark_deleted(tx, container, row.name)
    else:
        _waste(tx, row)
    _remove(tx, container, row)
    return True


def _replace(tx: Tx, container: Row[Any], before: Row[Any], values: Mapping[Any, Any]) -> None:
    changed = {key: value for key, value in values.items() if key not in ("name", "container_id")}
    tx.update(StoredObject, container.id, before.name, **changed)
    containers.count(tx, container, 0, held_bytes(values) - held_bytes(before._mapping))


def _remove(tx: Tx, container: Row[Any], row: Row[Any]) -> None:
    tx.delete(StoredObject, container.id, row.name)
    containers.count(tx, container, -1, -held_bytes(row._mapping))


def unreferenced(tx: Tx, blob_ids: list[str]) -> set[str]:
    """Which of these blobs belong to no object and to no part."""
    found: set[str] = set()
    for column in (table_of(StoredObject).c.blob_id, table_of(UploadPart).c.blob_id):
        found.update(tx.scalars(select(column).where(column.in_(blob_ids))))
    return set(blob_ids) - found


def _waste(tx: Tx, row: Row[Any]) -> None:
    if row.blob_id is not None:
        tx.insert(Waste, blob_id=row.blob_id)
    if row.parts_id is not None:
        parts.drop_parts(tx, row.parts_id)


def update(tx: Tx, container: Row[Any], row: Row[Any], values: dict[str, Any]) -> None:
    """Change what is said about an object, not its bytes."""
    tx.update(StoredObject, container.id, row.name, **values)
