# SPDX-License-Identifier: Apache-2.0
"""Many short writes in one transaction, so that they share one flush to the disk."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from altostratus.kernel.db import Db, Tx
from altostratus.kernel.errors import OutOfSpace

T = TypeVar("T")
_MOST = 64


class _RefusedError(Exception):
    """One of several writes raised; nothing of the transaction is left."""


class _Work:
    """One write. Whoever waits for it is told when it is done, or when it is up to them to do it."""

    __slots__ = ("done", "error", "result", "told", "write")

    def __init__(self, write: Callable[[Tx], Any]) -> None:
        self.write = write
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None
        self.told = threading.Lock()
        self.told.acquire()


class WritesTogether:
    """Whoever comes while a transaction is being committed goes with the next one.

    Each write is as if it had a transaction of its own: what raises is undone alone, and `run` returns when the
    result is safely on disk. Not for writes that are long, or that need the transaction's `after_commit`; and a write
    may be called twice: once for nothing, when another one raised.
    """

    def __init__(self, db: Db) -> None:
        self._db = db
        self._gate = threading.Lock()
        self._busy = False
        self._waiting: list[_Work] = []

    def run(self, write: Callable[[Tx], T]) -> T:
        """`write(tx)`; raises what it raises, or what the commit raised."""
        work = _Work(write)
        with self._gate:
            self._waiting.append(work)
            waits, self._busy = self._busy, True
        if waits:
            work.told.acquire()
        if not work.done:
            self._lead()
        if work.error is not None:
            raise work.error
        result: T = work.result
        return result

    def _lead(self) -> None:
        """Commit the own write, the first of all, with those behind it. The first of the others leads then."""
        with self._gate:
            batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
        self._commit(batch)
        with self._gate:
            following = self._waiting[0] if self._waiting else None
            self._busy = following is not None
        if following is not None:
            following.told.release()
        for work in batch:
            work.done = True
            work.told.release()

    def _commit(self, batch: list[_Work]) -> None:
        try:
            with self._db.write() as tx:
                for work in batch:
                    self._do(tx, work, alone=len(batch) == 1)
        except _RefusedError:
            self._commit_apart(batch)
        except BaseException as error:  # noqa: BLE001  (handed to those who wait)
            _hand_out(batch, error)

    @staticmethod
    def _do(tx: Tx, work: _Work, *, alone: bool) -> None:
        try:
            work.result = work.write(tx)
        except Exception as error:
            if alone:
                raise
            raise _RefusedError from error

    def _commit_apart(self, batch: list[_Work]) -> None:
        """Each with a savepoint: two statements more for a write, so this is for when one has raised."""
        try:
            with self._db.write() as tx:
                for work in batch:
                    self._try(tx, work)
        except BaseException as error:  # noqa: BLE001  (handed to those who wait)
            _hand_out(batch, error)

    @staticmethod
    def _try(tx: Tx, work: _Work) -> None:
        try:
            with tx.savepoint():
                work.result = work.write(tx)
        except OutOfSpace:
            raise  # nothing of the transaction is left
        except Exception as error:  # noqa: BLE001  (handed to who waits)
            work.error = error


def _hand_out(batch: list[_Work], error: BaseException) -> None:
    for work in batch:
        work.error = work.error or error
