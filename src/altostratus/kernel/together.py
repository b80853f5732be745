# SPDX-License-Identifier: Apache-2.0
"""Many short writes in one transaction, so that they share one flush to the disk."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from altostratus.kernel.db import Db, Tx
from altostratus.kernel.errors import OutOfSpace

T = TypeVar("T")
_MOST = 64


class _Work:
    __slots__ = ("done", "error", "result", "write")

    def __init__(self, write: Callable[[Tx], Any]) -> None:
        self.write = write
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None


class WritesTogether:
    """Whoever comes while a transaction is being committed goes with the next one.

    Each write is as if it had a transaction of its own: what raises is undone alone, and `run` returns when the
    result is safely on disk. Not for writes that are long, or that need the transaction's `after_commit`.
    """

    def __init__(self, db: Db) -> None:
        self._db = db
        self._turn = threading.Lock()
        self._gate = threading.Lock()
        self._waiting: list[_Work] = []

    def run(self, write: Callable[[Tx], T]) -> T:
        """`write(tx)`; raises what it raises, or what the commit raised."""
        work = _Work(write)
        with self._gate:
            self._waiting.append(work)
        with self._turn:
            while not work.done:  # again, if it stood behind a full batch
                with self._gate:
                    batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
                self._commit(batch)
        if work.error is not None:
            raise work.error
        result: T = work.result
        return result

    def _commit(self, batch: list[_Work]) -> None:
        try:
            with self._db.write() as tx:
                for work in batch:
                    self._try(tx, work, alone=len(batch) == 1)
        except BaseException as error:  # noqa: BLE001  (handed to those who wait)
            for work in batch:
                work.error = work.error or error
        for work in batch:
            work.done = True

    @staticmethod
    def _try(tx: Tx, work: _Work, *, alone: bool) -> None:
        if alone:
            work.result = work.write(tx)
            return
        try:
            with tx.savepoint():
                work.result = work.write(tx)
        except OutOfSpace:
            raise  # nothing of the transaction is left
        except Exception as error:  # noqa: BLE001  (handed to who waits)
            work.error = error
