# SPDX-License-Identifier: Apache-2.0
"""Versions of objects: S3's, and those of Swift's newer versioning (`X-Versions-Enabled`). Both are the same rows.

The current object of a name is in `objects`, as ever; what was there before is in `object_versions`, with markers of
deletions. A container that never kept versions has none there. One that does is *on*: what is replaced or deleted
stays; or *off* (S3: suspended): what has an id stays, but what is written has none and is called `null`.

A version's id is the moment at which it was made, as Swift writes moments. Only one version of a name is `null`.
"""

import heapq
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import bindparam, select

from altostratus.kernel.db import Row, Tx, table_of
from altostratus.services.object_store.logic import containers, listing, stored
from altostratus.services.object_store.logic.listing import Subdir, Wanted
from altostratus.services.object_store.logic.times import now_us, stamp
from altostratus.services.object_store.logic.versions import EMPTY_MD5, MARKER_TYPE
from altostratus.services.object_store.models import ObjectVersion, StoredObject

ENABLED = "x-versions-enabled"
NULL = "null"
_STEP_US = 10  # ids have five decimals
_ID = re.compile(r"(\d{1,10})\.(\d{5})")
_BEFORE_ALL = -(1 << 62)
_current, _version = table_of(StoredObject), table_of(ObjectVersion)
_SHARED = tuple(column.name for column in _current.c if column.name in _version.c)
_NEWEST = (
    select(_version)
    .where(_version.c.container_id == bindparam("container"), _version.c.name == bindparam("of"))
    .order_by(_version.c.newest_first)
    .limit(1)
)


def keeps(settings: Mapping[str, Any]) -> bool:
    """Does the container know versions: is it on or off?"""
    return ENABLED in settings


def is_on(settings: Mapping[str, Any]) -> bool:
    return settings.get(ENABLED) == str(True)


def id_of(row: Row[Any]) -> str:
    """Of a current object or of a version."""
    if is_version(row):
        return shown(None if row.is_null else -row.newest_first)
    return shown(row.version_us)


def shown(moment_us: int | None) -> str:
    return NULL if moment_us is None else stamp(moment_us)


def is_version(row: Row[Any]) -> bool:
    """Or a current object?"""
    return "newest_first" in row._mapping


def is_marker(row: Row[Any]) -> bool:
    return is_version(row) and bool(row.is_marker)


def moment_of(version_id: str) -> int | None:
    """In microseconds; None for `null`. Raises ValueError for what no version can be called."""
    if version_id == NULL:
        return None
    found = _ID.fullmatch(version_id)
    if found is None:
        raise ValueError(f"{version_id[:60]!r} is no version's id")
    return int(found[1]) * 1_000_000 + int(found[2]) * _STEP_US


def find(tx: Tx, container_id: str, name: str, version_id: str) -> Row[Any] | None:
    """The current object or the version of this id. Raises ValueError for what is no id."""
    moment = moment_of(version_id)
    current = tx.find(StoredObject, container_id, name)
    if current is not None and current.version_us == moment:
        # a version outlives the time that the object was to be there
        return None if moment is None and stored.has_expired(current) else current
    if moment is None:
        return _find_null(tx, container_id, name)
    found = tx.find(ObjectVersion, container_id, name, -moment)
    return None if found is None or found.is_null else found


def find_marker(tx: Tx, container_id: str, name: str) -> Row[Any] | None:
    """The marker that hides all versions of the name, if one does."""
    newest = _newest(tx, container_id, name)
    return newest if newest is not None and newest.noncurrent_us is None else None


def is_latest(row: Row[Any]) -> bool:
    """Is it the current object, or the marker that stands in its place?"""
    return not is_version(row) or row.noncurrent_us is None


def position(tx: Tx, container_id: str, name: str, version_id: str) -> tuple[str, float]:
    """The place of a version in listings. Raises ValueError for what is no id."""
    moment = moment_of(version_id)
    if moment is not None:
        return name, -moment
    null = _find_null(tx, container_id, name)
    return name, -math.inf if null is None else null.newest_first


