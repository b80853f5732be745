# SPDX-License-Identifier: Apache-2.0
"""Rows of parts: of uploads under way, and of the objects that uploads became."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import select

from altostratus.kernel.db import Row, Tx, table_of
from altostratus.services.object_store.models import MultipartUpload, UploadPart, Waste

_part, _upload = table_of(UploadPart), table_of(MultipartUpload)
_AT_ONCE = 500


def parts_of(tx: Tx, upload_id: str) -> list[Row[Any]]:
    """In their order."""
    return tx.rows(select(_part).where(_part.c.upload_id == upload_id).order_by(_part.c.number))


def drop_parts(tx: Tx, upload_id: str, *, keep: Collection[int] = ()) -> int:
    """Leave the parts to the waste, but those with the numbers to `keep`; returns their bytes."""
    dropped = [part for part in parts_of(tx, upload_id) if part.number not in keep]
    tx.insert_many(Waste, [{"blob_id": part.blob_id} for part in dropped if part.blob_id is not None])
    numbers = [part.number for part in dropped]
    for start in range(0, len(numbers), _AT_ONCE):
        some = _part.c.number.in_(numbers[start : start + _AT_ONCE])
        tx.delete_where(UploadPart, _part.c.upload_id == upload_id, some)
    return sum(part.size for part in dropped)


def drop_uploads(tx: Tx, container_id: str) -> int:
    """Uploads under way to a container that goes; returns the bytes of their parts."""
    ids = tx.scalars(select(_upload.c.id).where(_upload.c.container_id == container_id))
    size = sum(drop_parts(tx, upload_id) for upload_id in ids)
    tx.delete_where(MultipartUpload, _upload.c.container_id == container_id)
    return size
