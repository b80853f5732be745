# SPDX-License-Identifier: Apache-2.0
"""The door of the image service for other services."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from altostratus.contracts.hypervisor import BaseImage
from altostratus.contracts.image_store import ImageStoreError
from altostratus.kernel import ids
from altostratus.kernel.auth import Context
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import BadRequest, Conflict, NotFound
from altostratus.services.image.content import check_content
from altostratus.services.image.jobs.delete_data import DELETE_DATA
from altostratus.services.image.logic import images, uploads
from altostratus.services.image.logic.filters import has_property
from altostratus.services.image.logic.visibility import policy_target, visible_by_id, visible_in_lists
from altostratus.services.image.models import ImageMember, ImageRow
from altostratus.services.image.stores import refusal_of, staging_directory, store_of


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """An image. Sizes in bytes, `min_disk_gib` and `min_ram_mib` as their names say."""

    id: str
    name: str | None
    status: str
    disk_format: str | None
    container_format: str | None
    size_bytes: int | None
    virtual_size_bytes: int | None
    min_disk_gib: int
    min_ram_mib: int
    checksum: str | None
    os_hash_value: str | None
    owner: str | None
    visibility: str
    properties: dict[str, Any]
    protected: bool
    path: str | None = None
    created_at: str = ""
    updated_at: str = ""


def get_image(tx: Tx, ctx: Context, image_id: str) -> ImageInfo:
    """Raises NotFound when there is none, or the caller cannot see it."""
    table = table_of(ImageRow)
    statement = select(table).where(table.c.id == image_id)
    condition = visible_by_id(ctx)
    row = tx.first(statement if condition is None else statement.where(condition))
    if row is None:
        raise NotFound(f"Image {image_id} could not be found.", kind="ImageNotFound")
    return _info(row)


def find_images(tx: Tx, image_ids: Iterable[str]) -> dict[str, ImageInfo]:
    """Those that exist, whoever owns them; one query."""
    table = table_of(ImageRow)
    return {row.id: _info(row) for row in tx.rows(select(table).where(table.c.id.in_(set(image_ids))))}


def find_by_name(tx: Tx, ctx: Context, name: str) -> list[ImageInfo]:
    """Images of this name that the caller can see, newest first."""
    table = table_of(ImageRow)
    statement = select(table).where(table.c.name == name).order_by(table.c.created_at.desc())
    condition = visible_by_id(ctx)
    return [_info(row) for row in tx.rows(statement if condition is None else statement.where(condition))]


def _info(row: Row[Any]) -> ImageInfo:
    return ImageInfo(
        id=row.id, name=row.name, status=row.status, disk_format=row.disk_format,
        container_format=row.container_format, size_bytes=row.size, virtual_size_bytes=row.virtual_size,
        min_disk_gib=row.min_disk, min_ram_mib=row.min_ram, checksum=row.checksum, os_hash_value=row.os_hash_value,
        owner=row.owner, visibility=row.visibility, properties=row.properties, protected=row.protected,
        created_at=row.created_at, updated_at=row.updated_at,
    )  # fmt: skip


def list_images(tx: Tx, ctx: Context) -> list[ImageInfo]:
    """All that the caller's lists show, newest first."""
    table = table_of(ImageRow)
    statement = select(table).where(*visible_in_lists(ctx, {}), table.c.os_hidden.is_(False))
    return [_info(row) for row in tx.rows(statement.order_by(table.c.created_at.desc(), table.c.id))]


def list_backups(tx: Tx, server_id: str, backup_type: str) -> list[ImageInfo]:
    """Backups of a server of one type, newest first."""
    table = table_of(ImageRow)
    wanted = {"image_type": "backup", "backup_type": backup_type, "instance_uuid": server_id}
    statement = select(table).where(*(has_property(name, value) for name, value in wanted.items()))
    return [_info(row) for row in tx.rows(statement.order_by(table.c.created_at.desc(), table.c.id))]


