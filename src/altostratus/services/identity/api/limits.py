# SPDX-License-Identifier: Apache-2.0
"""Unified limits: registered ones hold for everybody, others for one project or domain."""

from typing import Any

from sqlalchemy import or_, select

from altostratus.kernel import ids
from altostratus.kernel.db import table_of
from altostratus.kernel.errors import BadRequest, Conflict, Forbidden
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.fields import Id, Int, Text
from altostratus.kernel.resource.operations import Delete, List, Op, Reply, Show, Update
from altostratus.services.identity import models, policies
from altostratus.services.identity.api.declaring import Description, IdentityResource, Links, list_reply
from altostratus.services.identity.api.targets import flat, needed, row_target
from altostratus.services.identity.config import IdentityOptions
from altostratus.services.identity.logic.changes import announce
from altostratus.services.identity.logic.limit_models import demand_fitting, same_resource, shown_model

MOST = 2_147_483_647
_ID = {"type": "string", "minLength": 1, "maxLength": 64}
_NO_ID = {"type": ["string", "null"], "maxLength": 255}
_NUMBER = {"type": "integer", "minimum": -1, "maximum": MOST}
_COMMON = {
    "service_id": _ID,
    "region_id": _NO_ID,
    "resource_name": {"type": "string", "minLength": 1, "maxLength": 255},
    "description": {"type": ["string", "null"], "maxLength": 65_535},
}


