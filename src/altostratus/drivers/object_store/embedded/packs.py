# SPDX-License-Identifier: Apache-2.0
"""The file of a pack: many small blobs, one behind the other.

A file of its own costs a small blob more than its bytes do: an inode, two names, two flushes. A pack is made once, and
the blobs that come at the same time are written and flushed at once.

    record | record | hole | record ...      each begins at a multiple of UNIT_BYTES
    record = header | data | zeros up to the next unit

The id of a blob names its pack and its unit, so there is no index, and a blob lies at the same place on every disk. A
deleted record becomes a hole, which takes no room. What is neither zeros nor a record (a bit that flipped in a header,
a record that a power cut tore) counts as a blob that is damaged: it is set aside or removed like any other.
"""

import ctypes
import errno
import fcntl
import os
import secrets
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple, Self

from isal import isal_zlib

from .blob_file import DamagedError

UNIT_BYTES = 4096
# larger blobs have files of their own
SMALL_BYTES = 64 * 1024
# a pack that has so much takes no more
FULL_BYTES = 16 * 1024 * 1024
# pack, unit, bytes of data, microseconds since 1970, CRC-32 of the data; then that of the header itself. The pack is in
# it so that no client can write bytes that look like a record: it would have to know it.
_HEADER = struct.Struct("<8s13sxxxIIQI")
HEADER_BYTES = _HEADER.size + 4
_MAGIC = b"ALTOPCK1"
PACK_LETTER = "p"
_PACK_LETTERS = 27
_ZEROS = bytes(UNIT_BYTES)
# read at once: small ones whole
_FIRST_BYTES = 4 * UNIT_BYTES
# linux/falloc.h: FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE
_PUNCH_HOLE = 3
_READ_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW
_crc = isal_zlib.crc32
_fallocate = ctypes.CDLL(None, use_errno=True).fallocate
_fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


def new_pack() -> str:
    return PACK_LETTER + secrets.token_hex(13)


def is_packed(blob_id: str) -> bool:
    return blob_id.startswith(PACK_LETTER) and len(blob_id) > _PACK_LETTERS


def is_pack(name: str) -> bool:
    return name.startswith(PACK_LETTER) and len(name) == _PACK_LETTERS


def pack_of(blob_id: str) -> str:
    return blob_id[:_PACK_LETTERS]


def unit_of(blob_id: str) -> int:
    return int(blob_id[_PACK_LETTERS:], 16)


def blob_in(pack: str, unit: int) -> str:
    """The id of the blob that begins at this unit."""
    return f"{pack}{unit:05x}"


