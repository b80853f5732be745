# SPDX-License-Identifier: Apache-2.0
"""Work by key: one item of a key at a time, the newest wins, different keys in parallel."""

import heapq
import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from altostratus.kernel import clock

T = TypeVar("T")


class WorkQueue(Generic[T]):
    """`work(key, item)` runs in a thread of the pool; the seconds that it returns ask for a repetition."""

    def __init__(self, work: Callable[[str, T], float | None], *, workers: int, name: str) -> None:
        self._work = work
        self._changed = threading.Condition()
        self._waiting: dict[str, T] = {}
        self._active: dict[str, T] = {}
        self._due: dict[str, tuple[int, T]] = {}
        self._times: list[tuple[float, int, str]] = []
        self._numbers = itertools.count()
        self._closed = False
        # Threads of the pool are made on demand, so a generous limit costs nothing until it is needed.
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix=name)
        self._timer = threading.Thread(target=self._run_timer, name=f"{name}-timer", daemon=True)
        self._timer.start()

    def put(self, key: str, item: T) -> T | None:
        """Queue `item`, in place of an older one of the same key. Returns the item at work now, if any."""
        with self._changed:
            self._due.pop(key, None)
            self._waiting[key] = item
            doing = self._active.get(key)
            self._start(key)
            return doing

    def put_if_free(self, key: str, item: T) -> None:
        """Queue `item` unless something of the key waits already."""
        with self._changed:
            if key not in self._waiting and key not in self._due:
                self._waiting[key] = item
                self._start(key)

    def _start(self, key: str) -> None:
        if key in self._active or key not in self._waiting or self._closed:
            return
        self._active[key] = self._waiting.pop(key)
        self._pool.submit(self._run, key)

    def _run(self, key: str) -> None:
        again_s: float | None = None
        item = self._active[key]
        try:
            again_s = self._work(key, item)
        finally:
            with self._changed:
                del self._active[key]
                if again_s is not None and key not in self._waiting:
                    number = next(self._numbers)
                    self._due[key] = (number, item)
                    heapq.heappush(self._times, (clock.monotonic() + again_s, number, key))
                self._start(key)
                self._changed.notify_all()

    def _run_timer(self) -> None:
        with self._changed:
            while not self._closed:
                if not self._times:
                    self._changed.wait()
                    continue
                rest_s = self._times[0][0] - clock.monotonic()
                if rest_s > 0:
                    self._changed.wait(rest_s)
                    continue
                _, number, key = heapq.heappop(self._times)
                # A newer item has taken its place unless the number is still the same.
                if key in self._due and self._due[key][0] == number:
                    self._waiting[key] = self._due.pop(key)[1]
                    self._start(key)

    def wait_idle(self, timeout_s: float) -> bool:
        """True once nothing is queued or at work; repetitions that lie in the future do not count."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._active and not self._waiting, timeout_s)

    def close(self, timeout_s: float) -> None:
        """Drop what is queued and wait for what is at work, at most `timeout_s`."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._due.clear()
            self._changed.notify_all()
        self.wait_idle(timeout_s)
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._timer.join(1)