def demand(tx: Tx, cloud: Cloud, ctx: Context, rule: str, image_id: str) -> None:
    """Ask this service's policy about an image. Raises NotFound when the caller cannot see it, or Forbidden."""
    get_image(tx, ctx, image_id)
    cloud.policy("image").demand(rule, ctx, policy_target(tx, ctx, tx.get(ImageRow, image_id)))


def set_properties(tx: Tx, cloud: Cloud, image_id: str, properties: Mapping[str, str]) -> None:
    """These become the image's only properties. Raises BadRequest, Forbidden or TooLarge."""
    known = tx.get(ImageRow, image_id, what="image")
    for name, value in properties.items():
        if known.properties.get(name) != value:
            images.check_property(name, value)
    images.check_limits(cloud, dict(properties), known.tags)
    images.change(tx, image_id, properties=dict(properties))
    images.emit(tx, cloud, "image.update", tx.get(ImageRow, image_id))


def delete_image(
    tx: Tx, cloud: Cloud, image_id: str, *, request_id: str, project_id: str | None, user_id: str | None
) -> None:
    """The image, and by a job its data. Raises NotFound, Conflict, or Forbidden for a protected one."""
    locations = images.remove(tx, cloud, tx.get(ImageRow, image_id, what="image"))
    if locations:
        cloud.jobs.start(
            tx, DELETE_DATA, image_id, {"locations": locations},
            request_id=request_id, project_id=project_id, user_id=user_id,
        )  # fmt: skip


def local_source(cloud: Cloud, tx: Tx, image_id: str) -> BaseImage:
    """The data as hosts can open it. Raises NotFound, Conflict (no data yet), BadRequest (no bootable format)."""
    row = tx.get(ImageRow, image_id, what="image")
    if row.status != "active" or row.location is None:
        raise Conflict(f"Image {image_id} is not active (it is {row.status}). Upload its data first.")
    if row.container_format in ("ovf", "ova", "docker", "compressed"):
        raise BadRequest(f"Image {image_id} has container format {row.container_format}; only a bare disk can be used.")
    path = store_of(cloud).local_path(row.location)
    if path is None:
        raise Conflict(f"The data of image {image_id} is not on this machine.")
    return BaseImage(
        id=row.id, path=path, format=row.disk_format or "raw", checksum=row.os_hash_value or row.checksum or row.id,
        size_bytes=row.size or 0,
    )  # fmt: skip


# server and volume snapshots: row first, then the agent's file, then both together


def create_snapshot_image(
    tx: Tx,
    cloud: Cloud,
    ctx: Context,
    *,
    name: str,
    disk_format: str,
    properties: Mapping[str, str],
    min_disk_gib: int = 0,
    min_ram_mib: int = 0,
    image_id: str | None = None,
    visibility: str = "private",
    container_format: str = "bare",
    protected: bool = False,
) -> str:
    """An image in status saving, whose data an agent is going to write to `staging_path`. Its id."""
    image_id = image_id or ids.new_id()
    values = {
        "id": image_id, "name": name, "disk_format": disk_format, "container_format": container_format,
        "min_disk": min_disk_gib, "min_ram": min_ram_mib, "owner": ctx.project_id, "visibility": visibility,
        "protected": protected, "status": "saving",
    }  # fmt: skip
    usable = {key: str(value) for key, value in properties.items() if not key.startswith(images.RESERVED_PREFIX)}
    images.create_image(tx, cloud, values, usable)
    return image_id


def create_empty_image(
    tx: Tx, cloud: Cloud, ctx: Context, *, name: str, properties: Mapping[str, str], min_disk_gib: int = 0
) -> str:
    """An active image without data of its own: its properties say what servers boot from. Its id."""
    values = {
        "name": name, "disk_format": "qcow2", "container_format": "bare", "min_disk": min_disk_gib,
        "owner": ctx.project_id, "visibility": "private", "status": "active", "size": 0,
    }  # fmt: skip
    usable = {key: str(value) for key, value in properties.items() if not key.startswith(images.RESERVED_PREFIX)}
    return str(images.create_image(tx, cloud, values, usable).id)


