# SPDX-License-Identifier: Apache-2.0
"""Giving a volume to another project: offered with a key, taken by whoever has it."""

import hashlib
import hmac
from typing import Any

from sqlalchemy import or_, select

from altostratus.kernel import clock, ids
from altostratus.kernel.db import table_of
from altostratus.kernel.errors import BadRequest, NotFound
from altostratus.kernel.policy import MEMBER, READER
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.block_storage.api import schemas
from altostratus.services.block_storage.api.volumes.resource import find_row
from altostratus.services.block_storage.logic import quota, volumes
from altostratus.services.block_storage.models.others import Transfer
from altostratus.services.block_storage.models.volumes import Snapshot, Volume

_OPEN = "awaiting-transfer"


def scope(call: Call, statement: Any, listing: bool) -> Any:
    """Offers of the caller's project; any by id for administrators, and for whoever accepts."""
    table = table_of(Transfer).c
    if call.ctx.is_admin and (not listing or call.wants_all_projects()):
        return statement
    return statement.where(
        or_(table.source_project_id == call.ctx.project_id, table.destination_project_id == call.ctx.project_id)
    )


def _view(call: Call, row: Any, *, detail: bool) -> dict[str, Any]:
    project = f"/{call.ctx.project_id}" if call.ctx.project_id else ""
    links = [
        {"rel": "self", "href": f"{call.host_url}{call.service.path}{project}/os-volume-transfer/{row.id}"},
        {"rel": "bookmark", "href": f"{call.host_url}{call.service.root}{project}/os-volume-transfer/{row.id}"},
    ]
    shown = {"id": row.id, "volume_id": row.volume_id, "name": row.name, "links": links}
    minor = call.version.minor if call.version else 0
    if detail:
        shown["created_at"] = row.created_at
        if minor >= 55:
            shown["no_snapshots"] = row.no_snapshots
        if minor >= 57:
            shown |= {
                "source_project_id": row.source_project_id,
                "destination_project_id": row.destination_project_id,
                "accepted": row.accepted,
            }
    return shown


def _hash(salt: str, key: str) -> str:
    return hmac.new(salt.encode(), key.encode(), hashlib.sha256).hexdigest()


def create(call: Call) -> Reply:
    body = call.body["transfer"]
    volume = find_row(call, body["volume_id"])
    if volume.status != "available":
        raise BadRequest(f"Invalid volume: status must be available, it is {volume.status}.")
    no_snapshots = schemas.truth(body.get("no_snapshots", False))
    has_snapshots = call.tx.find(Snapshot, volume_id=volume.id) is not None
    if has_snapshots and not (call.version is not None and call.version.minor >= 55):
        raise BadRequest("Invalid volume: a volume with snapshots cannot be transferred before microversion 3.55.")
    key, salt, transfer_id = ids.new_secret(12), ids.new_secret(8), ids.new_id()
    name = body.get("name")
    call.tx.insert(
        Transfer, id=transfer_id, volume_id=volume.id, name=name.strip() if name else name, salt=salt,
        key_hash=_hash(salt, key), no_snapshots=no_snapshots, source_project_id=volume.project_id, accepted=False,
        created_at=clock.now(),
    )  # fmt: skip
    volumes.change(call.tx, volume.id, status=_OPEN)
    row = call.tx.get(Transfer, transfer_id)
    return Reply(202, {"transfer": _view(call, row, detail=True) | {"auth_key": key}})


def _list(call: Call, *, detail: bool) -> Reply:
    table = table_of(Transfer)
    statement = scope(call, select(table).order_by(table.c.created_at, table.c.id), True)
    rows = call.tx.rows(statement.where(~table.c.accepted))
    return Reply(200, {"transfers": [_view(call, row, detail=detail) for row in rows]})


def list_brief(call: Call) -> Reply:
    return _list(call, detail=False)


def list_detail(call: Call) -> Reply:
    return _list(call, detail=True)


def show(call: Call) -> Reply:
    return Reply(200, {"transfer": _view(call, call.row, detail=True)})


