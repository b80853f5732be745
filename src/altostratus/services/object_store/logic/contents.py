# SPDX-License-Identifier: Apache-2.0
"""What an object's bytes are made of: its own blob, or those of the segments of a large object.

A *static* large object lists its segments, with checksums that must still be right when it is read; some may stand in
the list itself, as `data` in base64. A *dynamic* one names a container and a prefix (`X-Object-Manifest`): whatever is
there when it is read.
"""

import base64
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from sqlalchemy import select

from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import Conflict
from altostratus.services.object_store.logic import containers, listing, stored
from altostratus.services.object_store.logic.listing import Wanted
from altostratus.services.object_store.logic.parts import parts_of
from altostratus.services.object_store.models import StoredObject

DYNAMIC = "x-object-manifest"
_DEEPEST = 10
_MOST_DYNAMIC = 10_000
_AT_ONCE = 500
# may the caller read this container? Raises the refusal
Guard = Callable[[Row[Any]], None]


@dataclass(frozen=True, slots=True)
class Span:
    """`length` bytes of a blob, or of `data`."""

    blob_id: str
    offset: int
    length: int
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class Contents:
    """`etag` as the header shows it: in quotes where it is no MD5 of the bytes."""

    etag: str
    size: int
    modified_us: int
    spans: tuple[Span, ...]


def contents_of(tx: Tx, account: str, row: Row[Any], guard: Guard) -> Contents:
    """Raises Conflict if a segment is gone or another one now, or what `guard` raises."""
    whole = in_one_piece(row)
    if whole is not None:
        return whole
    if row.segments is not None:
        spans = tuple(_static_spans(tx, account, row, guard, _DEEPEST))
        return Contents(f'"{row.etag}"', row.size, row.modified_us, spans)
    if DYNAMIC in row.headers:
        return _dynamic(tx, account, row, guard)
    return Contents(row.etag, row.size, row.modified_us, own_spans(tx, row))


def in_one_piece(row: Row[Any]) -> Contents | None:
    """Of an object whose row says all; None for others."""
    if row.segments is not None or row.parts_id is not None or DYNAMIC in row.headers:
        return None
    return Contents(row.etag, row.size, row.modified_us, _own_span(row))


def own_spans(tx: Tx, row: Row[Any]) -> tuple[Span, ...]:
    """An object's own bytes, in one piece or in the parts of an upload."""
    if row.parts_id is None:
        return _own_span(row)
    return tuple(Span(part.blob_id, 0, part.size) for part in parts_of(tx, row.parts_id) if part.blob_id is not None)


def _own_span(row: Row[Any]) -> tuple[Span, ...]:
    return (Span(row.blob_id, 0, row.size),) if row.blob_id is not None else ()


def cut(spans: tuple[Span, ...], offset: int, length: int) -> Iterator[Span]:
    """The parts of `spans` that make up a range of the whole."""
    for span in spans:
        if length <= 0:
            return
        if offset >= span.length:
            offset -= span.length
            continue
        taken = min(span.length - offset, length)
        yield Span(span.blob_id, span.offset + offset, taken, span.data)
        offset, length = 0, length - taken


def static_etag(segments: list[dict[str, Any]]) -> str:
    """MD5 of the segments' checksums in a row, with their ranges."""
    md5 = hashlib.md5(usedforsecurity=False)
    for segment in segments:
        first_last = segment.get("range")
        md5.update(f"{segment['etag']}:{first_last[0]}-{first_last[1]};".encode() if first_last else
                   segment["etag"].encode())  # fmt: skip
    return md5.hexdigest()


def named(segments: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """(container, name) of those that are objects."""
    return [(segment["container"], segment["name"]) for segment in segments if "data" not in segment]


def find_many(tx: Tx, account: str, names: list[tuple[str, str]], guard: Guard) -> dict[tuple[str, str], Row[Any]]:
    """Objects by (container, name), those that are there; a query for some hundred of them."""
    found: dict[tuple[str, str], Row[Any]] = {}
    item = table_of(StoredObject)
    for container_name in dict.fromkeys(container for container, _ in names):
        container = containers.find(tx, account, container_name)
        if container is None:
            continue
        guard(container)
        wanted = [name for of, name in names if of == container_name]
        for start in range(0, len(wanted), _AT_ONCE):
            some = item.c.name.in_(wanted[start : start + _AT_ONCE])
            for row in tx.rows(select(item).where(item.c.container_id == container.id, some)):
                if not stored.has_expired(row):
                    found[container_name, row.name] = row
    return found


def _static_spans(tx: Tx, account: str, row: Row[Any], guard: Guard, depth: int) -> Iterator[Span]:
    if not depth:
        raise Conflict("Large objects are nested too deeply.")
    found = find_many(tx, account, named(row.segments), guard)
    for segment in row.segments:
        if "data" in segment:
            yield Span("", 0, segment["size"], base64.b64decode(segment["data"]))
            continue
        now = found.get((segment["container"], segment["name"]))
        if now is None or now.etag != segment["etag"] or now.size != segment["size"]:
            raise Conflict(
                f"The segment /{segment['container']}/{segment['name']} is gone or was changed since the large object"
                " was made. Upload it again, or make the large object anew."
            )
        if now.segments is not None:
            inner = tuple(_static_spans(tx, account, now, guard, depth - 1))
        else:
            inner = own_spans(tx, now)
        first, last = segment.get("range") or (0, now.size - 1)
        yield from cut(inner, first, last - first + 1)


def _dynamic(tx: Tx, account: str, row: Row[Any], guard: Guard) -> Contents:
    container_name, _, prefix = unquote(row.headers[DYNAMIC]).lstrip("/").partition("/")
    container = containers.find(tx, account, container_name)
    parts: list[Row[Any]] = []
    if container is not None:
        guard(container)
        item = table_of(StoredObject)
        wanted = Wanted(_MOST_DYNAMIC, prefix=prefix)
        page = listing.page(tx, select(item).where(item.c.container_id == container.id), item, wanted)
        parts = [part for part in page if not isinstance(part, str) and not stored.has_expired(part)]
    etag = hashlib.md5("".join(part.etag for part in parts).encode(), usedforsecurity=False).hexdigest()
    return Contents(
        f'"{etag}"',
        sum(stored.held_bytes(part._mapping) for part in parts),
        max([row.modified_us, *(part.modified_us for part in parts)]),
        tuple(span for part in parts for span in own_spans(tx, part)),
    )
