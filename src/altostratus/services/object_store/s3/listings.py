# SPDX-License-Identifier: Apache-2.0
"""Listings of a bucket: versions 1 and 2, and the versions of objects, of which there is one each."""

import base64
import binascii
from typing import Any

from sqlalchemy import select

from altostratus.kernel.db import Row, table_of
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Reply
from altostratus.services.object_store.api.visits import one
from altostratus.services.object_store.logic import listing
from altostratus.services.object_store.models import StoredObject
from altostratus.services.object_store.s3.buckets import owner
from altostratus.services.object_store.s3.errors import S3Error
from altostratus.services.object_store.s3.shapes import encoded, iso_z, number_of, quoted
from altostratus.services.object_store.s3.visits import Visit, container_for, visit_of
from altostratus.services.object_store.s3.xml import Member, document

_MOST = 1000
_Item = Row[Any] | listing.Subdir


def list_objects(call: Call) -> Reply:
    """`list-type=2` is the second version."""
    kind = one(call, "list-type")
    if kind not in ("", "2"):
        raise S3Error("InvalidArgument", f"Invalid List Type: {kind[:20]!r}. It is 2, or left out.")
    return _second(call) if kind else _first(call)


def _first(call: Call) -> Reply:
    visit, items, more = _page(call, one(call, "marker"))
    last = _name_of(items[-1]) if more else None
    body: list[Member] = [
        *_asked(call, visit, more),
        ("Marker", encoded(call, one(call, "marker"))),
        ("NextMarker", None if last is None else encoded(call, last)),
        *(_shown(call, item, [owner(visit.account)]) for item in items),
    ]
    return Reply(200, document("ListBucketResult", body))


def _second(call: Call) -> Reply:
    token, after = one(call, "continuation-token"), one(call, "start-after")
    visit, items, more = _page(call, _position(token) if token else after)
    with_owner: list[Member] = [owner(visit.account)] if one(call, "fetch-owner") == "true" else []
    body: list[Member] = [
        *_asked(call, visit, more),
        ("KeyCount", len(items)),
        ("ContinuationToken", token or None),
        ("NextContinuationToken", _token(_name_of(items[-1])) if more else None),
        ("StartAfter", encoded(call, after) if after else None),
        *(_shown(call, item, with_owner) for item in items),
    ]
    return Reply(200, document("ListBucketResult", body))


def list_versions(call: Call) -> Reply:
    """S3 calls the version of an object in a bucket that keeps none `null`."""
    visit, items, more = _page(call, one(call, "key-marker"))
    always: list[Member] = [("VersionId", "null"), ("IsLatest", True), owner(visit.account)]
    body: list[Member] = [
        *_asked(call, visit, more),
        ("KeyMarker", encoded(call, one(call, "key-marker"))),
        ("VersionIdMarker", ""),
        ("NextKeyMarker", encoded(call, _name_of(items[-1])) if more else None),
        ("NextVersionIdMarker", "null" if more else None),
        *(_shown(call, item, always, name="Version") for item in items),
    ]
    return Reply(200, document("ListVersionsResult", body))


def _page(call: Call, marker: str) -> tuple[Visit, list[_Item], bool]:
    """(visit, items, are there more?)"""
    visit = visit_of(call)
    container = container_for(call, visit, "list")
    most = number_of(call, "max-keys", _MOST)
    wanted = listing.Wanted(most + 1 if most else 0, marker, "", one(call, "prefix"), one(call, "delimiter"))
    table = table_of(StoredObject)
    with call.cloud.db.read_in_turn() as tx:
        items = listing.page(tx, select(table).where(table.c.container_id == container.id), table, wanted)
    return visit, items[:most], len(items) > most


def _asked(call: Call, visit: Visit, more: bool) -> list[Member]:
    delimiter = one(call, "delimiter")
    return [
        ("Name", visit.bucket),
        ("Prefix", encoded(call, one(call, "prefix"))),
        ("Delimiter", encoded(call, delimiter) if delimiter else None),
        ("MaxKeys", number_of(call, "max-keys", _MOST)),
        ("EncodingType", one(call, "encoding-type") or None),
        ("IsTruncated", more),
    ]


def _shown(call: Call, item: _Item, further: list[Member], *, name: str = "Contents") -> Member:
    if isinstance(item, listing.Subdir):
        return ("CommonPrefixes", [("Prefix", encoded(call, str(item)))])
    checksums = sorted((item.s3 or {}).get("checksums", {}))
    return (
        name,
        [
            ("Key", encoded(call, item.name)),
            ("LastModified", iso_z(item.modified_us)),
            ("ETag", quoted(etag_of(item))),
            *(("ChecksumAlgorithm", algorithm.upper()) for algorithm in checksums),
            ("Size", item.size),
            ("StorageClass", "STANDARD"),
            *further,
        ],
    )


def etag_of(row: Row[Any]) -> str:
    """Clients take one without a hyphen for the MD5 of the bytes; that of segments is another thing."""
    return f"{row.etag}-{len(row.segments)}" if row.segments is not None else str(row.etag)


def _name_of(item: _Item) -> str:
    return str(item) if isinstance(item, listing.Subdir) else str(item.name)


def _token(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode()


def _position(token: str) -> str:
    try:
        return base64.b64decode(token.encode(), b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError):
        raise S3Error("InvalidArgument", "The continuation token provided is incorrect.") from None
