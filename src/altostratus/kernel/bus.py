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


class _Topic:
    """A counter, so a wake-up between look and wait counts; and those who wait for it."""

    __slots__ = ("changed", "count")

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.count = 0


class LocalBus:
    """A condition variable for each topic: a wake-up takes no time of those who wait for something else."""

    def __init__(self) -> None:
        self._topics: dict[str, _Topic] = {}

    def wake(self, topic: str) -> None:
        found = self._topic(topic)
        with found.changed:
            found.count += 1
            found.changed.notify_all()

    def count(self, topic: str) -> int:
        return self._topic(topic).count

    def wait(self, topic: str, seen: int, timeout_s: float) -> int:
        found = self._topic(topic)
        with found.changed:
            found.changed.wait_for(lambda: found.count != seen, timeout_s)
            return found.count

    def _topic(self, name: str) -> _Topic:
        # `setdefault` is atomic: two threads get the same one
        return self._topics.get(name) or self._topics.setdefault(name, _Topic())
