# SPDX-License-Identifier: Apache-2.0
"""Uploads in parts. The ETag of what they become is the MD5 of the parts' MD5s, a hyphen and their number."""

import base64
import binascii
import re
from typing import Any
from xml.etree.ElementTree import Element

from altostratus.kernel.db import Row, Tx
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Reply
from altostratus.services.object_store.api.visits import one, store_of, writes_of
from altostratus.services.object_store.logic import multipart, quotas
from altostratus.services.object_store.logic.parts import parts_of
from altostratus.services.object_store.logic.times import now_us
from altostratus.services.object_store.reconcilers.waste import TOPIC as WASTE
from altostratus.services.object_store.s3.bodies import PREFIX, Body, new_hash, read_xml
from altostratus.services.object_store.s3.buckets import owner
from altostratus.services.object_store.s3.errors import S3Error
from altostratus.services.object_store.s3.shapes import encoded, iso_z, number_of, quoted, s3_column, tags_of_header
from altostratus.services.object_store.s3.visits import Visit, container_for, demand_owner, visit_of
from altostratus.services.object_store.s3.writing import (
    Kept,
    copy_bytes,
    described_by,
    forget,
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
    algorithm = call.headers.get("X-AMZ-CHECKSUM-ALGORITHM", "").lower()
    if algorithm:
        new_hash(algorithm)
    if call.headers.get("X-AMZ-CHECKSUM-TYPE", "COMPOSITE") != "COMPOSITE":
        raise S3Error("NotImplemented", "Checksums of uploads in parts are of the type COMPOSITE.")
    described = {**described_by(call), "s3": s3_column(tags_of_header(call.headers), {})}
    upload_id = writes_of(call).run(lambda tx: multipart.begin(tx, container, visit.key, described))
    body = [("Bucket", visit.bucket), ("Key", visit.key), ("UploadId", upload_id)]
    headers = {"x-amz-checksum-algorithm": algorithm.upper(), "x-amz-checksum-type": "COMPOSITE"} if algorithm else {}
    return Reply(200, document("InitiateMultipartUploadResult", body), headers=headers)


def put_part(call: Call) -> Reply:
    """A part by its number, from the body, or with `x-amz-copy-source` from another object."""
    visit, container, upload = _upload_of(call)
    number = _number(call)
    if "X-AMZ-COPY-SOURCE" in call.headers:
        kept = _copied(call, visit, container.policy)
        moment = _keep_part(call, container, upload, number, kept)
        body = [("LastModified", iso_z(moment)), ("ETag", quoted(kept.md5))]
        return Reply(200, document("CopyPartResult", body))
    body_in = Body(call, visit.signed)
    quotas.demand_early(call.cloud.db, container, body_in.size)
    kept = keep(call, container.policy, body_in)
    _keep_part(call, container, upload, number, kept)
    shown = {PREFIX + name: value for name, value in kept.checksums.items()}
    return Reply(200, headers={"ETag": quoted(kept.md5), **shown})


def _keep_part(call: Call, container: Row[Any], upload: Row[Any], number: int, kept: Kept) -> int:
    moment = now_us()
    values = {
        "number": number, "size": kept.size, "etag": kept.md5, "blob_id": kept.blob_id, "checksums": kept.checksums,
        "modified_us": moment,
    }  # fmt: skip
    try:
        writes_of(call).run(lambda tx: multipart.put_part(tx, container, upload, values))
    except BaseException:
        forget(call, kept.blob_id)
        raise
    if kept.blob_id is not None:
        store_of(call).settle(kept.blob_id)
    call.cloud.bus.wake(WASTE)
    return moment


def _copied(call: Call, visit: Visit, policy: int) -> Kept:
    source = source_of(call, visit)
    text = call.headers.get("X-AMZ-COPY-SOURCE-RANGE")
    if text is None:
        return copy_bytes(call, policy, source, 0, source.contents.size)
    found = _RANGE.fullmatch(text)
    first, last = (int(found[1]), int(found[2])) if found else (1, 0)
    if first > last or last >= source.contents.size:
        raise S3Error("InvalidArgument", f"The range {text[:60]!r} is not within {source.contents.size} bytes.")
    return copy_bytes(call, policy, source, first, last - first + 1)


def complete_upload(call: Call) -> Reply:
    """Saying it again is fine as long as the object is there."""
    visit = visit_of(call)
    container = container_for(call, visit, "write")
    upload_id = one(call, "uploadId")
    wanted = [_wanted(part) for part in children(read_xml(call, visit.signed, "CompleteMultipartUpload"), "Part")]
    demand = replaceable(call, container, visit.key)

    def write(tx: Tx) -> str:
        before = multipart.completed(tx, container, visit.key, upload_id)
        if before is not None:
            return str(before.etag)
        upload = multipart.get_upload(tx, container, visit.key, upload_id)
        etag: str = multipart.complete(tx, container, upload, wanted, demand)["etag"]
        return etag

    etag = writes_of(call).run(write)
    call.cloud.bus.wake(WASTE)
    where = f"{call.host_url}{call.asked.path}"
    body = [("Location", where), ("Bucket", visit.bucket), ("Key", visit.key), ("ETag", quoted(etag))]
    return Reply(200, document("CompleteMultipartUploadResult", body))


def _wanted(part: Element) -> tuple[int, str, dict[str, str]]:
    text, etag = text_of(part, "PartNumber"), text_of(part, "ETag").strip('"')
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise S3Error("MalformedXML", "Every part has a PartNumber and an ETag.")
    checksums = {
        child.tag.removeprefix("Checksum").lower(): child.text or ""
        for child in part
        if child.tag.startswith("Checksum")
    }
    for value in checksums.values():
        try:
            base64.b64decode(value, validate=True)
        except binascii.Error:
            raise S3Error("InvalidPart", f"A checksum of part {text} is not base64.") from None
    return int(text), etag, checksums


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
    ]
    for part in shown:
        checksums = [(f"Checksum{name.upper()}", value) for name, value in part.checksums.items()]
        body.append(
            (
                "Part",
                [
                    ("PartNumber", part.number),
                    ("LastModified", iso_z(part.modified_us)),
                    ("ETag", quoted(part.etag)),
                    ("Size", part.size),
                    *checksums,
                ],
            )
        )
    return Reply(200, document("ListPartsResult", body))


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
        ],
    )


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
