# SPDX-License-Identifier: Apache-2.0
"""Objects as rows. What replaces or deletes one leaves its bytes to the waste, in the same transaction, or keeps it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import select

from altostratus.kernel import clock
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.services.object_store.logic import containers, quotas, syncing, versioning, versions
from altostratus.services.object_store.logic.stored import has_expired, held_bytes, waste
from altostratus.services.object_store.models import Container, ObjectVersion, StoredObject

_UNSAID: dict[str, Any] = {"expires_at": None, "segments": None, "parts_id": None, "s3": None, "version_us": None}


class Deleted(NamedTuple):
    """What a delete did. `version_id` is that of the marker that it left, or of the version that is gone.

    `current_id`, when a version is gone: that of the current object, `null` also where there is none.
    """

    found: bool
    version_id: str | None = None
    was_marker: bool = False
    current_id: str | None = None


def find(tx: Tx, container_id: str, name: str) -> Row[Any] | None:
    """The object, unless it has expired: then it is gone, whether its row is still there or not."""
    row = tx.find(StoredObject, container_id, name)
    return None if row is None or has_expired(row) else row


def put(tx: Tx, container: Row[Any], values: dict[str, Any]) -> str | None:
    """Write the row of a new or replaced object. Raises NotFound (container), TooLarge (quota).

    Returns the version's id, or None for an object that has none (`null`).
    """
    now = quotas.counts_of(tx, container, values["name"])
    values = {**_UNSAID, **values}
    before = tx.find(StoredObject, container.id, values["name"]) if now.has_object else None
    stays = before is not None and versioning.keeps(now.settings) and versioning.outlives(now.settings, before)
    replaced = 0 if before is None or stays else held_bytes(before._mapping)
    quotas.demand(tx, now, int(before is None), held_bytes(values) - replaced)
    if versioning.keeps(now.settings):
        values["version_us"] = versioning.make_way(tx, container, now.settings, values["name"], before)
    if before is None:
        tx.insert(StoredObject, container_id=container.id, **values)
        containers.count(tx, container, 1, held_bytes(values))
    else:
        if versions.keeps(now.settings) and not has_expired(before):
            versions.archive(tx, now, before, held_bytes(before._mapping))
        elif not stays:
            waste(tx, before)
        _replace(tx, container, before, values)
    syncing.note(tx, now, values["name"])
    return None if values["version_us"] is None else versioning.shown(values["version_us"])


def delete(
    tx: Tx, container: Row[Any], name: str, *, leaves_null: bool = False, moment_us: int | None = None
) -> Deleted:
    """As a client wants it. `leaves_null`: a marker, where versions are off; where they are on there is one anyway.

    moment_us   when a peer deleted it, that tells it now
    """
    now = tx.find(Container, container.id)
    if now is None:
        return Deleted(found=False)
    row = tx.find(StoredObject, container.id, name)
    found = row is not None and not has_expired(row)
    if versioning.keeps(now.settings) and (versioning.is_on(now.settings) or leaves_null):
        marker = versioning.mark_deleted(tx, now, name, row)
        if row is not None and not versioning.outlives(now.settings, row):
            waste(tx, row)
        if row is not None:
            _remove(tx, container, row)
        return Deleted(found, marker, was_marker=True)
    if row is not None and found:
        _delete_unmarked(tx, now, row, moment_us)
    return Deleted(found)


def delete_version(tx: Tx, container: Row[Any], name: str, version_id: str, *, brings_back: bool) -> Deleted:
    """For good. `brings_back`: the version before becomes the current one, if it was that or a marker that hid it.

    Raises ValueError for what is no id.
    """
    row = versioning.find(tx, container.id, name, version_id)
    if row is None:
        return Deleted(found=False)
    if versioning.is_version(row):
        versioning.remove(tx, container, row)
    elif versioning.keeps(container.settings):
        waste(tx, row)
        _remove(tx, container, row)
    else:
        _delete_unmarked(tx, container, row)
    if brings_back and versioning.is_latest(row):
        versioning.bring_back(tx, container, name)
    current = tx.find(StoredObject, container.id, name)
    current_id = versioning.NULL if current is None else versioning.id_of(current)
    return Deleted(True, version_id, versioning.is_marker(row), current_id)


def hide(tx: Tx, container: Row[Any], name: str) -> Deleted:
    """The current object is a version from here on, without a marker."""
    row = find(tx, container.id, name)
    if row is None:
        return Deleted(found=False)
    _delete_unmarked(tx, container, row)
    return Deleted(True, versioning.NULL, current_id=versioning.NULL)


def expire(tx: Tx, container: Row[Any], row: Row[Any]) -> None:
    """Its time is over; unless it was replaced or deleted meanwhile. A version of it stays."""
    now = tx.find(StoredObject, container.id, row.name)
    if now is not None and (now.blob_id, now.modified_us) == (row.blob_id, row.modified_us):
        _delete_unmarked(tx, container, row)


def drop_expired(tx: Tx, container: Row[Any]) -> None:
    """What is gone for clients already must not keep its container; some hundred rows at most, the rest has time."""
    item = table_of(StoredObject)
    due = (item.c.container_id == container.id, item.c.expires_at <= int(clock.unix()))
    for row in tx.rows(select(item).where(*due).limit(500)):
        _delete_unmarked(tx, container, row)


def update(tx: Tx, container: Row[Any], row: Row[Any], values: dict[str, Any]) -> None:
    """Change what is said about an object or a version, not its bytes."""
    if versioning.is_version(row):
        tx.update(ObjectVersion, container.id, row.name, row.newest_first, **values)
    else:
        tx.update(StoredObject, container.id, row.name, **values)
        syncing.note(tx, container, row.name)


def _delete_unmarked(tx: Tx, container: Row[Any], row: Row[Any], moment_us: int | None = None) -> None:
    syncing.note(tx, container, row.name, moment_us)
    if versions.keeps(container.settings):
        _delete_to_keeper(tx, container, row)
        return
    if row.version_us is not None:
        versioning.archive(tx, container, row)
    else:
        waste(tx, row)
    _remove(tx, container, row)


def _delete_to_keeper(tx: Tx, container: Row[Any], row: Row[Any]) -> None:
    """Where another container keeps versions."""
    before = versions.newest(tx, container, row.name)
    if before is not None:
        keeper, version = before
        waste(tx, row)
        tx.delete(StoredObject, keeper.id, version.name)
        containers.count(tx, keeper, -1, -held_bytes(version._mapping))
        _replace(tx, container, row, {**version._mapping, "container_id": container.id, "name": row.name})
        return
    if versions.HISTORY in container.settings:
        versions.archive(tx, container, row, held_bytes(row._mapping))
        versions.mark_deleted(tx, container, row.name)
    else:
        waste(tx, row)
    _remove(tx, container, row)


def _replace(tx: Tx, container: Row[Any], before: Row[Any], values: Mapping[Any, Any]) -> None:
    changed = {key: value for key, value in values.items() if key not in ("name", "container_id")}
    tx.update(StoredObject, container.id, before.name, **changed)
    containers.count(tx, container, 0, held_bytes(values) - held_bytes(before._mapping))


def _remove(tx: Tx, container: Row[Any], row: Row[Any]) -> None:
    tx.delete(StoredObject, container.id, row.name)
    containers.count(tx, container, -1, -held_bytes(row._mapping))
