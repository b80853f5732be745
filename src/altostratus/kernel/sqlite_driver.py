# SPDX-License-Identifier: Apache-2.0
"""SQLite's driver, spoken to directly where SQLAlchemy costs more than the work, with the same errors and counts."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sqlalchemy.exc import DBAPIError

from altostratus.kernel.errors import OutOfSpace
from altostratus.kernel.prepared import Prepared

queries_run: ContextVar[list[str] | None] = ContextVar("queries_run", default=None)


def tell_driver(driver: Any, text: str, values: Sequence[Any] = ()) -> Any:
    """Run it; the driver's cursor. Raises DBAPIError, OutOfSpace."""
    seen = queries_run.get()
    if seen is not None:
        seen.append(text)
    try:
        return driver.execute(text, values)
    except sqlite3.Error as error:
        raise_if_full(error)
        raise DBAPIError.instance(text, list(values), error, sqlite3.Error) from error


def run_prepared(driver: Any, prepared: Prepared, values: Mapping[str, Any]) -> Any:
    return tell_driver(driver, prepared.text, prepared.values(values))


def raise_if_full(error: BaseException) -> None:
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        raise OutOfSpace("Nothing was changed: no room is left on the disk of the cloud's database. Free some.")


def count_query(_conn: Any, _cursor: Any, statement: str, _params: Any, _context: Any, _many: bool) -> None:
    """SQLAlchemy's event before each statement."""
    seen = queries_run.get()
    if seen is not None:
        seen.append(statement)


@contextmanager
def counting_queries() -> Iterator[list[str]]:
    """For tests: collects the statements run in this context (thread or task)."""
    seen: list[str] = []
    token = queries_run.set(seen)
    try:
        yield seen
    finally:
        queries_run.reset(token)
