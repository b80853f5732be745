# SPDX-License-Identifier: Apache-2.0
"""Pages of names: prefix, delimiter, markers, both directions. A page costs the same in a container of any size."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, Table

from altostratus.kernel.db import Row, Tx

_CHUNK = 500
# sorts behind every text that begins with what stands before it
_LAST = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is listed. `flat` leaves out the common prefixes that the delimiter makes (`path=` of old clients)."""

    limit: int
    marker: str = ""
    end_marker: str = ""
    prefix: str = ""
    delimiter: str = ""
    reverse: bool = False
    flat: bool = False


class Subdir(str):
    """A common prefix, in the place of all names that begin with it."""

    __slots__ = ()


def page(tx: Tx, statement: Select[Any], table: Table, wanted: Wanted) -> list[Row[Any] | Subdir]:
    """Rows and common prefixes in order of their names' bytes. `statement` selects rows of `table` with a `name`."""
    found: list[Row[Any] | Subdir] = []
    for item in _items(tx, statement, table, wanted):
        if len(found) == wanted.limit:
            break
        if not (wanted.flat and isinstance(item, Subdir)):
            found.append(item)
    return found


def _items(tx: Tx, statement: Select[Any], table: Table, wanted: Wanted) -> Iterator[Row[Any] | Subdir]:
    name, ordered = table.c.name, _bounded(statement, table, wanted)
    position, inside = wanted.marker, ""
    size = min(wanted.limit, _CHUNK)
    while size:
        after = ordered
        if inside:
            after = after.where(name < inside if wanted.reverse else name > inside + _LAST)
        elif position:
            after = after.where(name < position if wanted.reverse else name > position)
        rows = tx.rows(after.limit(size))
        for row in rows:
            position = row.name
            if inside and row.name.startswith(inside):
                continue
            inside = _subdir_of(row.name, wanted)
            if not inside:
                yield row
            elif not _is_behind(inside, wanted):
                yield Subdir(inside)
        if len(rows) < size:
            return
        size = _CHUNK


def _bounded(statement: Select[Any], table: Table, wanted: Wanted) -> Select[Any]:
    name = table.c.name
    if wanted.prefix:
        statement = statement.where(name >= wanted.prefix, name < wanted.prefix + _LAST)
    if wanted.end_marker:
        statement = statement.where(name > wanted.end_marker if wanted.reverse else name < wanted.end_marker)
    return statement.order_by(name.desc() if wanted.reverse else name)


def _subdir_of(name: str, wanted: Wanted) -> str:
    if not wanted.delimiter:
        return ""
    found = name.find(wanted.delimiter, len(wanted.prefix))
    return "" if found < 0 else name[: found + len(wanted.delimiter)]


def _is_behind(subdir: str, wanted: Wanted) -> bool:
    """Was this common prefix the last item of the page before?"""
    return bool(wanted.marker) and (subdir >= wanted.marker if wanted.reverse else subdir <= wanted.marker)
