# SPDX-License-Identifier: Apache-2.0
"""Who reads which blobs. An object of several blobs that is replaced or deleted meanwhile is read to its end.

The bytes of one blob are an open file. Those that follow are opened later: as long as somebody is to read them they
stay waste (`reconcilers/waste.py`). Nothing else removes blobs that had a row.
"""

import threading
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Tx
from altostratus.kernel.resource.call import Call
from altostratus.services.object_store.api.reading import bytes_of
from altostratus.services.object_store.errors import Vanished
from altostratus.services.object_store.logic import stored
from altostratus.services.object_store.logic.contents import Span, cut

_AT_ONCE = 500


class BlobReaders:
    """Of this process, which is the only one that removes blobs. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers: Counter[str] = Counter()

    def add(self, blob_ids: Collection[str]) -> None:
        with self._lock:
            self._readers.update(blob_ids)

    def remove(self, blob_ids: Collection[str]) -> None:
        with self._lock:
            self._readers.subtract(blob_ids)
            for blob_id in blob_ids:
                if not self._readers[blob_id]:
                    del self._readers[blob_id]

    def unread(self, blob_ids: Collection[str]) -> list[str]:
        """Those that nobody reads."""
        with self._lock:
            return [blob_id for blob_id in blob_ids if blob_id not in self._readers]


def ensure_readers(_tx: Tx, cloud: Cloud) -> None:
    """At the start."""
    cloud.add_part(BlobReaders, BlobReaders())


def lasting_bytes_of(call: Call, spans: tuple[Span, ...], offset: int, length: int) -> Iterable[bytes]:
    """`bytes_of`, which come even if the object is replaced or deleted before they do. Raises Vanished."""
    data = bytes_of(call, spans, offset, length)
    blob_ids = _blobs_of(spans, [(offset, length)])
    return data if len(blob_ids) < 2 else _begun(_kept(call, blob_ids, data))


def lasting_ranges_of(
    call: Call, spans: tuple[Span, ...], ranges: Sequence[tuple[int, int]], data: Iterator[bytes]
) -> Iterator[bytes]:
    """`data`, which reads these ranges (offset, length) one after the other, as `lasting_bytes_of` does one."""
    return _begun(_kept(call, _blobs_of(spans, ranges), data))


def _blobs_of(spans: tuple[Span, ...], ranges: Sequence[tuple[int, int]]) -> list[str]:
    wanted = {span.blob_id for part in ranges for span in cut(spans, *part) if span.data is None}
    return list(wanted)


def _begun(kept: Iterator[bytes]) -> Iterator[bytes]:
    """So that it ends however the request does."""
    next(kept)
    return kept


def _kept(call: Call, blob_ids: list[str], data: Iterable[bytes]) -> Iterator[bytes]:
    """First b"", when it is certain that all of them will stay: they had rows after their reader was known."""
    readers = call.cloud.part(BlobReaders)
    readers.add(blob_ids)
    try:
        with call.cloud.db.read() as tx:
            for start in range(0, len(blob_ids), _AT_ONCE):
                if stored.unreferenced(tx, blob_ids[start : start + _AT_ONCE]):
                    raise Vanished("The object was replaced or deleted in this moment. Try again.")
        yield b""
        yield from data
    finally:
        readers.remove(blob_ids)
