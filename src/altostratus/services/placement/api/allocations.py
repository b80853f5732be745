# SPDX-License-Identifier: Apache-2.0
"""Allocations of consumers, usages of projects, allocation candidates, and the reshaper."""

from typing import Any

from altostratus.kernel.errors import BadRequest, NotFound
from altostratus.kernel.numbers import whole_number
from altostratus.kernel.policy import ADMIN, Persona
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.fields import UUID_PATTERN
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.placement.api.requests import parse_groups
from altostratus.services.placement.logic import allocations, candidates, providers
from altostratus.services.placement.logic.allocations import Claim
from altostratus.services.placement.logic.providers import Inventory
from altostratus.services.placement.models import Consumer

_AMOUNTS = {
    "type": "object",
    "minProperties": 1,
    "patternProperties": {"^[A-Z0-9_]+$": {"type": "integer", "minimum": 1}},
    "additionalProperties": False,
}
_UUID = {"type": "string", "pattern": UUID_PATTERN}
_OWNER: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 255}


def _consumer_schema(minor: int) -> dict[str, Any]:
    """Body of PUT /allocations/{consumer} at microversion 1.<minor>."""
    properties: dict[str, Any] = {}
    required = ["allocations"]
    if minor < 12:
        properties["allocations"] = {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {
                    "resource_provider": {"type": "object", "properties": {"uuid": _UUID}, "required": ["uuid"]},
                    "resources": _AMOUNTS,
                },
                "required": ["resource_provider", "resources"],
                "additionalProperties": False,
            },
        }
    else:
        one: dict[str, Any] = {
            "type": "object",
            "properties": {"resources": _AMOUNTS, "generation": {"type": "integer"}},
        }
        one |= {"required": ["resources"], "additionalProperties": False}
        properties["allocations"] = {
            "type": "object",
            "minProperties": 0 if minor >= 28 else 1,
            "patternProperties": {UUID_PATTERN: one},
            "additionalProperties": False,
        }
    if minor >= 8:
        properties |= {"project_id": _OWNER, "user_id": _OWNER}
        required += ["project_id", "user_id"]
    if minor >= 28:
        properties["consumer_generation"] = {"type": ["integer", "null"]}
        required.append("consumer_generation")
    if minor >= 34:
        properties["mappings"] = {"type": "object", "maxProperties": 1000}
    if minor >= 38:
        properties["consumer_type"] = {"type": "string", "pattern": "^[A-Z0-9_]+$", "minLength": 1, "maxLength": 255}
        required.append("consumer_type")
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _claim(consumer_id: str, body: dict[str, Any]) -> Claim:
    given = body["allocations"]
    if isinstance(given, list):
        wanted = {one["resource_provider"]["uuid"]: one["resources"] for one in given}
    else:
        wanted = {provider: one["resources"] for provider, one in given.items()}
    return Claim(
        consumer_id,
        wanted,
        body.get("project_id", "00000000-0000-0000-0000-000000000000"),
        body.get("user_id", "00000000-0000-0000-0000-000000000000"),
        body.get("consumer_type", "INSTANCE"),
        body.get("consumer_generation"),
        "consumer_generation" not in body,
    )


def show_allocations(call: Call) -> Reply:
    consumer_id = call.params["consumer_uuid"]
    version = call.version or (1, 0)
    found = allocations.allocations_of(call.tx, [consumer_id]).get(consumer_id, {})
    generations = {view.id: view.generation for view in candidates.view_providers(call.tx)} if found else {}
    shown: dict[str, Any] = {
        "allocations": {
            provider: {"generation": generations[provider], "resources": resources}
            for provider, resources in found.items()
        }
    }
    consumer = call.tx.find(Consumer, consumer_id)
    if consumer is not None and version >= (1, 12):
        shown |= {"project_id": consumer.project_id, "user_id": consumer.user_id}
        if version >= (1, 28):
            shown["consumer_generation"] = consumer.generation
        if version >= (1, 38):
            shown["consumer_type"] = consumer.consumer_type
    return Reply(200, shown)


def set_allocations(call: Call) -> Reply:
    allocations.set_allocations(call.tx, [_claim(call.params["consumer_uuid"], call.body)])
    return Reply(204)


def set_many(call: Call) -> Reply:
    allocations.set_allocations(call.tx, [_claim(consumer, body) for consumer, body in call.body.items()])
    return Reply(204)


def delete_allocations(call: Call) -> Reply:
    if not allocations.release(call.tx, call.params["consumer_uuid"]):
        raise NotFound(f"No allocations for consumer '{call.params['consumer_uuid']}'.")
    return Reply(204)


def reshape(call: Call) -> Reply:
    """Inventories and allocations of several providers in one transaction."""
    for provider_id, wanted in call.body["inventories"].items():
        providers.raise_generation(call.tx, provider_id, wanted["resource_provider_generation"])
        existing = providers.inventories_of(call.tx, [provider_id]).get(provider_id, {})
        new = {name: Inventory(**values) for name, values in wanted["inventories"].items()}
        # old classes stay until the allocations have moved
        providers.set_inventories(call.tx, provider_id, existing | new)
    allocations.set_allocations(
        call.tx, [_claim(consumer, body) for consumer, body in call.body["allocations"].items()]
    )
    for provider_id, wanted in call.body["inventories"].items():
        new = {name: Inventory(**values) for name, values in wanted["inventories"].items()}
        providers.set_inventories(call.tx, provider_id, new)
    return Reply(204)


