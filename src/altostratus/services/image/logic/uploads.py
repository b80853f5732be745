# SPDX-License-Identifier: Apache-2.0
"""The states of an image while data arrives. Every change is conditional on the upload that it belongs to."""

import threading
from typing import Any

from sqlalchemy import or_, select

from altostratus.contracts.image_store import DiskFacts, StoredImage
from altostratus.kernel import clock, ids
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import BadRequest, Conflict
from altostratus.kernel.resource.fragments import new_etag
from altostratus.services.image.logic import images
from altostratus.services.image.models import ImageRow

RECEIVING = ("saving", "uploading", "importing")


class Uploads:
    """The uploads that this process is receiving now. Its name tells those of dead processes apart."""

    def __init__(self) -> None:
        self.process = ids.new_secret(6)
        self._running: set[str] = set()
        self._lock = threading.Lock()

    def begin(self) -> str:
        token = f"{self.process}/{ids.new_secret(9)}"
        with self._lock:
            self._running.add(token)
        return token

    def end(self, token: str) -> None:
        with self._lock:
            self._running.discard(token)

    def is_running(self, token: str) -> bool:
        return token in self._running

    def is_idle(self) -> bool:
        return not self._running

    def is_ours(self, token: str) -> bool:
        return token.startswith(self.process + "/")


def begin(tx: Tx, cloud: Cloud, image_id: str, token: str, status: str) -> Row[Any]:
    """queued -> saving or uploading. Raises Conflict from any other state, BadRequest without formats."""
    row = tx.get(ImageRow, image_id, what="image")
    if row.status != "queued":
        raise Conflict(
            f"Image status transition from {row.status} to {status} is not allowed. Make a new image instead."
        )
    if not row.disk_format or not row.container_format:
        raise BadRequest("Properties disk_format, container_format must be set prior to saving data.")
    if row.owner:
        wanted = {"image_size_total": 1, "image_count_uploading": 1}
        images.demand_quota(tx, cloud, row.owner, wanted | ({"image_stage_total": 1} if status == "uploading" else {}))
    moment = clock.now()
    tx.update(
        ImageRow, image_id, status=status, upload=token, upload_seen_at=moment, etag=new_etag(), updated_at=moment
    )
    if status == "saving":
        images.emit(tx, cloud, "image.prepare", row)
    return row


def touch(tx: Tx, image_id: str, token: str) -> None:
    """The sign of life of a long upload."""
    image = table_of(ImageRow).c
    tx.update_where(ImageRow, image.id == image_id, image.upload == token, upload_seen_at=clock.now())


def finish(tx: Tx, cloud: Cloud, image_id: str, token: str | None, stored: StoredImage) -> bool:
    """saving -> active with the facts of the data; False if the image is gone or was given up meanwhile."""
    changed = _end(
        tx, image_id, token, status="active", location=stored.location, staged_location=None, **facts(stored)
    )
    if changed:
        row = tx.get(ImageRow, image_id)
        images.emit(tx, cloud, "image.upload", row)
        images.emit(tx, cloud, "image.activate", row)
    return changed


def facts(stored: StoredImage) -> dict[str, Any]:
    """Columns that follow from the stored data."""
    seen: DiskFacts | None = stored.facts
    return {
        "size": stored.size_bytes,
        "checksum": stored.checksum,
        "os_hash_algo": stored.os_hash_algo,
        "os_hash_value": stored.os_hash_value,
        "virtual_size": seen.virtual_size_bytes if seen else None,
    }


def finish_staging(tx: Tx, image_id: str, token: str, stored: StoredImage) -> bool:
    """uploading stays uploading, but the data is complete."""
    return _end(tx, image_id, token, staged_location=stored.location, size=stored.size_bytes)


def restore(tx: Tx, image_id: str, token: str) -> bool:
    """Back to queued, as if nothing had been sent."""
    return _end(
        tx, image_id, token, status="queued", location=None, staged_location=None, size=None, virtual_size=None,
        checksum=None, os_hash_algo=None, os_hash_value=None,
    )  # fmt: skip


def _end(tx: Tx, image_id: str, token: str | None, **values: Any) -> bool:
    image = table_of(ImageRow).c
    condition = image.upload.is_(None) if token is None else image.upload == token
    changed = tx.update_where(
        ImageRow, image.id == image_id, condition, image.status.in_(RECEIVING), upload=None, upload_seen_at=None,
        etag=new_etag(), updated_at=clock.now(), **values,
    )  # fmt: skip
    return changed > 0


def list_dead(tx: Tx, uploads: Uploads, *, oldest_sign: str | None) -> list[Row[Any]]:
    """Uploads that nobody works on: of this process but ended, or of another without a sign of life.

    `oldest_sign` None: this is the only process, so those of others are all dead.
    """
    image = table_of(ImageRow)
    rows = tx.rows(
        select(image.c.id, image.c.upload, image.c.upload_seen_at).where(
            image.c.upload.is_not(None), or_(image.c.status == "saving", image.c.status == "uploading")
        )
    )
    dead = []
    for row in rows:
        if uploads.is_ours(row.upload):
            alive = uploads.is_running(row.upload)
        else:
            alive = oldest_sign is not None and (row.upload_seen_at or "") >= oldest_sign
        if not alive:
            dead.append(row)
    return dead
