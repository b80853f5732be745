# SPDX-License-Identifier: Apache-2.0
"""Manifests of static large objects: the JSON that clients send, checked against the segments that are there."""

import base64
import hashlib
from typing import Any

import msgspec

from altostratus.kernel.db import Row
from altostratus.kernel.errors import BadRequest, TooLarge
from altostratus.kernel.numbers import whole_number
from altostratus.kernel.resource.call import Call
from altostratus.services.object_store.api.visits import guard_for
from altostratus.services.object_store.logic.contents import find_many
from altostratus.services.object_store.logic.times import iso

MOST_SEGMENTS = 1000
MOST_BYTES = 8 * 1024 * 1024


class _Segment(msgspec.Struct, forbid_unknown_fields=True):
    """An object by its path, or `data` in base64."""

    path: str | None = None
    etag: str | None = None
    size_bytes: int | None = None
    range: str | None = None
    data: str | None = None


class _Shown(msgspec.Struct):
    name: str | None = None
    bytes: int = 0
    hash: str = ""
    range: str | None = None
    data: str | None = None


_decode = msgspec.json.Decoder(list[_Segment], strict=False).decode
_decode_shown = msgspec.json.Decoder(list[_Shown]).decode


def read_segments(call: Call, account: str) -> list[dict[str, Any]]:
    """The list of the body, as it is stored. Raises BadRequest with a line for each segment that is wrong."""
    data = call.stream.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise TooLarge(f"A manifest has at most {MOST_BYTES} bytes.")
    try:
        given = _decode(data)
    except msgspec.MsgspecError as error:
        raise BadRequest(
            f'Manifest must be valid JSON: {error}. It is a list such as [{{"path": "/container/object"}}].'
        ) from None
    if not given:
        raise BadRequest("Manifest must contain at least one segment.")
    if len(given) > MOST_SEGMENTS:
        raise TooLarge(f"Number of segments must be <= {MOST_SEGMENTS}.")
    if any(segment.data is not None and segment != _Segment(data=segment.data) for segment in given):
        raise BadRequest("A segment has a path or data, not both; data has no other keys.")
    if all(segment.data is not None for segment in given):
        raise BadRequest("Inline data segments require at least one object-backed segment.")
    names = [None if segment.data is not None else _named(segment.path) for segment in given]
    with call.cloud.db.read() as tx:
        found = find_many(tx, account, [name for name in names if name], guard_for(call, account))
    errors: list[str] = []
    segments = []
    for index, (segment, name) in enumerate(zip(given, names, strict=True)):
        stored, trouble = _inline(segment.data or "") if name is None else _checked(segment, name, found.get(name))
        if trouble:
            errors.append(f"{segment.path or f'Index {index}'}, {trouble}")
        segments.append(stored)
    if errors:
        raise BadRequest("Errors:\n" + "\n".join(errors))
    return segments


def read_shown(call: Call) -> list[dict[str, Any]]:
    """A list in the form of `shown`, as container sync sends it; nothing is looked up. Raises BadRequest."""
    try:
        given = _decode_shown(call.stream.read(MOST_BYTES))
    except msgspec.MsgspecError as error:
        raise BadRequest(f"Manifest must be valid JSON: {error}.") from None
    if len(given) > MOST_SEGMENTS:
        raise TooLarge(f"Number of segments must be <= {MOST_SEGMENTS}.")
    return [_as_stored(segment) for segment in given]


def length_of(segment: dict[str, Any]) -> int:
    first_last = segment.get("range")
    return first_last[1] - first_last[0] + 1 if first_last else int(segment["size"])


def shown(segments: list[dict[str, Any]], found: dict[tuple[str, str], Row[Any]]) -> list[dict[str, Any]]:
    """What `multipart-manifest=get` answers."""
    items: list[dict[str, Any]] = []
    for segment in segments:
        if "data" in segment:
            items.append({"data": segment["data"]})
            continue
        row = found.get((segment["container"], segment["name"]))
        item = {
            "name": f"/{segment['container']}/{segment['name']}",
            "bytes": segment["size"],
            "hash": segment["etag"],
            "content_type": row.content_type if row is not None else "application/octet-stream",
            "last_modified": iso(row.modified_us) if row is not None else None,
        }
        if segment.get("range"):
            item["range"] = "-".join(map(str, segment["range"]))
        items.append(item)
    return items


def raw(segments: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What `format=raw` answers: the list as it could be sent again."""
    items = []
    for item in shown(segments, {}):
        if "data" not in item:
            item = {"path": item["name"], "size_bytes": item["bytes"], "etag": item["hash"]} | (
                {"range": item["range"]} if "range" in item else {}
            )
        items.append(item)
    return items


def _as_stored(segment: _Shown) -> dict[str, Any]:
    if segment.data is not None:
        stored, trouble = _inline(segment.data)
        if trouble:
            raise BadRequest(f"The manifest has data that is {trouble}")
        return stored
    container, name = _named(segment.name)
    stored = {"container": container, "name": name, "etag": segment.hash, "size": segment.bytes}
    if segment.range is not None:
        stored["range"] = list(_range(segment.range, segment.bytes))
    return stored


def _inline(data: str) -> tuple[dict[str, Any], str]:
    """(as stored, what is wrong with it)"""
    try:
        plain = base64.b64decode(data, validate=True)
    except ValueError:
        return {}, "data must be valid base64."
    if not plain:
        return {}, "too small; each segment must be at least 1 byte."
    etag = hashlib.md5(plain, usedforsecurity=False).hexdigest()
    return {"data": base64.b64encode(plain).decode(), "etag": etag, "size": len(plain)}, ""


def _named(path: str | None) -> tuple[str, str]:
    container, slash, name = (path or "").lstrip("/").partition("/")
    if not (container and slash and name):
        raise BadRequest(f"Invalid path {path!r} in the manifest: it must be /container/object.")
    return container, name


def _checked(segment: _Segment, name: tuple[str, str], row: Row[Any] | None) -> tuple[dict[str, Any], str]:
    """(as stored, what is wrong with it)"""
    if row is None:
        return {}, "404 Not Found"
    if segment.size_bytes is not None and segment.size_bytes != row.size:
        return {}, "Size Mismatch"
    if segment.etag is not None and segment.etag.strip('"') != row.etag:
        return {}, "Etag Mismatch"
    if not row.size:
        return {}, "Too Small; each segment must be at least 1 byte."
    stored: dict[str, Any] = {"container": name[0], "name": name[1], "etag": row.etag, "size": row.size}
    if segment.range is not None:
        first, last = _range(segment.range, row.size)
        if first > last:
            return {}, "Unsatisfiable Range"
        stored["range"] = [first, last]
    return stored, ""


def _range(text: str, size: int) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    start, end = whole_number(first), whole_number(last)
    if not dash or not (first or last) or (first and start is None) or (last and end is None):
        raise BadRequest(f"Invalid range {text[:60]!r} in the manifest: write 0-99, 100- or -50.")
    if start is None:
        return max(size - (end or 0), 0), size - 1
    return start, size - 1 if end is None else min(end, size - 1)
