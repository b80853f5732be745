# SPDX-License-Identifier: Apache-2.0
"""Uploads in parts: begun, filled in any order, then completed to an object or aborted.

Every part is a blob of its own, and stays one: the object that an upload becomes only names the upload. What is
uploaded counts as bytes of the container from the first part on. Raises NotFound (NoSuchUpload, for one that is not
there any longer) and BadRequest, their `kind` being S3's code.
"""

import hashlib
import itertools
from collections.abc import Callable
from typing import Any

from sqlalchemy import and_, or_, select

from altostratus.kernel import ids
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import BadRequest, NotFound
from altostratus.services.object_store.logic import checksums, containers, objects, parts, quotas
from altostratus.services.object_store.logic.times import now_us
from altostratus.services.object_store.models import MultipartUpload, UploadPart, Waste

MOST_PARTS = 10_000
LEAST_PART_BYTES = 5 * 1024 * 1024
_upload = table_of(MultipartUpload)


def begin(
    tx: Tx, container: Row[Any], name: str, described: dict[str, Any], checksum: tuple[str, str] | None = None
) -> str:
    """The new upload's id. `described` has columns of the object that it will be; checksum: algorithm, type."""
    quotas.counts_of(tx, container)  # is it still there?
    upload_id = ids.new_hex_id()
    tx.insert(
        MultipartUpload, id=upload_id, container_id=container.id, name=name, created_us=now_us(), described=described,
        checksum_algorithm=checksum[0] if checksum else None, checksum_type=checksum[1] if checksum else None,
    )  # fmt: skip
    return upload_id


def get_upload(tx: Tx, container: Row[Any], name: str, upload_id: str) -> Row[Any]:
    row = tx.find(MultipartUpload, upload_id)
    if row is None or (row.container_id, row.name) != (container.id, name):
        raise NotFound(
            "The specified upload does not exist: it was completed or aborted, or is of another key.",
            kind="NoSuchUpload",
        )
    return row


def put_part(tx: Tx, container: Row[Any], upload: Row[Any], values: dict[str, Any]) -> None:
    """A part, in the place of the one that had its number. Raises TooLarge (quota)."""
    get_upload(tx, container, upload.name, upload.id)
    before = tx.find(UploadPart, upload.id, values["number"])
    held = values["size"] - (before.size if before is not None else 0)
    quotas.demand(tx, quotas.counts_of(tx, container), 0, held)
    if before is not None:
        tx.delete(UploadPart, upload.id, before.number)
        if before.blob_id is not None:
            tx.insert(Waste, blob_id=before.blob_id)
    tx.insert(UploadPart, upload_id=upload.id, **values)
    containers.count(tx, container, 0, held)


def abort(tx: Tx, container: Row[Any], upload: Row[Any]) -> None:
    get_upload(tx, container, upload.name, upload.id)
    _forget(tx, container, upload, keep=set())


def complete(
    tx: Tx, container: Row[Any], upload: Row[Any], wanted: list[tuple[int, str, dict[str, str]]],
    demand: Callable[[Tx], None],
) -> dict[str, Any]:  # fmt: skip
    """The object's values. wanted: (number, ETag, checksums by algorithm) of its parts; `demand(tx)` may refuse."""
    upload = get_upload(tx, container, upload.name, upload.id)
    demand(tx)
    chosen = _chosen(parts.parts_of(tx, upload.id), wanted)
    digests = b"".join(bytes.fromhex(part.etag) for part in chosen)
    values = {
        **upload.described, "name": upload.name, "size": sum(part.size for part in chosen), "modified_us": now_us(),
        "etag": f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(chosen)}", "blob_id": None,
        "parts_id": upload.id,
    }  # fmt: skip
    if upload.checksum_algorithm is not None:
        made = checksums.of_parts(upload.checksum_algorithm, upload.checksum_type, chosen)
        values["s3"] = {**(upload.described.get("s3") or {}), "checksums": {upload.checksum_algorithm: made}}
    _forget(tx, container, upload, keep={part.number for part in chosen})
    # they were counted as parts; from here on they count as the object
    containers.count(tx, container, 0, -values["size"])
    objects.put(tx, container, values)
    return values


def completed(tx: Tx, container: Row[Any], name: str, upload_id: str) -> Row[Any] | None:
    """The object that the upload became, for a client that did not hear it the first time."""
    row = objects.find(tx, container.id, name)
    return row if row is not None and row.parts_id == upload_id else None


def list_uploads(tx: Tx, container: Row[Any], prefix: str, after: tuple[str, str], most: int) -> list[Row[Any]]:
    """In order of name and id, those behind `after`."""
    name, upload_id = after
    own = select(_upload).where(_upload.c.container_id == container.id)
    if prefix:
        own = own.where(_upload.c.name >= prefix, _upload.c.name < prefix + "\U0010ffff")
    if name:
        same = and_(_upload.c.name == name, _upload.c.id > upload_id) if upload_id else _upload.c.id.is_(None)
        own = own.where(or_(_upload.c.name > name, same))
    return tx.rows(own.order_by(_upload.c.name, _upload.c.id).limit(most))


def _chosen(there: list[Row[Any]], wanted: list[tuple[int, str, dict[str, str]]]) -> list[Row[Any]]:
    by_number = {part.number: part for part in there}
    numbers = [number for number, _, _ in wanted]
    if not numbers:
        raise BadRequest("You must specify at least one part.", kind="MalformedXML")
    if any(one >= other for one, other in itertools.pairwise(numbers)):
        raise BadRequest("The list of parts was not in ascending order of their numbers.", kind="InvalidPartOrder")
    chosen = []
    for number, etag, given in wanted:
        part = by_number.get(number)
        if part is None or part.etag != etag or not given.items() <= part.checksums.items():
            raise BadRequest(
                f"Part {number} was not uploaded, or its ETag or checksum is another one. Upload it again.",
                kind="InvalidPart",
            )
        chosen.append(part)
    small = next((part for part in chosen[:-1] if part.size < LEAST_PART_BYTES), None)
    if small is not None:
        raise BadRequest(
            f"Part {small.number} has {small.size} bytes; all but the last need {LEAST_PART_BYTES} or more.",
            kind="EntityTooSmall",
        )
    return chosen


def _forget(tx: Tx, container: Row[Any], upload: Row[Any], *, keep: set[int]) -> None:
    """The upload is over; parts that nobody wants go."""
    dropped = parts.drop_parts(tx, upload.id, keep=keep)
    tx.delete(MultipartUpload, upload.id)
    containers.count(tx, container, 0, -dropped)
