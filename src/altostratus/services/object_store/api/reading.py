# SPDX-License-Identifier: Apache-2.0
"""Bytes on their way out."""

from collections.abc import Callable, Generator, Iterable, Iterator

from altostratus.contracts.object_store import ObjectStoreError
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Reply
from altostratus.services.object_store.api.visits import store_of
from altostratus.services.object_store.errors import Vanished, of_driver
from altostratus.services.object_store.logic.contents import Span, cut

_REPLACED_AT_MOST = 3


def looked_up_again(read: Callable[[Call], Reply], call: Call) -> Reply:
    """What `read(call)` answers. An object that is replaced between its row and its bytes is read anew."""
    for _ in range(_REPLACED_AT_MOST):
        try:
            return read(call)
        except Vanished:
            continue
    return read(call)


def bytes_of(call: Call, spans: tuple[Span, ...], offset: int, length: int) -> Iterable[bytes]:
    """A range of the whole. The first piece is read before this returns, so that a refusal can still be sent.

    If that is all, it comes as a list: the server need not ask for more.
    """
    pieces = _pieces(call, spans, offset, length)
    try:
        first = next(pieces, b"")
    except ObjectStoreError as error:
        raise of_driver(error) from error
    if len(first) == length:
        pieces.close()
        return [first]
    return _chained(first, pieces)


def _pieces(call: Call, spans: tuple[Span, ...], offset: int, length: int) -> Generator[bytes, None, None]:
    store = store_of(call)
    for span in cut(spans, offset, length):
        if span.data is not None:
            yield span.data[span.offset : span.offset + span.length]
        else:
            yield from store.read(span.blob_id, span.offset, span.length)


def _chained(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest
