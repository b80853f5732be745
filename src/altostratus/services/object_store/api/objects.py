# SPDX-License-Identifier: Apache-2.0
"""Objects: download, metadata, delete."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec

from altostratus.kernel import ids
from altostratus.kernel.db import Row
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.object_store.api import (
    bulk,
    cors,
    form_parts,
    forms,
    manifests,
    receiving,
    symlinks,
    temp_urls,
    versions,
    web,
)
from altostratus.services.object_store.api.conditions import demand_conditions, ranges_of
from altostratus.services.object_store.api.metering import metered
from altostratus.services.object_store.api.readers import lasting_bytes_of, lasting_ranges_of
from altostratus.services.object_store.api.reading import bytes_of, looked_up_again
from altostratus.services.object_store.api.uploading import put_object
from altostratus.services.object_store.api.visits import (
    container_for,
    finished,
    guard_for,
    one,
    place_of,
    writes_of,
)
from altostratus.services.object_store.errors import not_found
from altostratus.services.object_store.logic import metadata, objects, versioning
from altostratus.services.object_store.logic.contents import Contents, contents_of, find_many, in_one_piece, named
from altostratus.services.object_store.logic.times import http_date, now_us, stamp
from altostratus.services.object_store.reconcilers.waste import TOPIC as WASTE


def _headers_of(row: Row[Any], contents: Contents) -> dict[str, str]:
    shown = {
        "ETag": contents.etag,
        "Last-Modified": http_date(contents.modified_us),
        "X-Timestamp": stamp(row.modified_us),
        "Accept-Ranges": "bytes",
        **metadata.shown(row.meta, "OBJECT"),
        **{name.title(): value for name, value in row.headers.items()},
    }
    if row.expires_at is not None:
        shown["X-Delete-At"] = str(row.expires_at)
    if row.segments is not None:
        shown["X-Static-Large-Object"] = "True"
    return shown


def _found(call: Call) -> tuple[Row[Any], Contents]:
    place = place_of(call)
    found = symlinks.resolved(call, place)
    version_id = versioning.id_of(found.row)
    where = found.place if version_id == versioning.NULL else replace(found.place, version=version_id)
    if where != place:
        call.reply_headers["Content-Location"] = symlinks.path_of(call, where)
    call.reply_headers |= versions.told(found.row, found.container, place)
    account = found.place.account
    contents = in_one_piece(found.row)
    if contents is None:
        with call.cloud.db.read() as tx:
            contents = contents_of(tx, account, found.row, guard_for(call, account))
    return found.row, contents


def head_object(call: Call) -> Reply:
    return web.of_object(call, lambda call: temp_urls.dressed(call, _head(call)))


def get_object(call: Call) -> Reply:
    """The bytes, all of them or the ranges that are asked for."""
    return looked_up_again(lambda call: web.of_object(call, _get_plainly), call)


def _get_plainly(call: Call) -> Reply:
    return temp_urls.dressed(call, _get(call))


def _head(call: Call) -> Reply:
    row, contents = _found(call)
    headers = _headers_of(row, contents)
    if not demand_conditions(call.headers, contents.etag.strip('"'), contents.modified_us):
        return finished(Reply(304, headers=headers, content_type=row.content_type))
    if row.segments is not None and one(call, "multipart-manifest") == "get":
        return _manifest(call, row, headers)
    return finished(Reply(200, headers=headers, stream=iter(()), length=contents.size, content_type=row.content_type))


def _get(call: Call) -> Reply:
    row, contents = _found(call)
    headers, kind, size = _headers_of(row, contents), row.content_type, contents.size
    etag = contents.etag.strip('"')
    if row.segments is not None and one(call, "multipart-manifest") == "get":
        return _manifest(call, row, headers)
    if not demand_conditions(call.headers, etag, contents.modified_us):
        return finished(Reply(304, headers=headers, content_type=kind))
    ranges = ranges_of(call.headers, etag, contents.modified_us, size)
    if ranges is None:
        data = lasting_bytes_of(call, contents.spans, 0, size)
        return finished(Reply(200, headers=headers, stream=data, length=size, content_type=kind))
    if len(ranges) == 1:
        offset, length = ranges[0]
        headers["Content-Range"] = f"bytes {offset}-{offset + length - 1}/{size}"
        data = lasting_bytes_of(call, contents.spans, offset, length)
        return finished(Reply(206, headers=headers, stream=data, length=length, content_type=kind))
    boundary = ids.new_hex_id()
    heads = [_part_head(boundary, kind, size, part) for part in ranges]
    end = f"\r\n--{boundary}--".encode()
    length = sum(map(len, heads)) + sum(part[1] for part in ranges) + len(end)
    parts = _parts(call, contents, list(zip(heads, ranges, strict=True)), end)
    data = lasting_ranges_of(call, contents.spans, ranges, parts)
    kind = f"multipart/byteranges;boundary={boundary}"
    return finished(Reply(206, headers=headers, stream=data, length=length, content_type=kind))


def _manifest(call: Call, row: Row[Any], headers: dict[str, str]) -> Reply:
    """The list of a static large object instead of its bytes."""
    account = place_of(call).account
    if one(call, "format") == "raw":
        body = msgspec.json.encode(manifests.raw(row.segments))
        return finished(Reply(200, body, headers=headers, content_type="application/json; charset=utf-8"))
    with call.cloud.db.read() as tx:
        found = find_many(tx, account, named(row.segments), guard_for(call, account))
    body = msgspec.json.encode(manifests.shown(row.segments, found))
    return finished(Reply(200, body, headers=headers, content_type="application/json; charset=utf-8"))


def _part_head(boundary: str, kind: str, size: int, part: tuple[int, int]) -> bytes:
    offset, length = part
    return (
        f"\r\n--{boundary}\r\nContent-Type: {kind}\r\n"
        f"Content-Range: bytes {offset}-{offset + length - 1}/{size}\r\n\r\n"
    ).encode("latin-1", "replace")


def _parts(call: Call, contents: Contents, parts: list[tuple[bytes, tuple[int, int]]], end: bytes) -> Iterator[bytes]:
    for head, (offset, length) in parts:
        yield head
        yield from bytes_of(call, contents.spans, offset, length)
    yield end


# changing


def post_object(call: Call) -> Reply:
    """Replace the metadata; the bytes stay. Or take the files of a form."""
    if form_parts.is_form(call):
        return forms.post_form(call)
    place = place_of(call)
    versions.demand_none(place)
    container = container_for(call, place, "write")
    symlinks.demand_no_target(call)
    described = receiving.described(call)

    def change(tx: Any) -> dict[str, Any]:
        row = objects.find(tx, container.id, place.name)
        if row is None:
            raise not_found("object", place.name)
        kind = call.headers.get("CONTENT-TYPE") or row.content_type
        link = symlinks.kept(row.headers)
        values = {**described, "headers": {**described["headers"], **link}}
        objects.update(tx, container, row, {**values, "content_type": kind, "modified_us": now_us()})
        return link

    link = writes_of(call).run(change)
    if link:
        raise symlinks.redirected(call, link, place)
    return finished(Reply(202))


def delete_object(call: Call) -> Reply:
    """`multipart-manifest=delete` takes the segments of a static large object along."""
    place = place_of(call)
    if one(call, "multipart-manifest") == "delete":
        return bulk.delete_with_segments(call, place)
    told = bulk.delete_at(call, place)
    call.cloud.bus.wake(WASTE)
    return finished(Reply(204, headers=told))


class ObjectOf(Resource, path="/{account}/{container}/{object:path}"):
    """An object."""

    head = Op("HEAD", "", None, "@", metered(cors.told(head_object)), public=True, tx="none", stream="out")
    show = Op("GET", "", None, "@", metered(cors.told(get_object)), public=True, tx="none", stream="out")
    put = Op("PUT", "", None, "@", metered(cors.told(put_object)), public=True, tx="none", stream="in", status=201)
    post = Op("POST", "", None, "@", metered(cors.told(post_object)), public=True, tx="none", stream="in", status=202)
    remove = Op(
        "DELETE", "", None, "@", metered(cors.told(delete_object)), public=True, tx="none", stream="in", status=204
    )
    preflight = Op("OPTIONS", "", None, "@", metered(cors.preflight), public=True, tx="none")