def page(tx: Tx, container_id: str, wanted: Wanted, after: tuple[str, float] | None = None) -> list[Row[Any] | Subdir]:
    """Current objects and versions, the newest of a name first, behind `after` or `wanted.marker`."""
    found = heapq.merge(
        _current_items(tx, container_id, wanted, after),
        listing.items(
            tx, select(_version).where(_version.c.container_id == container_id),
            (_version.c.name, _version.c.newest_first), wanted,
            # no version sorts before all others: where `null` is the current one, all versions follow
            after if after is None or after[1] > -math.inf else (after[0], _BEFORE_ALL),
        ),
        key=_place, reverse=wanted.reverse,
    )  # fmt: skip
    return listing.limited(_once(found), wanted)


def _current_items(
    tx: Tx, container_id: str, wanted: Wanted, after: tuple[str, float] | None
) -> Iterator[Row[Any] | Subdir]:
    if after is not None:
        row = tx.find(StoredObject, container_id, after[0])
        fits = row is not None and row.name.startswith(wanted.prefix) and not listing.subdir_of(row.name, wanted)
        if row is not None and fits and (_place(row) < after if wanted.reverse else _place(row) > after):
            yield row
    statement = select(_current).where(_current.c.container_id == container_id)
    yield from listing.items(tx, statement, (_current.c.name,), wanted)


def _once(found: Iterable[Row[Any] | Subdir]) -> Iterator[Row[Any] | Subdir]:
    """Objects and versions may have the same common prefix."""
    before = ""
    for item in found:
        if isinstance(item, Subdir):
            if item == before:
                continue
            before = item
        yield item


def _place(item: Row[Any] | Subdir) -> tuple[str, float]:
    if isinstance(item, Subdir):
        return item, 0
    if is_version(item):
        return item.name, item.newest_first
    return item.name, -math.inf if item.version_us is None else -item.version_us


def is_alone(tx: Tx, container_id: str, marker: Row[Any]) -> bool:
    """Does the marker hide nothing?"""
    own = (_version.c.container_id == container_id, _version.c.name == marker.name)
    return len(tx.scalars(select(_version.c.newest_first).where(*own).limit(2))) == 1


def has_newer(tx: Tx, container_id: str, version: Row[Any], count: int) -> bool:
    """Are there so many newer versions that are not the current one?"""
    own = (_version.c.container_id == container_id, _version.c.name == version.name)
    newer = (_version.c.newest_first < version.newest_first, _version.c.noncurrent_us.is_not(None))
    return len(tx.scalars(select(_version.c.newest_first).where(*own, *newer).limit(count))) == count


def outlives(settings: Mapping[str, Any], row: Row[Any]) -> bool:
    """Does the current object stay as a version when it is replaced or deleted?"""
    return row.version_us is not None or (is_on(settings) and not stored.has_expired(row))


def make_way(
    tx: Tx, container: Row[Any], settings: Mapping[str, Any], name: str, before: Row[Any] | None
) -> int | None:
    """Something new becomes the current one; returns its moment, None for `null`. `settings` as they are now.

    `before`, the current one till now, is among the versions then, if it stays: the caller takes away its row.
    """
    newest, now = _newest(tx, container.id, name), now_us()
    last = _last_us(newest)
    if newest is not None and newest.noncurrent_us is None:
        tx.update(ObjectVersion, container.id, name, newest.newest_first, noncurrent_us=now)
    if before is not None and outlives(settings, before):
        last = max(last, _archive(tx, container, before, last, now))
    if not is_on(settings):
        _drop_null(tx, container, name)
        return None
    return _next(now, last)


