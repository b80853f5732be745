# SPDX-License-Identifier: Apache-2.0
"""Objects: upload, download, copy, metadata, delete."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from altostratus.contracts.object_store import ObjectStore, ObjectStoreError
from altostratus.kernel import ids
from altostratus.kernel.db import Row
from altostratus.kernel.errors import BadRequest, PreconditionFailed
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.object_store.api import receiving
from altostratus.services.object_store.api.conditions import demand_conditions, ranges_of
from altostratus.services.object_store.api.visits import (
    Place,
    container_for,
    finished,
    place_of,
    store_of,
    writes_of,
)
from altostratus.services.object_store.errors import not_found, of_driver
from altostratus.services.object_store.logic import metadata, objects
from altostratus.services.object_store.logic.times import http_date, now_us, stamp
from altostratus.services.object_store.reconcilers.waste import TOPIC as WASTE


def put_object(call: Call) -> Reply:
    """Store an object. `X-Copy-From` takes another object's bytes instead of the body."""
    place = place_of(call)
    container = container_for(call, place, "write")
    if "X-COPY-FROM" in call.headers:
        return _copy(call, place, container)
    expected = receiving.expected_size(call)
    described = receiving.described(call)
    _demand_may_replace(call, container, place)
    blob_id, size, md5 = receiving.receive(call, call.stream, expected)
    values = {
        "name": place.name, "size": size, "etag": md5, "blob_id": blob_id, "modified_us": now_us(),
        "content_type": receiving.content_type_of(call, place.name), **described,
    }  # fmt: skip
    try:
        receiving.demand_etag(call, md5)
        _commit(call, container, values)
    except BaseException:
        _give_up(call, blob_id)
        raise
    return _stored(values)


def _demand_may_replace(call: Call, container: Row[Any], place: Place) -> None:
    """Conditions of an upload, asked before its bytes come."""
    if "IF-NONE-MATCH" not in call.headers:
        return
    if call.headers["IF-NONE-MATCH"].strip() != "*":
        raise BadRequest("If-None-Match of an upload can only be *.")
    with call.cloud.db.read() as tx:
        if objects.find(tx, container.id, place.name) is not None:
            raise PreconditionFailed("If-None-Match: there is an object of this name.")


def _commit(call: Call, container: Row[Any], values: dict[str, Any]) -> None:
    writes_of(call).run(lambda tx: objects.put(tx, container, values))
    if values["blob_id"] is not None:
        store_of(call).settle(values["blob_id"])
    call.cloud.bus.wake(WASTE)


def _give_up(call: Call, blob_id: str | None) -> None:
    if blob_id is not None:
        store_of(call).delete(blob_id)


def _stored(values: dict[str, Any], headers: dict[str, str] | None = None) -> Reply:
    shown = {"ETag": values["etag"], "Last-Modified": http_date(values["modified_us"]), **(headers or {})}
    return finished(Reply(201, headers=shown))


# copies


def _copy(call: Call, place: Place, container: Row[Any]) -> Reply:
    source = _source_of(call, place)
    origin = container_for(call, source, "read")
    with call.cloud.db.read() as tx:
        row = objects.find(tx, origin.id, source.name)
    if row is None:
        raise not_found("object", source.name)
    demand_conditions(call.headers, row.etag, row.modified_us)
    described = receiving.described(call)
    if call.headers.get("X-FRESH-METADATA", "").lower() not in ("true", "1", "yes", "on"):
        described["meta"] = {**row.meta, **described["meta"]}
        described["headers"] = {**row.headers, **described["headers"]}
        described["expires_at"] = described["expires_at"] or row.expires_at
    blob_id, size, md5 = None, 0, row.etag
    if row.blob_id is not None:
        pieces = receiving.Pieces(_bytes_of(call, row, 0, row.size))
        blob_id, size, md5 = receiving.receive(call, pieces, row.size)
    values = {
        "name": place.name, "size": size, "etag": md5, "blob_id": blob_id, "modified_us": now_us(),
        "content_type": call.headers.get("CONTENT-TYPE") or row.content_type, **described,
    }  # fmt: skip
    try:
        _commit(call, container, values)
    except BaseException:
        _give_up(call, blob_id)
        raise
    headers = {
        "X-Copied-From": f"{source.container}/{source.name}",
        "X-Copied-From-Account": source.account,
        "X-Copied-From-Last-Modified": http_date(row.modified_us),
        **metadata.shown(described["meta"], "OBJECT"),
    }
    return _stored(values, headers)


def _source_of(call: Call, place: Place) -> Place:
    text = unquote(call.headers["X-COPY-FROM"].encode("latin-1", "replace").decode("utf-8", "replace"))
    container, slash, name = text.lstrip("/").partition("/")
    if not (container and slash and name):
        raise PreconditionFailed(
            "X-Copy-From and Destination headers must have the form <container name>/<object name>."
        )
    return Place(call.headers.get("X-COPY-FROM-ACCOUNT") or place.account, container, name)


# looking


