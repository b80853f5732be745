# SPDX-License-Identifier: Apache-2.0
"""Images: making, changing and removing their rows, and what the API shows of them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select

from altostratus.kernel import clock, ids
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import BadRequest, Conflict, Forbidden, OverQuota, TooLarge
from altostratus.kernel.resource.fragments import new_etag
from altostratus.services.image.config import ImageOptions
from altostratus.services.image.models import ImageMember, ImageRow

CONTAINER_FORMATS = ("ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed")
DISK_FORMATS = ("ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop", "gpt", "luks")
_AMAZON = ("aki", "ari", "ami")
NOT_SETTABLE = ("direct_url", "self", "file", "schema", "stores")
READ_ONLY = (
    "created_at", "updated_at", "status", "checksum", "size", "virtual_size", "os_hash_algo", "os_hash_value",
)  # fmt: skip
RESERVED = ("location", "locations", "deleted", "deleted_at")
RESERVED_PREFIX = "os_glance"
_SHOWN = (
    "name", "disk_format", "container_format", "visibility", "size", "virtual_size", "status", "checksum",
    "protected", "min_ram", "min_disk", "owner", "os_hidden", "os_hash_algo", "os_hash_value", "id",
)  # fmt: skip
_PUBLISHER = "image.altostratus"


def image_view(row: Row[Any], store: str) -> dict[str, Any]:
    """The image's JSON; made-up properties first, so that they never hide a real member."""
    values = row._mapping
    shown: dict[str, Any] = dict(values["properties"])
    for name in _SHOWN:
        shown[name] = values[name]
    path = f"/v2/images/{values['id']}"
    shown["created_at"] = clock.iso_z(values["created_at"])
    shown["updated_at"] = clock.iso_z(values["updated_at"])
    shown |= {"tags": values["tags"], "self": path, "file": path + "/file", "schema": "/v2/schemas/image"}
    if values["location"] is not None:
        shown["stores"] = store
    return shown


def check_property(name: str, value: Any) -> None:
    """Raises Forbidden for names that the service keeps for itself, BadRequest for what is no text."""
    if name in NOT_SETTABLE or name in READ_ONLY:
        raise Forbidden(f"Attribute '{name}' is read-only.")
    if name in RESERVED or name.startswith(RESERVED_PREFIX):
        raise Forbidden(f"Attribute '{name}' is reserved.")
    if not 0 < len(name) <= 255:
        raise BadRequest("Custom property should not be greater than 255 characters.")
    if not isinstance(value, str):
        raise BadRequest(f"Invalid input for property {name}: {value!r} is not a string.")
    if len(value) > 65535:
        raise BadRequest(f"The value of property {name} has more than 65535 characters.")


def check_formats(container_format: str | None, disk_format: str | None) -> None:
    """Amazon's formats go only with themselves. Raises BadRequest."""
    for one, other in ((container_format, disk_format), (disk_format, container_format)):
        if one in _AMAZON and other not in (None, one):
            raise BadRequest(
                f"Invalid mix of disk and container formats. When setting a disk or container format to one of "
                f"'aki', 'ari', or 'ami', the container and disk formats must match: "
                f"{disk_format} and {container_format} do not."
            )


def check_limits(cloud: Cloud, properties: dict[str, Any], tags: list[str]) -> None:
    """Raises TooLarge for too many properties or tags."""
    options = cloud[ImageOptions]
    if len(properties) > options.property_limit:
        raise TooLarge(
            f"The limit of {options.property_limit} properties is exceeded: there would be {len(properties)}."
        )
    if len(tags) > options.tag_limit:
        raise TooLarge(f"The limit of {options.tag_limit} tags is exceeded: there would be {len(tags)}.")


