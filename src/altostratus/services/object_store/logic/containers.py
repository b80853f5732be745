# SPDX-License-Identifier: Apache-2.0
"""Accounts and containers, and their counts."""

from typing import Any

from sqlalchemy import bindparam, select, update

from altostratus.kernel import ids
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import Conflict
from altostratus.services.object_store.logic import parts, syncing
from altostratus.services.object_store.logic.times import now_us
from altostratus.services.object_store.models import (
    Account,
    Container,
    LifecyclePass,
    ObjectVersion,
    PolicyCounts,
    StoredObject,
)

_account, _container, _counts = table_of(Account), table_of(Container), table_of(PolicyCounts)
_COUNT_IN_CONTAINER = (
    update(_container)
    .where(_container.c.id == bindparam("key"))
    .values(
        object_count=_container.c.object_count + bindparam("objects"),
        bytes_used=_container.c.bytes_used + bindparam("bytes"),
        changes=_container.c.changes + bindparam("changes"),
    )
)
_COUNT_IN_ACCOUNT = (
    update(_account)
    .where(_account.c.name == bindparam("key"))
    .values(
        object_count=_account.c.object_count + bindparam("objects"),
        bytes_used=_account.c.bytes_used + bindparam("bytes"),
        container_count=_account.c.container_count + bindparam("containers"),
        changes=_account.c.changes + bindparam("changes"),
    )
)
_COUNT_BY_POLICY = (
    update(_counts)
    .where(_counts.c.account == bindparam("key"), _counts.c.policy == bindparam("of_policy"))
    .values(
        object_count=_counts.c.object_count + bindparam("objects"),
        bytes_used=_counts.c.bytes_used + bindparam("bytes"),
        container_count=_counts.c.container_count + bindparam("containers"),
    )
)


def ensure_account(tx: Tx, name: str) -> Row[Any]:
    """Accounts come into being with the first thing that is written to them."""
    row = tx.find(Account, name)
    if row is None:
        tx.insert(Account, name=name, created_us=now_us(), meta={})
        row = tx.get(Account, name)
    return row


def find(tx: Tx, account: str, name: str) -> Row[Any] | None:
    return tx.find(Container, account=account, name=name)


def put(
    tx: Tx, account: str, name: str, meta: dict[str, Any], settings: dict[str, Any], *, policy: int = 0
) -> tuple[Row[Any], bool]:
    """(the container, is it new?) `policy` is that of a new one."""
    ensure_account(tx, account)
    row = find(tx, account, name)
    if row is not None:
        tx.update(Container, row.id, meta=meta, settings=settings, modified_us=now_us())
        syncing.watch(tx, row.id, row.settings, settings)
        return tx.get(Container, row.id), False
    moment = now_us()
    key = ids.new_hex_id()
    tx.insert(
        Container, id=key, account=account, name=name, created_us=moment, modified_us=moment, meta=meta,
        settings=settings, policy=policy,
    )  # fmt: skip
    syncing.watch(tx, key, {}, settings)
    row = tx.get(Container, key)
    _count_in_account(tx, row, 0, 0, 1)
    return row, True


def set_s3(tx: Tx, row: Row[Any], **said: Any) -> None:
    """Change what only S3 sets; None takes away."""
    told = {name: value for name, value in {**(row.s3 or {}), **said}.items() if value is not None}
    tx.update(Container, row.id, s3=told or None)


def delete(tx: Tx, row: Row[Any]) -> None:
    """Uploads in parts that go there end with it. Raises Conflict for a container that has objects, or versions."""
    for model, what in ((StoredObject, "objects"), (ObjectVersion, "versions of objects")):
        item = table_of(model).c
        if tx.first(select(item.name).where(item.container_id == row.id).limit(1)) is not None:
            raise Conflict(
                f"There was a conflict when trying to complete your request. Delete the container's {what} first.",
                kind="BucketNotEmpty",
            )
    size = parts.drop_uploads(tx, row.id)
    tx.delete(Container, row.id)
    syncing.watch(tx, row.id, row.settings, {})
    tx.delete(LifecyclePass, row.id)
    _count_in_account(tx, row, 0, -size, -1)


def count(tx: Tx, container: Row[Any], objects: int, size: int) -> None:
    """Add to the counts of a container and its account, in the transaction that changes the objects."""
    tx.add_up(_COUNT_IN_CONTAINER, container.id, objects=objects, bytes=size, changes=1)
    _count_in_account(tx, container, objects, size, 0)


def counts_by_policy(tx: Tx, account: Row[Any]) -> dict[int, tuple[int, int, int]]:
    """(containers, objects, bytes) by index of the storage policy, of those that the account has used."""
    found = {
        row.policy: (row.container_count, row.object_count, row.bytes_used)
        for row in tx.rows(select(_counts).where(_counts.c.account == account.name))
    }
    whole = account.container_count, account.object_count, account.bytes_used
    rest = tuple(of_all - sum(some[place] for some in found.values()) for place, of_all in enumerate(whole))
    return {0: (rest[0], rest[1], rest[2]), **found} if any(rest) or not found else found


def _count_in_account(tx: Tx, container: Row[Any], objects: int, size: int, containers: int) -> None:
    tx.add_up(_COUNT_IN_ACCOUNT, container.account, objects=objects, bytes=size, containers=containers, changes=1)
    if not container.policy:
        return
    values = {"key": container.account, "objects": objects, "bytes": size, "containers": containers}
    if not tx.change(_COUNT_BY_POLICY, {**values, "of_policy": container.policy}):
        tx.insert(
            PolicyCounts, account=container.account, policy=container.policy, container_count=containers,
            object_count=objects, bytes_used=size,
        )  # fmt: skip
