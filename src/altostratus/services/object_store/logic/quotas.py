# SPDX-License-Identifier: Apache-2.0
"""Quotas that are metadata: bytes and objects of an account or a container. 413 when one would be exceeded.

An account may have others for what it keeps by one storage policy, `quota-bytes-policy-INDEX`.
"""

from typing import Any

from sqlalchemy import bindparam, select

from altostratus.kernel.db import Db, Row, Tx, table_of
from altostratus.kernel.errors import BadRequest, TooLarge
from altostratus.services.object_store.errors import not_found
from altostratus.services.object_store.logic import containers
from altostratus.services.object_store.models import Account, Container, StoredObject

BYTES, COUNT = "quota-bytes", "quota-count"
KIND = "QuotaExceeded"
_OF_POLICY = (f"{BYTES}-policy-", f"{COUNT}-policy-")
_WORTH_ASKING_EARLY = 1 << 20
_account, _container, _object = table_of(Account).c, table_of(Container).c, table_of(StoredObject).c
_COUNTS = (
    select(
        _container.id, _container.account, _container.name, _container.policy, _container.meta, _container.settings,
        _container.object_count, _container.bytes_used,
        _account.meta.label("account_meta"), _account.bytes_used.label("account_bytes_used"),
        _account.object_count.label("account_object_count"),
        select(_object.name)
        .where(_object.container_id == _container.id, _object.name == bindparam("object_name"))
        .exists()
        .label("has_object"),
    )
    .join(table_of(Account), _account.name == _container.account)
    .where(_container.id == bindparam("container_id"))
)  # fmt: skip


def counts_of(tx: Tx, container: Row[Any], name: str = "") -> Row[Any]:
    """Present counts and quotas of a container and its account, and whether it has an object of this name.

    What this transaction has added up is only in them where there are quotas. Raises NotFound (container).
    """
    row = tx.first_of(_COUNTS, {"container_id": container.id, "object_name": name})
    if row is None:
        raise not_found("container", container.name)
    is_limited = any(map(is_of_account, (*row.meta, *row.account_meta)))
    return counts_of(tx, container, name) if is_limited and tx.write_sums() else row


def of_policy(name: str, policy: int) -> str:
    """The name of the quota for one storage policy."""
    return f"{name}-policy-{policy}"


def is_of_policy(name: str) -> bool:
    return name.startswith(_OF_POLICY)


def is_of_account(name: str) -> bool:
    return name in (BYTES, COUNT) or is_of_policy(name)


def demand(tx: Tx, counts: Row[Any], objects: int, size: int) -> None:
    """Raises TooLarge if so many objects and bytes more are too many."""
    if objects > 0 and counts.object_count + objects > _limit(counts.meta, COUNT):
        raise TooLarge(
            f"Upload exceeds quota: container {counts.name!r} may have {counts.meta[COUNT]} objects.", kind=KIND
        )
    if size > 0 and counts.bytes_used + size > _limit(counts.meta, BYTES):
        raise TooLarge(
            f"Upload exceeds quota: container {counts.name!r} may have {counts.meta[BYTES]} bytes.", kind=KIND
        )
    if objects > 0 and counts.account_object_count + objects > _limit(counts.account_meta, COUNT):
        raise TooLarge(f"Upload exceeds quota: the account may have {counts.account_meta[COUNT]} objects.", kind=KIND)
    if size > 0 and counts.account_bytes_used + size > _limit(counts.account_meta, BYTES):
        raise TooLarge(f"Upload exceeds quota: the account may have {counts.account_meta[BYTES]} bytes.", kind=KIND)
    if any(map(is_of_policy, counts.account_meta)):
        _demand_of_policy(tx, counts, objects, size)


def _demand_of_policy(tx: Tx, counts: Row[Any], objects: int, size: int) -> None:
    account = tx.get(Account, counts.account)
    _, held_objects, held_bytes = containers.counts_by_policy(tx, account).get(counts.policy, (0, 0, 0))
    for name, held, more in ((COUNT, held_objects, objects), (BYTES, held_bytes, size)):
        if more > 0 and held + more > _limit(counts.account_meta, of_policy(name, counts.policy)):
            raise TooLarge(
                "Upload exceeds policy quota: the account may have no more by this container's storage policy.",
                kind=KIND,
            )


def demand_early(db: Db, container: Row[Any], expected: int | None) -> None:
    """Before many bytes come that could not stay."""
    if expected is not None and expected >= _WORTH_ASKING_EARLY:
        with db.read() as tx:
            demand(tx, counts_of(tx, container), 0, expected)


def demand_numbers(changes: dict[str, str], names: tuple[str, ...]) -> None:
    """Raises BadRequest for a quota that is no whole number."""
    for name in names:
        value = changes.get(name, "")
        if value and not (value.isascii() and value.isdigit()):
            raise BadRequest(f"Invalid {name.replace('-', ' ')}: {value!r} is no whole number.")


def _limit(meta: dict[str, Any], name: str) -> float:
    return int(meta[name]) if name in meta else float("inf")
