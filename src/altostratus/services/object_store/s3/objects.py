# SPDX-License-Identifier: Apache-2.0
"""Objects: download, delete, delete many, tags."""

import functools
from typing import Any
from xml.etree.ElementTree import Element

from altostratus.kernel.db import Row, Tx
from altostratus.kernel.errors import ApiError
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Reply
from altostratus.services.object_store.api.conditions import demand_conditions, ranges_of
from altostratus.services.object_store.api.reading import bytes_of
from altostratus.services.object_store.api.visits import one, writes_of
from altostratus.services.object_store.logic import objects
from altostratus.services.object_store.logic.contents import Contents
from altostratus.services.object_store.logic.times import http_date
from altostratus.services.object_store.reconcilers.waste import TOPIC as WASTE
from altostratus.services.object_store.s3 import parts
from altostratus.services.object_store.s3.bodies import read_xml, shown_in
from altostratus.services.object_store.s3.errors import S3Error, code_and_status
from altostratus.services.object_store.s3.listings import etag_of
from altostratus.services.object_store.s3.shapes import checked_tags, quoted
from altostratus.services.object_store.s3.visits import container_for, no_such_key, visit_of
from altostratus.services.object_store.s3.writing import META, found
from altostratus.services.object_store.s3.xml import Member, children, document, text_of

_MOST_DELETES = 1000
_AT_ONCE = 100
_INSTEAD = ("content-type", "content-language", "expires", "cache-control", "content-disposition", "content-encoding")


def get_object(call: Call) -> Reply:
    """The bytes, all of them or one range."""
    return _get(call, with_bytes=True)


def head_object(call: Call) -> Reply:
    return _get(call, with_bytes=False)


def _get(call: Call, *, with_bytes: bool) -> Reply:
    visit = visit_of(call)
    row, contents = found(call, visit)
    headers = _headers_of(row, contents)
    instead = {name: one(call, f"response-{name}") for name in _INSTEAD if f"response-{name}" in call.query}
    if instead and visit.signed is None:
        raise S3Error("InvalidRequest", "Request specific response headers cannot be used for anonymous GET requests.")
    kind = instead.pop("content-type", row.content_type)
    headers |= {name.title(): value for name, value in instead.items()}
    etag = etag_of(row)
    if not demand_conditions(call.headers, etag, contents.modified_us):
        return Reply(304, headers=headers, content_type=kind)
    status, (offset, length), made = _span_of(call, row, contents, headers)
    if call.headers.get("X-AMZ-CHECKSUM-MODE", "").upper() == "ENABLED":
        headers |= shown_in(made)
    data = bytes_of(call, contents.spans, offset, length) if with_bytes else iter(())
    return Reply(status, headers=headers, stream=data, length=length, content_type=kind)


def _span_of(
    call: Call, row: Row[Any], contents: Contents, headers: dict[str, str]
) -> tuple[int, tuple[int, int], dict[str, str]]:
    """(status, (offset, length), checksums) of what is asked for: all of it, a range, or a part."""
    part = parts.asked_part(call, row, contents.size)
    ranges = ranges_of(call.headers, etag_of(row), contents.modified_us, contents.size)
    if part is not None:
        span, made = (part.offset, part.length), part.checksums
        if part.total is not None:
            headers["x-amz-mp-parts-count"] = str(part.total)
    elif ranges is not None and len(ranges) == 1:
        span, made = ranges[0], {}
    else:
        return 200, (0, contents.size), (row.s3 or {}).get("checksums", {})
    offset, length = span
    if contents.size:
        headers["Content-Range"] = f"bytes {offset}-{offset + length - 1}/{contents.size}"
    return (206 if contents.size else 200), span, made


def _headers_of(row: Row[Any], contents: Contents) -> dict[str, str]:
    shown = {
        "ETag": quoted(etag_of(row)),
        "Last-Modified": http_date(contents.modified_us),
        "Accept-Ranges": "bytes",
        **{META.lower() + name: str(value) for name, value in row.meta.items()},
        **{name.title(): value for name, value in row.headers.items()},
    }
    tags = (row.s3 or {}).get("tags", {})
    if tags:
        shown["x-amz-tagging-count"] = str(len(tags))
    return shown


def delete_object(call: Call) -> Reply:
    """Deleting what is not there is fine."""
    visit = visit_of(call)
    container = container_for(call, visit, "write")
    writes_of(call).run(functools.partial(_remove, container, visit.key))
    call.cloud.bus.wake(WASTE)
    return Reply(204)


def _remove(container: Row[Any], key: str, tx: Tx) -> None:
    objects.delete(tx, container, key, leaves_null=True)


def delete_many(call: Call) -> Reply:
    """Each is deleted or refused on its own."""
    visit = visit_of(call)
    container = container_for(call, visit, "write")
    asked = read_xml(call, visit.signed, "Delete")
    keys = [text_of(item, "Key") for item in children(asked, "Object")]
    if not 0 < len(keys) <= _MOST_DELETES:
        raise S3Error("MalformedXML", f"One request deletes 1 to {_MOST_DELETES} objects, not {len(keys)}.")
    done = [one for start in range(0, len(keys), _AT_ONCE) for one in _delete(call, container, keys[start:][:_AT_ONCE])]
    call.cloud.bus.wake(WASTE)
    quiet = text_of(asked, "Quiet") == "true"
    return Reply(200, document("DeleteResult", [one for one in done if one[0] == "Error" or not quiet]))


def _delete(call: Call, container: Row[Any], keys: list[str]) -> list[Member]:
    """All of them in one transaction; if one cannot go, each in its own."""

    def remove(tx: Tx) -> None:
        for key in keys:
            _remove(container, key, tx)

    try:
        writes_of(call).run(remove)
    except ApiError as error:
        if len(keys) == 1:
            return [("Error", [("Key", keys[0]), ("Code", code_and_status(error)[0]), ("Message", error.message)])]
        return [one for key in keys for one in _delete(call, container, [key])]
    return [("Deleted", [("Key", key)]) for key in keys]


# tags


def show_tags(call: Call) -> Reply:
    row, _ = found(call, visit_of(call))
    tags = (row.s3 or {}).get("tags", {})
    shown = [("Tag", [("Key", name), ("Value", value)]) for name, value in tags.items()]
    return Reply(200, document("Tagging", [("TagSet", shown)]))


def put_tags(call: Call) -> Reply:
    visit = visit_of(call)
    container = container_for(call, visit, "write")
    _set_tags(call, container, visit.key, _tags_in(read_xml(call, visit.signed, "Tagging")))
    return Reply(200)


def delete_tags(call: Call) -> Reply:
    visit = visit_of(call)
    _set_tags(call, container_for(call, visit, "write"), visit.key, {})
    return Reply(204)


def _tags_in(asked: Element) -> dict[str, str]:
    pairs = [(text_of(tag, "Key"), text_of(tag, "Value")) for part in children(asked, "TagSet") for tag in part]
    return checked_tags(pairs)


def _set_tags(call: Call, container: Row[Any], key: str, tags: dict[str, str]) -> None:
    def change(tx: Tx) -> None:
        row = objects.find(tx, container.id, key)
        if row is None:
            raise no_such_key(key)
        said = {name: value for name, value in {**(row.s3 or {}), "tags": tags}.items() if value}
        objects.update(tx, container, row, {"s3": said or None})

    writes_of(call).run(change)