def show_usages(call: Call) -> Reply:
    query = {name: values[-1] for name, values in call.query.items()}
    if "project_id" not in query:
        raise BadRequest("The query parameter project_id is needed.")
    consumer_type = query.get("consumer_type")
    rows = allocations.project_usages(call.tx, query["project_id"], query.get("user_id"), consumer_type)
    if not (call.version and call.version >= (1, 38)):
        totals: dict[str, int] = {}
        for row in rows:
            totals[row.resource_class] = totals.get(row.resource_class, 0) + int(row.units)
        return Reply(200, {"usages": totals})
    grouped: dict[str, dict[str, int]] = {}
    for row in rows:
        group = grouped.setdefault("all" if consumer_type == "all" else row.consumer_type, {"consumer_count": 0})
        group[row.resource_class] = group.get(row.resource_class, 0) + int(row.units)
        group["consumer_count"] = max(group["consumer_count"], int(row.consumers))
    return Reply(200, {"usages": grouped})


def list_candidates(call: Call) -> Reply:
    version = call.version or (1, 10)
    groups = parse_groups(call)
    limit = whole_number(call.query["limit"][-1]) if "limit" in call.query else None
    if "limit" in call.query and not limit:
        raise BadRequest("limit must be a whole number above 0.")
    policy = call.query.get("group_policy", ["none"])[-1]
    if len([suffix for suffix in groups if suffix]) > 1 and "group_policy" not in call.query:
        raise BadRequest('The "group_policy" parameter is required when specifying more than one granular group.')
    views = candidates.view_providers(call.tx)
    offers = candidates.list_offers(views, groups, isolate=policy == "isolate", limit=limit)
    trees = {view.root_id for view in views if any(view.id in offer.allocations for offer in offers)}
    asked = {name for group in groups.values() for name in group.resources}
    summaries = {
        view.id: _summary(view, version, asked)
        for view in views
        if (view.root_id in trees if version >= (1, 29) else any(view.id in offer.allocations for offer in offers))
    }
    return Reply(
        200, {"allocation_requests": [_request(offer, version) for offer in offers], "provider_summaries": summaries}
    )


def _request(offer: candidates.Offer, version: tuple[int, int]) -> dict[str, Any]:
    if version < (1, 12):
        return {
            "allocations": [
                {"resource_provider": {"uuid": provider}, "resources": resources}
                for provider, resources in offer.allocations.items()
            ]
        }
    shown: dict[str, Any] = {
        "allocations": {provider: {"resources": resources} for provider, resources in offer.allocations.items()}
    }
    if version >= (1, 34):
        shown["mappings"] = offer.mappings
    return shown


def _summary(view: candidates.ProviderView, version: tuple[int, int], asked: set[str]) -> dict[str, Any]:
    names = [name for name in view.inventories if version >= (1, 27) or name in asked]
    shown: dict[str, Any] = {
        "resources": {
            name: {"capacity": view.inventories[name].capacity, "used": view.used.get(name, 0)} for name in names
        }
    }
    if version >= (1, 17):
        shown["traits"] = sorted(view.traits)
    if version >= (1, 29):
        shown |= {"parent_provider_uuid": view.parent_id, "root_provider_uuid": view.root_id}
    return shown


def _many_schema(minor: int) -> dict[str, Any]:
    return {
        "type": "object",
        "minProperties": 1,
        "patternProperties": {UUID_PATTERN: _consumer_schema(minor)},
        "additionalProperties": False,
    }


_RESHAPE = {
    "type": "object",
    "properties": {"inventories": {"type": "object"}, "allocations": {"type": "object"}},
    "required": ["inventories", "allocations"],
    "additionalProperties": False,
}
_STEPS = ((0, 7), (8, 11), (12, 27), (28, 33), (34, 37), (38, 39))
_OWN_USAGE = Persona("reader", "rule:context_is_admin or (role:reader and project_id:%(project_id)s)")


def _usage_target(call: Call) -> dict[str, Any]:
    return {"project_id": call.query.get("project_id", [""])[-1]}


class Allocations(Resource, path="/allocations"):
    """What a consumer, such as a server, uses of providers."""

    show = Op("GET", "/{consumer_uuid}", "placement:allocations:list", ADMIN, show_allocations)
    remove = Op("DELETE", "/{consumer_uuid}", "placement:allocations:delete", ADMIN, delete_allocations, status=204)


class Candidates(Resource, path="/allocation_candidates"):
    """Ways to serve a request for resources."""

    index = Op("GET", "", "placement:allocation_candidates:list", ADMIN, list_candidates, since="1.10")


class Usages(Resource, path="/usages"):
    """What a project uses in all."""

    show = Op("GET", "", "placement:usages", _OWN_USAGE, show_usages, since="1.9", target=_usage_target)


class Reshaper(Resource, path="/reshaper"):
    """Move inventories and allocations between providers at once."""

    reshape = Op("POST", "", "placement:reshaper:reshape", ADMIN, reshape, status=204, since="1.30", body=_RESHAPE)


def _versioned(resource: type[Resource]) -> None:
    """Add one operation for each shape that the body has had."""
    operations = list(resource.operations)
    for low, high in _STEPS:
        versions: dict[str, Any] = {"since": f"1.{low}", "until": f"1.{high}"}
        put = Op(
            "PUT", "/{consumer_uuid}", "placement:allocations:update", ADMIN, set_allocations,
            status=204, body=_consumer_schema(low), **versions,
        )  # fmt: skip
        operations.append(put)
        if low >= 12:
            since: dict[str, Any] = {"since": f"1.{max(low, 13)}", "until": f"1.{high}"}
            post = Op(
                "POST", "", "placement:allocations:manage", ADMIN, set_many, status=204, body=_many_schema(low), **since
            )
            operations.append(post)
    for operation in operations:
        operation.resource = resource
    resource.operations = tuple(operations)


_versioned(Allocations)
