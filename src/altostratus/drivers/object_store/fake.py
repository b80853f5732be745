# SPDX-License-Identifier: Apache-2.0
"""Objects in memory, for tests and simulated clouds: gone with the process."""

import threading
import time
from collections.abc import Iterator

from altostratus.contracts.object_store import Blob, ObjectStoreError, Readable
from altostratus.kernel import ids

_PIECE = 256 * 1024


class FakeObjectStore:
    """`capacity_bytes` makes it full, `fail_next` makes the next write break."""

    name = "fake"

    def __init__(self, capacity_bytes: int | None = None) -> None:
        self.capacity_bytes = capacity_bytes
        self.fail_next = False
        self._blobs: dict[str, bytes] = {}
        self._pending: set[str] = set()
        self._written: dict[str, float] = {}
        self._lock = threading.Lock()

    def write(self, data: Readable, *, expected_size: int | None = None, max_bytes: int | None = None) -> Blob:
        kept = bytearray()
        while piece := data.read(_PIECE):
            kept += piece
            if max_bytes is not None and len(kept) > max_bytes:
                raise ObjectStoreError("too_large", f"The data has more than {max_bytes} bytes.")
        if expected_size is not None and len(kept) != expected_size:
            raise ObjectStoreError("short", f"{len(kept)} bytes came of {expected_size}.")
        with self._lock:
            if self.fail_next:
                self.fail_next = False
                raise ObjectStoreError("broken", "The simulated disk does not work.")
            if self.capacity_bytes is not None and self._used() + len(kept) > self.capacity_bytes:
                raise ObjectStoreError("full", "No room is left in the simulated store.")
            blob_id = ids.new_hex_id()
            self._blobs[blob_id] = bytes(kept)
            self._pending.add(blob_id)
            self._written[blob_id] = time.monotonic()
        return Blob(blob_id, len(kept))

    def settle(self, blob_id: str) -> None:
        self._pending.discard(blob_id)

    def read(self, blob_id: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        data = self._blobs.get(blob_id)
        if data is None:
            raise ObjectStoreError("missing", f"There is no blob {blob_id}.")
        end = len(data) if length is None else offset + length
        return iter([data[start : min(start + _PIECE, end)] for start in range(offset, end, _PIECE)])

    def delete(self, blob_id: str) -> None:
        self._blobs.pop(blob_id, None)
        self._written.pop(blob_id, None)
        self._pending.discard(blob_id)

    def exists(self, blob_id: str) -> bool:
        return blob_id in self._blobs

    def pending(self) -> Iterator[str]:
        return iter(list(self._pending))

    def blob_ids(self) -> Iterator[str]:
        return iter(list(self._blobs))

    def age_s(self, blob_id: str) -> float | None:
        written = self._written.get(blob_id)
        return None if written is None else time.monotonic() - written

    def locations(self, blob_id: str) -> list[str]:
        return []  # nobody else can look into this process

    def _used(self) -> int:
        return sum(map(len, self._blobs.values()))
