# SPDX-License-Identifier: Apache-2.0
"""What the API shows of volumes, snapshots and attachments at each microversion."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import select

from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.resource.versions import Version
from altostratus.services.block_storage.logic import quota
from altostratus.services.block_storage.logic.scheduling import service_host
from altostratus.services.block_storage.models.volumes import Attachment, Volume

# states that only administrators' bulk operations make, as users see them
_SHOWN_STATUS = {"managing": "creating", "error_managing": "error", "error_managing_deleting": "deleting"}


class Shape(NamedTuple):
    """All that a volume's JSON depends on besides the volume."""

    version: Version
    base_url: str
    root_url: str
    hosts: bool
    tenants: bool
    migrations: bool
    server_hosts: bool
    image_metadata: bool


def links(shape: Shape, what: str, id: str) -> list[dict[str, str]]:
    return [
        {"rel": "self", "href": f"{shape.base_url}/{what}/{id}"},
        {"rel": "bookmark", "href": f"{shape.root_url}/{what}/{id}"},
    ]


def volume_views(tx: Tx, shape: Shape, volume_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Detailed JSON by id; three queries."""
    wanted = list(volume_ids)
    volume, attachment = table_of(Volume), table_of(Attachment)
    attached: dict[str, list[Row[Any]]] = {}
    statement = select(attachment).where(attachment.c.volume_id.in_(wanted), attachment.c.status == "attached")
    for row in tx.rows(statement.order_by(attachment.c.attached_at)):
        attached.setdefault(row.volume_id, []).append(row)
    names = quota.type_names(tx)
    rows = tx.rows(select(volume).where(volume.c.id.in_(wanted)))
    return {row.id: _volume(row, shape, attached.get(row.id, []), names.get(row.volume_type_id)) for row in rows}


def _volume(row: Row[Any], shape: Shape, attached: list[Row[Any]], type_name: str | None) -> dict[str, Any]:
    values = row._mapping
    shown: dict[str, Any] = {
        "id": row.id,
        "status": _SHOWN_STATUS.get(row.status, row.status),
        "size": row.size,
        "availability_zone": row.availability_zone,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "attachments": [_attached(one, shape) for one in attached],
        "name": row.name,
        "description": row.description,
        "volume_type": type_name,
        "snapshot_id": row.snapshot_id,
        "source_volid": row.source_volid,
        "metadata": _with_readonly(values["metadata"], row),
        "links": links(shape, "volumes", row.id),
        "user_id": row.user_id,
        "bootable": "true" if row.bootable else "false",
        "encrypted": False,
        "replication_status": None,
        "consistencygroup_id": None,
        "multiattach": row.multiattach,
        "migration_status": None,
    }
    if shape.image_metadata and row.image_metadata:
        shown["volume_image_metadata"] = row.image_metadata
    if shape.migrations:
        shown |= {
            "migration_status": row.migration_status,
            "os-vol-mig-status-attr:migstat": row.migration_status,
            "os-vol-mig-status-attr:name_id": None,
        }
    if shape.hosts:
        shown["os-vol-host-attr:host"] = row.host
    if shape.tenants:
        shown["os-vol-tenant-attr:tenant_id"] = row.project_id
    return shown | _newer(row, shape)


def _newer(row: Row[Any], shape: Shape) -> dict[str, Any]:
    """Members that came with microversions."""
    minor = shape.version.minor
    shown: dict[str, Any] = {}
    if minor >= 13:
        shown["group_id"] = row.group_id
    if minor >= 21:
        shown["provider_id"] = None
    if minor >= 48:
        shown |= {"service_uuid": None, "shared_targets": None if minor >= 69 else False}
    if minor >= 61 and shape.hosts:
        shown["cluster_name"] = None
    if minor >= 63:
        shown["volume_type_id"] = row.volume_type_id
    if minor >= 65:
        shown["consumes_quota"] = True
    return shown


def _with_readonly(metadata: dict[str, Any], row: Row[Any]) -> dict[str, Any]:
    """The flags that the service itself keeps are shown beside the user's words."""
    shown = dict(metadata)
    if row.readonly is not None:
        shown["readonly"] = "True" if row.readonly else "False"
    return shown


def _attached(row: Row[Any], shape: Shape) -> dict[str, Any]:
    return {
        "id": row.volume_id,
        "attachment_id": row.id,
        "volume_id": row.volume_id,
        "server_id": row.server_id,
        "host_name": row.host if shape.server_hosts else None,
        "device": row.mountpoint,
        "attached_at": row.attached_at,
    }


def volume_brief(row: Row[Any], shape: Shape) -> dict[str, Any]:
    return {"id": row.id, "name": row.name, "links": links(shape, "volumes", row.id)}


def snapshot_view(row: Row[Any], version: Version, *, extended: bool) -> dict[str, Any]:
    shown = {
        "id": row.id,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "name": row.name,
        "description": row.description,
        "volume_id": row.volume_id,
        "status": row.status,
        "size": row.size,
        "metadata": row._mapping["metadata"],
    }
    if extended:
        shown |= {
            "os-extended-snapshot-attributes:project_id": row.project_id,
            "os-extended-snapshot-attributes:progress": row.progress,
        }
    if version.minor >= 14:
        shown["group_snapshot_id"] = row.group_snapshot_id
    if version.minor >= 41:
        shown["user_id"] = row.user_id
    if version.minor >= 65:
        shown["consumes_quota"] = True
    return shown


def attachment_view(row: Row[Any], *, detail: bool) -> dict[str, Any]:
    shown = {"id": row.id, "status": row.status, "instance": row.server_id, "volume_id": row.volume_id}
    if detail:
        shown |= {
            "attached_at": row.attached_at or "",
            "detached_at": "",
            "attach_mode": row.mode,
            "connection_info": row.connection_info,
        }
    return shown


def service_of(row: Row[Any]) -> str | None:
    """`host@backend` of a placed volume."""
    return service_host(row.host) if row.host else None