def staging_path(cloud: Cloud, image_id: str) -> str:
    """Where the agent writes the finished file of an image."""
    return os.path.join(staging_directory(cloud), f"{image_id}.image")


def finish_snapshot_image(cloud: Cloud, image_id: str) -> None:
    """Take the staged file over and make the image active. Repeatable; for remote steps, outside transactions.

    Raises NotFound if the image was deleted meanwhile (the file is removed then), Conflict if it ended
    otherwise, BadRequest if the file is no safe disk image.
    """
    with cloud.db.read() as tx:
        row = tx.find(ImageRow, image_id)
    if row is not None and row.status == "active":
        return
    if row is None or row.status != "saving":
        discard_snapshot_image(cloud, image_id)
        raise NotFound(f"Image {image_id} was deleted while its data was being saved.")
    store = store_of(cloud)
    try:
        stored = store.adopt(image_id, staging_path(cloud, image_id))
    except ImageStoreError as error:
        raise refusal_of(error) from error
    refusal = check_content(cloud, row, stored)
    if refusal is not None:
        raise BadRequest(refusal)
    with cloud.db.write() as tx:
        done = uploads.finish(tx, cloud, image_id, None, stored)
    if not done:
        store.delete(stored.location)
        raise NotFound(f"Image {image_id} was deleted while its data was being saved.")


def discard_snapshot_image(cloud: Cloud, image_id: str) -> None:
    """Remove a snapshot's image and its data, finished or not. Nothing there is success."""
    with cloud.db.write() as tx:
        row = tx.find(ImageRow, image_id)
        if row is not None:
            tx.delete(ImageRow, image_id)
            tx.delete_where(ImageMember, table_of(ImageMember).c.image_id == image_id)
            images.emit(tx, cloud, "image.delete", row)
    store = store_of(cloud)
    store.delete(f"{store.name}:{image_id}")
    _unlink(staging_path(cloud, image_id))


def _unlink(path: str) -> None:
    if os.path.exists(path):
        os.unlink(path)


def ensure_public_image(
    cloud: Cloud,
    *,
    name: str,
    path: str,
    disk_format: str,
    properties: Mapping[str, str],
    min_ram: int = 0,
    min_disk: int = 0,
) -> str:
    """A public image with this name and content, taken over from a local file, which is gone afterwards.

    Does nothing if such an image exists; then the file stays. `min_ram` in MiB, `min_disk` in GiB. Its id.
    """
    with cloud.db.read() as tx:
        known = _find_public(tx, name, path)
    if known is not None and known.status != "saving":
        return str(known.id)
    if known is not None:
        image_id = str(known.id)
    else:
        image_id = ids.derived_id("image", f"{name}:{_sha512(path)}")
        values = {
            "id": image_id, "name": name, "disk_format": disk_format, "container_format": "bare", "owner": None,
            "min_disk": min_disk, "min_ram": min_ram, "visibility": "public", "status": "saving",
        }  # fmt: skip
        with cloud.db.write() as tx:
            images.create_image(tx, cloud, values, dict(properties))
    try:
        stored = store_of(cloud).adopt(image_id, path)
    except ImageStoreError as error:
        raise refusal_of(error) from error
    with cloud.db.write() as tx:
        uploads.finish(tx, cloud, image_id, None, stored)
    return image_id


def _find_public(tx: Tx, name: str, path: str) -> Row[Any] | None:
    """The image made of this file; without the file, the newest of this name."""
    table = table_of(ImageRow)
    statement = select(table).where(table.c.name == name, table.c.visibility == "public", table.c.owner.is_(None))
    if os.path.exists(path):
        statement = statement.where(table.c.id == ids.derived_id("image", f"{name}:{_sha512(path)}"))
    return tx.first(statement.order_by(table.c.created_at.desc()))


def _sha512(path: str) -> str:
    with open(path, "rb") as source:
        return hashlib.file_digest(source, "sha512").hexdigest()
