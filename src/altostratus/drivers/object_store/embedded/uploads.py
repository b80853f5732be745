# SPDX-License-Identifier: Apache-2.0
"""Blobs on their way into files of their own, on several disks at once."""

import os
from collections.abc import Iterator

from altostratus.contracts.object_store import ObjectStoreError, Readable
from altostratus.kernel import log
from altostratus.kernel.processors import anywhere

from .blob_file import Checksums
from .disk import KEPT_IN_MEMORY_BYTES, Disk
from .view import refusal
from .writing import PIECE_BYTES, GrowingFile, WritingBehind

_log = log.get("drivers.object_store")
_START_WRITING_BYTES = 2 << 20


class Copy:
    """A file that is being written on one disk."""

    def __init__(self, disk: Disk, blob_id: str, size: int) -> None:
        self.disk = disk
        self.descriptor = disk.begin(blob_id, size)
        self._file = GrowingFile(self.descriptor)
        self._size, self._written, self._on_their_way = size, 0, 0

    def write(self, data: memoryview) -> None:
        self.disk.demand_room(len(data))
        self._file.write(data, passing=max(self._size, self._written) > KEPT_IN_MEMORY_BYTES)
        self._written += len(data)
        if not self._file.can_pass and self._written - self._on_their_way >= _START_WRITING_BYTES:
            # the kernel begins with what it has, so that the flush at the end has little left to wait for
            start, length = self._on_their_way, self._written - self._on_their_way
            os.posix_fadvise(self.descriptor, start, length, os.POSIX_FADV_DONTNEED)
            self._on_their_way = self._written


def begin(blob_id: str, disks: Iterator[Disk], wanted: int, size: int) -> tuple[list[Copy], list[OSError]]:
    """On so many disks, and what was wrong with others."""
    copies: list[Copy] = []
    troubles = []
    while len(copies) < wanted and (disk := next(disks, None)) is not None:
        try:
            copies.append(Copy(disk, blob_id, size))
        except OSError as error:
            _log.warning("nothing can be written to %s: %s", disk.path, error)
            troubles.append(error)
    return copies, troubles


def receive(data: Readable, writing: WritingBehind, max_bytes: int | None) -> Checksums:
    """Everything, or somewhat more than `max_bytes`."""
    checksums = Checksums()
    while piece := data.read(PIECE_BYTES):
        checksums.add(piece)
        if max_bytes is not None and checksums.size > max_bytes:
            break
        writing.add(piece)
    return checksums


def demand_size(size: int, expected_size: int | None, max_bytes: int | None) -> None:
    """Raises ObjectStoreError (too_large, short)."""
    if max_bytes is not None and size > max_bytes:
        raise ObjectStoreError("too_large", f"The data has more than {max_bytes} bytes.")
    if expected_size is not None and size != expected_size:
        raise ObjectStoreError("short", f"{size} bytes came of {expected_size}.")


def start_of(data: Readable, size: int) -> bytes:
    """More than `size` bytes, or all there are."""
    pieces, length = [], 0
    while length <= size and (piece := data.read(PIECE_BYTES)):
        pieces.append(piece)
        length += len(piece)
    return b"".join(pieces)


class Continued:
    """What was read of a stream already, and the rest."""

    def __init__(self, start: bytes, rest: Readable) -> None:
        self._start, self._rest = start, rest

    def read(self, size: int, /) -> bytes:
        start, self._start = self._start, b""
        return start or self._rest.read(size)


def write_to(copies: list[Copy], quorum: int, batch: memoryview) -> None:
    """Raises ObjectStoreError if too few take it; those that do not are no copies any longer."""
    troubles = []
    for copy in list(copies):
        try:
            with anywhere():
                copy.write(batch)
        except OSError as error:
            _log.warning("writing to %s failed: %s", copy.disk.path, error)
            troubles.append((copy, error))
    if len(copies) - len(troubles) < quorum:
        raise refusal([error for _, error in troubles])
    for copy, _ in troubles:
        copies.remove(copy)
        os.close(copy.descriptor)
        copy.descriptor = -1


def drop(copy: Copy, blob_id: str, partition: int) -> None:
    """A copy that could not be finished; its descriptor is closed."""
    if copy.descriptor >= 0:
        os.close(copy.descriptor)
        copy.descriptor = -1
    try:
        copy.disk.remove(blob_id, partition)
    except OSError as error:
        _log.warning("blob %s stays pending on %s: %s", blob_id, copy.disk.path, error)
