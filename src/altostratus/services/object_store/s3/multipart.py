# SPDX-License-Identifier: Apache-2.0
"""Uploads in parts. The ETag of what they become is the MD5 of the parts' MD5s, a hyphen and their number."""

import base64
import binascii
import re
from collections.abc import Collection, Mapping
from typing import Any
from xml.etree.ElementTree import Element

from altostratus.kernel.db import Row, Tx
from altostratus.kernel.numbers import whole_number
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Reply
from altostratus.services.object_store.api import receiving
from altostratus.services.object_store.api.visits import one, store_of, writes_of
from altostratus.services.object_store.logic import checksums, multipart, quotas
from altostratus.services.object_store.logic.parts import parts_of
from altostratus.services.object_store.logic.times import now_us
from altostratus.services.object_store.models import StoredObject
from altostratus.services.object_store.reconcilers.waste import TOPIC as WASTE
from altostratus.services.object_store.s3 import lifecycle, versions
from altostratus.services.object_store.s3.bodies import PREFIX, Body, given_in, read_xml
from altostratus.services.object_store.s3.errors import S3Error
from altostratus.services.object_store.s3.shapes import (
    checksum_members,
    encoded,
    iso_z,
    number_of,
    owner,
    quoted,
    s3_column,
    tags_of_header,
)
from altostratus.services.object_store.s3.visits import Visit, container_for, demand_owner, visit_of
from altostratus.services.object_store.s3.writing import (
    Kept,
    copy_bytes,
    described_by,
    keep,
    replaceable,
    source_of,
)
from altostratus.services.object_store.s3.xml import Member, children, document, text_of

_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{1,18})")
_MOST_LISTED = 1000


def create_upload(call: Call) -> Reply:
    visit = visit_of(call)
    container = container_for(call, visit, "write")
    checksum = _checksum_of(call)
    described = {**described_by(call, container), "s3": s3_column(tags_of_header(call.headers), {})}
    upload_id = writes_of(call).run(lambda tx: multipart.begin(tx, container, visit.key, described, checksum))
    body = [("Bucket", visit.bucket), ("Key", visit.key), ("UploadId", upload_id)]
    headers = {f"{PREFIX}algorithm": checksum[0].upper(), f"{PREFIX}type": checksum[1]} if checksum else {}
    headers |= lifecycle.told_abort(container, visit.key, now_us())
    return Reply(200, document("InitiateMultipartUploadResult", body), headers=headers)


def _checksum_of(call: Call) -> tuple[str, str] | None:
    """(algorithm, type) of what the object is to have."""
    algorithm = call.headers.get("X-AMZ-CHECKSUM-ALGORITHM", "").lower()
    kind = checksums.type_for(algorithm, call.headers.get("X-AMZ-CHECKSUM-TYPE", ""))
    if not algorithm:
        return None
    checksums.demand_known(algorithm)
    return algorithm, kind


def put_part(call: Call) -> Reply:
    """A part by its number, from the body, or with `x-amz-copy-source` from another object."""
    visit, container, upload = _upload_of(call)
    number = _number(call)
    if "X-AMZ-COPY-SOURCE" in call.headers:
        kept = _copied(call, visit, container.policy, _wanted_checksums(upload))
        moment = _keep_part(call, container, upload, number, kept)
        body = [("LastModified", iso_z(moment)), ("ETag", quoted(kept.md5)), *checksum_members(kept.checksums)]
        return Reply(200, document("CopyPartResult", body))
    body_in = Body(call, visit.signed, _wanted_checksums(upload))
    quotas.demand_early(call.cloud.db, container, body_in.size)
    kept = keep(call, container.policy, body_in)
    _keep_part(call, container, upload, number, kept)
    shown = {PREFIX + name: value for name, value in kept.checksums.items()}
    return Reply(200, headers={"ETag": quoted(kept.md5), **shown})


def _wanted_checksums(upload: Row[Any]) -> tuple[str, ...]:
    """What the object's checksum is made of, whether the client sends it or not."""
    return (upload.checksum_algorithm,) if upload.checksum_algorithm else ()


