# SPDX-License-Identifier: Apache-2.0
"""What a provider has: inventories, traits, aggregates, usages, allocations."""

from typing import Any

from sqlalchemy import select

from altostratus.kernel.db import table_of
from altostratus.kernel.errors import BadRequest, NotFound
from altostratus.kernel.policy import ADMIN
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.fields import UUID_PATTERN
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.placement.logic import providers
from altostratus.services.placement.logic.providers import Inventory
from altostratus.services.placement.logic.standard import ANY_NAME_SCHEMA
from altostratus.services.placement.models import Allocation, Consumer

_GENERATION = "resource_provider_generation"
_POSITIVE = {"type": "integer", "minimum": 1, "maximum": providers.MAX_UNIT}
_NUMBERS: dict[str, Any] = {
    "total": _POSITIVE,
    "reserved": {"type": "integer", "minimum": 0, "maximum": providers.MAX_UNIT},
    "min_unit": _POSITIVE,
    "max_unit": _POSITIVE,
    "step_size": _POSITIVE,
    "allocation_ratio": {"type": "number", "exclusiveMinimum": 0, "maximum": 3.4e38},
}
_INVENTORY = {"type": "object", "properties": _NUMBERS, "required": ["total"], "additionalProperties": False}
_ONE_BODY = {
    "type": "object",
    "properties": _NUMBERS | {_GENERATION: {"type": "integer"}, "resource_class": ANY_NAME_SCHEMA},
    "required": ["total", _GENERATION],
    "additionalProperties": False,
}
_ALL_BODY = {
    "type": "object",
    "properties": {
        _GENERATION: {"type": "integer"},
        "inventories": {
            "type": "object",
            "patternProperties": {"^[A-Z0-9_]+$": _INVENTORY},
            "additionalProperties": False,
        },
    },
    "required": [_GENERATION, "inventories"],
    "additionalProperties": False,
}


def _view(inventory: Inventory) -> dict[str, Any]:
    return {name: getattr(inventory, name) for name in _NUMBERS}


def _parse(values: dict[str, Any]) -> Inventory:
    inventory = Inventory(**{name: value for name, value in values.items() if name in _NUMBERS})
    if inventory.reserved > inventory.total:
        raise BadRequest(
            f"Unable to update inventory: reserved {inventory.reserved} is more than total {inventory.total}."
        )
    return inventory


def list_inventories(call: Call) -> Reply:
    row = providers.get_provider(call.tx, call.params["uuid"])
    found = providers.inventories_of(call.tx, [row.id]).get(row.id, {})
    return Reply(200, {_GENERATION: row.generation, "inventories": {name: _view(one) for name, one in found.items()}})


def set_inventories(call: Call) -> Reply:
    provider_id = call.params["uuid"]
    providers.raise_generation(call.tx, provider_id, call.body[_GENERATION])
    wanted = {name: _parse(values) for name, values in call.body["inventories"].items()}
    providers.set_inventories(call.tx, provider_id, wanted)
    return list_inventories(call)


def delete_inventories(call: Call) -> Reply:
    providers.raise_generation(call.tx, call.params["uuid"])
    providers.set_inventories(call.tx, call.params["uuid"], {})
    return Reply(204)


def show_inventory(call: Call) -> Reply:
    row = providers.get_provider(call.tx, call.params["uuid"])
    found = providers.inventories_of(call.tx, [row.id]).get(row.id, {}).get(call.params["resource_class"])
    if found is None:
        raise NotFound(f"No inventory of class {call.params['resource_class']} for {row.id}.")
    return Reply(200, {_GENERATION: row.generation} | _view(found))


def set_inventory(call: Call) -> Reply:
    provider_id, name = call.params["uuid"], call.params["resource_class"]
    providers.raise_generation(call.tx, provider_id, call.body[_GENERATION])
    existing = providers.inventories_of(call.tx, [provider_id]).get(provider_id, {})
    providers.set_inventories(call.tx, provider_id, existing | {name: _parse(call.body)})
    return show_inventory(call)


def delete_inventory(call: Call) -> Reply:
    provider_id, name = call.params["uuid"], call.params["resource_class"]
    existing = dict(providers.inventories_of(call.tx, [provider_id]).get(provider_id, {}))
    providers.raise_generation(call.tx, provider_id)
    if existing.pop(name, None) is None:
        raise NotFound(f"No inventory of class {name} found for delete.")
    providers.set_inventories(call.tx, provider_id, existing)
    return Reply(204)


def show_traits(call: Call) -> Reply:
    row = providers.get_provider(call.tx, call.params["uuid"])
    traits = sorted(providers.traits_of(call.tx, [row.id]).get(row.id, ()))
    return Reply(200, {_GENERATION: row.generation, "traits": traits})


def set_traits(call: Call) -> Reply:
    providers.raise_generation(call.tx, call.params["uuid"], call.body[_GENERATION])
    providers.set_traits(call.tx, call.params["uuid"], call.body["traits"])
    return show_traits(call)


