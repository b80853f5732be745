# SPDX-License-Identifier: Apache-2.0
"""Listings of a bucket: versions 1 and 2, and the versions of objects."""

import base64
import binascii
from typing import Any

from sqlalchemy import select

from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Reply
from altostratus.services.object_store.api.visits import one
from altostratus.services.object_store.logic import checksums, listing, versioning
from altostratus.services.object_store.models import StoredObject
from altostratus.services.object_store.s3.errors import S3Error
from altostratus.services.object_store.s3.shapes import encoded, iso_z, number_of, owner, quoted
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
    """Versions and delete markers, the newest of a key first."""
    visit = visit_of(call)
    container = container_for(call, visit, "list")
    wanted = _wanted(call, one(call, "key-marker"))
    with call.cloud.db.read() as tx:
        found = versioning.page(tx, container.id, wanted, _after(call, tx, container))
    items, more = _cut(found, wanted)
    last = items[-1] if more else None
    body: list[Member] = [
        *_asked(call, visit, more),
        ("KeyMarker", encoded(call, one(call, "key-marker"))),
        ("VersionIdMarker", one(call, "version-id-marker")),
        ("NextKeyMarker", None if last is None else encoded(call, _name_of(last))),
        ("NextVersionIdMarker", None if last is None or isinstance(last, listing.Subdir) else versioning.id_of(last)),
        *(_shown_version(call, visit, item) for item in items),
    ]
    return Reply(200, document("ListVersionsResult", body))


def _after(call: Call, tx: Tx, container: Row[Any]) -> tuple[str, float] | None:
    """Where the page before ended. Raises S3Error."""
    key, version = one(call, "key-marker"), one(call, "version-id-marker")
    if not version:
        return None
    if not key:
        raise S3Error("InvalidArgument", "A version-id marker cannot be specified without a key marker.")
    try:
        return versioning.position(tx, container.id, key, version)
    except ValueError:
        raise S3Error("InvalidArgument", f"Invalid version id specified: {version[:100]!r}.") from None


def _shown_version(call: Call, visit: Visit, item: _Item) -> Member:
    if isinstance(item, listing.Subdir):
        return _shown(call, item, [])
    of_version = [("VersionId", versioning.id_of(item)), ("IsLatest", versioning.is_latest(item))]
    if not versioning.is_marker(item):
        return _shown(call, item, [*of_version, owner(visit.account)], name="Version")
    named = [("Key", encoded(call, item.name)), ("LastModified", iso_z(item.modified_us))]
    return ("DeleteMarker", [*named, *of_version, owner(visit.account)])


def _page(call: Call, marker: str) -> tuple[Visit, list[_Item], bool]:
    """(visit, items, are there more?)"""
    visit = visit_of(call)
    container = container_for(call, visit, "list")
    wanted = _wanted(call, marker)
    table = table_of(StoredObject)
    with call.cloud.db.read() as tx:
        items = listing.page(tx, select(table).where(table.c.container_id == container.id), table, wanted)
    return visit, *_cut(items, wanted)


def _wanted(call: Call, marker: str) -> listing.Wanted:
    """One more than is asked for: are there more?"""
    most = number_of(call, "max-keys", _MOST)
    return listing.Wanted(most + 1 if most else 0, marker, "", one(call, "prefix"), one(call, "delimiter"))


def _cut(items: list[_Item], wanted: listing.Wanted) -> tuple[list[_Item], bool]:
    more = 0 < wanted.limit == len(items)
    return (items[:-1] if more else items), more


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
    made = (item.s3 or {}).get("checksums", {})
    return (
        name,
        [
            ("Key", encoded(call, item.name)),
            ("LastModified", iso_z(item.modified_us)),
            ("ETag", quoted(etag_of(item))),
            *(("ChecksumAlgorithm", algorithm.upper()) for algorithm in sorted(made)),
            *(("ChecksumType", kind) for kind in {checksums.type_of(value) for value in made.values()}),
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
