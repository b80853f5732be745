# SPDX-License-Identifier: Apache-2.0
"""Snapshots: create, list, show, update, delete, metadata, states."""

from typing import Any

from sqlalchemy import func, select

from altostratus.kernel.db import table_of
from altostratus.kernel.errors import BadRequest, NotFound
from altostratus.kernel.policy import ADMIN, MEMBER, READER, Rule
from altostratus.kernel.resource import lists
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.fields import Field, Id, Time
from altostratus.kernel.resource.operations import Action, Create, Delete, List, Op, Reply, Show, Update
from altostratus.services.block_storage.api import filters, schemas
from altostratus.services.block_storage.api.volumes.resource import find_row
from altostratus.services.block_storage.api.volumes.views import OLDEST
from altostratus.services.block_storage.jobs import begin
from altostratus.services.block_storage.logic import snapshots
from altostratus.services.block_storage.logic.views import snapshot_view
from altostratus.services.block_storage.models.volumes import Snapshot

_EXTENDED = "volume_extension:extended_snapshot_attributes"
_STATUSES = ("available", "creating", "deleting", "error", "error_deleting")


def _view(call: Call, row: Any, *, detail: bool = True) -> dict[str, Any]:
    return snapshot_view(row, call.version or OLDEST, extended=detail and call.may(_EXTENDED))


def _shown(call: Call, snapshot_id: str, status: int = 200) -> Reply:
    """As answers to create and update show it: without what extensions add."""
    return Reply(status, {"snapshot": _view(call, call.tx.get(Snapshot, snapshot_id), detail=False)})


def create(call: Call) -> Reply:
    body, minor = call.body, call.version.minor if call.version else 0
    volume = find_row(call, body["volume_id"])
    force = body.get("force")
    if force is not None and minor >= 66 and not schemas.truth(force):
        raise BadRequest(
            "Since microversion 3.66 the 'force' flag is invalid for this request; leave it out. Volumes in use may "
            "always have snapshots taken."
        )
    allow_in_use = minor >= 66 or (force is not None and schemas.truth(force))
    values = {
        "name": body.get("name"),
        "description": body.get("description"),
        "metadata": body.get("metadata") or {},
        "user_id": call.ctx.user_id,
    }
    row = snapshots.create_snapshot(call.tx, call.cloud, volume, values, allow_in_use=allow_in_use)
    begin.create_snapshot(call.tx, call.cloud, row, schemas.origin_of(call))
    return _shown(call, row.id, 202)


def _list(call: Call, *, detail: bool) -> Reply:
    table = table_of(Snapshot).c
    known: dict[str, filters.Make] = {
        name: filters.equals(table[name]) for name in ("name", "status", "volume_id", "id", "user_id")
    }
    known |= {"display_name": filters.equals(table.name)}
    minor = call.version.minor if call.version else 0
    if minor >= 22:
        known["metadata"] = filters.pairs(table.metadata)
    if minor >= 60:
        known |= {name: filters.moments(table[name], name) for name in ("created_at", "updated_at")}
    if call.ctx.is_admin:
        known["project_id"] = filters.equals(table.project_id)
    found = filters.conditions(call, known, likes={name: table[name] for name in ("name", "status")})
    page = filters.page(call, select(table_of(Snapshot)).where(*found))
    items = [_view(call, row, detail=detail) for row in page.rows]
    ids = [row.id for row in (*page.rows[:1], *page.rows[-1:])]
    body = lists.wrap(call, call.resource, items, ids, page.more, call.service.style)
    if minor >= 45 and call.query.get("with_count", ["false"])[-1].lower() in ("true", "1", "yes"):
        counted = select(func.count()).select_from(table_of(Snapshot)).where(*found)
        body["count"] = int(call.tx.scalar(call.scoped(counted, listing=True)))
    return Reply(200, body)


def list_brief(call: Call) -> Reply:
    return _list(call, detail=False)


def list_detail(call: Call) -> Reply:
    return _list(call, detail=True)


def show(call: Call) -> Reply:
    return Reply(200, {"snapshot": _view(call, call.row)})


def update(call: Call) -> Reply:
    changes = {name: call.body[name] for name in ("name", "description") if name in call.body}
    snapshots.change(call.tx, call.row.id, **changes)
    snapshots.emit(call.tx, call.cloud, "snapshot.update.end", call.tx.get(Snapshot, call.row.id))
    return _shown(call, call.row.id)


def delete(call: Call) -> Reply:
    snapshots.begin_delete(call.tx, call.cloud, call.row, force=False)
    begin.delete_snapshot(call.tx, call.cloud, call.row, schemas.origin_of(call))
    return Reply(202)


def force_delete(call: Call) -> None:
    snapshots.begin_delete(call.tx, call.cloud, call.row, force=True)
    begin.delete_snapshot(call.tx, call.cloud, call.row, schemas.origin_of(call))


def reset_status(call: Call) -> None:
    snapshots.change(call.tx, call.row.id, status=call.body["status"])


def update_status(call: Call) -> None:
    """For services that take snapshots themselves: creating becomes available or error."""
    if call.row.status not in ("creating", "deleting"):
        raise BadRequest(f"Snapshot status {call.row.status} is not allowed to be updated by this call.")
    changes = {"status": call.body["status"]}
    if "progress" in call.body:
        changes["progress"] = call.body["progress"]
    snapshots.change(call.tx, call.row.id, **changes)


