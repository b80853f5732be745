# SPDX-License-Identifier: Apache-2.0
"""Objects: download, delete, delete many, tags."""

from typing import Any

from altostratus.kernel.db import Row, Tx
from altostratus.kernel.errors import ApiError
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Reply
from altostratus.services.object_store.api.conditions import demand_conditions, ranges_of
from altostratus.services.object_store.api.readers import lasting_bytes_of
from altostratus.services.object_store.api.reading import looked_up_again
from altostratus.services.object_store.api.visits import one, writes_of
from altostratus.services.object_store.logic import objects
from altostratus.services.object_store.logic.contents import Contents
from altostratus.services.object_store.logic.objects import Deleted
from altostratus.services.object_store.logic.times import http_date
from altostratus.services.object_store.reconcilers.waste import TOPIC as WASTE
from altostratus.services.object_store.s3 import lifecycle, parts, versions
from altostratus.services.object_store.s3.bodies import read_xml, shown_in
from altostratus.services.object_store.s3.errors import S3Error, code_and_status
from altostratus.services.object_store.s3.listings import etag_of
from altostratus.services.object_store.s3.shapes import checked_tags, quoted, tag_members, tags_in
from altostratus.services.object_store.s3.visits import Visit, container_for, deletable, denied, visit_of
from altostratus.services.object_store.s3.writing import META, found
from altostratus.services.object_store.s3.xml import Member, children, document, text_of

_MOST_DELETES = 1000
_AT_ONCE = 100
_INSTEAD = ("content-type", "content-language", "expires", "cache-control", "content-disposition", "content-encoding")


def get_object(call: Call) -> Reply:
    """The bytes, all of them or one range."""
    return looked_up_again(lambda call: _get(call, with_bytes=True), call)


def head_object(call: Call) -> Reply:
    return _get(call, with_bytes=False)


def _get(call: Call, *, with_bytes: bool) -> Reply:
    visit = visit_of(call)
    row, contents, container = found(call, visit)
    headers = {**_headers_of(row, contents), **versions.told(container, row), **lifecycle.told_expiry(container, row)}
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
        headers |= shown_in(made, (row.s3 or {}).get("checksums"))
    data = lasting_bytes_of(call, contents.spans, offset, length) if with_bytes else iter(())
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
    container = container_for(call, visit, "delete")
    deleted = writes_of(call).run(lambda tx: versions.delete(tx, container, visit.key, visit.version))
    call.cloud.bus.wake(WASTE)
    return Reply(204, headers=versions.told_deleted(deleted))


def delete_many(call: Call) -> Reply:
    """Each is deleted or refused on its own."""
    visit = visit_of(call)
    asked = read_xml(call, visit.signed, "Delete")
    wanted = [(text_of(item, "Key"), text_of(item, "VersionId")) for item in children(asked, "Object")]
    if not 0 < len(wanted) <= _MOST_DELETES:
        raise S3Error("MalformedXML", f"One request deletes 1 to {_MOST_DELETES} objects, not {len(wanted)}.")
    container, forbidden = deletable(call, visit, wanted)
    allowed = [one for one in wanted if one not in forbidden]
    starts = range(0, len(allowed), _AT_ONCE)
    done = [one for start in starts for one in _delete(call, container, allowed[start:][:_AT_ONCE])]
    done += [_failed(key, version, denied()) for key, version in forbidden]
    call.cloud.bus.wake(WASTE)
    quiet = text_of(asked, "Quiet") == "true"
    return Reply(200, document("DeleteResult", [one for one in done if one[0] == "Error" or not quiet]))


def _delete(call: Call, container: Row[Any], wanted: list[tuple[str, str]]) -> list[Member]:
    """wanted: (key, version or nothing). All of them in one transaction; if one cannot go, each in its own."""

    def remove(tx: Tx) -> list[Deleted]:
        return [versions.delete(tx, container, key, version) for key, version in wanted]

    try:
        done = writes_of(call).run(remove)
    except ApiError as error:
        if len(wanted) > 1:
            return [one for each in wanted for one in _delete(call, container, [each])]
        return [_failed(*wanted[0], error)]
    return [
        ("Deleted", [("Key", key), ("VersionId", version or None), *_marker_shown(deleted)])
        for (key, version), deleted in zip(wanted, done, strict=True)
    ]


def _failed(key: str, version: str, error: ApiError) -> Member:
    why = [("Code", code_and_status(error)[0]), ("Message", error.message)]
    return ("Error", [("Key", key), ("VersionId", version or None), *why])


def _marker_shown(deleted: Deleted) -> list[Member]:
    return [("DeleteMarker", True), ("DeleteMarkerVersionId", deleted.version_id)] if deleted.was_marker else []


# tags


def show_tags(call: Call) -> Reply:
    row, _, container = found(call, visit_of(call))
    tags = (row.s3 or {}).get("tags", {})
    return Reply(200, document("Tagging", tag_members(tags)), headers=versions.told(container, row))


def put_tags(call: Call) -> Reply:
    visit = visit_of(call)
    container = container_for(call, visit, "write")
    tags = checked_tags(tags_in(read_xml(call, visit.signed, "Tagging")))
    return Reply(200, headers=_set_tags(call, container, visit, tags))


def delete_tags(call: Call) -> Reply:
    visit = visit_of(call)
    return Reply(204, headers=_set_tags(call, container_for(call, visit, "delete"), visit, {}))


def _set_tags(call: Call, container: Row[Any], visit: Visit, tags: dict[str, str]) -> dict[str, str]:
    """Returns headers that tell which version has them."""

    def change(tx: Tx) -> dict[str, str]:
        row = versions.at(tx, container, visit)
        said = {name: value for name, value in {**(row.s3 or {}), "tags": tags}.items() if value}
        objects.update(tx, container, row, {"s3": said or None})
        return versions.told(container, row)

    return writes_of(call).run(change)
