# SPDX-License-Identifier: Apache-2.0
"""One transaction: Core statements on rows of models, most of them by key and made once."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Executable, Row, Table, bindparam, delete, insert, select, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import CursorResult

from altostratus.kernel.errors import NotFound, OutOfSpace
from altostratus.kernel.model import Model, table_of
from altostratus.kernel.prepared import Prepared
from altostratus.kernel.sqlite_driver import run_prepared, tell_driver

# Statements by key, made once: building one takes several times as long as running it.


def _key_conditions(table: Table, count: int) -> list[Any]:
    columns = list(table.primary_key.columns)[:count]
    return [column == bindparam(f"key_{number}_") for number, column in enumerate(columns)]


def _named(key: tuple[Any, ...]) -> dict[str, Any]:
    return {f"key_{number}_": value for number, value in enumerate(key)}


def _whole_key(table: Table, count: int) -> list[Any]:
    if count != len(table.primary_key.columns):
        raise ValueError(f"{table.name} has a key of {len(table.primary_key.columns)} columns, not {count}")
    return _key_conditions(table, count)


_SQLITE = sqlite.dialect()


@lru_cache(maxsize=1024)
def _prepared(statement: Executable, names: tuple[str, ...] | None = None) -> Prepared | None:
    """None for what cannot be."""
    try:
        return Prepared(statement, _SQLITE, names)
    except ValueError:
        return None


@lru_cache(maxsize=2048)
def _select_by(model: type[Model], count: int, names: tuple[str, ...]) -> Any:
    table = table_of(model)
    return select(table).where(*_key_conditions(table, count), *(table.c[name] == bindparam(name) for name in names))


@lru_cache(maxsize=1024)
def _insert_into(model: type[Model]) -> Any:
    return insert(table_of(model))


@lru_cache(maxsize=1024)
def _update_by(model: type[Model], count: int) -> Any:
    table = table_of(model)
    return update(table).where(*_whole_key(table, count))


@lru_cache(maxsize=1024)
def _delete_by(model: type[Model], count: int) -> Any:
    table = table_of(model)
    return delete(table).where(*_whole_key(table, count))


class Tx:
    """One transaction. Rows come back as SQLAlchemy `Row`: plain, immutable, attribute access."""

    def __init__(self, conn: Connection, *, writable: bool, driver: Any = None) -> None:
        """`driver` is SQLite's own connection, for statements that are prepared."""
        self.conn = conn
        self.writable = writable
        self._driver = driver
        self._after: list[Callable[[], None]] = []
        self._sums: dict[tuple[Executable, str], dict[str, int]] = {}

    def execute(self, statement: Executable, values: Any = None) -> CursorResult[Any]:
        return self.conn.execute(statement, values)

    def rows(self, statement: Executable, values: Any = None) -> list[Row[Any]]:
        """`values` are those of the statement's `bindparam`s: statements made once cost a quarter of new ones."""
        return list(self.conn.execute(statement, values).fetchall())

    def first(self, statement: Executable, values: Any = None) -> Row[Any] | None:
        return self.conn.execute(statement, values).first()

    def scalar(self, statement: Executable, values: Any = None) -> Any:
        return self.conn.execute(statement, values).scalar()

    def scalars(self, statement: Executable, values: Any = None) -> list[Any]:
        return list(self.conn.execute(statement, values).scalars())

    def find(self, model: type[Model], *key: Any, **by: Any) -> Row[Any] | None:
        """The row with this primary key, or the first with these column values; None if there is none."""
        if None in by.values():
            table = table_of(model)
            where = [table.c[name] == value for name, value in by.items()]
            return self.conn.execute(
                select(table).where(*_key_conditions(table, len(key)), *where), _named(key)
            ).first()
        return self.first_of(_select_by(model, len(key), tuple(by)), {**_named(key), **by})

    def first_of(self, statement: Executable, values: dict[str, Any]) -> Row[Any] | None:
        """`first` of a statement that is made once: it is prepared."""
        prepared = _prepared(statement) if self._driver is not None else None
        if prepared is None:
            return self.conn.execute(statement, values).first()
        found = run_prepared(self._driver, prepared, values).fetchone()
        return None if found is None else prepared.row(found)

    def change(self, statement: Executable, values: dict[str, Any], *, columns: tuple[str, ...] | None = None) -> int:
        """Run an INSERT, UPDATE or DELETE that is made once; the number of rows. `columns` are those that it sets."""
        prepared = _prepared(statement, columns) if self._driver is not None else None
        if prepared is None:
            return self.conn.execute(statement, values).rowcount
        return int(run_prepared(self._driver, prepared, values).rowcount)

    def add_up(self, statement: Executable, key: str, **amounts: int) -> None:
        """An UPDATE of counters, run once before the commit, with the sums of what was given for the same key.

        It is made once, with `bindparam`s of the amounts and `key`. Who reads such counters in the transaction that
        changes them calls `write_sums` before.
        """
        sums = self._sums.get((statement, key))
        if sums is None:
            sums = self._sums[statement, key] = dict.fromkeys(amounts, 0)
        for name, amount in amounts.items():
            sums[name] += amount

    def write_sums(self) -> bool:
        """Whether there were any. In the order of their keys: no two transactions wait for each other."""
        sums, self._sums = self._sums, {}
        for statement, key in sorted(sums, key=lambda entry: entry[1]):
            self.change(statement, {"key": key, **sums[statement, key]})
        return bool(sums)

    def get(self, model: type[Model], *key: Any, what: str | None = None, **by: Any) -> Row[Any]:
        """Like `find`, but raises NotFound; `what` names the thing in the message ("volume")."""
        row = self.find(model, *key, **by)
        if row is None:
            name = what or model.__name__.lower()
            shown = ", ".join(str(part) for part in (*key, *by.values()))
            raise NotFound(f"No {name} with id {shown} exists.", kind=f"{model.__name__}NotFound")
        return row

    def insert(self, model: type[Model], **values: Any) -> None:
        self.change(_insert_into(model), values, columns=tuple(values))

    def insert_many(self, model: type[Model], rows: Iterable[Mapping[str, Any]]) -> None:
        many = list(rows)
        if many:
            self.conn.execute(insert(table_of(model)), many)

    def update(self, model: type[Model], *key: Any, **values: Any) -> int:
        """Change the row with this primary key; the number of rows changed (0 or 1)."""
        return self.change(_update_by(model, len(key)), {**values, **_named(key)}, columns=tuple(values))

    def update_where(self, model: type[Model], *conditions: Any, **values: Any) -> int:
        return self.conn.execute(update(table_of(model)).where(*conditions), values).rowcount

    def delete(self, model: type[Model], *key: Any) -> int:
        return self.change(_delete_by(model, len(key)), _named(key))

    def delete_where(self, model: type[Model], *conditions: Any) -> int:
        return self.conn.execute(delete(table_of(model)).where(*conditions)).rowcount

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo only what happened inside when it raises."""
        self.write_sums()
        kept, point = len(self._after), _Point(self._driver) if self._driver is not None else self.conn.begin_nested()
        try:
            yield
        except BaseException as error:
            del self._after[kept:]
            self._sums.clear()
            if not isinstance(error, OutOfSpace):  # then the database has undone the whole transaction
                point.rollback()
            raise
        point.commit()

    def after_commit(self, effect: Callable[[], None]) -> None:
        """Run `effect` once the transaction is safely on disk; never if it rolls back."""
        self._after.append(effect)

    def run_after_commit(self) -> None:
        effects, self._after = self._after, []
        for effect in effects:
            effect()


class _Point:
    """A savepoint of SQLite's; the innermost one is meant, so all have the same name."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        tell_driver(driver, "SAVEPOINT point")

    def rollback(self) -> None:
        tell_driver(self._driver, "ROLLBACK TO point")
        self.commit()

    def commit(self) -> None:
        tell_driver(self._driver, "RELEASE point")
