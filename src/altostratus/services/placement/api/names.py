# SPDX-License-Identifier: Apache-2.0
"""Resource classes and traits: names that exist or do not."""

from typing import Any

from sqlalchemy import select

from altostratus.kernel import clock
from altostratus.kernel.db import table_of
from altostratus.kernel.errors import BadRequest, Conflict, NotFound
from altostratus.kernel.policy import ADMIN
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.placement.logic import providers
from altostratus.services.placement.logic.standard import CLASS_NAME_SCHEMA, CUSTOM, RESOURCE_CLASSES, TRAITS
from altostratus.services.placement.models import InventoryRow, ProviderTrait
from altostratus.services.placement.models import ResourceClass as ResourceClassRow
from altostratus.services.placement.models import Trait as TraitRow


def _class_view(call: Call, name: str) -> dict[str, Any]:
    base = f"/placement/resource_classes/{name}"
    return {"name": name, "links": [{"rel": "self", "href": base}]}


def list_classes(call: Call) -> Reply:
    return Reply(200, {"resource_classes": [_class_view(call, name) for name in providers.all_classes(call.tx)]})


def show_class(call: Call) -> Reply:
    name = call.params["name"]
    if name not in providers.all_classes(call.tx):
        raise NotFound(f"No such resource class {name}.")
    return Reply(200, _class_view(call, name))


def _demand_custom(name: str) -> None:
    if not CUSTOM.fullmatch(name):
        raise BadRequest(f"{name} must begin with CUSTOM_ and consist of upper-case letters, digits and underscores.")


def create_class(call: Call) -> Reply:
    name = call.body["name"]
    if name in providers.all_classes(call.tx):
        raise Conflict(f"Conflicting resource class already exists: {name}")
    call.tx.insert(ResourceClassRow, name=name, created_at=clock.now())
    return Reply(201, headers={"Location": call.service_url(f"/resource_classes/{name}")})


def ensure_class(call: Call) -> Reply:
    name = call.params["name"]
    _demand_custom(name)
    status = 204
    if name not in providers.all_classes(call.tx):
        call.tx.insert(ResourceClassRow, name=name, created_at=clock.now())
        status = 201
    return Reply(status, headers={"Location": call.service_url(f"/resource_classes/{name}")})


def rename_class(call: Call) -> Reply:
    old, new = call.params["name"], call.body["name"]
    if call.tx.find(ResourceClassRow, old) is None:
        if old in RESOURCE_CLASSES:
            raise BadRequest(f"Cannot update standard resource class {old}.")
        raise NotFound(f"No such resource class {old}.")
    if new in providers.all_classes(call.tx):
        raise Conflict(f"Resource class already exists: {new}")
    call.tx.update(ResourceClassRow, old, name=new)
    table = table_of(InventoryRow).c
    call.tx.update_where(InventoryRow, table.resource_class == old, resource_class=new)
    return Reply(200, _class_view(call, new))


def delete_class(call: Call) -> Reply:
    name = call.params["name"]
    if name in RESOURCE_CLASSES:
        raise BadRequest("Cannot delete standard resource class.")
    if call.tx.find(InventoryRow, resource_class=name) is not None:
        raise Conflict(f"Cannot delete resource class {name}: it is used in inventory.")
    if not call.tx.delete(ResourceClassRow, name):
        raise NotFound(f"No such resource class {name}.")
    return Reply(204)


_NAME_BODY = {
    "type": "object",
    "properties": {"name": CLASS_NAME_SCHEMA},
    "required": ["name"],
    "additionalProperties": False,
}


class ResourceClasses(Resource, path="/resource_classes", many="resource_classes"):
    """A kind of quantity, such as VCPU or CUSTOM_GOLD."""

    index = Op("GET", "", "placement:resource_classes:list", ADMIN, list_classes, since="1.2", query={})
    make = Op(
        "POST", "", "placement:resource_classes:create", ADMIN, create_class, status=201, since="1.2", body=_NAME_BODY
    )
    show = Op("GET", "/{name}", "placement:resource_classes:show", ADMIN, show_class, since="1.2")
    rename = Op(
        "PUT", "/{name}", "placement:resource_classes:update", ADMIN, rename_class,
        since="1.2", until="1.6", body=_NAME_BODY,
    )  # fmt: skip
    ensure = Op("PUT", "/{name}", "placement:resource_classes:update", ADMIN, ensure_class, since="1.7")
    remove = Op("DELETE", "/{name}", "placement:resource_classes:delete", ADMIN, delete_class, status=204, since="1.2")


def list_traits(call: Call) -> Reply:
    names = providers.all_traits(call.tx)
    for text in call.query.get("name", []):
        kind, _, value = text.partition(":")
        if kind == "in":
            names = [name for name in names if name in value.split(",")]
        elif kind == "startswith":
            names = [name for name in names if name.startswith(value)]
        else:
            raise BadRequest("Badly formatted name parameter. Use name=in:A,B or name=startswith:PREFIX.")
    associated = call.query.get("associated", [""])[-1].lower()
    if associated in ("true", "false"):
        used = set(call.tx.scalars(select(table_of(ProviderTrait).c.trait).distinct()))
        names = [name for name in names if (name in used) == (associated == "true")]
    elif associated:
        raise BadRequest("The query parameter 'associated' only accepts 'true' or 'false'.")
    return Reply(200, {"traits": names})


def show_trait(call: Call) -> Reply:
    if call.params["name"] not in providers.all_traits(call.tx):
        raise NotFound(f"No such trait {call.params['name']}.")
    return Reply(204)


def ensure_trait(call: Call) -> Reply:
    name = call.params["name"]
    location = {"Location": call.service_url(f"/traits/{name}")}
    if name in providers.all_traits(call.tx):
        return Reply(204, headers=location)
    _demand_custom(name)
    call.tx.insert(TraitRow, name=name, created_at=clock.now())
    return Reply(201, headers=location)


def delete_trait(call: Call) -> Reply:
    name = call.params["name"]
    if name in TRAITS:
        raise BadRequest(f"Cannot delete standard trait {name}.")
    if call.tx.find(ProviderTrait, trait=name) is not None:
        raise Conflict(f"The trait {name} is in use by a resource provider.")
    if not call.tx.delete(TraitRow, name):
        raise NotFound(f"No such trait {name}.")
    return Reply(204)


class Traits(Resource, path="/traits", many="traits"):
    """A quality that a provider has or not."""

    index = Op(
        "GET", "", "placement:traits:list", ADMIN, list_traits, since="1.6",
        query={"name": {"type": "string"}, "associated": {"type": "string"}},
    )  # fmt: skip
    show = Op("GET", "/{name}", "placement:traits:show", ADMIN, show_trait, since="1.6")
    ensure = Op("PUT", "/{name}", "placement:traits:update", ADMIN, ensure_trait, since="1.6")
    remove = Op("DELETE", "/{name}", "placement:traits:delete", ADMIN, delete_trait, status=204, since="1.6")
