# SPDX-License-Identifier: Apache-2.0
"""Standard attributes: how rows begin and how they change."""

from typing import Any

from sqlalchemy import update

from altostratus.kernel import clock, ids
from altostratus.kernel.db import Model, Tx, table_of


def begin(project_id: str, id: str | None = None) -> dict[str, Any]:
    """Values that every new row of a resource has."""
    moment = clock.now()
    return {
        "id": id or ids.new_id(),
        "project_id": project_id,
        "revision_number": 0,
        "created_at": moment,
        "updated_at": moment,
    }


def change(tx: Tx, model: type[Model], id: str, **values: Any) -> int:
    """Change one row and raise its revision; the number of rows changed."""
    table = table_of(model)
    statement = (
        update(table)
        .where(table.c.id == id)
        .values(revision_number=table.c.revision_number + 1, updated_at=clock.now(), **values)
    )
    return tx.execute(statement).rowcount


def change_where(tx: Tx, model: type[Model], *conditions: Any, **values: Any) -> int:
    """The same for all rows that meet the conditions."""
    table = table_of(model)
    statement = (
        update(table)
        .where(*conditions)
        .values(revision_number=table.c.revision_number + 1, updated_at=clock.now(), **values)
    )
    return tx.execute(statement).rowcount
