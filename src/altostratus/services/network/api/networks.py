# SPDX-License-Identifier: Apache-2.0
"""`/v2.0/networks`."""

from typing import Any

from sqlalchemy import or_, select

from altostratus.kernel.db import table_of
from altostratus.kernel.policy import MEMBER
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.fields import Bool, Computed, Int, ListOf, Text
from altostratus.kernel.resource.operations import Create, Delete, List, Reply, Show, Update
from altostratus.services.network.api import standard
from altostratus.services.network.api.standard import Named
from altostratus.services.network.logic import networks, queries
from altostratus.services.network.models import Network, Subnet
from altostratus.services.network.policies import NETWORK_READER

ZONE = "nova"


def visible_networks(call: Call, statement: Any, listing: bool) -> Any:
    """Own, shared and external ones; administrators and services see all."""
    if call.ctx.is_admin or call.ctx.is_service:
        return statement
    network = table_of(Network).c
    mine = network.project_id == call.ctx.project_id
    return statement.where(or_(mine, network.shared.is_(True), network.router_external.is_(True)))


def load_networks(call: Call, rows: list[Any]) -> list[dict[str, Any]]:
    """Rows with the ids of their subnets: one query."""
    subnet = table_of(Subnet).c
    found = call.tx.rows(
        select(subnet.network_id, subnet.id)
        .where(subnet.network_id.in_([row.id for row in rows]))
        .order_by(subnet.created_at, subnet.id)
    )
    by_network: dict[str, list[str]] = {}
    for row in found:
        by_network.setdefault(row.network_id, []).append(row.id)
    return [{**row._mapping, "subnets": by_network.get(row.id, [])} for row in rows]


def create_network(call: Call, body: dict[str, Any]) -> Any:
    """Make a network."""
    project_id = standard.owner_of(call, body)
    body = {name: value for name, value in body.items() if value is not None}
    return networks.create(call.tx, call.cloud, project_id, body)


def update_network(call: Call) -> Any:
    """Change a network."""
    standard.check_revision(call)
    return networks.update(call.tx, call.cloud, call.row, call.body)


def delete_network(call: Call) -> Any:
    """Remove a network with its subnets."""
    standard.check_revision(call)
    networks.delete(call.tx, call.cloud, call.row)
    return Reply(204)


class NetworkResource(Named, path="/networks", one="network", many="networks"):
    """A layer-2 network."""

    row = Network
    load = load_networks
    scope = visible_networks
    status = Text(0, 16, "rfs")
    admin_state_up = Bool("crufs", default=True)
    shared = Bool("crufs", default=False, guard="cu")
    router_external = Bool("crufs", wire="router:external", default=False, guard="cu")
    is_default = Bool("cruf", default=False, guard="cu", nullable=True)
    mtu = Int(0, 65535, "crufs", nullable=True)
    port_security_enabled = Bool("crufs", default=True)
    dns_domain = Text(0, 255, "cruf", default="")
    availability_zone_hints = ListOf({"type": "string", "maxLength": 255}, "cr", default=list)
    network_type = Text(0, 32, "crfs", wire="provider:network_type", guard="cr", nullable=True)
    physical_network = Text(0, 64, "crfs", wire="provider:physical_network", guard="cr", nullable=True)
    segmentation_id = Int(None, None, "crfs", wire="provider:segmentation_id", guard="cr", nullable=True)
    qos_policy_id = Text(0, 36, "rf")
    subnets = ListOf({"type": "string"}, "r")
    availability_zones = Computed(lambda row, call: [ZONE] if row["subnets"] else [])
    ipv4_address_scope = Computed(lambda row, call: None)
    ipv6_address_scope = Computed(lambda row, call: None)
    l2_adjacency = Computed(lambda row, call: True)

    create = Create("create_network", MEMBER, standard.creating(create_network), bulk=True)
    index = List("get_network", NETWORK_READER, standard.listing)
    show = Show("get_network", NETWORK_READER, standard.show)
    update = Update("update_network", MEMBER, update_network)
    delete = Delete("delete_network", MEMBER, delete_network)
    (tags_list, tags_replace, tags_clear, tag_check, tag_add, tag_remove) = standard.tag_operations(
        "network", NETWORK_READER, MEMBER
    )


def network_of(call: Call, network_id: str) -> Any:
    """The network, if the caller can see it; remembered for the rest of the request."""
    known = call.extra.setdefault("networks", {})
    if network_id not in known:
        known[network_id] = queries.get_network(call.tx, network_id, call.ctx)
    return known[network_id]


def target_in(call: Call, network: Any, project_id: str | None, **more: Any) -> dict[str, Any]:
    """What a policy rule can ask about something in a network."""
    return {
        "project_id": project_id,
        "tenant_id": project_id,
        "user_id": call.ctx.user_id,
        "network:project_id": network.project_id,
        "network:tenant_id": network.project_id,
        "network_id": network.id,
        "shared": network.shared,
        "router:external": network.router_external,
        **more,
    }