def _headers_of(row: Row[Any]) -> dict[str, str]:
    shown = {
        "ETag": row.etag,
        "Last-Modified": http_date(row.modified_us),
        "X-Timestamp": stamp(row.modified_us),
        "Accept-Ranges": "bytes",
        **metadata.shown(row.meta, "OBJECT"),
        **{name.title(): value for name, value in row.headers.items()},
    }
    if row.expires_at is not None:
        shown["X-Delete-At"] = str(row.expires_at)
    return shown


def _found(call: Call) -> Row[Any]:
    place = place_of(call)
    container = container_for(call, place, "read")
    with call.cloud.db.read() as tx:
        row = objects.find(tx, container.id, place.name)
    if row is None:
        raise not_found("object", place.name)
    return row


def head_object(call: Call) -> Reply:
    row = _found(call)
    if not demand_conditions(call.headers, row.etag, row.modified_us):
        return finished(Reply(304, headers=_headers_of(row), content_type=row.content_type))
    return finished(
        Reply(200, headers=_headers_of(row), stream=iter(()), length=row.size, content_type=row.content_type)
    )


def get_object(call: Call) -> Reply:
    """The bytes, all of them or the ranges that are asked for."""
    row = _found(call)
    headers, kind = _headers_of(row), row.content_type
    if not demand_conditions(call.headers, row.etag, row.modified_us):
        return finished(Reply(304, headers=headers, content_type=kind))
    ranges = ranges_of(call.headers, row.etag, row.modified_us, row.size)
    if ranges is None:
        data = _bytes_of(call, row, 0, row.size)
        return finished(Reply(200, headers=headers, stream=data, length=row.size, content_type=kind))
    if len(ranges) == 1:
        offset, length = ranges[0]
        headers["Content-Range"] = f"bytes {offset}-{offset + length - 1}/{row.size}"
        data = _bytes_of(call, row, offset, length)
        return finished(Reply(206, headers=headers, stream=data, length=length, content_type=kind))
    boundary = ids.new_hex_id()
    heads = [_part_head(boundary, row, part) for part in ranges]
    end = f"\r\n--{boundary}--".encode()
    length = sum(map(len, heads)) + sum(part[1] for part in ranges) + len(end)
    kind = f"multipart/byteranges;boundary={boundary}"
    data = _parts(call, row, list(zip(heads, ranges, strict=True)), end)
    return finished(Reply(206, headers=headers, stream=data, length=length, content_type=kind))


def _part_head(boundary: str, row: Row[Any], part: tuple[int, int]) -> bytes:
    offset, length = part
    return (
        f"\r\n--{boundary}\r\nContent-Type: {row.content_type}\r\n"
        f"Content-Range: bytes {offset}-{offset + length - 1}/{row.size}\r\n\r\n"
    ).encode("latin-1", "replace")


def _parts(call: Call, row: Row[Any], parts: list[tuple[bytes, tuple[int, int]]], end: bytes) -> Iterator[bytes]:
    for head, (offset, length) in parts:
        yield head
        yield from _bytes_of(call, row, offset, length)
    yield end


def _bytes_of(call: Call, row: Row[Any], offset: int, length: int) -> Iterator[bytes]:
    if row.blob_id is None or not length:
        return iter(())
    return read_blob(store_of(call), row.blob_id, offset, length)


def read_blob(store: ObjectStore, blob_id: str, offset: int, length: int) -> Iterator[bytes]:
    try:
        return store.read(blob_id, offset, length)
    except ObjectStoreError as error:
        raise of_driver(error) from error


# changing


def post_object(call: Call) -> Reply:
    """Replace the metadata; the bytes stay."""
    place = place_of(call)
    container = container_for(call, place, "write")
    described = receiving.described(call)

    def change(tx: Any) -> None:
        row = objects.find(tx, container.id, place.name)
        if row is None:
            raise not_found("object", place.name)
        kept = {**described, "content_type": call.headers.get("CONTENT-TYPE") or row.content_type}
        objects.update(tx, container, row, {**kept, "modified_us": now_us()})

    writes_of(call).run(change)
    return finished(Reply(202))


def delete_object(call: Call) -> Reply:
    place = place_of(call)
    container = container_for(call, place, "write")

    def remove(tx: Any) -> None:
        row = objects.find(tx, container.id, place.name)
        if row is None:
            raise not_found("object", place.name)
        objects.delete(tx, container, row)

    writes_of(call).run(remove)
    call.cloud.bus.wake(WASTE)
    return finished(Reply(204))


class ObjectOf(Resource, path="/{account}/{container}/{object:path}"):
    """An object."""

    head = Op("HEAD", "", None, "@", head_object, public=True, tx="none", stream="out")
    show = Op("GET", "", None, "@", get_object, public=True, tx="none", stream="out")
    put = Op("PUT", "", None, "@", put_object, public=True, tx="none", stream="in", status=201)
    post = Op("POST", "", None, "@", post_object, public=True, tx="none", stream="in", status=202)
    remove = Op("DELETE", "", None, "@", delete_object, public=True, tx="none", stream="in", status=204)
