# SPDX-License-Identifier: Apache-2.0
"""Wake-ups. A message only says "look again": losing every one costs time, never work.

`LocalBus` serves one process. Other engines (PostgreSQL LISTEN/NOTIFY, RabbitMQ) implement the same
Protocol under `drivers/bus`.
"""

import threading
from typing import Protocol


class Bus(Protocol):
    def wake(self, topic: str) -> None:
        """Tell everybody who waits on `topic` to look again."""

    def count(self, topic: str) -> int:
        """How often `topic` was woken so far; read it *before* looking for work."""

    def wait(self, topic: str, seen: int, timeout_s: float) -> int:
        """Return the new count as soon as it differs from `seen`, or the old one after `timeout_s`."""


class LocalBus:
    """Condition variable per process; topics are counters, so a wake-up between look and wait counts."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._counts: dict[str, int] = {}

    def wake(self, topic: str) -> None:
        with self._changed:
            self._counts[topic] = self._counts.get(topic, 0) + 1
            self._changed.notify_all()

    def count(self, topic: str) -> int:
        return self._counts.get(topic, 0)

    def wait(self, topic: str, seen: int, timeout_s: float) -> int:
        with self._changed:
            self._changed.wait_for(lambda: self._counts.get(topic, 0) != seen, timeout_s)
            return self._counts.get(topic, 0)
