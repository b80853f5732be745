# SPDX-License-Identifier: Apache-2.0
"""One database: typed models for the schema, Core statements for the queries.

A request or a job step runs in one `Tx`. Writers of one process queue on a lock, so SQLite's single
writer is never fought over; `BEGIN IMMEDIATE` guards against other processes. No I/O but SQL happens
inside a transaction. Effects outside the database are registered with `after_commit`.
"""

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Engine,
    ExceptionContext,
    Executable,
    Row,
    String,
    Table,
    Text,
    TypeDecorator,
    bindparam,
    create_engine,
    delete,
    event,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import CursorResult, Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from altostratus.kernel.bus import Bus, LocalBus
from altostratus.kernel.errors import NotFound, OutOfSpace
from altostratus.kernel.prepared import Prepared
from altostratus.kernel.sqlite_driver import count_query, counting_queries, raise_if_full, run_prepared, tell_driver
from altostratus.kernel.turns import ensure_turn, release_turn

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Json(TypeDecorator[Any]):
    """Any JSON value, stored as text in every database."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else _encode(value).decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return None if value is None else _decode(value)


class Model(DeclarativeBase):
    """Base of every table. Annotations: str 255 wide, dict and list as JSON."""

    type_annotation_map = {str: String(255), dict[str, Any]: Json, list[Any]: Json, bool: Boolean}


def table_of(model: type[Model]) -> Table:
    table = model.__table__
    if not isinstance(table, Table):
        raise TypeError(f"{model.__name__} is not mapped to a table")
    return table


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
        kept, point = len(self._after), _Point(self._driver) if self._driver is not None else self.conn.begin_nested()
        try:
            yield
        except BaseException as error:
            del self._after[kept:]
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


class Db:
    """The engine, and transactions on it. `url` is SQLAlchemy's (`sqlite:////path` or `postgresql+psycopg://`)."""

    def __init__(self, url: str, *, bus: Bus | None = None, pool_size: int = 32) -> None:
        self.url = url
        self.bus: Bus = bus or LocalBus()
        self.is_sqlite = url.startswith("sqlite")
        self._writer = threading.RLock() if self.is_sqlite else None
        self._open_write = threading.local()
        # SQLite: connections that are not in use. Through the engine, borrowing and giving back one, BEGIN and
        # ROLLBACK cost more than the queries between them (58 of 100 microseconds of a read that finds one row)
        self._idle: list[Connection] = []
        self.engine = self._create_engine(pool_size)
        event.listen(self.engine, "before_cursor_execute", count_query)

    def _create_engine(self, pool_size: int) -> Engine:
        if not self.is_sqlite:
            return create_engine(self.url, pool_size=pool_size, max_overflow=8, pool_pre_ping=True)
        engine = create_engine(
            self.url,
            pool_size=pool_size,
            max_overflow=8,
            connect_args={"check_same_thread": False, "timeout": 15, "isolation_level": None, "cached_statements": 512},
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "handle_error", _tell_of_full_disk)
        return engine

    def create_all(self) -> None:
        """Create every table that is missing (tests; real clouds run the migrations)."""
        if not self.is_sqlite:
            Model.metadata.create_all(self.engine)
            return
        with self.engine.connect() as conn:
            # one commit for all of them: by itself every table would be one
            conn.exec_driver_sql("BEGIN IMMEDIATE")
            Model.metadata.create_all(conn)
            conn.exec_driver_sql("COMMIT")

    @contextmanager
    def read(self) -> Iterator[Tx]:
        """A consistent view; nothing can be written."""
        ensure_turn()
        if not self.is_sqlite:
            with self.engine.connect() as conn:
                yield Tx(conn, writable=False)
            return
        conn, driver = self._begin("BEGIN")
        try:
            yield Tx(conn, writable=False, driver=driver)
        except BaseException:
            conn.close()
            raise
        tell_driver(driver, "ROLLBACK")
        self._idle.append(conn)

    @contextmanager
    def read_once(self) -> Iterator[Tx]:
        """`read` for a single statement. That is consistent by itself: with SQLite no BEGIN and ROLLBACK around it."""
        if not self.is_sqlite:
            with self.read() as tx:
                yield tx
            return
        ensure_turn()
        conn, driver = self._borrow()
        try:
            yield Tx(conn, writable=False, driver=driver)
        except BaseException:
            conn.close()
            raise
        self._idle.append(conn)

    @contextmanager
    def write(self) -> Generator[Tx, None, None]:
        """Commits at the end, rolls back on any exception. Never nested: one thread, one writer."""
        if getattr(self._open_write, "busy", False):
            raise RuntimeError("a write transaction is already open in this thread; pass its Tx on instead")
        self._open_write.busy = True
        try:
            tx = yield from self._write()
        finally:
            self._open_write.busy = False
        tx.run_after_commit()

    def _write(self) -> Generator[Tx, None, Tx]:
        if self._writer is None:
            ensure_turn()
            with self.engine.begin() as conn:
                tx = Tx(conn, writable=True)
                yield tx
            return tx
        release_turn()
        with self._writer:
            conn, driver = self._begin("BEGIN IMMEDIATE")
            tx = Tx(conn, writable=True, driver=driver)
            try:
                yield tx
                tell_driver(driver, "COMMIT")
            except BaseException:
                conn.close()  # the engine rolls back what is open
                raise
            self._idle.append(conn)
        return tx

    def _begin(self, statement: str) -> tuple[Connection, Any]:
        """`_borrow`, in a transaction."""
        conn, driver = self._borrow()
        try:
            tell_driver(driver, statement)
        except BaseException:
            conn.close()
            raise
        return conn, driver

    def _borrow(self) -> tuple[Connection, Any]:
        """A connection that nobody else has, and SQLite's own below it."""
        try:
            conn = self._idle.pop()
        except IndexError:
            conn = self.engine.connect()
        return conn, conn.connection.dbapi_connection

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()
        self.engine.dispose()


def _prepare_sqlite(raw: Any, _record: Any) -> None:
    cursor = raw.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-16000", "temp_store=MEMORY"):
        cursor.execute("PRAGMA " + pragma)
    cursor.close()


def _tell_of_full_disk(context: ExceptionContext) -> None:
    raise_if_full(context.original_exception)


__all__ = [
    "Column",
    "Db",
    "Json",
    "Mapped",
    "Model",
    "Row",
    "Tx",
    "counting_queries",
    "mapped_column",
    "table_of",
]
