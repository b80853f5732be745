# SPDX-License-Identifier: Apache-2.0
"""Accounts and containers, and their counts."""

from typing import Any

from sqlalchemy import bindparam, select, update

from altostratus.kernel import ids
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import Conflict
from altostratus.services.object_store.logic import parts
from altostratus.services.object_store.logic.times import now_us
from altostratus.services.object_store.models import Account, Container, StoredObject

_account, _container = table_of(Account), table_of(Container)
_COUNT_IN_CONTAINER = (
    update(_container)
    .where(_container.c.id == bindparam("key"))
    .values(
        object_count=_container.c.object_count + bindparam("objects"),
        bytes_used=_container.c.bytes_used + bindparam("bytes"),
    )
)
_COUNT_IN_ACCOUNT = (
    update(_account)
    .where(_account.c.name == bindparam("key"))
    .values(
        object_count=_account.c.object_count + bindparam("objects"),
        bytes_used=_account.c.bytes_used + bindparam("bytes"),
        container_count=_account.c.container_count + bindparam("containers"),
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


def put(tx: Tx, account: str, name: str, meta: dict[str, Any], settings: dict[str, Any]) -> tuple[Row[Any], bool]:
    """(the container, is it new?)"""
    ensure_account(tx, account)
    row = find(tx, account, name)
    if row is not None:
        tx.update(Container, row.id, meta=meta, settings=settings, modified_us=now_us())
        return tx.get(Container, row.id), False
    moment = now_us()
    key = ids.new_hex_id()
    tx.insert(
        Container, id=key, account=account, name=name, created_us=moment, modified_us=moment, meta=meta,
        settings=settings,
    )  # fmt: skip
    tx.execute(_COUNT_IN_ACCOUNT, {"key": account, "objects": 0, "bytes": 0, "containers": 1})
    return tx.get(Container, key), True


def delete(tx: Tx, row: Row[Any]) -> None:
    """Uploads in parts that go there end with it. Raises Conflict for a container that has objects."""
    item = table_of(StoredObject)
    if tx.first(select(item.c.name).where(item.c.container_id == row.id).limit(1)) is not None:
        raise Conflict(
            "There was a conflict when trying to complete your request. Delete the container's objects first.",
            kind="BucketNotEmpty",
        )
    size = parts.drop_uploads(tx, row.id)
    tx.delete(Container, row.id)
    tx.execute(_COUNT_IN_ACCOUNT, {"key": row.account, "objects": 0, "bytes": -size, "containers": -1})


def count(tx: Tx, container: Row[Any], objects: int, size: int) -> None:
    """Add to the counts of a container and its account, in the transaction that changes the objects."""
    tx.execute(_COUNT_IN_CONTAINER, {"key": container.id, "objects": objects, "bytes": size})
    tx.execute(_COUNT_IN_ACCOUNT, {"key": container.account, "objects": objects, "bytes": size, "containers": 0})