def mark_deleted(tx: Tx, container: Row[Any], name: str, before: Row[Any] | None) -> str:
    """A marker becomes the newest of the name; returns its id. The row of `before` is the caller's, as above."""
    moment = make_way(tx, container, container.settings, name, before)
    place = _next(now_us(), _last_us(_newest(tx, container.id, name))) if moment is None else moment
    tx.insert(
        ObjectVersion, container_id=container.id, name=name, newest_first=-place, is_null=moment is None,
        is_marker=True, size=0, etag=EMPTY_MD5, content_type=MARKER_TYPE, modified_us=place, meta={}, headers={},
    )  # fmt: skip
    return shown(moment)


def archive(tx: Tx, container: Row[Any], row: Row[Any]) -> None:
    """The current one becomes a version, and nothing takes its place."""
    _archive(tx, container, row, _last_us(_newest(tx, container.id, row.name)), now_us())


def remove(tx: Tx, container: Row[Any], row: Row[Any]) -> None:
    """Delete a version for good."""
    stored.waste(tx, row)
    _take(tx, container, row)


def bring_back(tx: Tx, container: Row[Any], name: str) -> None:
    """The newest version becomes the current one, as S3 has it when the current one is deleted for good."""
    newest = _newest(tx, container.id, name)
    if newest is None:
        return
    if newest.is_marker:
        tx.update(ObjectVersion, container.id, name, newest.newest_first, noncurrent_us=None)
    else:
        make_current(tx, container, newest, None)


def make_current(tx: Tx, container: Row[Any], version: Row[Any], before: Row[Any] | None) -> None:
    """In the place of `before`, which stays as a version, or of a marker."""
    newest, now = _newest(tx, container.id, version.name), now_us()
    if newest is not None and newest.noncurrent_us is None:
        tx.update(ObjectVersion, container.id, version.name, newest.newest_first, noncurrent_us=now)
    _take(tx, container, version)
    values = {name: version._mapping[name] for name in _SHARED}
    values["version_us"] = None if version.is_null else -version.newest_first
    if before is None:
        tx.insert(StoredObject, **values)
        containers.count(tx, container, 1, stored.held_bytes(values))
        return
    if stored.has_expired(before) and before.version_us is None:
        stored.waste(tx, before)
    else:
        _archive(tx, container, before, _last_us(newest), now)
    tx.update(StoredObject, container.id, version.name, **values)
    containers.count(tx, container, 0, stored.held_bytes(values) - stored.held_bytes(before._mapping))


def _newest(tx: Tx, container_id: str, name: str) -> Row[Any] | None:
    return tx.first(_NEWEST, {"container": container_id, "of": name})


def _last_us(newest: Row[Any] | None) -> int:
    return 0 if newest is None else -int(newest.newest_first)


def _find_null(tx: Tx, container_id: str, name: str) -> Row[Any] | None:
    own = (_version.c.container_id == container_id, _version.c.name == name)
    return tx.first(select(_version).where(*own, _version.c.is_null))


def _archive(tx: Tx, container: Row[Any], row: Row[Any], last_us: int, now: int) -> int:
    """Its moment. One that has none gets that of its last change, and is the newest version in any case."""
    moment = row.version_us
    if moment is None:
        moment = _next(row.modified_us, last_us)
    values = {name: row._mapping[name] for name in _SHARED}
    tx.insert(
        ObjectVersion, **{**values, "expires_at": None}, newest_first=-moment, is_null=row.version_us is None,
        noncurrent_us=now,
    )  # fmt: skip
    containers.count(tx, container, 0, stored.held_bytes(values))
    return int(moment)


def _drop_null(tx: Tx, container: Row[Any], name: str) -> None:
    """What is written next is the one that is `null`."""
    null = _find_null(tx, container.id, name)
    if null is not None:
        remove(tx, container, null)


def _take(tx: Tx, container: Row[Any], version: Row[Any]) -> None:
    tx.delete(ObjectVersion, container.id, version.name, version.newest_first)
    containers.count(tx, container, 0, -stored.held_bytes(version._mapping))


def _next(moment_us: int, last_us: int) -> int:
    """A moment that is behind the last one, however fast or wrong the clock is."""
    return max(moment_us // _STEP_US * _STEP_US, last_us + _STEP_US)