def list_metadata(call: Call) -> Reply:
    return Reply(200, {"metadata": call.row._mapping["metadata"]})


def add_metadata(call: Call) -> Reply:
    """Add to the metadata; others stay."""
    merged = call.row._mapping["metadata"] | call.body["metadata"]
    snapshots.change(call.tx, call.row.id, metadata=merged)
    return Reply(200, {"metadata": merged})


def set_metadata(call: Call) -> Reply:
    """Replace the metadata."""
    snapshots.change(call.tx, call.row.id, metadata=call.body["metadata"])
    return Reply(200, {"metadata": call.body["metadata"]})


def show_metadata_item(call: Call) -> Reply:
    return Reply(200, {"meta": {call.params["key"]: _item(call)}})


def _item(call: Call) -> str:
    key, metadata = call.params["key"], call.row._mapping["metadata"]
    if key not in metadata:
        raise NotFound(f"Snapshot {call.row.id} has no metadata with key {key}.")
    return str(metadata[key])


def set_metadata_item(call: Call) -> Reply:
    key, given = call.params["key"], call.body["meta"]
    if key not in given or len(given) != 1:
        raise BadRequest("Request body and URI mismatch: the body must have exactly the key that the URL names.")
    snapshots.change(call.tx, call.row.id, metadata=call.row._mapping["metadata"] | given)
    return Reply(200, {"meta": given})


def delete_metadata_item(call: Call) -> Reply:
    _item(call)
    kept = {name: value for name, value in call.row._mapping["metadata"].items() if name != call.params["key"]}
    snapshots.change(call.tx, call.row.id, metadata=kept)
    return Reply(200)


_METADATA_BODY = schemas.wrapped("metadata", schemas.METADATA)
_ADMINISTRATION = "volume_extension:snapshot_admin_actions:"


class SnapshotResource(Resource, path="/snapshots", one="snapshot", many="snapshots"):
    """The content of a volume at one moment."""

    row = Snapshot
    what = "snapshot"
    unknown = "ignore"
    default_sort = (("created_at", "desc"),)
    id = Id("s")
    name = Field(schemas.NAME, "cus", parse=schemas.stripped)
    description = Field(schemas.NAME, "cu", parse=schemas.stripped)
    display_name = Field(schemas.NAME, "s", source="name")
    volume_id = Field(schemas.UUID, "cs", required=True, nullable=True)
    force = Field(schemas.BOOLEAN, "c", nullable=True)
    metadata = Field(schemas.METADATA, "c", nullable=True)
    status = Field({"type": "string"}, "s")
    size = Field({"type": "integer"}, "s", source="size", wire="volume_size")
    created_at = Time("s")
    updated_at = Time("s")

    make = Create("volume:create_snapshot", MEMBER, create, status=202)
    index = List("volume:get_all_snapshots", READER, list_brief)
    detail = List("volume:get_all_snapshots", READER, list_detail, path="/detail")
    show = Show("volume:get_snapshot", READER, show)
    change = Update("volume:update_snapshot", MEMBER, update)
    remove = Delete("volume:delete_snapshot", MEMBER, delete, status=202)
    list_metadata = Op("GET", "/{id}/metadata", "volume:get_snapshot_metadata", READER, list_metadata)
    add_metadata = Op(
        "POST", "/{id}/metadata", "volume:update_snapshot_metadata", MEMBER, add_metadata, body=_METADATA_BODY
    )
    set_metadata = Op(
        "PUT", "/{id}/metadata", "volume:update_snapshot_metadata", MEMBER, set_metadata, body=_METADATA_BODY
    )
    show_item = Op("GET", "/{id}/metadata/{key}", "volume:get_snapshot_metadata", READER, show_metadata_item)
    set_item = Op(
        "PUT", "/{id}/metadata/{key}", "volume:update_snapshot_metadata", MEMBER, set_metadata_item,
        body=schemas.wrapped("meta", schemas.METADATA),
    )  # fmt: skip
    delete_item = Op("DELETE", "/{id}/metadata/{key}", "volume:delete_snapshot_metadata", MEMBER, delete_metadata_item)
    reset_status = Action(
        "os-reset_status", _ADMINISTRATION + "reset_status", ADMIN, reset_status,
        body=schemas.wrapped("os-reset_status", schemas.closed(("status",), status={"enum": list(_STATUSES)})),
    )  # fmt: skip
    force_delete = Action(
        "os-force_delete", _ADMINISTRATION + "force_delete", ADMIN, force_delete,
        body=schemas.wrapped("os-force_delete", None),
    )  # fmt: skip
    update_status = Action(
        "os-update_snapshot_status", "snapshot_extension:snapshot_actions:update_snapshot_status", MEMBER,
        update_status,
        body=schemas.wrapped(
            "os-update_snapshot_status",
            schemas.closed(
                ("status",), status={"enum": list(_STATUSES)}, progress={"type": "string", "pattern": "^[0-9]{1,3}%$"}
            ),
        ),
    )  # fmt: skip


RULES = (Rule(_EXTENDED, READER.check, "See the project and the progress of snapshots"),)