def accept(call: Call) -> Reply:
    """The volume, and its snapshots unless left behind, become the caller's project's."""
    row = call.tx.find(Transfer, call.params["transfer_id"])
    if row is None or row.accepted:
        raise NotFound(f"Transfer {call.params['transfer_id']} could not be found.")
    key = call.body["accept"]["auth_key"]
    if not hmac.compare_digest(_hash(row.salt, key), row.key_hash):
        raise BadRequest(f"Invalid auth key: Attempt to transfer {row.id} with invalid auth key.")
    project_id, user_id = call.ctx.project_id or "", call.ctx.user_id
    volume = call.tx.get(Volume, row.volume_id, what="volume")
    if volume.status != _OPEN:
        raise BadRequest(f"Invalid volume: status must be {_OPEN}, it is {volume.status}.")
    table = table_of(Snapshot)
    taken = [] if row.no_snapshots else call.tx.rows(select(table).where(table.c.volume_id == volume.id))
    wanted = {"volumes": 1, "gigabytes": volume.size + sum(one.size for one in taken), "snapshots": len(taken)}
    quota.demand(call.tx, call.cloud, project_id, quota.type_names(call.tx).get(volume.volume_type_id), wanted)
    volumes.change(call.tx, volume.id, project_id=project_id, user_id=user_id, status="available")
    call.tx.update_where(Snapshot, table.c.id.in_([one.id for one in taken]), project_id=project_id, user_id=user_id)
    call.tx.update(Transfer, row.id, accepted=True, destination_project_id=project_id)
    shown = _view(call, call.tx.get(Transfer, row.id), detail=False)
    return Reply(202, {"transfer": shown})


def delete(call: Call) -> Reply:
    volume = call.tx.find(Volume, call.row.volume_id)
    if volume is not None and volume.status == _OPEN and not call.row.accepted:
        volumes.change(call.tx, volume.id, status="available")
    call.tx.delete(Transfer, call.row.id)
    return Reply(202)


def _own(call: Call) -> dict[str, Any]:
    return {"project_id": call.row.source_project_id, "tenant_id": call.row.source_project_id}


_NAME = {"type": ["string", "null"], "maxLength": 255}
_CREATE = schemas.wrapped(
    "transfer",
    schemas.closed(("volume_id",), volume_id=schemas.UUID, name=_NAME, no_snapshots=schemas.BOOLEAN),
)
_ACCEPT = schemas.wrapped(
    "accept", schemas.closed(("auth_key",), auth_key={"type": "string", "minLength": 1, "maxLength": 255})
)


def _operations(since: str | None) -> dict[str, Op]:
    """The operations, once for each of the two paths that upstream has them at."""
    members = {
        "make": Op("POST", "", "volume:create_transfer", MEMBER, create, status=202, body=_CREATE, since=since),
        "index": Op("GET", "", "volume:get_all_transfers", READER, list_brief, since=since),
        "detail": Op("GET", "/detail", "volume:get_all_transfers", READER, list_detail, since=since),
        "show": Op("GET", "/{id}", "volume:get_transfer", READER, show, target=_own, since=since),
        "remove": Op("DELETE", "/{id}", "volume:delete_transfer", MEMBER, delete, status=202, target=_own, since=since),
    }
    members["accept"] = Op(
        "POST", "/{transfer_id}/accept", "volume:accept_transfer", MEMBER, accept, status=202, body=_ACCEPT,
        since=since,
    )  # fmt: skip
    return members


_OLD, _NEW = _operations(None), _operations("3.55")


class Transfers(Resource, path="/os-volume-transfer"):
    """A volume on offer."""

    row = Transfer
    what = "transfer"
    scope = scope
    make, index, detail, show = _OLD["make"], _OLD["index"], _OLD["detail"], _OLD["show"]
    remove, accept = _OLD["remove"], _OLD["accept"]


class NewTransfers(Resource, path="/volume-transfers"):
    """A volume on offer (3.55 and later)."""

    row = Transfer
    what = "transfer"
    scope = scope
    make, index, detail, show = _NEW["make"], _NEW["index"], _NEW["detail"], _NEW["show"]
    remove, accept = _NEW["remove"], _NEW["accept"]