def delete_traits(call: Call) -> Reply:
    providers.raise_generation(call.tx, call.params["uuid"])
    providers.set_traits(call.tx, call.params["uuid"], ())
    return Reply(204)


def show_aggregates(call: Call) -> Reply:
    row = providers.get_provider(call.tx, call.params["uuid"])
    shown: dict[str, Any] = {"aggregates": sorted(providers.aggregates_of(call.tx, [row.id]).get(row.id, ()))}
    if call.version and call.version >= (1, 19):
        shown[_GENERATION] = row.generation
    return Reply(200, shown)


def set_aggregates(call: Call) -> Reply:
    provider_id = call.params["uuid"]
    if isinstance(call.body, list):
        providers.get_provider(call.tx, provider_id)
        providers.set_aggregates(call.tx, provider_id, call.body)
    else:
        providers.raise_generation(call.tx, provider_id, call.body[_GENERATION])
        providers.set_aggregates(call.tx, provider_id, call.body["aggregates"])
    return show_aggregates(call)


def show_usages(call: Call) -> Reply:
    row = providers.get_provider(call.tx, call.params["uuid"])
    used = dict.fromkeys(providers.inventories_of(call.tx, [row.id]).get(row.id, {}), 0)
    used |= providers.usages(call.tx, [row.id]).get(row.id, {})
    return Reply(200, {_GENERATION: row.generation, "usages": used})


def show_allocations(call: Call) -> Reply:
    row = providers.get_provider(call.tx, call.params["uuid"])
    allocation, consumer = table_of(Allocation).c, table_of(Consumer).c
    statement: Any = (
        select(allocation.consumer_id, allocation.resource_class, allocation.used, consumer.generation)
        .join_from(table_of(Allocation), table_of(Consumer), allocation.consumer_id == consumer.id)
        .where(allocation.provider_id == row.id)
    )
    found: dict[str, Any] = {}
    for one in call.tx.rows(statement):
        entry = found.setdefault(one.consumer_id, {"resources": {}})
        entry["resources"][one.resource_class] = one.used
        if call.version and call.version >= (1, 28):
            entry["consumer_generation"] = one.generation
    return Reply(200, {_GENERATION: row.generation, "allocations": found})


_UUIDS = {"type": "array", "items": {"type": "string", "pattern": UUID_PATTERN}, "uniqueItems": True, "maxItems": 1000}
_TRAITS_BODY = {
    "type": "object",
    "properties": {
        _GENERATION: {"type": "integer"},
        "traits": {"type": "array", "items": ANY_NAME_SCHEMA, "uniqueItems": True, "maxItems": 1000},
    },
    "required": [_GENERATION, "traits"],
    "additionalProperties": False,
}
_AGGREGATES_BODY = {
    "type": "object",
    "properties": {_GENERATION: {"type": "integer"}, "aggregates": _UUIDS},
    "required": [_GENERATION, "aggregates"],
    "additionalProperties": False,
}
_RULE = "placement:resource_providers:"


class ProviderParts(Resource, path="/resource_providers/{uuid}"):
    """What belongs to one provider."""

    inventories = Op("GET", "/inventories", _RULE + "inventories:list", ADMIN, list_inventories)
    change = Op("PUT", "/inventories", _RULE + "inventories:update", ADMIN, set_inventories, body=_ALL_BODY)
    clear = Op(
        "DELETE", "/inventories", _RULE + "inventories:delete", ADMIN, delete_inventories, status=204, since="1.5"
    )
    show_one = Op("GET", "/inventories/{resource_class}", _RULE + "inventories:show", ADMIN, show_inventory)
    change_one = Op(
        "PUT", "/inventories/{resource_class}", _RULE + "inventories:update", ADMIN, set_inventory, body=_ONE_BODY
    )
    remove_one = Op(
        "DELETE", "/inventories/{resource_class}", _RULE + "inventories:delete", ADMIN, delete_inventory, status=204
    )
    traits = Op("GET", "/traits", _RULE + "traits:list", ADMIN, show_traits, since="1.6")
    change_traits = Op("PUT", "/traits", _RULE + "traits:update", ADMIN, set_traits, body=_TRAITS_BODY, since="1.6")
    clear_traits = Op("DELETE", "/traits", _RULE + "traits:delete", ADMIN, delete_traits, status=204, since="1.6")
    aggregates = Op("GET", "/aggregates", _RULE + "aggregates:list", ADMIN, show_aggregates, since="1.1")
    change_aggregates_old = Op(
        "PUT", "/aggregates", _RULE + "aggregates:update", ADMIN, set_aggregates, body=_UUIDS, since="1.1", until="1.18"
    )
    change_aggregates = Op(
        "PUT", "/aggregates", _RULE + "aggregates:update", ADMIN, set_aggregates, body=_AGGREGATES_BODY, since="1.19"
    )
    usages = Op("GET", "/usages", _RULE + "usages", ADMIN, show_usages)
    allocations = Op("GET", "/allocations", _RULE + "allocations:list", ADMIN, show_allocations)
