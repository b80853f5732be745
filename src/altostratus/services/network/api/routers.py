# SPDX-License-Identifier: Apache-2.0
"""`/v2.0/routers`."""

from typing import Any

from altostratus.kernel.policy import MEMBER, READER
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.fields import UUID_PATTERN, Bool, Computed, Field, ListOf, Object, Text
from altostratus.kernel.resource.operations import Create, Delete, List, Op, Reply, Show, Update
from altostratus.services.network.api import ports as ports_api
from altostratus.services.network.api import standard
from altostratus.services.network.api import subnets as subnets_api
from altostratus.services.network.api.networks import ZONE, network_of
from altostratus.services.network.api.standard import Named
from altostratus.services.network.api.subnets import ROUTE
from altostratus.services.network.errors import invalid
from altostratus.services.network.logic import interfaces, queries, routers
from altostratus.services.network.models import Port, Router

GATEWAY = {
    "type": "object",
    "properties": {
        "network_id": {"type": "string", "maxLength": 36},
        "enable_snat": {"type": ["boolean", "string"]},
        "external_fixed_ips": {"type": ["array", "null"], "items": ports_api.FIXED_IP},
        "qos_policy_id": {"type": "null"},
    },
    "additionalProperties": False,
}
_TRUE = (True, "true", "True", "1")
_ROUTES = {
    "type": "object",
    "properties": {
        "router": {
            "type": "object",
            "properties": {"routes": {"type": "array", "items": ROUTE}},
            "required": ["routes"],
            "additionalProperties": False,
        }
    },
    "required": ["router"],
    "additionalProperties": False,
}
_INTERFACE = {
    "type": "object",
    "properties": {
        "subnet_id": {"type": "string", "pattern": UUID_PATTERN},
        "port_id": {"type": "string", "pattern": UUID_PATTERN},
    },
    "additionalProperties": False,
}


def visible_routers(call: Call, statement: Any, listing: bool) -> Any:
    return standard.own_rows(call, statement, Router)


def load_routers(call: Call, rows: list[Any]) -> list[dict[str, Any]]:
    """Rows with their gateway's addresses: one query."""
    ports = queries.rows_by_id(call.tx, Port, [row.gateway_port_id for row in rows])
    return [{**row._mapping, "external_gateway_info": _gateway_info(row, ports)} for row in rows]


def _gateway_info(row: Any, ports: dict[str, Any]) -> dict[str, Any] | None:
    if row.gateway_port_id is None or row.gateway_port_id not in ports:
        return None
    return {
        "network_id": row.gateway_network_id,
        "external_fixed_ips": list(ports[row.gateway_port_id].fixed_ips),
        "enable_snat": row.enable_snat,
    }


def _checked_gateway(call: Call, rule: str, info: dict[str, Any] | None) -> dict[str, Any] | None:
    """`external_gateway_info` of a request, allowed and with the network visible; None takes it away."""
    if not info:
        return None
    if not info.get("network_id"):
        raise invalid(
            "Invalid input for external_gateway_info. Reason: Validation of dictionary's keys failed: give network_id."
        )
    target = call.own_target()
    call.demand(f"{rule}:external_gateway_info", target)
    if "enable_snat" in info:
        call.demand(f"{rule}:external_gateway_info:enable_snat", target)
        info = {**info, "enable_snat": info["enable_snat"] in _TRUE}
    if info.get("external_fixed_ips"):
        call.demand(f"{rule}:external_gateway_info:external_fixed_ips", target)
    network_of(call, info["network_id"])
    return info


def _check_kind(body: dict[str, Any]) -> None:
    for name in ("ha", "distributed"):
        if body.pop(name, None):
            raise invalid(
                f"Invalid input for operation: {name} routers are not offered by this cloud; leave {name} out or false."
            )


def create_router(call: Call, body: dict[str, Any]) -> Any:
    """Make a router."""
    project_id = standard.owner_of(call, body)
    _check_kind(body)
    gateway = _checked_gateway(call, "create_router", body.pop("external_gateway_info", None))
    body.pop("routes", None)
    return routers.create(call.tx, call.cloud, project_id, body, gateway)


def update_router(call: Call) -> Any:
    """Change a router."""
    standard.check_revision(call)
    body = call.body
    _check_kind(body)
    if "external_gateway_info" in body:
        body["external_gateway_info"] = _checked_gateway(call, "update_router", body["external_gateway_info"])
    return routers.update(call.tx, call.cloud, call.row, body)


