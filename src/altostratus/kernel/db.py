# SPDX-License-Identifier: Apache-2.0
"""One database: typed models for the schema, Core statements for the queries.

A request or a job step runs in one `Tx`. Writers of one process queue on a lock, so SQLite's single
writer is never fought over; `BEGIN IMMEDIATE` guards against other processes. No I/O but SQL happens
inside a transaction. Effects outside the database are registered with `after_commit`.
"""

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Column, Connection, Engine, ExceptionContext, Row, create_engine, event
from sqlalchemy.orm import Mapped, mapped_column

from altostratus.kernel.bus import Bus, LocalBus
from altostratus.kernel.model import Json, Model, table_of
from altostratus.kernel.sqlite_driver import count_query, counting_queries, raise_if_full, tell_driver
from altostratus.kernel.turns import ensure_turn, release_turn
from altostratus.kernel.tx import Tx


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
                tx.write_sums()
            return tx
        release_turn()
        with self._writer:
            conn, driver = self._begin("BEGIN IMMEDIATE")
            tx = Tx(conn, writable=True, driver=driver)
            try:
                yield tx
                tx.write_sums()
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
