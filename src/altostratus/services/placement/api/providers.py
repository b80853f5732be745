# SPDX-License-Identifier: Apache-2.0
"""Resource providers."""

from typing import Any

from sqlalchemy import select

from altostratus.kernel import clock, ids
from altostratus.kernel.db import table_of
from altostratus.kernel.errors import BadRequest, Conflict
from altostratus.kernel.policy import ADMIN
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.fields import UUID_PATTERN
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.placement.api.requests import parse_groups
from altostratus.services.placement.logic import candidates, providers
from altostratus.services.placement.models import Provider

_LINKS = (("inventories", "1.0"), ("usages", "1.0"), ("aggregates", "1.1"), ("traits", "1.6"), ("allocations", "1.11"))


def provider_view(call: Call, row: Any) -> dict[str, Any]:
    base = f"/placement/resource_providers/{row.id}"
    version = call.version or (1, 0)
    links = [{"rel": "self", "href": base}]
    links += [
        {"rel": name, "href": f"{base}/{name}"} for name, since in _LINKS if version >= (1, int(since.split(".")[1]))
    ]
    shown = {"uuid": row.id, "name": row.name, "generation": row.generation, "links": links}
    if version >= (1, 14):
        shown |= {"parent_provider_uuid": row.parent_id, "root_provider_uuid": row.root_id}
    return shown


def list_providers(call: Call) -> Reply:
    table = table_of(Provider)
    statement: Any = select(table).order_by(table.c.name)
    for name, column in (("name", table.c.name), ("uuid", table.c.id)):
        if name in call.query:
            statement = statement.where(column == call.query[name][-1])
    if "uuid" in call.query and not ids.is_uuid(call.query["uuid"][-1]):
        raise BadRequest("Invalid uuid in the query. It must be 32 hexadecimal digits, with or without dashes.")
    rows = call.tx.rows(statement)
    if any(name in call.query for name in ("resources", "required", "member_of", "in_tree")):
        group = parse_groups(call, single=True)[""]
        able = {view.id for view in candidates.view_providers(call.tx) if candidates.refusal(view, group) is None}
        rows = [row for row in rows if row.id in able]
    return Reply(200, {"resource_providers": [provider_view(call, row) for row in rows]})


def create_provider(call: Call) -> Reply:
    provider_id = call.body.get("uuid") or ids.new_id()
    row = providers.create_provider(call.tx, provider_id, call.body["name"], call.body.get("parent_provider_uuid"))
    location = {"Location": call.service_url(f"/resource_providers/{provider_id}")}
    if call.version and call.version >= (1, 20):
        return Reply(200, provider_view(call, row), headers=location)
    return Reply(201, headers=location)


def show_provider(call: Call) -> Reply:
    return Reply(200, provider_view(call, providers.get_provider(call.tx, call.params["uuid"])))


def update_provider(call: Call) -> Reply:
    row = providers.get_provider(call.tx, call.params["uuid"])
    other = call.tx.find(Provider, name=call.body["name"])
    if other is not None and other.id != row.id:
        raise Conflict(
            f"Conflicting resource provider {call.body['name']} already exists.", details="placement.duplicate_name"
        )
    changes: dict[str, Any] = {"name": call.body["name"], "updated_at": clock.now()}
    if "parent_provider_uuid" in call.body and call.body["parent_provider_uuid"] != row.parent_id:
        changes |= _moved_below(call, row, call.body["parent_provider_uuid"])
    call.tx.update(Provider, row.id, **changes)
    return Reply(200, provider_view(call, providers.get_provider(call.tx, row.id)))


def _moved_below(call: Call, row: Any, parent_id: str | None) -> dict[str, Any]:
    if row.parent_id is not None and not (call.version and call.version >= (1, 37)):
        raise BadRequest("re-parenting a provider is not currently allowed; use microversion 1.37 or later.")
    if parent_id is None:
        return {"parent_id": None, "root_id": row.id}
    parent = call.tx.find(Provider, parent_id)
    if parent is None:
        raise BadRequest("parent provider UUID does not exist.")
    if row.id in (parent.root_id, parent.id):
        raise BadRequest("A provider cannot be placed below itself.")
    call.tx.update_where(Provider, table_of(Provider).c.root_id == row.id, root_id=parent.root_id)
    return {"parent_id": parent_id, "root_id": parent.root_id}


def delete_provider(call: Call) -> Reply:
    providers.get_provider(call.tx, call.params["uuid"])
    providers.remove_provider(call.tx, call.params["uuid"])
    return Reply(204)


def _body(*, since_14: bool) -> dict[str, Any]:
    uuid = {"type": "string", "pattern": UUID_PATTERN}
    properties: dict[str, Any] = {"name": {"type": "string", "minLength": 1, "maxLength": 200}, "uuid": uuid}
    if since_14:
        properties["parent_provider_uuid"] = {"anyOf": [uuid, {"type": "null"}]}
    return {"type": "object", "properties": properties, "required": ["name"], "additionalProperties": False}


class ResourceProviders(Resource, path="/resource_providers", many="resource_providers"):
    """Something that has resources to give."""

    index = Op("GET", "", "placement:resource_providers:list", ADMIN, list_providers)
    make_old = Op(
        "POST",
        "",
        "placement:resource_providers:create",
        ADMIN,
        create_provider,
        body=_body(since_14=False),
        until="1.13",
    )
    make = Op(
        "POST",
        "",
        "placement:resource_providers:create",
        ADMIN,
        create_provider,
        body=_body(since_14=True),
        since="1.14",
    )
    show = Op("GET", "/{uuid}", "placement:resource_providers:show", ADMIN, show_provider)
    change_old = Op(
        "PUT",
        "/{uuid}",
        "placement:resource_providers:update",
        ADMIN,
        update_provider,
        body=_body(since_14=False),
        until="1.13",
    )
    change = Op(
        "PUT",
        "/{uuid}",
        "placement:resource_providers:update",
        ADMIN,
        update_provider,
        body=_body(since_14=True),
        since="1.14",
    )
    remove = Op("DELETE", "/{uuid}", "placement:resource_providers:delete", ADMIN, delete_provider, status=204)