def create_image(tx: Tx, cloud: Cloud, values: dict[str, Any], properties: dict[str, Any]) -> Row[Any]:
    """Insert a queued image. `values` are the checked members, `id` optional. Raises Conflict, TooLarge."""
    for name, value in properties.items():
        check_property(name, value)
    tags = list(dict.fromkeys(values.pop("tags", [])))
    check_limits(cloud, properties, tags)
    check_formats(values.get("container_format"), values.get("disk_format"))
    image_id = values.pop("id", None) or ids.new_id()
    if tx.find(ImageRow, image_id) is not None:
        raise Conflict(f"Image ID {image_id} already exists!")
    if values.get("owner"):
        demand_quota(tx, cloud, values["owner"], {"image_count_total": 1})
    moment = clock.now()
    row = {"status": "queued", "visibility": "shared", "name": None, "disk_format": None, "container_format": None}
    row |= values | {"id": image_id, "tags": tags, "properties": properties}
    tx.insert(ImageRow, etag=new_etag(), created_at=moment, updated_at=moment, **row)
    made = tx.get(ImageRow, image_id)
    emit(tx, cloud, "image.create", made)
    return made


def demand_quota(tx: Tx, cloud: Cloud, project_id: str, wanted: dict[str, int]) -> None:
    """Raises TooLarge, as this service answers 413 where others say 403."""
    try:
        cloud.quotas("image").demand(tx, project_id, wanted)
    except OverQuota as error:
        raise TooLarge(error.message) from error


def count_images(tx: Tx, projects: Sequence[str]) -> int:
    image = table_of(ImageRow).c
    return int(tx.scalar(select(func.count()).where(image.owner.in_(projects))))


def count_uploading(tx: Tx, projects: Sequence[str]) -> int:
    """Images whose data is on its way: being received, staged or imported."""
    image = table_of(ImageRow).c
    counted = select(func.count()).where(
        image.owner.in_(projects), image.status.in_(("saving", "uploading", "importing"))
    )
    return int(tx.scalar(counted))


def staged_size_mib(tx: Tx, projects: Sequence[str]) -> int:
    """MiB of data that waits for an import, rounded down."""
    image = table_of(ImageRow).c
    staged = select(func.coalesce(func.sum(image.size), 0)).where(
        image.owner.in_(projects), image.staged_location.is_not(None)
    )
    return int(tx.scalar(staged)) >> 20


def total_size_mib(tx: Tx, projects: Sequence[str]) -> int:
    """MiB of stored data of projects, rounded down."""
    image = table_of(ImageRow).c
    return int(tx.scalar(select(func.coalesce(func.sum(image.size), 0)).where(image.owner.in_(projects)))) >> 20


def change(tx: Tx, image_id: str, **values: Any) -> None:
    """Update the row; the only way, for `etag` and `updated_at` must follow."""
    tx.update(ImageRow, image_id, etag=new_etag(), updated_at=clock.now(), **values)


def remove(tx: Tx, cloud: Cloud, row: Row[Any]) -> list[str]:
    """Delete the row; the locations whose data must go. Raises Forbidden for protected images."""
    if row.protected:
        raise Forbidden(f"Image {row.id} is protected and cannot be deleted. Unset 'protected' first.")
    if row.status == "importing":
        raise Conflict(f"Image {row.id} is being imported; delete it when that has ended.")
    tx.delete(ImageRow, row.id)
    tx.delete_where(ImageMember, table_of(ImageMember).c.image_id == row.id)
    emit(tx, cloud, "image.delete", row)
    return [location for location in (row.location, row.staged_location) if location]


def set_active(tx: Tx, cloud: Cloud, image_id: str, active: bool) -> None:
    """Deactivate or reactivate. Raises Forbidden if the image is in another state."""
    row = tx.get(ImageRow, image_id, what="image")
    wanted = "active" if active else "deactivated"
    if row.status == wanted:
        return
    if row.status not in ("active", "deactivated"):
        verb = "reactivate" if active else "deactivate"
        raise Forbidden(f"Not allowed to {verb} image in status '{row.status}'.")
    change(tx, image_id, status=wanted)
    emit(tx, cloud, "image.reactivate" if active else "image.deactivate", row)


def emit(tx: Tx, cloud: Cloud, event_type: str, row: Row[Any]) -> None:
    """Notify with upstream's payload."""
    payload = {name: row._mapping[name] for name in _SHOWN}
    payload |= {
        "is_public": row.visibility == "public",
        "properties": row.properties,
        "tags": row.tags,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "deleted": event_type == "image.delete",
    }
    cloud.events.emit(tx, event_type, payload, publisher_id=_PUBLISHER)
