# SPDX-License-Identifier: Apache-2.0
"""Every stored secret is sealed with the key that is in use: after a new one was made, all are sealed anew.

Nothing remembers how far that has come. What is sealed with an older key is found by trying, so a pass that was cut
off is simply run again, and an older key is dropped only after a pass that found nothing sealed with it.
"""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import select, tuple_

from altostratus.kernel import log
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Model, Row, Tx, table_of
from altostratus.services.identity.tokens.key_ring import CredentialKeys

TOPIC = "identity.keys"
PREFIX = "encrypted_"
# requests that sealed with an older key have written by then, and other processes have met the new one
KEEP_REPLACED_S = 3600.0
_AT_ONCE = 200
_log = log.get("identity")


def sealed_columns() -> Iterator[tuple[type[Model], str]]:
    """Every column of every table whose name says that its text is sealed."""
    for mapper in Model.registry.mappers:
        for column in table_of(mapper.class_).columns:
            if column.name.startswith(PREFIX):
                yield mapper.class_, column.name


def keep_up(cloud: Cloud) -> None:
    """Seal anew what an older key sealed; when there is nothing left and their time has come, drop older keys."""
    keys = cloud.part(CredentialKeys)
    files = keys.folder.files()
    if len(files) < 2 or keys.folder.number_in_use() != files[-1].number:
        return  # nothing to do, or the new key is too young: the next pass
    newest = files[-1].number
    if keys.clean_with == newest and not keys.folder.replaced(KEEP_REPLACED_S):
        return
    changed = sum(_reseal(cloud, model, column) for model, column in sealed_columns())
    if changed:
        _log.info("%d stored secrets are sealed with key %d now", changed, newest)
        return  # what came meanwhile is found by the next pass
    keys.clean_with = newest
    if dropped := keys.folder.drop_replaced(KEEP_REPLACED_S):
        _log.info("keys %s of stored secrets are dropped: nothing is sealed with them any more", dropped)


def count_behind(tx: Tx, cloud: Cloud) -> int:
    """Secrets that are sealed with an older key than the newest."""
    keys = cloud.part(CredentialKeys)
    return sum(
        not keys.is_newest(text)
        for model, column in sealed_columns()
        for text in tx.scalars(select(table_of(model).c[column]).where(table_of(model).c[column].is_not(None)))
    )


def _reseal(cloud: Cloud, model: type[Model], column: str) -> int:
    """Seal this column anew, some rows in a transaction; returns how many needed it."""
    table = table_of(model)
    key = list(table.primary_key.columns)
    page = select(*key, table.c[column]).where(table.c[column].is_not(None)).order_by(*key).limit(_AT_ONCE)
    last: tuple[Any, ...] | None = None
    changed = 0
    while True:
        with cloud.db.write() as tx:
            rows = tx.rows(page if last is None else page.where(tuple_(*key) > last))
            changed += sum(_reseal_one(tx, cloud, model, column, row) for row in rows)
        if len(rows) < _AT_ONCE:
            return changed
        last = tuple(rows[-1][: len(key)])


def _reseal_one(tx: Tx, cloud: Cloud, model: type[Model], column: str, row: Row[Any]) -> int:
    """1 if it was needed. A secret that no key opens stays, and keeps the older keys: its key may come back."""
    keys, text, table = cloud.part(CredentialKeys), row[-1], table_of(model)
    try:
        if keys.is_newest(text):
            return 0
        anew = keys.seal(keys.unseal(text))
    except ValueError:
        _log.error("no key opens %s of %s %s; put its key back into the folder", column, table.name, tuple(row[:-1]))
        return 1
    where = [one == value for one, value in zip(table.primary_key.columns, row, strict=False)]
    return tx.update_where(model, *where, table.c[column] == text, **{column: anew})