def _keep_part(call: Call, container: Row[Any], upload: Row[Any], number: int, kept: Kept) -> int:
    moment = now_us()
    values = {
        "number": number, "size": kept.size, "etag": kept.md5, "blob_id": kept.blob_id, "checksums": kept.checksums,
        "modified_us": moment,
    }  # fmt: skip
    with receiving.given_back(call, kept.blob_id):
        writes_of(call).run(lambda tx: multipart.put_part(tx, container, upload, values))
    if kept.blob_id is not None:
        store_of(call).settle(kept.blob_id)
    call.cloud.bus.wake(WASTE)
    return moment


def _copied(call: Call, visit: Visit, policy: int, algorithms: Collection[str]) -> Kept:
    source = source_of(call, visit)
    text = call.headers.get("X-AMZ-COPY-SOURCE-RANGE")
    if text is None:
        return copy_bytes(call, policy, source, (0, source.contents.size), algorithms)
    found = _RANGE.fullmatch(text)
    first, last = (whole_number(found[1]) or 0, whole_number(found[2]) or 0) if found else (1, 0)
    if first > last or last >= source.contents.size:
        raise S3Error("InvalidArgument", f"The range {text[:60]!r} is not within {source.contents.size} bytes.")
    return copy_bytes(call, policy, source, (first, last - first + 1), algorithms)


def complete_upload(call: Call) -> Reply:
    """Saying it again is fine as long as the object is there."""
    visit = visit_of(call)
    container = container_for(call, visit, "write")
    upload_id = one(call, "uploadId")
    asked = read_xml(call, visit.signed, "CompleteMultipartUpload", checksums_stand_for_it=False)
    wanted = [_wanted(part) for part in children(asked, "Part")]
    demand = replaceable(call, container, visit.key)

    def write(tx: Tx) -> Row[Any]:
        if multipart.completed(tx, container, visit.key, upload_id) is None:
            upload = multipart.get_upload(tx, container, visit.key, upload_id)
            _demand_as_stated(call, multipart.complete(tx, container, upload, wanted, demand))
        return tx.get(StoredObject, container.id, visit.key)

    row = writes_of(call).run(write)
    values = row._mapping
    call.cloud.bus.wake(WASTE)
    where = f"{call.host_url}{call.asked.path}"
    body = [("Location", where), ("Bucket", visit.bucket), ("Key", visit.key), ("ETag", quoted(values["etag"]))]
    return Reply(
        200,
        document("CompleteMultipartUploadResult", [*body, *checksum_members(_checksums_in(values))]),
        headers={**versions.told_new(row), **lifecycle.told_expiry(container, row)},
    )


def _demand_as_stated(call: Call, values: Mapping[Any, Any]) -> None:
    """Raises what undoes the completion if the object is not what the client thinks that it is."""
    made, kind = _checksums_in(values), call.headers.get("X-AMZ-CHECKSUM-TYPE")
    checksums.demand_same(made, given_in(call.headers))
    if kind is not None and kind not in map(checksums.type_of, made.values()):
        raise S3Error("InvalidRequest", f"The upload was not begun with the checksum type {kind[:40]!r}.")
    size = call.headers.get("X-AMZ-MP-OBJECT-SIZE", str(values["size"]))
    if size != str(values["size"]):
        raise S3Error("InvalidRequest", f"The parts have {values['size']} bytes, not {size[:40]!r} as you specified.")


def _checksums_in(values: Mapping[Any, Any]) -> dict[str, str]:
    found: dict[str, str] = (values["s3"] or {}).get("checksums", {})
    return found


def _wanted(part: Element) -> tuple[int, str, dict[str, str]]:
    text, etag = text_of(part, "PartNumber"), text_of(part, "ETag").strip('"')
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise S3Error("MalformedXML", "Every part has a PartNumber and an ETag.")
    given = {
        child.tag.removeprefix("Checksum").lower(): child.text or ""
        for child in part
        if child.tag.startswith("Checksum")
    }
    for value in given.values():
        try:
            base64.b64decode(value, validate=True)
        except binascii.Error:
            raise S3Error("InvalidPart", f"A checksum of part {text} is not base64.") from None
    return int(text), etag, given


