# SPDX-License-Identifier: Apache-2.0
"""`/os-volumes` and `/os-snapshots`, before 2.36: the block storage service in old clothes."""

from typing import Any, Final

from altostratus.kernel import clock
from altostratus.kernel.policy import MEMBER, READER
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.fields import parse_bool
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.block_storage.public import proxied
from altostratus.services.compute.api.shared import BOOLEAN, limited, wrapped

_LAST: Final = "2.35"
_RULE: Final = "os_compute_api:os-volumes"
_SNAPSHOT_RULE: Final = "os_compute_api:os-volumes:snapshots"
_TEXT: Final = {"type": ["string", "null"], "maxLength": 255}
_NEW_VOLUME: Final = wrapped(
    "volume",
    {
        "type": "object",
        "properties": {
            "size": {"type": ["integer", "string"], "pattern": "^[0-9]{1,9}$", "minimum": 1, "maximum": 2**31 - 1},
            "display_name": _TEXT,
            "display_description": _TEXT,
            "volume_type": _TEXT,
            "metadata": {"type": ["object", "null"], "additionalProperties": {"type": "string", "maxLength": 255}},
            "snapshot_id": _TEXT,
            "availability_zone": _TEXT,
        },
        "required": ["size"],
    },
)
_NEW_SNAPSHOT: Final = wrapped(
    "snapshot",
    {
        "type": "object",
        "properties": {
            "volume_id": {"type": "string"},
            "force": BOOLEAN,
            "display_name": _TEXT,
            "display_description": _TEXT,
        },
        "required": ["volume_id"],
    },
)


def _shown(call: Call, rows: list[Any]) -> list[dict[str, Any]]:
    attached, names = proxied.attachments_of(call.tx, rows), proxied.type_names(call.tx, call.ctx, rows)
    return [
        {
            "id": row.id,
            "status": row.status,
            "size": row.size,
            "availabilityZone": row.availability_zone,
            "createdAt": clock.iso_micro(row.created_at),
            "displayName": row.name,
            "displayDescription": row.description,
            "volumeType": names.get(row.volume_type_id),
            "snapshotId": row.snapshot_id,
            "metadata": row._mapping["metadata"],
            # upstream's list is never empty
            "attachments": [_attachment(one) for one in attached.get(row.id, [])] or [{}],
        }
        for row in rows
    ]


def _attachment(row: Any) -> dict[str, Any]:
    shown = {"id": row.volume_id, "volumeId": row.volume_id, "serverId": row.server_id}
    return {**shown, "device": row.mountpoint} if row.mountpoint else shown


def list_volumes(call: Call) -> Reply:
    return Reply(200, {"volumes": _shown(call, limited(call, proxied.list_volumes(call.tx, call.ctx)))})


def show_volume(call: Call) -> Reply:
    row = proxied.find_volume(call.tx, call.ctx, call.params["id"])
    return Reply(200, {"volume": _shown(call, [row])[0]})


def create_volume(call: Call) -> Reply:
    body = call.body["volume"]
    given = {
        "size": int(body["size"]),
        "name": body.get("display_name"),
        "description": body.get("display_description"),
        "type": body.get("volume_type"),
        "metadata": body.get("metadata"),
        "snapshot_id": body.get("snapshot_id"),
        "zone": body.get("availability_zone"),
    }
    made = proxied.create_volume(call.tx, call.cloud, call.ctx, call.request_id, given)
    where = f"{call.host_url}{call.service.path}/os-volumes/{made.id}"
    return Reply(200, {"volume": _shown(call, [made])[0]}, headers={"Location": where})


def delete_volume(call: Call) -> Reply:
    proxied.delete_volume(call.tx, call.cloud, call.ctx, call.request_id, call.params["id"])
    return Reply(202)


class Volumes(Resource, path="/os-volumes"):
    """Volumes. Use the block storage service."""

    index = Op("GET", "", f"{_RULE}:list", READER, list_volumes, until=_LAST)
    detail = Op("GET", "/detail", f"{_RULE}:detail", READER, list_volumes, until=_LAST)
    show = Op("GET", "/{id}", f"{_RULE}:show", READER, show_volume, until=_LAST)
    create = Op("POST", "", f"{_RULE}:create", MEMBER, create_volume, until=_LAST, body=_NEW_VOLUME)
    delete = Op("DELETE", "/{id}", f"{_RULE}:delete", MEMBER, delete_volume, until=_LAST)


def _shown_snapshot(row: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "volumeId": row.volume_id,
        "status": row.status,
        "size": row.size,
        "createdAt": clock.iso_micro(row.created_at),
        "displayName": row.name,
        "displayDescription": row.description,
    }


def list_snapshots(call: Call) -> Reply:
    found = limited(call, proxied.list_snapshots(call.tx, call.ctx))
    return Reply(200, {"snapshots": [_shown_snapshot(row) for row in found]})


def show_snapshot(call: Call) -> Reply:
    row = proxied.find_snapshot(call.tx, call.ctx, call.params["id"])
    return Reply(200, {"snapshot": _shown_snapshot(row)})


def create_snapshot(call: Call) -> Reply:
    body = call.body["snapshot"]
    values = {"name": body.get("display_name"), "description": body.get("display_description")}
    force = bool(parse_bool(str(body.get("force", False))))
    values["volume_id"] = body["volume_id"]
    made = proxied.create_snapshot(call.tx, call.cloud, call.ctx, call.request_id, values, force=force)
    return Reply(200, {"snapshot": _shown_snapshot(made)})


def delete_snapshot(call: Call) -> Reply:
    proxied.delete_snapshot(call.tx, call.cloud, call.ctx, call.request_id, call.params["id"])
    return Reply(202)


class Snapshots(Resource, path="/os-snapshots"):
    """Snapshots of volumes. Use the block storage service."""

    index = Op("GET", "", f"{_SNAPSHOT_RULE}:list", READER, list_snapshots, until=_LAST)
    detail = Op("GET", "/detail", f"{_SNAPSHOT_RULE}:detail", READER, list_snapshots, until=_LAST)
    show = Op("GET", "/{id}", f"{_SNAPSHOT_RULE}:show", READER, show_snapshot, until=_LAST)
    create = Op("POST", "", f"{_SNAPSHOT_RULE}:create", MEMBER, create_snapshot, until=_LAST, body=_NEW_SNAPSHOT)
    delete = Op("DELETE", "/{id}", f"{_SNAPSHOT_RULE}:delete", MEMBER, delete_snapshot, until=_LAST)