def delete_router(call: Call) -> Any:
    """Remove a router."""
    standard.check_revision(call)
    routers.delete(call.tx, call.cloud, call.row)
    return Reply(204)


def _wanted_interface(call: Call) -> tuple[str | None, str | None]:
    body = call.body or {}
    port_id, subnet_id = body.get("port_id"), body.get("subnet_id")
    if port_id is None and subnet_id is None:
        raise invalid("Bad router request: Either subnet_id or port_id must be specified.", "BadRequest")
    return port_id, subnet_id


def _interface_reply(call: Call, made: interfaces.Interface) -> Reply:
    body = {
        "id": call.row.id,
        "tenant_id": call.row.project_id,
        "project_id": call.row.project_id,
        "port_id": made.port.id,
        "network_id": made.port.network_id,
        "subnet_id": made.subnet_ids[0] if made.subnet_ids else None,
        "subnet_ids": made.subnet_ids,
        "tags": call.row.tags,
    }
    return Reply(200, body)


def add_interface(call: Call) -> Any:
    """Plug a subnet or port into a router."""
    port_id, subnet_id = _wanted_interface(call)
    if port_id is not None and subnet_id is not None:
        raise invalid("Bad router request: Cannot specify both subnet-id and port-id.", "BadRequest")
    if port_id is not None:
        port = standard.visible_row(call, ports_api.PortResource, port_id)
        return _interface_reply(call, interfaces.add_port(call.tx, call.cloud, call.row, port))
    subnet = standard.visible_row(call, subnets_api.SubnetResource, str(subnet_id))
    return _interface_reply(call, interfaces.add_subnet(call.tx, call.cloud, call.row, subnet))


def remove_interface(call: Call) -> Any:
    """Unplug a subnet or port from a router."""
    port_id, subnet_id = _wanted_interface(call)
    gone = interfaces.remove(call.tx, call.cloud, call.row, port_id=port_id, subnet_id=subnet_id)
    return _interface_reply(call, gone)


def add_extraroutes(call: Call) -> Any:
    """Add static routes to a router."""
    return routers.add_routes(call.tx, call.cloud, call.row, call.body["router"]["routes"])


def remove_extraroutes(call: Call) -> Any:
    """Remove static routes from a router."""
    return routers.remove_routes(call.tx, call.cloud, call.row, call.body["router"]["routes"])


class RouterResource(Named, path="/routers", one="router", many="routers"):
    """Forwards between subnets, and to the world."""

    row = Router
    scope = visible_routers
    load = load_routers
    status = Text(0, 16, "rfs")
    admin_state_up = Bool("crufs", default=True)
    external_gateway_info = Object("cru", GATEWAY, nullable=True)
    routes = ListOf(ROUTE, "cru", nullable=True, default=list)
    distributed = Bool("cu", guard="cu", nullable=True)
    ha = Bool("cu", guard="cu", nullable=True)
    distributed_shown = Computed(lambda row, call: False, wire="distributed")
    ha_shown = Computed(lambda row, call: False, wire="ha")
    flavor_id = Field({"type": "null"}, "cr", source=lambda row, call: None)
    availability_zone_hints = ListOf({"type": "string", "maxLength": 255}, "cr", default=list)
    availability_zones = Computed(lambda row, call: [ZONE])
    enable_ndp_proxy = Computed(lambda row, call: False)
    conntrack_helpers = Computed(lambda row, call: [])

    create = Create("create_router", MEMBER, standard.creating(create_router), bulk=True)
    index = List("get_router", READER, standard.listing)
    show = Show("get_router", READER, standard.show)
    update = Update("update_router", MEMBER, update_router)
    delete = Delete("delete_router", MEMBER, delete_router)
    add_interface = Op(
        "PUT", "/{id}/add_router_interface", "add_router_interface", MEMBER, add_interface, body=_INTERFACE
    )
    remove_interface = Op(
        "PUT", "/{id}/remove_router_interface", "remove_router_interface", MEMBER, remove_interface, body=_INTERFACE
    )
    add_routes = Op("PUT", "/{id}/add_extraroutes", "add_extraroutes", MEMBER, add_extraroutes, body=_ROUTES)
    remove_routes = Op(
        "PUT", "/{id}/remove_extraroutes", "remove_extraroutes", MEMBER, remove_extraroutes, body=_ROUTES
    )
    (tags_list, tags_replace, tags_clear, tag_check, tag_add, tag_remove) = standard.tag_operations(
        "router", READER, MEMBER
    )
