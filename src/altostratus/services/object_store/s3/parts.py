# SPDX-License-Identifier: Apache-2.0
"""The parts that an object was uploaded in, when it is one: reading one of them (`?partNumber`), telling of all
(`?attributes`). An object that came in one piece is its own first part.
"""

from typing import Any, NamedTuple

from altostratus.kernel.db import Row
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Reply
from altostratus.services.object_store.api.visits import one
from altostratus.services.object_store.logic.parts import parts_of
from altostratus.services.object_store.logic.times import http_date
from altostratus.services.object_store.s3 import versions
from altostratus.services.object_store.s3.errors import S3Error
from altostratus.services.object_store.s3.listings import etag_of
from altostratus.services.object_store.s3.shapes import checksum_members, whole_number
from altostratus.services.object_store.s3.visits import visit_of
from altostratus.services.object_store.s3.writing import found
from altostratus.services.object_store.s3.xml import Member, document

_ATTRIBUTES = ("ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize")
_MOST_SHOWN = 1000


class Part(NamedTuple):
    """`total` is None for an object that came in one piece."""

    offset: int
    length: int
    total: int | None
    checksums: dict[str, str]


def asked_part(call: Call, row: Row[Any], size: int) -> Part | None:
    """The part that `?partNumber` names, or None where there is no such parameter. Raises S3Error."""
    if "partNumber" not in call.query:
        return None
    if "RANGE" in call.headers:
        raise S3Error("InvalidRequest", "Cannot specify both Range header and partNumber query parameter.")
    number = whole_number("partNumber", one(call, "partNumber"), least=1)
    if row.parts_id is None:
        if number > 1:
            raise S3Error("InvalidPartNumber", "The requested partnumber is not satisfiable: it came in one piece.")
        return Part(0, size, None, (row.s3 or {}).get("checksums", {}))
    with call.cloud.db.read() as tx:
        rows = parts_of(tx, row.parts_id)
    if number > len(rows):
        raise S3Error("InvalidPartNumber", f"The requested partnumber is not satisfiable: there are {len(rows)}.")
    part = rows[number - 1]
    return Part(sum(before.size for before in rows[: number - 1]), part.size, len(rows), part.checksums)


def show_attributes(call: Call) -> Reply:
    """Those that `x-amz-object-attributes` asks for."""
    wanted = [name.strip() for name in call.headers.get("X-AMZ-OBJECT-ATTRIBUTES", "").split(",")]
    if not set(wanted) <= set(_ATTRIBUTES):
        raise S3Error("InvalidArgument", f"x-amz-object-attributes names some of {', '.join(_ATTRIBUTES)}.")
    row, contents, container = found(call, visit_of(call))
    shown = {
        "ETag": etag_of(row),
        "Checksum": checksum_members((row.s3 or {}).get("checksums", {})) or None,
        "ObjectParts": _parts_shown(call, row) if "ObjectParts" in wanted and row.parts_id else None,
        "StorageClass": "STANDARD",
        "ObjectSize": contents.size,
    }
    body = [(name, shown[name]) for name in _ATTRIBUTES if name in wanted]
    headers = {"Last-Modified": http_date(contents.modified_us), **versions.told(container, row)}
    return Reply(200, document("GetObjectAttributesResponse", body), headers=headers)


def _parts_shown(call: Call, row: Row[Any]) -> list[Member]:
    most = whole_number("x-amz-max-parts", call.headers.get("X-AMZ-MAX-PARTS", str(_MOST_SHOWN)))
    after = whole_number("x-amz-part-number-marker", call.headers.get("X-AMZ-PART-NUMBER-MARKER", "0"))
    most = min(most, _MOST_SHOWN)
    with call.cloud.db.read() as tx:
        parts = list(enumerate(parts_of(tx, row.parts_id), 1))
    rows = parts[after:][:most]
    return [
        ("PartsCount", len(parts)),
        ("PartNumberMarker", after),
        ("NextPartNumberMarker", rows[-1][0] if rows else after),
        ("MaxParts", most),
        ("IsTruncated", after + len(rows) < len(parts)),
        *(("Part", _part_shown(number, part)) for number, part in rows),
    ]


def _part_shown(number: int, part: Row[Any]) -> list[Member]:
    return [("PartNumber", number), ("Size", part.size), *checksum_members(part.checksums, told_type=False)]
