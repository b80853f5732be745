# SPDX-License-Identifier: Apache-2.0
"""One database: typed models for the schema, Core statements for the queries.

A request or a job step runs in one `Tx`. Writers of one process queue on a lock, so SQLite's single
writer is never fought over; `BEGIN IMMEDIATE` guards against other processes. No I/O but SQL happens
inside a transaction. Effects outside the database are registered with `after_commit`.
"""

import sqlite3
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
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
from sqlalchemy.engine import CursorResult, Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from altostratus.kernel.bus import Bus, LocalBus
from altostratus.kernel.errors import NotFound, OutOfSpace

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

queries_run: ContextVar[list[str] | None] = ContextVar("queries_run", default=None)


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

    def __init__(self, conn: Connection, *, writable: bool) -> None:
        self.conn = conn
        self.writable = writable
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
        return self.conn.execute(_select_by(model, len(key), tuple(by)), {**_named(key), **by}).first()

    def get(self, model: type[Model], *key: Any, what: str | None = None, **by: Any) -> Row[Any]:
        """Like `find`, but raises NotFound; `what` names the thing in the message ("volume")."""
        row = self.find(model, *key, **by)
        if row is None:
            name = what or model.__name__.lower()
            shown = ", ".join(str(part) for part in (*key, *by.values()))
            raise NotFound(f"No {name} with id {shown} exists.", kind=f"{model.__name__}NotFound")
        return row

    def insert(self, model: type[Model], **values: Any) -> None:
        self.conn.execute(_insert_into(model), values)

    def insert_many(self, model: type[Model], rows: Iterable[Mapping[str, Any]]) -> None:
        many = list(rows)
        if many:
            self.conn.execute(insert(table_of(model)), many)

    def update(self, model: type[Model], *key: Any, **values: Any) -> int:
        """Change the row with this primary key; the number of rows changed (0 or 1)."""
        return self.conn.execute(_update_by(model, len(key)), {**values, **_named(key)}).rowcount

    def update_where(self, model: type[Model], *conditions: Any, **values: Any) -> int:
        return self.conn.execute(update(table_of(model)).where(*conditions), values).rowcount

    def delete(self, model: type[Model], *key: Any) -> int:
        return self.conn.execute(_delete_by(model, len(key)), _named(key)).rowcount

    def delete_where(self, model: type[Model], *conditions: Any) -> int:
        return self.conn.execute(delete(table_of(model)).where(*conditions)).rowcount

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo only what happened inside when it raises."""
        kept, point = len(self._after), self.conn.begin_nested()
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


_READERS_AT_ONCE = 2


class Db:
    """The engine, and transactions on it. `url` is SQLAlchemy's (`sqlite:////path` or `postgresql+psycopg://`)."""

    def __init__(self, url: str, *, bus: Bus | None = None, pool_size: int = 32) -> None:
        self.url = url
        self.bus: Bus = bus or LocalBus()
        self.is_sqlite = url.startswith("sqlite")
        self._writer = threading.RLock() if self.is_sqlite else None
        self._turns = threading.BoundedSemaphore(_READERS_AT_ONCE) if self.is_sqlite else None
        self._open_write = threading.local()
        self.engine = self._create_engine(pool_size)
        event.listen(self.engine, "before_cursor_execute", _count_query)

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
        with self.engine.connect() as conn:
            if self.is_sqlite:
                conn.exec_driver_sql("BEGIN")
            tx = Tx(conn, writable=False)
            try:
                yield tx
            finally:
                if self.is_sqlite:
                    conn.exec_driver_sql("ROLLBACK")

    @contextmanager
    def read_in_turn(self) -> Iterator[Tx]:
        """`read` for what turns many rows into a reply; never nested. With SQLite few do so at once.

        Rows come out of SQLite and become JSON under the interpreter's lock: more threads only hand it to each
        other (100 volumes at 8 connections: 766 lists a second without turns, 1056 with two, 947 with three).
        """
        with self._turns or nullcontext(), self.read() as tx:
            yield tx

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
            with self.engine.begin() as conn:
                tx = Tx(conn, writable=True)
                yield tx
            return tx
        with self._writer, self.engine.connect() as conn:
            conn.exec_driver_sql("BEGIN IMMEDIATE")
            tx = Tx(conn, writable=True)
            try:
                yield tx
            except BaseException:
                raw = conn.connection.dbapi_connection
                if raw is not None and raw.in_transaction:  # SQLite itself ends one that has no room
                    conn.exec_driver_sql("ROLLBACK")
                raise
            conn.exec_driver_sql("COMMIT")
        return tx

    def close(self) -> None:
        self.engine.dispose()


def _prepare_sqlite(raw: Any, _record: Any) -> None:
    cursor = raw.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-16000", "temp_store=MEMORY"):
        cursor.execute("PRAGMA " + pragma)
    cursor.close()


def _tell_of_full_disk(context: ExceptionContext) -> None:
    if getattr(context.original_exception, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        raise OutOfSpace("Nothing was changed: no room is left on the disk of the cloud's database. Free some.")


def _count_query(_conn: Any, _cursor: Any, statement: str, _params: Any, _context: Any, _many: bool) -> None:
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
