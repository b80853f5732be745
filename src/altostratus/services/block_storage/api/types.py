# SPDX-License-Identifier: Apache-2.0
"""Volume types, their extra specs, who may use them, and the default type of a project."""

from typing import Any

from sqlalchemy import false, select

from altostratus.kernel import clock
from altostratus.kernel.db import table_of
from altostratus.kernel.errors import BadRequest, Conflict, NotFound
from altostratus.kernel.policy import ADMIN, MEMBER, READER, Rule
from altostratus.kernel.resource import lists
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.fields import Field, Id, Time
from altostratus.kernel.resource.operations import Action, Create, Delete, List, Op, Reply, Show, Update
from altostratus.services.block_storage.api import filters, schemas
from altostratus.services.block_storage.config import BlockStorageOptions
from altostratus.services.block_storage.logic import types, volumes
from altostratus.services.block_storage.models.types import DefaultType, VolumeType, VolumeTypeProject
from altostratus.services.block_storage.models.volumes import Volume

_SPECS: dict[str, Any] = {
    "type": "object",
    "patternProperties": {"^[a-zA-Z0-9-_:.]{1,255}$": {"type": ["string", "null"], "maxLength": 255}},
    "additionalProperties": False,
}
_ACCESS = "volume_extension:volume_type_access"
_SPECS_RULE = "volume_extension:types_extra_specs:"
_IN_USE = "Volume Type is currently in use."


def scope(call: Call, statement: Any, listing: bool) -> Any:
    return statement if call.ctx.is_admin else statement.where(types.usable_by(call.ctx.project_id))


def view(call: Call, row: Any, *, with_qos: bool = True, with_access: bool = True) -> dict[str, Any]:
    shown = {"id": row.id, "name": row.name, "is_public": row.is_public, "description": row.description}
    if call.may("volume_extension:access_types_extra_specs"):
        shown["extra_specs"] = _visible_specs(call, row)
    if with_qos and call.may("volume_extension:access_types_qos_specs_id"):
        shown["qos_specs_id"] = row.qos_specs_id
    if with_access and call.may(_ACCESS):
        shown["os-volume-type-access:is_public"] = row.is_public
    return shown


def _visible_specs(call: Call, row: Any) -> dict[str, Any]:
    if call.may(_SPECS_RULE + "read_sensitive"):
        return dict(row.extra_specs)
    return {name: value for name, value in row.extra_specs.items() if name in types.USER_VISIBLE_SPECS}


def _shown(call: Call, type_id: str, *, with_access: bool) -> Reply:
    """As answers to create and update show it: with less of what extensions add."""
    row = call.tx.get(VolumeType, type_id)
    return Reply(200, {"volume_type": view(call, row, with_qos=False, with_access=with_access)})


def create(call: Call) -> Reply:
    body = call.body
    if not body["name"].strip():
        raise BadRequest("Invalid input for field/attribute name. The name of a volume type can not be empty.")
    row = types.create_type(
        call.tx, body["name"].strip(), description=body.get("description"), specs=body.get("extra_specs") or {},
        is_public=schemas.truth(body["is_public"]),
    )  # fmt: skip
    _emit(call, "volume_type.create", row)
    return _shown(call, row.id, with_access=True)


def _emit(call: Call, event_type: str, row: Any) -> None:
    payload = {"volume_types": {"id": row.id, "name": row.name, "is_public": row.is_public}}
    call.cloud.events.emit(call.tx, event_type, payload, publisher_id=volumes.PUBLISHER)


def list_types(call: Call) -> Reply:
    table = table_of(VolumeType)
    found: list[Any] = []
    if call.ctx.is_admin:
        wanted = call.query.get("is_public", ["true"])[-1].lower()
        if wanted in ("true", "1", "yes", "t", "on"):
            found.append(table.c.is_public)
        elif wanted not in ("none", "null"):
            found.append(~table.c.is_public)
    if "extra_specs" in call.query:
        found.append(_with_specs(call, call.query["extra_specs"][-1]))
    found += [table.c[name] == call.query[name][-1] for name in ("name", "description") if name in call.query]
    page = call.list_rows(select(table).where(*found))
    ids = [row.id for row in (*page.rows[:1], *page.rows[-1:])]
    items = [view(call, row) for row in page.rows]
    return Reply(200, lists.wrap(call, call.resource, items, ids, page.more, call.service.style))


def _with_specs(call: Call, text: str) -> Any:
    column = table_of(VolumeType).c.extra_specs
    if not call.may(_SPECS_RULE + "read_sensitive") and not any(name in text for name in types.USER_VISIBLE_SPECS):
        return false()
    condition = filters.pairs(column)(text)
    return column.is_not(None) if condition is None else condition


def show(call: Call) -> Reply:
    return Reply(200, {"volume_type": view(call, call.row)})


def show_default(call: Call) -> Reply:
    return Reply(200, {"volume_type": view(call, types.default_type(call.tx, call.cloud, call.ctx.project_id))})


