# SPDX-License-Identifier: Apache-2.0
"""What many threads bring is done at once, so that they share one flush to the disk."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from altostratus.kernel.db import Db, Tx
from altostratus.kernel.errors import OutOfSpace
from altostratus.kernel.turns import release_turn

T = TypeVar("T")


class _RefusedError(Exception):
    """One of several writes raised; nothing of the transaction is left."""


class Work:
    """What one thread brings. Whoever waits for it is told when it is done, or when it is up to them to do it."""

    __slots__ = ("done", "error", "given", "result", "told")

    def __init__(self, given: Any) -> None:
        self.given = given
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None
        self.told = threading.Lock()
        self.told.acquire()


class Together:
    """Whoever comes while the others are served goes with the next ones: `act(batch)` is called by one at a time.

    It gives each work its `result` or its `error`, and raises nothing.
    """

    def __init__(self, act: Callable[[list[Work]], None], most: int = 64) -> None:
        self._act, self._most = act, most
        self._gate = threading.Lock()
        self._busy = False
        self._waiting: list[Work] = []

    def run(self, given: Any) -> Any:
        """The result; raises the error."""
        work = Work(given)
        with self._gate:
            self._waiting.append(work)
            waits, self._busy = self._busy, True
        release_turn()
        if waits:
            work.told.acquire()
        if not work.done:
            self._lead()
        if work.error is not None:
            raise work.error
        return work.result

    def _lead(self) -> None:
        """Serve the own work, the first of all, with those behind it. The first of the others leads then."""
        with self._gate:
            batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        self._act(batch)
        with self._gate:
            following = self._waiting[0] if self._waiting else None
            self._busy = following is not None
        if following is not None:
            following.told.release()
        for work in batch:
            work.done = True
            work.told.release()


class WritesTogether:
    """Writes of many threads in one transaction.

    Each write is as if it had a transaction of its own: what raises is undone alone, and `run` returns when the
    result is safely on disk. Not for writes that are long, or that need the transaction's `after_commit`; and a write
    may be called twice: once for nothing, when another one raised.
    """

    def __init__(self, db: Db) -> None:
        self._db = db
        self._together = Together(self._commit)

    def run(self, write: Callable[[Tx], T]) -> T:
        """`write(tx)`; raises what it raises, or what the commit raised."""
        result: T = self._together.run(write)
        return result

    def _commit(self, batch: list[Work]) -> None:
        try:
            with self._db.write() as tx:
                for work in batch:
                    self._do(tx, work, alone=len(batch) == 1)
        except _RefusedError:
            self._commit_apart(batch)
        except BaseException as error:  # noqa: BLE001  (handed to those who wait)
            _hand_out(batch, error)

    @staticmethod
    def _do(tx: Tx, work: Work, *, alone: bool) -> None:
        try:
            work.result = work.given(tx)
        except Exception as error:
            if alone:
                raise
            raise _RefusedError from error

    def _commit_apart(self, batch: list[Work]) -> None:
        """Each with a savepoint: two statements more for a write, so this is for when one has raised."""
        try:
            with self._db.write() as tx:
                for work in batch:
                    self._try(tx, work)
        except BaseException as error:  # noqa: BLE001  (handed to those who wait)
            _hand_out(batch, error)

    @staticmethod
    def _try(tx: Tx, work: Work) -> None:
        try:
            with tx.savepoint():
                work.result = work.given(tx)
        except OutOfSpace:
            raise  # nothing of the transaction is left
        except Exception as error:  # noqa: BLE001  (handed to who waits)
            work.error = error


def _hand_out(batch: list[Work], error: BaseException) -> None:
    for work in batch:
        work.error = work.error or error
