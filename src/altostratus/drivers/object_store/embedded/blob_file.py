# SPDX-License-Identifier: Apache-2.0
"""The file of a blob: its data, then a checksum for each block, then a footer that describes both.

    data | CRC-32 of each block of BLOCK_BYTES, 4 bytes each | footer

Data comes first so that a file without its end (a crash, a lost page) is known by its missing footer, and a
range needs only its own blocks to be verified.
"""

import os
import struct
import threading
from array import array
from collections.abc import Iterator

from isal import isal_zlib

# of new blobs. More would be dearer: of 256 KiB, the kernel takes 20 times the time for room in its cache, and every
# slow reader holds some of them
BLOCK_BYTES = 64 * 1024
# blocks that are read and given on at once; every reader holds some pieces of this size, and only so many larger ones.
# From 768 KiB on, the HTTP server finds no room for its copies without asking the system
_READ_BYTES = 128 * 1024
_LARGE_READ_BYTES, _LARGE_READERS = 512 * 1024, threading.Semaphore(16)
# by the processor's own instructions: a tenth of zlib's time
_crc = isal_zlib.crc32
_FOOTER = struct.Struct("<8sIQI")
_MAGIC = b"ALTOBLB1"
_ENTRY = 4
# what is read of a file at once at its end: small blobs whole, of larger ones the footer and mostly the table
_TAIL_BYTES = 32 * 1024


class DamagedError(Exception):
    """The file is not what was written; the message says where."""


class Checksums:
    """CRC-32 of each block of what passes through `add`, whatever pieces it comes in."""

    def __init__(self) -> None:
        self.size = 0
        self._done = array("I")
        self._open = 0
        self._filled = 0

    def add(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        self.size += len(view)
        while view:
            piece = view[: BLOCK_BYTES - self._filled]
            self._open = _crc(piece, self._open)
            self._filled += len(piece)
            if self._filled == BLOCK_BYTES:
                self._close_block()
            view = view[len(piece) :]

    def ending(self) -> bytes:
        """Everything that follows the data in the file."""
        if self._filled:
            self._close_block()
        table = _little_endian(self._done).tobytes()
        return table + _FOOTER.pack(_MAGIC, BLOCK_BYTES, self.size, _crc(table))

    def _close_block(self) -> None:
        self._done.append(self._open)
        self._open = self._filled = 0


class BlobFile:
    """An open blob, its footer and table verified. Raises DamagedError, FileNotFoundError, OSError."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            self.size, self._block_bytes, self._table = self._read_ending()
        except BaseException:
            os.close(self._fd)
            raise

    def close(self) -> None:
        """May be repeated."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def blocks(self, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Verified pieces of the range, which must lie within the data; closes the file at its end."""
        end = self.size if length is None else offset + length
        large = end - offset > _READ_BYTES and _LARGE_READERS.acquire(blocking=False)
        try:
            at_once = _LARGE_READ_BYTES if large else _READ_BYTES
            behind, step = -(-end // self._block_bytes), max(1, at_once // self._block_bytes)
            for number in range(offset // self._block_bytes, behind, step):
                start = number * self._block_bytes
                data = self._verified(number, min(number + step, behind))
                first, last = max(offset - start, 0), min(end - start, len(data))
                yield data if last - first == len(data) else data[first:last]
        finally:
            if large:
                _LARGE_READERS.release()
            self.close()

    def _verified(self, number: int, behind: int) -> bytes:
        """Some whole blocks, read at once."""
        start = number * self._block_bytes
        wanted = min(behind * self._block_bytes, self.size) - start
        data = self._at(start, wanted)
        view = memoryview(data)
        for one in range(number, behind):
            place = (one - number) * self._block_bytes
            if len(data) != wanted or _crc(view[place : place + self._block_bytes]) != self._table[one]:
                raise DamagedError(f"block {one} of {len(self._table)} is not what was written")
        return data

    def _read_ending(self) -> tuple[int, int, "array[int]"]:
        length = os.fstat(self._fd).st_size
        if length < _FOOTER.size:
            raise DamagedError("the footer is missing")
        self._tail_start = max(0, length - _TAIL_BYTES)
        self._tail = os.pread(self._fd, length - self._tail_start, self._tail_start)
        if len(self._tail) != length - self._tail_start:
            raise DamagedError("the end of the file cannot be read")
        magic, block_bytes, size, table_crc = _FOOTER.unpack_from(self._tail, len(self._tail) - _FOOTER.size)
        if magic != _MAGIC or not block_bytes:
            raise DamagedError("the footer is missing")
        table_bytes = -(-size // block_bytes) * _ENTRY
        if length != size + table_bytes + _FOOTER.size:
            raise DamagedError(f"the file has {length} bytes, {size + table_bytes + _FOOTER.size} were written")
        packed = self._at(size, table_bytes)
        if _crc(packed) != table_crc:
            raise DamagedError("the checksums themselves are not what was written")
        table = array("I")
        table.frombytes(packed)
        return size, block_bytes, _little_endian(table)

    def _at(self, start: int, length: int) -> bytes:
        if start >= self._tail_start:
            return self._tail[start - self._tail_start : start - self._tail_start + length]
        return os.pread(self._fd, length, start)


def _little_endian(table: "array[int]") -> "array[int]":
    if array("H", b"\1\0")[0] != 1:  # a big-endian machine
        table = array("I", table)
        table.byteswap()
    return table