def update(call: Call) -> Reply:
    body = call.body["volume_type"]
    name, description, is_public = body.get("name"), body.get("description"), body.get("is_public")
    if name is not None and not name.strip():
        raise BadRequest("Volume type name can not be empty.")
    if name is None and description is None and is_public is None:
        raise BadRequest("Specify volume type name, description, is_public or a combination thereof.")
    changes: dict[str, Any] = {"updated_at": clock.now()}
    if name is not None:
        other = call.tx.find(VolumeType, name=name.strip())
        if other is not None and other.id != call.row.id:
            raise Conflict(f"Volume Type {name} already exists.")
        changes["name"] = name.strip()
    if description is not None:
        changes["description"] = description
    if is_public is not None:
        changes["is_public"] = schemas.truth(is_public)
    call.tx.update(VolumeType, call.row.id, **changes)
    volumes.refresh(call.tx, table_of(Volume).c.volume_type_id == call.row.id)
    _emit(call, "volume_type.update", call.tx.get(VolumeType, call.row.id))
    return _shown(call, call.row.id, with_access=False)


def delete(call: Call) -> Reply:
    if call.row.name == call.cloud[BlockStorageOptions].default_type:
        raise BadRequest(
            f"The volume type {call.row.name} is the default volume type and cannot be deleted. Name another one in "
            f"[block_storage] default_type first."
        )
    chosen = call.tx.find(DefaultType, volume_type_id=call.row.id)
    if chosen is not None:
        raise BadRequest(f"The volume type is the default of project {chosen.project_id} and cannot be deleted.")
    types.demand_unused(call.tx, call.row.id, "Target volume type is still in use.")
    call.tx.delete(VolumeType, call.row.id)
    call.tx.delete_where(VolumeTypeProject, table_of(VolumeTypeProject).c.volume_type_id == call.row.id)
    _emit(call, "volume_type.delete", call.row)
    return Reply(202)


# extra specs


def list_specs(call: Call) -> Reply:
    return Reply(200, {"extra_specs": _visible_specs(call, call.row)})


def show_spec(call: Call) -> Reply:
    key, specs = call.params["key"], _visible_specs(call, call.row)
    if key not in specs:
        raise NotFound(f"Volume Type {call.row.id} has no extra specs with key {key}.")
    return Reply(200, {key: specs[key]})


def add_specs(call: Call) -> Reply:
    given = call.body["extra_specs"]
    _change_specs(call, call.row.extra_specs | given)
    return Reply(200, {"extra_specs": given})


def set_spec(call: Call) -> Reply:
    key = call.params["key"]
    if key not in call.body or len(call.body) != 1:
        raise BadRequest("Request body and URI mismatch: the body must have exactly the key that the URL names.")
    _change_specs(call, call.row.extra_specs | call.body)
    return Reply(200, call.body)


def delete_spec(call: Call) -> Reply:
    key = call.params["key"]
    if key not in call.row.extra_specs:
        raise NotFound(f"Volume Type {call.row.id} has no extra specs with key {key}.")
    _change_specs(call, {name: value for name, value in call.row.extra_specs.items() if name != key})
    return Reply(202)


def _change_specs(call: Call, specs: dict[str, Any]) -> None:
    types.demand_unused(call.tx, call.row.id, _IN_USE)
    call.tx.update(VolumeType, call.row.id, extra_specs=specs, updated_at=clock.now())


# access


def list_access(call: Call) -> Reply:
    if call.row.is_public:
        raise NotFound("Access list not available for public volume types.")
    access = table_of(VolumeTypeProject).c
    projects = call.tx.scalars(select(access.project_id).where(access.volume_type_id == call.row.id))
    shown = [{"volume_type_id": call.row.id, "project_id": project_id} for project_id in projects]
    return Reply(200, {"volume_type_access": shown})


def add_access(call: Call) -> None:
    project_id = call.body["project"]
    if call.row.is_public:
        raise BadRequest("Type access modification is not applicable to public volume type.")
    if call.tx.find(VolumeTypeProject, call.row.id, project_id) is not None:
        raise Conflict(f"Volume type access for {call.row.id} / {project_id} combination already exists.")
    call.tx.insert(VolumeTypeProject, volume_type_id=call.row.id, project_id=project_id)


def remove_access(call: Call) -> None:
    project_id = call.body["project"]
    if call.row.is_public:
        raise BadRequest("Type access modification is not applicable to public volume type.")
    if call.tx.delete(VolumeTypeProject, call.row.id, project_id) == 0:
        raise NotFound(f"Volume type access not found for {call.row.id} / {project_id} combination.")


_PROJECT = schemas.closed(("project",), project={"type": "string", "minLength": 1, "maxLength": 255})
_TEXT: dict[str, Any] = {"type": ["string", "null"], "maxLength": 255}


