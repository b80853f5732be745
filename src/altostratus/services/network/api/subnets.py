# SPDX-License-Identifier: Apache-2.0
"""`/v2.0/subnets`."""

from typing import Any

from sqlalchemy import or_, select

from altostratus.kernel.db import table_of
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.fields import Bool, Choice, Computed, Int, ListOf, Text, Uuid, parse_bool
from altostratus.kernel.resource.operations import Create, Delete, List, Reply, Show, Update
from altostratus.services.network.api import standard
from altostratus.services.network.api.networks import network_of, target_in
from altostratus.services.network.api.standard import Named
from altostratus.services.network.errors import invalid
from altostratus.services.network.logic import subnet_rules, subnetpools, subnets
from altostratus.services.network.models import Network, Subnet
from altostratus.services.network.policies import NETWORK_OWNER, SUBNET_MEMBER, SUBNET_READER

POOL = {
    "type": "object",
    "properties": {"start": {"type": "string"}, "end": {"type": "string"}},
    "required": ["start", "end"],
    "additionalProperties": False,
}
ROUTE = {
    "type": "object",
    "properties": {"destination": {"type": "string"}, "nexthop": {"type": "string"}},
    "required": ["destination", "nexthop"],
    "additionalProperties": False,
}


def visible_subnets(call: Call, statement: Any, listing: bool) -> Any:
    """Own ones, and those of networks that are the caller's, shared or external."""
    if call.ctx.is_admin or call.ctx.is_service:
        return statement
    network, subnet = table_of(Network).c, table_of(Subnet).c
    open_networks = select(network.id).where(
        or_(network.project_id == call.ctx.project_id, network.shared.is_(True), network.router_external.is_(True))
    )
    return statement.where(or_(subnet.project_id == call.ctx.project_id, subnet.network_id.in_(open_networks)))


def list_subnets(call: Call) -> Any:
    """The subnets that the caller can see; `shared` asks about their networks."""
    statement = standard.filtered(call)
    if "shared" in call.query:
        network = table_of(Network).c
        shared = select(network.id).where(network.shared == parse_bool(call.query["shared"][-1]))
        statement = statement.where(table_of(Subnet).c.network_id.in_(shared))
    return standard.listing(call, statement)


def create_target(call: Call) -> dict[str, Any]:
    first = call.body[0] if isinstance(call.body, list) else call.body
    return target_in(call, network_of(call, first["network_id"]), call.ctx.project_id)


def row_target(call: Call) -> dict[str, Any]:
    return target_in(call, network_of(call, call.row.network_id), call.row.project_id)


def create_subnet(call: Call, body: dict[str, Any]) -> Any:
    """Make a subnet."""
    network = network_of(call, body.pop("network_id"))
    call.demand("create_subnet", target_in(call, network, call.ctx.project_id))
    project_id = standard.owner_of(call, body)
    values = {name: value for name, value in body.items() if value is not None or name == "gateway_ip"}
    prefixlen, use_default = values.pop("prefixlen", None), values.pop("use_default_subnetpool", False)
    version = values.get("ip_version")
    if use_default and "subnetpool_id" not in values:
        values["subnetpool_id"] = subnetpools.default_pool(call.tx, call.ctx, version or 4)
    if "subnetpool_id" in values:
        values["cidr"] = subnetpools.cut(
            call.tx, call.ctx, values["subnetpool_id"], cidr=values.get("cidr"), prefixlen=prefixlen, ip_version=version
        )
    elif "cidr" not in values:
        raise invalid("Bad subnets request: a subnetpool must be specified in the absence of a cidr.", "BadRequest")
    return subnets.create(call.tx, call.cloud, network, project_id, values)


def update_subnet(call: Call) -> Any:
    """Change a subnet."""
    standard.check_revision(call)
    return subnets.update(call.tx, call.cloud, call.row, call.body)


def delete_subnet(call: Call) -> Any:
    """Remove a subnet."""
    standard.check_revision(call)
    subnets.delete(call.tx, call.cloud, call.row)
    return Reply(204)


class SubnetResource(Named, path="/subnets", one="subnet", many="subnets"):
    """A range of addresses of a network."""

    row = Subnet
    scope = visible_subnets
    network_id = Uuid("crfs", required=True)
    ip_version = Choice(4, 6, "4", "6", on="crfs", parse=int)
    cidr = Text(1, 64, "crfs", nullable=True)
    subnetpool_id = Uuid("crf", nullable=True)
    use_default_subnetpool = Bool("c", default=False)
    prefixlen = Int(0, 128, "c", nullable=True)
    gateway_ip = Text(1, 64, "crufs", nullable=True)
    enable_dhcp = Bool("crufs", default=True)
    allocation_pools = ListOf(POOL, "cru", nullable=True)
    dns_nameservers = ListOf({"type": "string"}, "cru", nullable=True)
    host_routes = ListOf(ROUTE, "cru", nullable=True)
    service_types = ListOf({"type": "string", "maxLength": 255}, "cru", default=list)
    ipv6_ra_mode = Choice(*subnet_rules.V6_MODES, on="crf", nullable=True)
    ipv6_address_mode = Choice(*subnet_rules.V6_MODES, on="crf", nullable=True)
    segment_id = Computed(lambda row, call: None)
    dns_publish_fixed_ip = Computed(lambda row, call: False)

    create = Create("create_subnet", NETWORK_OWNER, standard.creating(create_subnet), bulk=True, target=create_target)
    index = List("get_subnet", SUBNET_READER, list_subnets)
    show = Show("get_subnet", SUBNET_READER, standard.show, target=row_target)
    update = Update("update_subnet", SUBNET_MEMBER, update_subnet, target=row_target)
    delete = Delete("delete_subnet", SUBNET_MEMBER, delete_subnet, target=row_target)
    (tags_list, tags_replace, tags_clear, tag_check, tag_add, tag_remove) = standard.tag_operations(
        "subnet", SUBNET_READER, SUBNET_MEMBER, row_target
    )