def units_for(size: int) -> int:
    """Of a blob of so many bytes."""
    return -(-(HEADER_BYTES + size) // UNIT_BYTES)


def record(blob_id: str, data: bytes) -> bytes:
    """What is written for a blob: some whole units."""
    fixed = _HEADER.pack(
        _MAGIC, bytes.fromhex(pack_of(blob_id)[1:]), unit_of(blob_id), len(data), time.time_ns() // 1000, _crc(data)
    )
    whole = b"".join((fixed, _crc(fixed).to_bytes(4, "little"), data))
    return whole + _ZEROS[: -len(whole) % UNIT_BYTES]


class Head(NamedTuple):
    """What the header of a record says."""

    size: int
    written_us: int
    data_crc: int

    @property
    def units(self) -> int:
        return units_for(self.size)


class PackedBlob:
    """A verified blob, read whole."""

    def __init__(self, data: bytes) -> None:
        self.size = len(data)
        self._data = data

    def blocks(self, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        end = self.size if length is None else offset + length
        if end > offset:
            yield self._data[offset:end]

    def close(self) -> None:
        """There is nothing to close."""


class Pack:
    """An open pack. `with Pack(path) as pack`; raises FileNotFoundError."""

    def __init__(self, path: str, flags: int = os.O_RDONLY) -> None:
        self._name = os.path.basename(path)
        self._fd = os.open(path, flags | _READ_FLAGS, 0o600)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        os.close(self._fd)

    def read(self, unit: int) -> PackedBlob:
        """Raises FileNotFoundError for a hole, DamagedError for what is not what was written."""
        found = self._units_from(unit, _FIRST_BYTES)
        head = self._demand_head(unit, found)
        end = HEADER_BYTES + head.size
        if end > len(found):
            found = self._units_from(unit, end)
        data = found[HEADER_BYTES:end]
        if len(data) != head.size or _crc(data) != head.data_crc:
            raise DamagedError(f"the data of {self._name}, unit {unit}, is not what was written")
        return PackedBlob(data)

    def head(self, unit: int) -> Head:
        """Raises FileNotFoundError for a hole, DamagedError."""
        return self._demand_head(unit, self._units_from(unit, UNIT_BYTES))

    def units(self) -> Iterator[int]:
        """Where blobs begin, damaged ones among them."""
        at, torn = 0, False
        while found := self._units_from(at, UNIT_BYTES):
            if _is_hole(found):
                at, torn = self._next_data(at + 1), False
                continue
            head = self._head_in(at, found)
            if head is not None or not torn:
                yield at
            torn = head is None
            at += 1 if head is None else head.units

    def extent(self, unit: int) -> int:
        """How many units the blob has; for a damaged one up to where another one or a hole begins."""
        with suppress(DamagedError):
            return self.head(unit).units
        behind = unit + 1
        while (found := self._units_from(behind, UNIT_BYTES)) and not (_is_hole(found) or self._head_in(behind, found)):
            behind += 1
        return behind - unit

    def raw(self, unit: int) -> bytes:
        return self._units_from(unit, self.extent(unit) * UNIT_BYTES)

    def punch(self, unit: int) -> None:
        """Make a hole of the blob. Raises FileNotFoundError if there is one already."""
        punch(self._fd, unit * UNIT_BYTES, self.extent(unit) * UNIT_BYTES)

    def hold(self) -> bool:
        """As long as it is open nobody removes the file, empty as it may be; False: somebody has."""
        fcntl.flock(self._fd, fcntl.LOCK_SH)
        return os.fstat(self._fd).st_nlink > 0

    def is_nobodys(self) -> bool:
        """Is it empty, and nobody holds it? Then nobody will, until it is closed."""
        if next(self.units(), None) is not None:
            return False
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return next(self.units(), None) is None

    def put(self, unit: int, written: bytes) -> None:
        """A record, flushed."""
        done = 0
        while done < len(written):
            done += os.pwrite(self._fd, memoryview(written)[done:], unit * UNIT_BYTES + done)
        os.fdatasync(self._fd)

    def _units_from(self, unit: int, length: int) -> bytes:
        return os.pread(self._fd, length, unit * UNIT_BYTES)

    def _demand_head(self, unit: int, found: bytes) -> Head:
        if _is_hole(found[:UNIT_BYTES]):
            raise FileNotFoundError(errno.ENOENT, "nothing is there", blob_in(self._name, unit))
        head = self._head_in(unit, found)
        if head is None:
            raise DamagedError(f"the header of {self._name}, unit {unit}, is not what was written")
        return head

    def _head_in(self, unit: int, found: bytes) -> Head | None:
        if len(found) < HEADER_BYTES or found[: len(_MAGIC)] != _MAGIC:
            return None
        fixed, check = found[: _HEADER.size], found[_HEADER.size : HEADER_BYTES]
        _, pack, own_unit, size, written_us, data_crc = _HEADER.unpack(fixed)
        right = (pack.hex(), own_unit, _crc(fixed).to_bytes(4, "little")) == (self._name[1:], unit, check)
        return Head(size, written_us, data_crc) if right and size <= SMALL_BYTES else None

    def _next_data(self, unit: int) -> int:
        try:
            return max(unit, os.lseek(self._fd, unit * UNIT_BYTES, os.SEEK_DATA) // UNIT_BYTES)
        except OSError as error:
            if error.errno == errno.ENXIO:  # no more data
                return os.fstat(self._fd).st_size // UNIT_BYTES + 1
            raise


def _is_hole(found: bytes) -> bool:
    """`found`: no more than a unit."""
    return found == (_ZEROS if len(found) == UNIT_BYTES else bytes(len(found)))


def punch(descriptor: int, start: int, length: int) -> None:
    """Give the room of a range back. On a file system that cannot, it is only emptied."""
    if _fallocate(descriptor, _PUNCH_HOLE, start, length):
        number = ctypes.get_errno()
        if number != errno.EOPNOTSUPP:
            raise OSError(number, os.strerror(number))
        os.pwrite(descriptor, bytes(length), start)
