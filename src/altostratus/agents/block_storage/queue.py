# SPDX-License-Identifier: Apache-2.0
"""A few threads that look after many things, one thread at a time for each, with retries."""

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=Hashable)

DEFAULT_RETRY_DELAYS_S = (1.0, 2.0, 5.0, 10.0, 30.0)

logger = logging.getLogger(__name__)


class RetryQueue(Generic[Name]):
    """Calls `work(name)` in one of `workers` threads for every name asked for by `ask`.

    `work` returns whether the name is done; if not, it is called again after the next of
    `retry_delays_s` (the last one for ever). The same name never runs twice at once: asking while it
    runs makes it run once more afterwards. An exception of `work` is logged and counts as not done.
    """

    def __init__(
        self,
        work: Callable[[Name], bool],
        *,
        workers: int = 4,
        retry_delays_s: Sequence[float] = DEFAULT_RETRY_DELAYS_S,
    ) -> None:
        self._work = work
        self._delays = tuple(retry_delays_s)
        self._changed = threading.Condition()
        self._due: list[tuple[float, int, Name]] = []
        self._order = itertools.count()
        # the number of the one valid entry of `_due` per name: older entries are skipped
        self._valid: dict[Name, int] = {}
        self._failures: dict[Name, int] = {}
        self._running: set[Name] = set()
        self._again: set[Name] = set()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._serve, name=f"storage-{index}", daemon=True) for index in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def ask(self, name: Name) -> None:
        """Look after `name` as soon as a thread is free, and start its retry delays anew."""
        with self._changed:
            self._failures.pop(name, None)
            if name in self._running:
                self._again.add(name)
            else:
                self._put(name, 0.0)

    def is_busy(self, name: Name) -> bool:
        """Whether `name` is running or waits for its turn or its retry."""
        with self._changed:
            return name in self._running or name in self._valid

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until nothing runs or waits, retries included; False after `timeout_s`. For tests."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._valid and not self._running, timeout_s)

    def close(self, timeout_s: float = 10.0) -> None:
        """Start nothing more; wait for what runs, at most `timeout_s` in all."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _put(self, name: Name, delay_s: float) -> None:
        number = next(self._order)
        self._valid[name] = number
        heapq.heappush(self._due, (time.monotonic() + delay_s, number, name))
        self._changed.notify()

    def _take(self) -> Name | None:
        """The next name that is due, marked as running; None when closed."""
        with self._changed:
            while not self._closed:
                while self._due and self._valid.get(self._due[0][2]) != self._due[0][1]:
                    heapq.heappop(self._due)
                wait_s = self._due[0][0] - time.monotonic() if self._due else None
                if wait_s is not None and wait_s <= 0:
                    name = heapq.heappop(self._due)[2]
                    del self._valid[name]
                    self._running.add(name)
                    return name
                self._changed.wait(wait_s)
            return None

    def _serve(self) -> None:
        while (name := self._take()) is not None:
            done = False
            try:
                done = self._work(name)
            except Exception:  # a defect must not end the thread that serves all the others
                logger.exception("work on %s failed; it is tried again", name)
            finally:
                self._finish(name, done)

    def _finish(self, name: Name, done: bool) -> None:
        with self._changed:
            self._running.discard(name)
            if name in self._again:
                self._again.discard(name)
                self._put(name, 0.0)
            elif done:
                self._failures.pop(name, None)
            else:
                failures = self._failures.get(name, 0)
                self._failures[name] = failures + 1
                self._put(name, self._delays[min(failures, len(self._delays) - 1)])
            self._changed.notify_all()