def _body(many: str, properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    """Schema of a body that creates several at once."""
    item = {
        "type": "object",
        "properties": {**_COMMON, **properties},
        "required": ["service_id", "resource_name", *required],
        "additionalProperties": False,
    }
    items = {"type": "array", "items": item, "minItems": 1, "maxItems": 1000}
    return {"type": "object", "properties": {many: items}, "required": [many], "additionalProperties": False}


def _demand_place(call: Call, values: dict[str, Any]) -> None:
    """Raises BadRequest if the service or region does not exist."""
    if call.tx.find(models.CatalogService, values["service_id"]) is None:
        raise BadRequest(f"Could not find service: {values['service_id']}.")
    if values["region_id"] is not None and call.tx.find(models.Region, values["region_id"]) is None:
        raise BadRequest(f"Could not find region: {values['region_id']}.")


# registered limits


def create_registered_limits(call: Call) -> Reply:
    return Reply(201, {"registered_limits": [_register(call, one) for one in call.body["registered_limits"]]})


def _register(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    values = {"region_id": None, "description": None, **given}
    _demand_place(call, values)
    column = table_of(models.RegisteredLimit).c
    if call.tx.first(select(column.id).where(*same_resource(models.RegisteredLimit, values))) is not None:
        raise Conflict(f"Conflict occurred attempting to store registered_limit - Duplicate entry: {given}.")
    limit_id = ids.new_hex_id()
    call.tx.insert(models.RegisteredLimit, id=limit_id, **values)
    announce(call.tx, call.cloud, "identity.registered_limit.created", limit_id)
    return call.render([call.tx.get(models.RegisteredLimit, limit_id)])[0]


def update_registered_limit(call: Call) -> Any:
    row = needed(call)
    values = {"service_id": row.service_id, "region_id": row.region_id, "resource_name": row.resource_name, **call.body}
    if any(values[name] != row._mapping[name] for name in ("service_id", "region_id", "resource_name")):
        _demand_unused(call, row)
        _demand_place(call, values)
    if call.body:
        call.tx.update(models.RegisteredLimit, row.id, **call.body)
        announce(call.tx, call.cloud, "identity.registered_limit.updated", row.id)
    return call.tx.get(models.RegisteredLimit, row.id)


def delete_registered_limit(call: Call) -> None:
    row = needed(call)
    _demand_unused(call, row)
    call.tx.delete(models.RegisteredLimit, row.id)
    announce(call.tx, call.cloud, "identity.registered_limit.deleted", row.id)


def _demand_unused(call: Call, row: Any) -> None:
    used = select(table_of(models.Limit).c.id).where(*same_resource(models.Limit, row._mapping))
    if call.tx.first(used.limit(1)) is not None:
        raise Forbidden(
            f"Unable to update or delete registered limit {row.id} because there are project limits associated with"
            " it. Delete those first."
        )


def list_registered_limits(call: Call) -> Reply:
    return list_reply(call, confined_by=None)


class RegisteredLimit(IdentityResource, path="/registered_limits", one="registered_limit", many="registered_limits"):
    """What every project may have of a resource."""

    unknown = "refuse"
    row = models.RegisteredLimit
    id = Id("rs")
    service_id = Text(1, 64, "urfs")
    region_id = Text(1, 255, "urfs", nullable=True)
    resource_name = Text(1, 255, "urfs")
    default_limit = Int(-1, MOST, "ur")
    description = Description("ur")
    links = Links("/registered_limits")
    index = List("identity:list_registered_limits", "@", list_registered_limits)
    create = Op("POST", "", "identity:create_registered_limits", policies.ADMIN, create_registered_limits, status=201,
                body=_body("registered_limits", {"default_limit": _NUMBER}, ["default_limit"]))  # fmt: skip
    show = Show("identity:get_registered_limit", "@", needed, own_row=False,
                target=row_target("registered_limit", models.RegisteredLimit))  # fmt: skip
    update = Update("identity:update_registered_limit", policies.ADMIN, update_registered_limit, method="PATCH",
                    own_row=False, target=row_target("registered_limit", models.RegisteredLimit))  # fmt: skip
    delete = Delete("identity:delete_registered_limit", policies.ADMIN, delete_registered_limit, own_row=False,
                    target=row_target("registered_limit", models.RegisteredLimit))  # fmt: skip


# limits of a project or domain


def create_limits(call: Call) -> Reply:
    wanted = [_wanted(call, one) for one in call.body["limits"]]
    demand_fitting(call.tx, call.cloud, wanted)
    return Reply(201, {"limits": [_add(call, values) for values in wanted]})


def _wanted(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """All columns but the id. Raises BadRequest for what does not exist, Forbidden for what is not registered."""
    values = {"region_id": None, "description": None, "project_id": None, "domain_id": None, **given}
    if (values["project_id"] is None) == (values["domain_id"] is None):
        raise BadRequest("A limit is for a project or for a domain: give exactly one of project_id and domain_id.")
    _demand_place(call, values)
    owner_id, what = values["project_id"] or values["domain_id"], "project" if values["project_id"] else "domain"
    owner = call.tx.find(models.Project, owner_id)
    if owner is None or (what == "domain" and not owner.is_domain):
        raise BadRequest(f"Could not find {what}: {owner_id}.")
    if owner.is_domain:
        values |= {"project_id": None, "domain_id": owner_id}
    registered = select(table_of(models.RegisteredLimit).c.id)
    if call.tx.first(registered.where(*same_resource(models.RegisteredLimit, values))) is None:
        raise Forbidden("Unable to create a limit that has no corresponding registered limit. Register it first.")
    return values


def _add(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    column = table_of(models.Limit).c
    owner = [column[name] == values[name] for name in ("project_id", "domain_id")]
    if call.tx.first(select(column.id).where(*owner, *same_resource(models.Limit, values))) is not None:
        raise Conflict(f"Conflict occurred attempting to store limit - Duplicate entry: {values}.")
    limit_id = ids.new_hex_id()
    call.tx.insert(models.Limit, id=limit_id, **values)
    announce(call.tx, call.cloud, "identity.limit.created", limit_id)
    return call.render([call.tx.get(models.Limit, limit_id)])[0]


def list_limits(call: Call) -> Reply:
    """Administrators, services and system readers see all, others those of their token's project or domain."""
    limit, project = table_of(models.Limit), table_of(models.Project).c
    statement = select(limit)
    if not (call.ctx.is_admin or call.ctx.is_service or call.ctx.system):
        if call.ctx.domain_id is not None:
            inside = select(project.id).where(project.domain_id == call.ctx.domain_id)
            statement = statement.where(or_(limit.c.domain_id == call.ctx.domain_id, limit.c.project_id.in_(inside)))
        else:
            statement = statement.where(limit.c.project_id == call.ctx.project_id)
    return list_reply(call, statement, confined_by=None)


def _target(call: Call) -> dict[str, Any]:
    target = row_target("limit", models.Limit)(call)
    if call.row is not None and call.row.project_id is not None:
        target |= flat("limit.project", call.tx.find(models.Project, call.row.project_id))
    return target


def update_limit(call: Call) -> Any:
    row = needed(call)
    if call.body:
        demand_fitting(call.tx, call.cloud, [{**row._mapping, **call.body}])
        call.tx.update(models.Limit, row.id, **call.body)
        announce(call.tx, call.cloud, "identity.limit.updated", row.id)
    return call.tx.get(models.Limit, row.id)


def delete_limit(call: Call) -> None:
    row = needed(call)
    call.tx.delete(models.Limit, row.id)
    announce(call.tx, call.cloud, "identity.limit.deleted", row.id)


def show_model(call: Call) -> Reply:
    return Reply(200, {"model": shown_model(call.cloud[IdentityOptions])})


class Limit(IdentityResource, path="/limits", one="limit", many="limits"):
    """What one project or domain may have of a resource."""

    unknown = "refuse"
    row = models.Limit
    id = Id("rs")
    service_id = Text(1, 64, "rfs")
    region_id = Text(1, 255, "rfs", nullable=True)
    resource_name = Text(1, 255, "rfs")
    resource_limit = Int(-1, MOST, "ur")
    description = Description("ur")
    project_id = Text(1, 64, "rf", nullable=True)
    domain_id = Text(1, 64, "rf", nullable=True)
    links = Links("/limits")
    index = List("identity:list_limits", "@", list_limits)
    create = Op("POST", "", "identity:create_limits", policies.ADMIN, create_limits, status=201,
                body=_body("limits", {"project_id": _NO_ID, "domain_id": _NO_ID, "resource_limit": _NUMBER},
                           ["resource_limit"]))  # fmt: skip
    model = Op("GET", "/model", "identity:get_limit_model", "@", show_model)
    show = Show("identity:get_limit", policies.LIMIT_READER, needed, own_row=False, target=_target)
    update = Update("identity:update_limit", policies.ADMIN, update_limit, method="PATCH", own_row=False,
                    target=_target)  # fmt: skip
    delete = Delete("identity:delete_limit", policies.ADMIN, delete_limit, own_row=False, target=_target)
