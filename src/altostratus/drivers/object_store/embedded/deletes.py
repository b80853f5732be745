# SPDX-License-Identifier: Apache-2.0
"""Deletes that go on while a copy is made: who copies must not bring back what somebody else removes.

After its copy is in place, the copier looks whether a delete of the blob began, or was going on, since it opened the
source. A delete that begins later finds the new copy by itself. Within one process this leaves no gap.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Deletes:
    """Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._going_on: list[str] = []
        self._watches: list[set[str]] = []

    @contextmanager
    def of(self, blob_id: str) -> Iterator[None]:
        """Around everything that removes the blob."""
        with self._lock:
            self._going_on.append(blob_id)
            for seen in self._watches:
                seen.add(blob_id)
        try:
            yield
        finally:
            with self._lock:
                self._going_on.remove(blob_id)

    @contextmanager
    def watched(self) -> Iterator[set[str]]:
        """The blobs of deletes that go on now or begin inside; the set grows."""
        with self._lock:
            seen = set(self._going_on)
            self._watches.append(seen)
        try:
            yield seen
        finally:
            with self._lock:
                self._watches = [other for other in self._watches if other is not seen]
