# SPDX-License-Identifier: Apache-2.0
"""How a blob lies in RADOS objects.

    <blob>.0  <blob>.1 ...   pieces of PIECE_BYTES, none if the blob is no larger than one
    <blob>                   the *head*: the last piece. A blob without one was never acknowledged

Every object carries, in the attribute NOTE, where its data begins in the blob and a CRC-32C of each of its blocks,
written together with the data: a range is verified with no object read but those that hold it.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

import anycrc

PIECE_BYTES = 4 << 20
BLOCK_BYTES = 64 << 10
# what is read at once
SPAN_BYTES = 1 << 20
NOTE = "altostratus.blob"
# Pieces of one blob that are written at the same time: piece n is begun when piece n - WINDOW is safe. So what a
# crash leaves of a blob without a head has no gap of WINDOW pieces, and can be found.
WINDOW = 4
_NOTE = struct.Struct("<8sQI")
_MAGIC = b"ALTORDS1"
# by the processor's own instruction: seven times as fast as zlib's CRC-32
_CRC = anycrc.Model("CRC32C")


class DamagedError(Exception):
    """An object is not what was written; the message says where."""


class Note(NamedTuple):
    """begin: bytes of the blob before this object; length: bytes of this object; sums: a CRC-32C for each block."""

    begin: int
    length: int
    sums: tuple[int, ...]

    @property
    def end(self) -> int:
        return self.begin + self.length


class Span(NamedTuple):
    """Whole blocks of one object, and what of them is wanted. `start` counts in the object, `skip` in the blocks."""

    name: str
    begin: int
    start: int
    length: int
    skip: int
    wanted: int


def piece_name(blob_id: str, number: int) -> str:
    return f"{blob_id}.{number}"


def is_head(name: str) -> bool:
    return "." not in name


def packed_note(begin: int, data: bytes | bytearray) -> bytes:
    sums = _sums(data)
    return _NOTE.pack(_MAGIC, begin, len(data)) + struct.pack(f"<{len(sums)}I", *sums)


def note_of(packed: bytes) -> Note:
    """Raises DamagedError."""
    if len(packed) < _NOTE.size or not packed.startswith(_MAGIC):
        raise DamagedError("its checksums are missing")
    _, begin, length = _NOTE.unpack_from(packed)
    count = -(-length // BLOCK_BYTES)
    if len(packed) != _NOTE.size + 4 * count:
        raise DamagedError("its checksums are not whole")
    return Note(begin, length, struct.unpack_from(f"<{count}I", packed, _NOTE.size))


def verified(span: Span, note: Note, data: bytes) -> bytes:
    """What is wanted of the span. Raises DamagedError."""
    if note.begin != span.begin or len(data) != span.length:
        raise DamagedError(f"{span.name} has {len(data)} bytes where {span.length} were written")
    first = span.start // BLOCK_BYTES
    for number, found in enumerate(_sums(data), first):
        if found != note.sums[number]:
            raise DamagedError(f"block {number} of {span.name} is not what was written")
    return data if span.wanted == len(data) else data[span.skip : span.skip + span.wanted]


def _sums(data: bytes | bytearray) -> list[int]:
    view = memoryview(data)
    return [_CRC.calc(view[at : at + BLOCK_BYTES]) for at in range(0, len(data), BLOCK_BYTES)]


def spans(blob_id: str, head: Note, offset: int, end: int) -> Iterator[Span]:
    """What must be read for the bytes from `offset` to `end`, which lie within the blob, in order."""
    while offset < end:
        begin = min(offset // PIECE_BYTES * PIECE_BYTES, head.begin)
        is_last = begin == head.begin
        length = head.length if is_last else PIECE_BYTES
        inside = offset - begin
        start = inside // BLOCK_BYTES * BLOCK_BYTES
        stop = min(start + SPAN_BYTES, -(-(end - begin) // BLOCK_BYTES) * BLOCK_BYTES, length)
        wanted = min(stop, end - begin) - inside
        name = blob_id if is_last else piece_name(blob_id, begin // PIECE_BYTES)
        yield Span(name, begin, start, stop - start, inside - start, wanted)
        offset += wanted