class VolumeTypeResource(Resource, path="/types", one="volume_type", many="volume_types"):
    """A kind of volume."""

    row = VolumeType
    what = "volume type"
    scope = scope
    default_sort = (("created_at", "desc"),)
    id = Id("s")
    name = Field({"type": "string", "minLength": 1, "maxLength": 255}, "cs", required=True)
    description = Field(_TEXT, "c")
    extra_specs = Field(_SPECS, "c")
    is_public = Field(schemas.BOOLEAN, "cs", default=True, wire="os-volume-type-access:is_public")
    created_at = Time("s")
    updated_at = Time("s")

    show_default = Op("GET", "/default", "volume_extension:type_get", READER, show_default, own_row=False)
    make = Create("volume_extension:type_create", ADMIN, create, status=200)
    index = List("volume_extension:type_get_all", READER, list_types)
    show = Show("volume_extension:type_get", READER, show)
    change = Update(
        "volume_extension:type_update", ADMIN, update,
        body=schemas.wrapped(
            "volume_type", schemas.closed(name=_TEXT, description=_TEXT, is_public=schemas.BOOLEAN)
        ),
    )  # fmt: skip
    remove = Delete("volume_extension:type_delete", ADMIN, delete, status=202)
    list_specs = Op("GET", "/{id}/extra_specs", _SPECS_RULE + "index", READER, list_specs)
    add_specs = Op(
        "POST", "/{id}/extra_specs", _SPECS_RULE + "create", ADMIN, add_specs,
        body=schemas.wrapped("extra_specs", _SPECS),
    )  # fmt: skip
    show_spec = Op("GET", "/{id}/extra_specs/{key}", _SPECS_RULE + "show", READER, show_spec)
    set_spec = Op("PUT", "/{id}/extra_specs/{key}", _SPECS_RULE + "update", ADMIN, set_spec, body=_SPECS)
    delete_spec = Op("DELETE", "/{id}/extra_specs/{key}", _SPECS_RULE + "delete", ADMIN, delete_spec, status=202)
    list_access = Op("GET", "/{id}/os-volume-type-access", _ACCESS + ":get_all_for_type", ADMIN, list_access)
    add_access = Action(
        "addProjectAccess", _ACCESS + ":addProjectAccess", ADMIN, add_access,
        body=schemas.wrapped("addProjectAccess", _PROJECT),
    )  # fmt: skip
    remove_access = Action(
        "removeProjectAccess", _ACCESS + ":removeProjectAccess", ADMIN, remove_access,
        body=schemas.wrapped("removeProjectAccess", _PROJECT),
    )  # fmt: skip


# default types (3.62)


def set_default(call: Call) -> Reply:
    project_id, wanted = call.params["project_id"], call.body["default_type"]["volume_type"]
    row = types.get_type(call.tx, wanted)
    if call.tx.update(DefaultType, project_id, volume_type_id=row.id) == 0:
        call.tx.insert(DefaultType, project_id=project_id, volume_type_id=row.id)
    return Reply(200, {"default_type": {"project_id": project_id, "volume_type_id": row.id}})


def show_project_default(call: Call) -> Reply:
    project_id = call.params["project_id"]
    row = call.tx.find(DefaultType, project_id)
    if row is None:
        raise NotFound(f"Default type for project {project_id} not found.")
    return Reply(200, {"default_type": {"project_id": project_id, "volume_type_id": row.volume_type_id}})


def list_defaults(call: Call) -> Reply:
    rows = call.tx.rows(table_of(DefaultType).select())
    shown = [{"project_id": row.project_id, "volume_type_id": row.volume_type_id} for row in rows]
    return Reply(200, {"default_types": shown})


def unset_default(call: Call) -> None:
    call.tx.delete(DefaultType, call.params["project_id"])


_DEFAULT_BODY = schemas.wrapped(
    "default_type", schemas.closed(("volume_type",), volume_type={"type": "string", "minLength": 1, "maxLength": 255})
)


class DefaultTypes(Resource, path="/default-types"):
    """The type of volumes of a project that ask for none."""

    set = Op(
        "PUT", "/{project_id}", "volume_extension:default_set_or_update", ADMIN, set_default, body=_DEFAULT_BODY,
        since="3.62",
    )  # fmt: skip
    show = Op("GET", "/{project_id}", "volume_extension:default_get", ADMIN, show_project_default, since="3.62")
    index = Op("GET", "", "volume_extension:default_get_all", ADMIN, list_defaults, since="3.62")
    unset = Op(
        "DELETE", "/{project_id}", "volume_extension:default_unset", ADMIN, unset_default, status=204, since="3.62"
    )


RULES = (
    Rule("volume_extension:access_types_extra_specs", READER.check, "See extra specs of volume types"),
    Rule("volume_extension:access_types_qos_specs_id", ADMIN.check, "See the QoS specs of volume types"),
    Rule(_SPECS_RULE + "read_sensitive", ADMIN.check, "See all extra specs of volume types"),
    Rule(_ACCESS, MEMBER.check, "See whether volume types are public"),
)
