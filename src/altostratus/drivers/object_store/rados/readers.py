# SPDX-License-Identifier: Apache-2.0
"""Who reads which blob: a blob that is replaced or deleted meanwhile stays until its last reader has it."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Readers:
    """Of this process. Thread-safe. `remove(blob_id)` is called when the last reader of a doomed blob ends."""

    def __init__(self, remove: Callable[[str], None]) -> None:
        self._remove = remove
        self._lock = threading.Lock()
        self._reading: Counter[str] = Counter()
        self._doomed: set[str] = set()

    @contextmanager
    def reading(self, blob_id: str) -> Iterator[None]:
        with self._lock:
            self._reading[blob_id] += 1
        try:
            yield
        finally:
            if self._ended(blob_id):
                self._remove(blob_id)

    def doom(self, blob_id: str) -> bool:
        """It is to go with its last reader. False: it has none, and may go at once."""
        with self._lock:
            if blob_id in self._reading:
                self._doomed.add(blob_id)
                return True
            return False

    def is_doomed(self, blob_id: str) -> bool:
        return blob_id in self._doomed

    def _ended(self, blob_id: str) -> bool:
        """Is it the last reader of a doomed blob?"""
        with self._lock:
            self._reading[blob_id] -= 1
            if self._reading[blob_id]:
                return False
            del self._reading[blob_id]
            was_doomed = blob_id in self._doomed
            self._doomed.discard(blob_id)
            return was_doomed
