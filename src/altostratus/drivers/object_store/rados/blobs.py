# SPDX-License-Identifier: Apache-2.0
"""Blobs as objects of a pool, several requests under way at a time. Raises RadosError and DamagedError."""

import errno
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from . import layout
from .layout import NOTE, WINDOW, DamagedError, Span
from .pool import Found, Pool, RadosError, Request

# spans of one blob that are read at the same time
_AHEAD = 4


def send(pool: Pool, blob_id: str, pieces: Iterable[tuple[bytearray, bool]]) -> int:
    """Write (piece, is it the last) and return the whole size, when everything is safe."""
    under_way: deque[Request[None]] = deque()
    begin = 0
    try:
        for piece, is_last in pieces:
            if len(under_way) == WINDOW:
                under_way.popleft().wait()
            name = blob_id if is_last else layout.piece_name(blob_id, begin // layout.PIECE_BYTES)
            under_way.append(pool.put(name, piece, (NOTE, layout.packed_note(begin, piece))))
            begin += len(piece)
        while under_way:
            under_way.popleft().wait()
    finally:
        _wait_out(under_way)
    return begin


def fetch(pool: Pool, blob_id: str, offset: int, length: int | None) -> Iterator[bytes]:
    """The bytes of a range, verified. A small blob costs one request."""
    found = pool.get(blob_id, 0, layout.BLOCK_BYTES).wait()
    head = layout.note_of(found.attribute)
    end = head.end if length is None else min(offset + length, head.end)
    wanted = layout.spans(blob_id, head, offset, end)
    if head.end == len(found.data):
        yield from (layout.verified(span, head, found.data) for span in wanted)
    else:
        yield from _fetch_all(pool, wanted)


def written_at(pool: Pool, blob_id: str) -> int | None:
    """Unix time of the last write, finished or not; None: there is nothing."""
    when = object_written_at(pool, blob_id)
    if when is None and (count := _count_without_head(pool, blob_id)):
        when = object_written_at(pool, layout.piece_name(blob_id, count - 1))
    return when


def object_written_at(pool: Pool, name: str) -> int | None:
    try:
        return pool.written_at(name)
    except RadosError as error:
        if error.errno == errno.ENOENT:
            return None
        raise


def remove(pool: Pool, blob_id: str) -> None:
    """From its end to its beginning, the head last: whatever a crash leaves can be found and removed again."""
    for stop in range(_count_pieces(pool, blob_id), 0, -WINDOW):
        _remove_all(pool, [layout.piece_name(blob_id, number) for number in range(max(0, stop - WINDOW), stop)])
    _remove_all(pool, [blob_id])


def _fetch_all(pool: Pool, wanted: Iterator[Span]) -> Iterator[bytes]:
    under_way: deque[tuple[Span, Request[Found]]] = deque()
    try:
        for span in wanted:
            under_way.append((span, pool.get(span.name, span.start, span.length)))
            if len(under_way) == _AHEAD:
                yield _received(*under_way.popleft())
        while under_way:
            yield _received(*under_way.popleft())
    finally:
        _wait_out(request for _, request in under_way)


def _received(span: Span, request: Request[Found]) -> bytes:
    try:
        found = request.wait()
    except RadosError as error:
        if error.errno != errno.ENOENT:
            raise
        raise DamagedError(f"{span.name} is gone") from error
    return layout.verified(span, layout.note_of(found.attribute), found.data)


def _count_pieces(pool: Pool, blob_id: str) -> int:
    try:
        return layout.note_of(pool.get(blob_id, 0, 1).wait().attribute).begin // layout.PIECE_BYTES
    except DamagedError:
        pass
    except RadosError as error:
        if error.errno != errno.ENOENT:
            raise
    return _count_without_head(pool, blob_id)


def _count_without_head(pool: Pool, blob_id: str) -> int:
    """One more than the number of the last piece."""
    count = first = 0
    while there := _there(pool, blob_id, first):
        count = there[-1] + 1
        first += WINDOW
    return count


def _there(pool: Pool, blob_id: str, first: int) -> list[int]:
    """Which of the WINDOW pieces from `first` on are there."""
    numbers = range(first, first + WINDOW)
    found = _settled([pool.get(layout.piece_name(blob_id, number), 0, 1) for number in numbers])
    return [number for number, there in zip(numbers, found, strict=True) if there]


def _remove_all(pool: Pool, names: list[str]) -> None:
    _settled([pool.remove(name) for name in names])


def _settled(requests: "list[Request[Any]]") -> list[bool]:
    """Which of them found an object. Raises RadosError for any other trouble, when all are over."""
    found, trouble = [], None
    for request in requests:
        try:
            request.wait()
            found.append(True)
        except RadosError as error:
            found.append(False)
            if error.errno != errno.ENOENT:
                trouble = error
    if trouble is not None:
        raise trouble
    return found


def _wait_out(requests: Iterable["Request[Any]"]) -> None:
    """Their buffers are in use until then."""
    for request in requests:
        try:
            request.wait()
        except RadosError:
            continue  # an earlier one is told
