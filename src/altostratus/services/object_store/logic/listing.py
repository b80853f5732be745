# SPDX-License-Identifier: Apache-2.0
"""Pages of names: prefix, delimiter, markers, both directions. A page costs the same in a container of any size."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, tuple_

from altostratus.kernel.db import Row, Tx

_CHUNK, _FEW = 500, 8
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
    return limited(items(tx, statement, (table.c.name,), wanted), wanted)


def limited(found: Iterable[Row[Any] | Subdir], wanted: Wanted) -> list[Row[Any] | Subdir]:
    """As many as are wanted."""
    shown = (item for item in found if not (wanted.flat and isinstance(item, Subdir)))
    return list(itertools.islice(shown, wanted.limit))


def items(
    tx: Tx, statement: Select[Any], order: tuple[ColumnElement[Any], ...], wanted: Wanted,
    after: tuple[Any, ...] | None = None,
) -> Iterator[Row[Any] | Subdir]:  # fmt: skip
    """Without end. `order` is the name, and what orders rows of the same name; `after` a row's place, or a name."""
    ordered = _bounded(statement, order, wanted)
    position = after or ((wanted.marker,) if wanted.marker else ())
    inside, size = "", min(wanted.limit, _FEW if wanted.delimiter else _CHUNK)
    while size:
        shown = 0
        place = (inside + _LAST if not wanted.reverse else inside,) if inside else position
        rows = tx.rows(_behind(ordered, order, place, wanted).limit(size))
        for row in rows:
            position = tuple(row._mapping[column.key or ""] for column in order)
            if inside and row.name.startswith(inside):
                continue
            inside, shown = subdir_of(row.name, wanted), shown + 1
            if not inside:
                yield row
            elif not _is_behind(inside, wanted):
                yield Subdir(inside)
        if len(rows) < size:
            return
        size = _next_size(size, shown) if wanted.delimiter else _CHUNK


def _next_size(size: int, shown: int) -> int:
    """Where a common prefix stands for most rows of a chunk, the next one is small: it is cheaper to jump over them."""
    return min(size * 4, _CHUNK) if shown * 4 >= size else _FEW


# One bound at each end: of two, SQLite searches by one of them and reads all that lies between it and the other.


def _behind(
    statement: Select[Any], order: tuple[ColumnElement[Any], ...], place: tuple[Any, ...], wanted: Wanted
) -> Select[Any]:
    """What comes after the place, or from the beginning."""
    name, reverse = order[0], wanted.reverse
    first = wanted.prefix + _LAST if reverse else wanted.prefix
    if not place or (wanted.prefix and (place[0] > first if reverse else place[0] < first)):
        if not wanted.prefix:
            return statement
        return statement.where(name < first if reverse else name >= first)
    # one column is no tuple: SQLite makes less of it
    here = name if len(place) == 1 else tuple_(*order)
    there = place[0] if len(place) == 1 else tuple_(*place, types=[column.type for column in order])
    return statement.where(here < there if reverse else here > there)


def _bounded(statement: Select[Any], order: tuple[ColumnElement[Any], ...], wanted: Wanted) -> Select[Any]:
    """In order, up to the end."""
    name, prefix, end = order[0], wanted.prefix, wanted.end_marker
    if wanted.reverse:
        if end and end >= prefix:
            statement = statement.where(name > end)
        elif prefix:
            statement = statement.where(name >= prefix)
    elif prefix or end:
        ends = ([prefix + _LAST] if prefix else []) + ([end] if end else [])
        statement = statement.where(name < min(ends))
    return statement.order_by(*(column.desc() if wanted.reverse else column for column in order))


def subdir_of(name: str, wanted: Wanted) -> str:
    """The common prefix that stands for the name, or nothing."""
    if not wanted.delimiter:
        return ""
    found = name.find(wanted.delimiter, len(wanted.prefix))
    return "" if found < 0 else name[: found + len(wanted.delimiter)]


def _is_behind(subdir: str, wanted: Wanted) -> bool:
    """Was this common prefix the last item of the page before?"""
    return bool(wanted.marker) and (subdir >= wanted.marker if wanted.reverse else subdir <= wanted.marker)
