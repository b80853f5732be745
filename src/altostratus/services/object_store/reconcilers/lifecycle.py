# SPDX-License-Identifier: Apache-2.0
"""Carries out the rules of lifecycles: once a day over each bucket that has some, in the order of its keys.

A pass goes page by page, and after each page its place is a row: whatever ends it, it goes on from there. A run does
so many pages and rests until the next, so that clients have the database.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from altostratus.kernel import clock
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.reconcilers import Reconciler
from altostratus.services.object_store.logic import lifecycle, listing, multipart, objects, versioning
from altostratus.services.object_store.logic.lifecycle import DAY_S, Rule
from altostratus.services.object_store.logic.listing import Wanted
from altostratus.services.object_store.models import (
    Container,
    LifecyclePass,
    MultipartUpload,
    ObjectVersion,
    StoredObject,
)
from altostratus.services.object_store.reconcilers.waste import TOPIC

_ROWS_A_RUN = 10_000
_PAGE_COST = 50  # in rows
_ROWS_A_PAGE = 500
_CHANGES_AT_ONCE = 100
_pass, _object, _version = table_of(LifecyclePass), table_of(StoredObject), table_of(ObjectVersion)


@dataclass(frozen=True, slots=True)
class _Bucket:
    """`now_s` is the midnight that this day began with: later is for the next pass."""

    row: Row[Any]
    rules: list[Rule]
    prefix: str
    now_s: int


@dataclass(frozen=True, slots=True)
class _Stage:
    """`page(tx, bucket, position)` reads rows with their positions, `end(tx, bucket, row)` ends one if it is due.

    `may_end(bucket, row)` tells for most rows, without a query, that they are not due.
    """

    page: Callable[[Tx, _Bucket, list[Any]], list[tuple[Row[Any], list[Any]]]]
    may_end: Callable[[_Bucket, Row[Any]], bool]
    end: Callable[[Tx, _Bucket, Row[Any]], None]


def carry_out(cloud: Cloud) -> None:
    seen = 0
    while seen < _ROWS_A_RUN:
        rows = _carry_on(cloud)
        if rows is None:
            return
        seen += rows + _PAGE_COST


def _carry_on(cloud: Cloud) -> int | None:
    """One page; how many rows it had. None: nothing is left to do today."""
    today = int(clock.unix()) // DAY_S
    with cloud.db.read() as tx:
        due = tx.first(select(_pass).where(_pass.c.done_day < today).order_by(_pass.c.done_day).limit(1))
        container = None if due is None else tx.find(Container, due.container_id)
        if due is None:
            return None
        bucket = None if container is None else _bucket_of(container, today)
        stage = _STAGES[due.stage]
        page = stage.page(tx, bucket, due.position) if bucket is not None else []
    if bucket is not None:
        ending = [row for row, _ in page if stage.may_end(bucket, row)]
        for start in range(0, len(ending), _CHANGES_AT_ONCE):
            with cloud.db.write() as tx:
                for row in ending[start : start + _CHANGES_AT_ONCE]:
                    stage.end(tx, bucket, row)
        if ending:
            cloud.bus.wake(TOPIC)
    with cloud.db.write() as tx:
        _remember(tx, due, page[-1][1] if len(page) == _ROWS_A_PAGE else None, today)
    return len(page)


def _bucket_of(container: Row[Any], today: int) -> _Bucket:
    rules = lifecycle.rules_of(container)
    return _Bucket(container, rules, lifecycle.common_prefix(rules), today * DAY_S)


def _remember(tx: Tx, due: Row[Any], position: list[Any] | None, today: int) -> None:
    """Unless the rules were set anew meanwhile: then it begins again."""
    now = tx.find(LifecyclePass, due.container_id)
    if now is None or (now.stage, now.position, now.done_day) != (due.stage, due.position, due.done_day):
        return
    if position is not None:
        tx.update(LifecyclePass, due.container_id, position=position)
        return
    stages = list(_STAGES)
    following = stages[stages.index(due.stage) + 1 :]
    if following:
        tx.update(LifecyclePass, due.container_id, stage=following[0], position=[])
    else:
        tx.update(LifecyclePass, due.container_id, stage=lifecycle.FIRST_STAGE, position=[], done_day=today)


# current objects


def _objects(tx: Tx, bucket: _Bucket, position: list[Any]) -> list[tuple[Row[Any], list[Any]]]:
    if not any(rule.expires for rule in bucket.rules):
        return []
    wanted = Wanted(_ROWS_A_PAGE, marker=position[0] if position else "", prefix=bucket.prefix)
    own = select(_object).where(_object.c.container_id == bucket.row.id)
    return [(row, [row.name]) for row in listing.page(tx, own, _object, wanted) if not isinstance(row, str)]


def _object_is_over(bucket: _Bucket, row: Row[Any]) -> bool:
    return lifecycle.is_over(bucket.rules, row, bucket.now_s)


def _end_object(tx: Tx, bucket: _Bucket, row: Row[Any]) -> None:
    """As if its owner deleted it, unless it was replaced meanwhile."""
    now = objects.find(tx, bucket.row.id, row.name)
    if now is not None and _object_is_over(bucket, now):
        objects.delete(tx, bucket.row, row.name, leaves_null=True)


# versions, and markers


def _versions(tx: Tx, bucket: _Bucket, position: list[Any]) -> list[tuple[Row[Any], list[Any]]]:
    if not any(rule.expires or rule.lone_markers or rule.noncurrent_days is not None for rule in bucket.rules):
        return []
    order = (_version.c.name, _version.c.newest_first)
    own = select(_version).where(_version.c.container_id == bucket.row.id)
    wanted = Wanted(_ROWS_A_PAGE, prefix=bucket.prefix)
    found = listing.limited(listing.items(tx, own, order, wanted, tuple(position) or None), wanted)
    return [(row, [row.name, row.newest_first]) for row in found if not isinstance(row, str)]


def _version_may_end(bucket: _Bucket, row: Row[Any]) -> bool:
    if row.noncurrent_us is None:
        return lifecycle.hides_for_nothing(bucket.rules, row, bucket.now_s)
    return lifecycle.may_keep(bucket.rules, row, bucket.now_s) is not None


def _end_version(tx: Tx, bucket: _Bucket, row: Row[Any]) -> None:
    now = tx.find(ObjectVersion, bucket.row.id, row.name, row.newest_first)
    if now is None or not _version_may_end(bucket, now):
        return
    if now.noncurrent_us is None:
        if versioning.is_alone(tx, bucket.row.id, now):
            versioning.remove(tx, bucket.row, now)
        return
    newer = lifecycle.may_keep(bucket.rules, now, bucket.now_s)
    if newer is not None and versioning.has_newer(tx, bucket.row.id, now, newer):
        versioning.remove(tx, bucket.row, now)


# uploads in parts


def _uploads(tx: Tx, bucket: _Bucket, position: list[Any]) -> list[tuple[Row[Any], list[Any]]]:
    if all(rule.abort_days is None for rule in bucket.rules):
        return []
    name, upload_id = position or ("", "")
    rows = multipart.list_uploads(tx, bucket.row, bucket.prefix, (name, upload_id), _ROWS_A_PAGE)
    return [(row, [row.name, row.id]) for row in rows]


def _upload_is_over(bucket: _Bucket, row: Row[Any]) -> bool:
    expiry = lifecycle.abort_of(bucket.rules, row.name, row.created_us)
    return expiry is not None and expiry.at_s <= bucket.now_s


def _end_upload(tx: Tx, bucket: _Bucket, row: Row[Any]) -> None:
    if tx.find(MultipartUpload, row.id) is not None:
        multipart.abort(tx, bucket.row, row)


_STAGES = {
    lifecycle.FIRST_STAGE: _Stage(_objects, _object_is_over, _end_object),
    "versions": _Stage(_versions, _version_may_end, _end_version),
    "uploads": _Stage(_uploads, _upload_is_over, _end_upload),
}
CARRY_OUT_LIFECYCLES = Reconciler("object_store.lifecycle", 5.0, carry_out)
