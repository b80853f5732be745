# SPDX-License-Identifier: Apache-2.0
"""Who may work: few threads at one time.

The interpreter runs one thread at a time. Threads beyond that only hand its lock to each other, at every call of the
system: twelve that read small objects make half as many requests a second as one, with 67 switches each instead of 4.
So a request has a *turn* from where it reads the database until it waits for something or ends, and there are few of
those: one. What needs no database, such as a token that is known, needs no turn. Nobody waits for one that is not used:

- What is about to wait says so: `release_turn()`. It goes on without a turn until it reads the database again.
- What waits without saying so is found by looking, while somebody waits for a turn. A thread that used no processor
  time between two looks loses its turn. If all together use little (they wait for a slow disk, for short times each),
  there is one turn more, and one less when they use much again.
"""

import threading
import time
from collections import deque

from altostratus.kernel import processors

_USUAL = 1
_LOOK_EVERY_S = 0.02
# a thread that used less between two looks waits for something
_WORKED_S = 0.001
# of one processor: a process that uses less has others to spare
_LITTLE = 0.5


class _Worker:
    """A thread. `told` is released when it is given a turn."""

    __slots__ = ("clock", "has_one", "told", "turns", "used_s")

    def __init__(self) -> None:
        processors.take_part()  # the HTTP server began it
        self.clock = time.pthread_getcpuclockid(threading.get_ident())
        self.told = threading.Lock()
        self.told.acquire()
        # those that its request takes part in
        self.turns: Turns | None = None
        # also after it was lost
        self.has_one = False
        # processor time at the last look, if it had its turn then
        self.used_s: float | None = None

    def take(self) -> None:
        if self.turns is not None and not self.has_one:
            self.turns._take(self)

    def release(self) -> None:
        if self.turns is not None and self.has_one:
            self.turns._release(self)


_this_thread = threading.local()


def _worker() -> _Worker:
    try:
        found: _Worker = _this_thread.worker
    except AttributeError:
        found = _this_thread.worker = _Worker()
    return found


class Turns:
    """`usual` threads have one, up to `most` when some of them wait."""

    def __init__(self, most: int, usual: int = _USUAL) -> None:
        # below zero: so many of those that end are not passed on
        self._free = min(usual, most)
        self._spare = most - self._free
        self._more = 0
        self._working: set[_Worker] = set()
        self._lost: set[_Worker] = set()
        self._waiting: deque[_Worker] = deque()
        self._lock = threading.Lock()
        self._watched = threading.Event()
        self._looked_s = self._used_s = 0.0
        threading.Thread(target=self._look_for_ever, name="turns", daemon=True).start()

    def begin(self) -> None:
        """This thread serves a request from now on: it takes a turn when it needs one."""
        _worker().turns = self

    def end(self) -> None:
        worker = _worker()
        worker.release()
        worker.turns = None

    def _take(self, worker: _Worker) -> None:
        worker.has_one, worker.used_s = True, None
        with self._lock:
            if self._free > 0:
                self._free -= 1
                self._working.add(worker)
                return
            self._waiting.append(worker)
            if not self._watched.is_set():
                self._looked_s, self._used_s = time.monotonic(), time.process_time()
                self._watched.set()
        worker.told.acquire()

    def _release(self, worker: _Worker) -> None:
        worker.has_one = False
        with self._lock:
            if worker in self._lost:
                self._lost.discard(worker)
            else:
                self._working.discard(worker)
                self._add(1)

    def _add(self, count: int) -> None:
        """So many turns, more or less: to those that wait, as far as they are free."""
        self._free += count
        while self._free > 0 and self._waiting:
            self._free -= 1
            following = self._waiting.popleft()
            self._working.add(following)
            following.told.release()

    # those that wait without saying so

    def _look_for_ever(self) -> None:
        while self._watched.wait():
            time.sleep(_LOOK_EVERY_S)
            with self._lock:
                self._pass_on_unused()
                self._fit_to_use()
                if not (self._waiting or self._more):
                    self._watched.clear()

    def _pass_on_unused(self) -> None:
        for worker in list(self._working):
            before, worker.used_s = worker.used_s, time.clock_gettime(worker.clock)
            works = before is None or worker.used_s - before > _WORKED_S
            if not works and self._waiting and self._may_be_more():
                self._working.discard(worker)
                self._lost.add(worker)
                self._add(1)

    def _fit_to_use(self) -> None:
        now_s, used_s = time.monotonic(), time.process_time()
        little = used_s - self._used_s < _LITTLE * (now_s - self._looked_s)
        self._looked_s, self._used_s = now_s, used_s
        if little and self._waiting and self._may_be_more():
            self._more += 1
            self._add(1)
        elif self._more and not (little and self._waiting):
            self._more -= 1
            self._add(-1)

    def _may_be_more(self) -> bool:
        return self._more + len(self._lost) < self._spare


def ensure_turn() -> None:
    """Wait for a turn, if this thread serves a request and has none."""
    _worker().take()


def release_turn() -> None:
    """This thread is about to wait for something: others may work. Nothing happens if it has no turn."""
    _worker().release()