def abort_upload(call: Call) -> Reply:
    _, container, upload = _upload_of(call)
    writes_of(call).run(lambda tx: multipart.abort(tx, container, upload))
    call.cloud.bus.wake(WASTE)
    return Reply(204)


# listings


def list_parts(call: Call) -> Reply:
    visit, _, upload = _upload_of(call)
    most = number_of(call, "max-parts", _MOST_LISTED)
    after = number_of(call, "part-number-marker", multipart.MOST_PARTS) if "part-number-marker" in call.query else 0
    with call.cloud.db.read() as tx:
        rows = [part for part in parts_of(tx, upload.id) if part.number > after]
    shown = rows[:most]
    body: list[Member] = [
        ("Bucket", visit.bucket),
        ("Key", visit.key),
        ("UploadId", upload.id),
        ("PartNumberMarker", after),
        ("NextPartNumberMarker", shown[-1].number if shown else after),
        ("MaxParts", most),
        ("IsTruncated", len(rows) > most),
        ("StorageClass", "STANDARD"),
        ("Initiator", owner(visit.account)[1]),
        owner(visit.account),
        *_checksum_shown(upload),
        *(("Part", _part_shown(part)) for part in shown),
    ]
    return Reply(200, document("ListPartsResult", body))


def _part_shown(part: Row[Any]) -> list[Member]:
    return [
        ("PartNumber", part.number),
        ("LastModified", iso_z(part.modified_us)),
        ("ETag", quoted(part.etag)),
        ("Size", part.size),
        *checksum_members(part.checksums, told_type=False),
    ]


def list_uploads(call: Call) -> Reply:
    """Those that are neither completed nor aborted."""
    visit = visit_of(call)
    demand_owner(visit)
    container = container_for(call, visit, "list")
    if one(call, "delimiter"):
        raise S3Error("NotImplemented", "Listings of uploads have no delimiter here.")
    most, prefix = number_of(call, "max-uploads", _MOST_LISTED), one(call, "prefix")
    after = one(call, "key-marker"), one(call, "upload-id-marker")
    with call.cloud.db.read() as tx:
        rows = multipart.list_uploads(tx, container, prefix, after, most + 1)
    more, rows = len(rows) > most, rows[:most]
    body: list[Member] = [
        ("Bucket", visit.bucket),
        ("KeyMarker", encoded(call, after[0])),
        ("UploadIdMarker", after[1]),
        ("NextKeyMarker", encoded(call, rows[-1].name) if more and rows else None),
        ("NextUploadIdMarker", rows[-1].id if more and rows else None),
        ("Prefix", encoded(call, prefix)),
        ("EncodingType", one(call, "encoding-type") or None),
        ("MaxUploads", most),
        ("IsTruncated", more),
        *(_shown(call, visit, row) for row in rows),
    ]
    return Reply(200, document("ListMultipartUploadsResult", body))


def _shown(call: Call, visit: Visit, row: Row[Any]) -> Member:
    return (
        "Upload",
        [
            ("Key", encoded(call, row.name)),
            ("UploadId", row.id),
            ("Initiator", owner(visit.account)[1]),
            owner(visit.account),
            ("StorageClass", "STANDARD"),
            ("Initiated", iso_z(row.created_us)),
            *_checksum_shown(row),
        ],
    )


def _checksum_shown(upload: Row[Any]) -> list[Member]:
    algorithm = upload.checksum_algorithm
    return [("ChecksumAlgorithm", algorithm.upper()), ("ChecksumType", upload.checksum_type)] if algorithm else []


# what the address names


def _upload_of(call: Call) -> tuple[Visit, Row[Any], Row[Any]]:
    """(visit, container, upload) for those who may write there."""
    visit = visit_of(call)
    container = container_for(call, visit, "write")
    with call.cloud.db.read() as tx:
        return visit, container, multipart.get_upload(tx, container, visit.key, one(call, "uploadId"))


def _number(call: Call) -> int:
    text = one(call, "partNumber")
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= multipart.MOST_PARTS):
        raise S3Error("InvalidArgument", f"Part number must be an integer between 1 and {multipart.MOST_PARTS}.")
    return int(text)
