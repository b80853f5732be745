# SPDX-License-Identifier: Apache-2.0
"""Ids of blobs that may be nobody's: keys of one object, written before anything of the blob is.

Ids are taken from lots, and given up in lots: a blob costs the index two writes in LOT, not two of its own. What a
process had taken and not used when it was killed are ids of nothing, which are found and given up at the next start.
"""

import threading
import time
from collections.abc import Iterator

from altostratus.kernel import ids, log

from .connection import Connection
from .pool import RadosError

_log = log.get("drivers.object_store")
# no blob has such an id
NAME = "pending.index"
LOT = 64


class Index:
    """Thread-safe. Every method raises RadosError."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._taking, self._lock = threading.Lock(), threading.Lock()
        self._free: list[str] = []
        self._taken: set[str] = set()
        self._over: list[str] = []
        self._failed: tuple[float, RadosError] | None = None

    def take(self) -> str:
        """An id that the index has and nobody else is given."""
        came_at = time.monotonic()
        with self._taking:
            if not self._free:
                self._free = self._new_lot(came_at)
            taken = self._free.pop()
            self._taken.add(taken)
            return taken

    def add(self, blob_id: str) -> None:
        """Of a blob that is to go, whatever happens to this process."""
        pool = self._connection.index_pool()
        with self._lock:  # requests take place in the order in which they are begun
            self._over = [other for other in self._over if other != blob_id]
            self._taken.add(blob_id)
            request = pool.add_keys(NAME, [blob_id])
        request.wait()

    def holds(self, blob_id: str) -> bool:
        """Taken or added by this process, and not given up."""
        return blob_id in self._taken

    def give_up(self, blob_id: str) -> None:
        """Sooner or later: until then the id is found again at a start, and looked up again."""
        with self._lock:
            self._taken.discard(blob_id)
            self._over.append(blob_id)
            if len(self._over) < LOT:
                return
        try:
            self._flush()
        except RadosError as error:
            _log.warning("ids stay in the index of pending blobs: %s", error)

    def ids(self) -> Iterator[str]:
        """All but those that have not been used."""
        self._flush()
        with self._taking:
            free = set(self._free)
        for blob_id in self._connection.index_pool().keys(NAME):
            if blob_id not in free:
                yield blob_id

    def _new_lot(self, came_at: float) -> list[str]:
        """Whoever waited for one that failed is told the same at once."""
        if self._failed is not None and self._failed[0] > came_at:
            raise self._failed[1]
        lot = [ids.new_hex_id() for _ in range(LOT)]
        try:
            self._connection.index_pool().add_keys(NAME, lot).wait()
        except RadosError as error:
            self._failed = time.monotonic(), error
            raise
        return lot

    def _flush(self) -> None:
        pool = self._connection.index_pool()
        with self._lock:
            if not self._over:
                return
            over, self._over = self._over, []
            request = pool.remove_keys(NAME, over)
        try:
            request.wait()
        except BaseException:
            with self._lock:
                self._over += over
            raise
