# SPDX-License-Identifier: Apache-2.0
"""`RadosStore`: objects in a pool of a Ceph cluster. Copies, repair and several machines are Ceph's business."""

import errno
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from altostratus.contracts.object_store import Blob, ObjectStoreError, Readable, Trouble
from altostratus.kernel import log

from . import layout
from .blobs import fetch, object_written_at, remove, send, written_at
from .connection import Connection
from .index import Index
from .layout import DamagedError
from .pool import RadosError
from .readers import Readers

_log = log.get("drivers.object_store")
_REASONS: dict[int, Trouble] = {
    errno.ENOSPC: "full", errno.EDQUOT: "full", errno.ENOENT: "missing", errno.EIO: "damaged",
}  # fmt: skip


class RadosStore:
    """The cluster need not be there yet: requests are refused until it is."""

    name = "rados"

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._index = Index(connection)
        self._readers = Readers(self._remove)
        self._uploading: set[str] = set()
        # blobs of nobody that could not be removed, to be tried again
        self._left: deque[str] = deque()

    def write(self, data: Readable, *, expected_size: int | None = None, max_bytes: int | None = None) -> Blob:
        with _told():
            pool, blob_id = self._connection.pool(), self._index.take()
            self._uploading.add(blob_id)
            try:
                size = send(pool, blob_id, _pieces(data, expected_size, max_bytes))
            except BaseException as error:
                self._discard(blob_id, error)
                raise
            finally:
                self._uploading.discard(blob_id)
        self._remove_one_left()
        return Blob(blob_id, size)

    def settle(self, blob_id: str) -> None:
        self._index.give_up(blob_id)

    def read(self, blob_id: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        pieces = self._read(blob_id, offset, length)
        first = next(pieces, None)
        return iter(()) if first is None else _chain(first, pieces)

    def delete(self, blob_id: str) -> None:
        """Raises ObjectStoreError (broken), and must be repeated then, unless the blob is still pending."""
        if self._readers.doom(blob_id):
            with _told():
                self._index.add(blob_id)
        else:
            self._remove(blob_id)

    def exists(self, blob_id: str) -> bool:
        if self._readers.is_doomed(blob_id):
            return False
        with _told():
            return object_written_at(self._connection.pool(), blob_id) is not None

    def age_s(self, blob_id: str) -> float | None:
        if self._readers.is_doomed(blob_id):
            return None
        if blob_id in self._uploading:  # by a client that may be very slow
            return 0.0
        with _told():
            when = written_at(self._connection.pool(), blob_id)
        return None if when is None else max(0.0, time.time() - when)

    def locations(self, blob_id: str) -> list[str]:
        return [self._connection.url_of(blob_id)] if self.exists(blob_id) else []

    def pending(self) -> Iterator[str]:
        with _told():
            yield from self._index.ids()

    def blob_ids(self) -> Iterator[str]:
        with _told():
            yield from filter(layout.is_head, self._connection.pool().names())

    def _discard(self, blob_id: str, error: BaseException) -> None:
        """Of a cluster that does not work nothing more is asked now: the request has waited once."""
        if isinstance(error, RadosError) and _REASONS.get(error.errno) != "full":
            self._left.append(blob_id)
        else:
            self._remove(blob_id)

    def _remove_one_left(self) -> None:
        """The cluster works again."""
        try:
            blob_id = self._left.popleft()
        except IndexError:
            return
        self._remove(blob_id)

    def _remove(self, blob_id: str) -> None:
        try:
            with _told():
                remove(self._connection.pool(), blob_id)
        except ObjectStoreError as error:
            if not self._index.holds(blob_id):
                raise
            _log.warning("blob %s stays for now: %s", blob_id, error)
            self._left.append(blob_id)
        else:
            self._index.give_up(blob_id)

    def _read(self, blob_id: str, offset: int, length: int | None) -> Iterator[bytes]:
        if self._readers.is_doomed(blob_id):
            raise ObjectStoreError("missing", f"Blob {blob_id} was deleted.")
        with self._readers.reading(blob_id), _told():
            yield from fetch(self._connection.pool(), blob_id, offset, length)


def _pieces(data: Readable, expected_size: int | None, max_bytes: int | None) -> Iterator[tuple[bytearray, bool]]:
    """Pieces of PIECE_BYTES, and whether it is the last one. Raises ObjectStoreError (short, too_large)."""
    piece, size = bytearray(), 0
    while chunk := data.read(min(layout.PIECE_BYTES - len(piece), layout.SPAN_BYTES) or layout.BLOCK_BYTES):
        if len(piece) == layout.PIECE_BYTES:
            yield piece, False
            piece = bytearray()
        piece += chunk
        size += len(chunk)
        if max_bytes is not None and size > max_bytes:
            raise ObjectStoreError("too_large", f"The data has more than {max_bytes} bytes.")
    if expected_size is not None and size != expected_size:
        raise ObjectStoreError("short", f"{size} bytes came of {expected_size}.")
    yield piece, True


@contextmanager
def _told() -> Iterator[None]:
    """Troubles of the cluster in the words of the contract."""
    try:
        yield
    except RadosError as error:
        raise ObjectStoreError(_REASONS.get(error.errno, "broken"), str(error)) from error
    except DamagedError as error:
        raise ObjectStoreError("damaged", f"An object in Ceph is damaged: {error}.") from error


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest
