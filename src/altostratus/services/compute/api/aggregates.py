# SPDX-License-Identifier: Apache-2.0
"""`/os-aggregates`: groups of hosts with properties that the scheduler reads; some are zones."""

from typing import Any

from sqlalchemy import select

from altostratus.kernel import clock, ids
from altostratus.kernel.db import Row, table_of
from altostratus.kernel.errors import BadRequest, Conflict, NotFound
from altostratus.kernel.policy import ADMIN
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Action, Op, Reply
from altostratus.services.compute.api.shared import NAME, NAME_PATTERN, at, closed, wrapped
from altostratus.services.compute.logic import hosts
from altostratus.services.compute.models.hosts import Aggregate as AggregateRow
from altostratus.services.compute.models.hosts import AggregateHost
from altostratus.services.compute.models.servers import Server

_RULE = "os_compute_api:os-aggregates"
_ZONE = {
    "anyOf": [
        {
            "type": "string",
            "minLength": 1,
            "maxLength": 255,
            "pattern": NAME_PATTERN.replace(r"[^\p{C}]", r"[^\p{C}:]"),
        },
        {"type": "null"},
    ]
}
_METADATA = {
    "type": "object",
    "patternProperties": {r"^[a-zA-Z0-9\-_:. ]{1,255}$": {"type": ["string", "null"], "maxLength": 255}},
    "additionalProperties": False,
}
_HOST = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[a-zA-Z0-9\-._]*$"}


def _members(call: Call, keys: list[int]) -> dict[int, list[str]]:
    member = table_of(AggregateHost).c
    found: dict[int, list[str]] = {key: [] for key in keys}
    rows = call.tx.rows(
        select(member.aggregate_id, member.host).where(member.aggregate_id.in_(keys)).order_by(member.host)
    )
    for row in rows:
        found[row.aggregate_id].append(row.host)
    return found


def _shown(call: Call, row: Row[Any], members: list[str]) -> dict[str, Any]:
    shown = {
        "id": row.id,
        "name": row.name,
        "hosts": members,
        "metadata": row.properties,
        "availability_zone": row.properties.get("availability_zone"),
        "created_at": clock.iso_micro(row.created_at),
        "updated_at": clock.iso_micro(row.updated_at),
        "deleted": False,
        "deleted_at": None,
    }
    return shown | {"uuid": row.uuid} if at(call, 41) else shown


def _get(call: Call) -> Row[Any]:
    key = call.params["id"]
    row = call.tx.find(AggregateRow, int(key)) if key.isascii() and key.isdigit() and len(key) < 18 else None
    if row is None:
        raise NotFound(f"Aggregate {key} could not be found.")
    return row


def _reply(call: Call, key: int) -> Reply:
    row = call.tx.get(AggregateRow, key)
    return Reply(200, {"aggregate": _shown(call, row, _members(call, [key])[key])})


def list_aggregates(call: Call) -> Reply:
    rows = call.tx.rows(select(table_of(AggregateRow)).order_by(table_of(AggregateRow).c.id))
    members = _members(call, [row.id for row in rows])
    return Reply(200, {"aggregates": [_shown(call, row, members[row.id]) for row in rows]})


def show_aggregate(call: Call) -> Reply:
    return _reply(call, _get(call).id)


def _demand_free_name(call: Call, name: str, own: int | None = None) -> None:
    row = call.tx.find(AggregateRow, name=name)
    if row is not None and row.id != own:
        raise Conflict(f"Aggregate {name} already exists.")


def create_aggregate(call: Call) -> Reply:
    given = call.body["aggregate"]
    _demand_free_name(call, given["name"])
    zone = given.get("availability_zone")
    call.tx.insert(
        AggregateRow,
        uuid=ids.new_id(),
        name=given["name"],
        properties={"availability_zone": zone} if zone else {},
        created_at=clock.now(),
    )
    reply = _reply(call, call.tx.get(AggregateRow, name=given["name"]).id)
    for absent in ("hosts", "metadata"):
        reply.body["aggregate"].pop(absent)
    return reply


def update_aggregate(call: Call) -> Reply:
    row, given = _get(call), call.body["aggregate"]
    properties = dict(row.properties)
    if "name" in given:
        _demand_free_name(call, given["name"], row.id)
    if "availability_zone" in given:
        _demand_one_zone(call, row, given["availability_zone"])
        properties = _with(properties, {"availability_zone": given["availability_zone"]})
    call.tx.update(
        AggregateRow, row.id, name=given.get("name", row.name), properties=properties, updated_at=clock.now()
    )
    return _reply(call, row.id)


def _with(properties: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = properties | changes
    return {name: value for name, value in merged.items() if value is not None}


def _demand_one_zone(call: Call, row: Row[Any], zone: str | None, host: str | None = None) -> None:
    """A host is in one zone only; a zone with servers cannot be renamed under them."""
    if not zone:
        return
    members = [host] if host else _members(call, [row.id])[row.id]
    others = hosts.aggregates_by_host(call.tx)
    for name in members:
        for other in others.get(name, []):
            known = other.properties.get("availability_zone")
            if other.id != row.id and known and known != zone:
                raise Conflict(
                    f"Cannot add host to aggregate {row.id}. Reason: Host {name} is in zone {known} already, "
                    f"and a host can be in one only."
                )
    before = row.properties.get("availability_zone")
    if host is None and before and before != zone and members:
        server = table_of(Server).c
        if call.tx.scalar(select(server.id).where(server.host.in_(members), server.deleted.is_(False)).limit(1)):
            raise Conflict(
                f"Cannot update aggregate {row.id}. Reason: One or more hosts contain instances in this zone."
            )


def delete_aggregate(call: Call) -> Reply:
    row = _get(call)
    if _members(call, [row.id])[row.id]:
        raise BadRequest(
            f"Cannot remove aggregate {row.id}. Reason: Host aggregate is not empty. Remove its hosts first."
        )
    call.tx.delete(AggregateRow, row.id)
    return Reply(200)


def add_host(call: Call) -> Reply:
    row, host = _get(call), call.body["host"]
    if not any(one.name == host for one in hosts.list_hosts(call.tx, call.cloud)):
        raise NotFound(f"Compute host {host} could not be found.")
    if call.tx.find(AggregateHost, row.id, host) is not None:
        raise Conflict(f"Aggregate {row.id} already has host {host}.")
    _demand_one_zone(call, row, row.properties.get("availability_zone"), host)
    call.tx.insert(AggregateHost, aggregate_id=row.id, host=host)
    call.tx.update(AggregateRow, row.id, updated_at=clock.now())
    return _reply(call, row.id)


def remove_host(call: Call) -> Reply:
    row, host = _get(call), call.body["host"]
    if call.tx.delete(AggregateHost, row.id, host) == 0:
        raise NotFound(f"Aggregate {row.id} has no host {host}.")
    call.tx.update(AggregateRow, row.id, updated_at=clock.now())
    return _reply(call, row.id)


def set_metadata(call: Call) -> Reply:
    row, changes = _get(call), call.body["metadata"]
    _demand_one_zone(call, row, changes.get("availability_zone"))
    call.tx.update(AggregateRow, row.id, properties=_with(dict(row.properties), changes), updated_at=clock.now())
    return _reply(call, row.id)


def cache_images(call: Call) -> Reply:
    """Hosts fetch an image when the first server needs it; asking earlier is accepted and changes nothing."""
    _get(call)
    return Reply(202)


class Aggregates(Resource, path="/os-aggregates"):
    """Groups of hosts."""

    index = Op("GET", "", f"{_RULE}:index", ADMIN, list_aggregates)
    create = Op(
        "POST", "", f"{_RULE}:create", ADMIN, create_aggregate,
        body=wrapped("aggregate", closed({"name": NAME, "availability_zone": _ZONE}, "name")),
    )  # fmt: skip
    show = Op("GET", "/{id}", f"{_RULE}:show", ADMIN, show_aggregate)
    update = Op(
        "PUT", "/{id}", f"{_RULE}:update", ADMIN, update_aggregate,
        body=wrapped("aggregate", {**closed({"name": NAME, "availability_zone": _ZONE}), "minProperties": 1}),
    )  # fmt: skip
    delete = Op("DELETE", "/{id}", f"{_RULE}:delete", ADMIN, delete_aggregate)
    add_host = Action(
        "add_host",
        f"{_RULE}:add_host",
        ADMIN,
        add_host,
        status=200,
        body=wrapped("add_host", closed({"host": _HOST}, "host")),
    )
    remove_host = Action(
        "remove_host", f"{_RULE}:remove_host", ADMIN, remove_host, status=200,
        body=wrapped("remove_host", closed({"host": _HOST}, "host")),
    )  # fmt: skip
    set_metadata = Action(
        "set_metadata", f"{_RULE}:set_metadata", ADMIN, set_metadata, status=200,
        body=wrapped("set_metadata", closed({"metadata": _METADATA}, "metadata")),
    )  # fmt: skip
    images = Op("POST", "/{id}/images", "compute:aggregates:images", ADMIN, cache_images, since="2.81")
