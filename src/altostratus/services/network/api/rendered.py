# SPDX-License-Identifier: Apache-2.0
"""Rendered rows, remembered by id and revision.

Every change of a row raises its revision number, so a row that was rendered once at a revision need
not be read and rendered again: a list of many is one narrow query and a look-up for each.
"""

from collections.abc import Hashable
from itertools import islice
from threading import Lock
from typing import Any

import msgspec
from sqlalchemy import select

from altostratus.kernel.db import Row, table_of
from altostratus.kernel.resource.call import Call

Key = tuple[str, int]
_AT_ONCE = 500
_encode = msgspec.json.Encoder().encode


class Rendered:
    """At most `most` rows of each view, the oldest forgotten first. Safe between threads."""

    def __init__(self, most: int = 8192) -> None:
        self._most = most
        self._views: dict[Hashable, dict[Key, msgspec.Raw]] = {}
        self._lock = Lock()

    def of(self, call: Call, rows: list[Any], rights: Hashable) -> list[msgspec.Raw]:
        """JSON of `rows` (id, revision number); `rights` is what else the view depends on."""
        known = self._views.setdefault(rights, {}).get
        found = [known((row[0], row[1])) for row in rows]
        absent = [row[0] for row, item in zip(rows, found, strict=True) if item is None]
        fresh = self._render(call, absent, rights) if absent else {}
        return [fresh[row[0]] if item is None else item for row, item in zip(rows, found, strict=True)]

    def _render(self, call: Call, ids: list[str], rights: Hashable) -> dict[str, msgspec.Raw]:
        if call.resource.row is None:
            raise TypeError(f"{call.resource.__name__} has no model")
        table = table_of(call.resource.row)
        rows: list[Row[Any]] = []
        for at in range(0, len(ids), _AT_ONCE):
            rows += call.tx.rows(select(table).where(table.c.id.in_(ids[at : at + _AT_ONCE])))
        items = [msgspec.Raw(_encode(item)) for item in call.render(rows)]
        if not call.tx.writable:  # what a writer sees may be rolled back, and its revision used again
            made = {(row.id, row.revision_number): item for row, item in zip(rows, items, strict=True)}
            self._remember(self._views[rights], made)
        return {row.id: item for row, item in zip(rows, items, strict=True)}

    def _remember(self, view: dict[Key, msgspec.Raw], made: dict[Key, msgspec.Raw]) -> None:
        with self._lock:
            view |= made
            for key in list(islice(view, max(0, len(view) - self._most))):
                del view[key]
