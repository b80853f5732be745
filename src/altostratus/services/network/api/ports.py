# SPDX-License-Identifier: Apache-2.0
"""`/v2.0/ports`."""

from typing import Any

from sqlalchemy import or_, select

from altostratus.kernel.db import table_of
from altostratus.kernel.resource import lists
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.fields import Bool, Choice, Computed, ListOf, Object, Text, Uuid
from altostratus.kernel.resource.operations import Create, Delete, List, Reply, Show, Update
from altostratus.services.network.api import port_requests, standard
from altostratus.services.network.api.networks import network_of, target_in
from altostratus.services.network.api.rendered import Rendered
from altostratus.services.network.api.standard import TAG_SCHEMA, Named
from altostratus.services.network.config import NetworkOptions
from altostratus.services.network.logic import port_options, ports, wants
from altostratus.services.network.models import IpAllocation, Network, Port, PortSecurityGroup
from altostratus.services.network.policies import PORT_CREATOR, PORT_DELETER, PORT_MEMBER, PORT_READER

VNIC_TYPES = ("normal", "macvtap", "direct", "baremetal", "direct-physical", "virtio-forwarder", "smart-nic", "vdpa")
_GUARDED = ("host_id", "profile", "vif_type", "vif_details")
_rendered = Rendered()

FIXED_IP = {
    "type": "object",
    "properties": {
        "subnet_id": {"type": ["string", "null"], "maxLength": 36},
        "ip_address": {"type": ["string", "null"], "maxLength": 64},
    },
    "additionalProperties": False,
}
ADDRESS_PAIR = {
    "type": "object",
    "properties": {
        "ip_address": {"type": "string", "maxLength": 64},
        "mac_address": {"type": ["string", "null"], "maxLength": 32},
    },
    "required": ["ip_address"],
    "additionalProperties": False,
}
DHCP_OPTION = {
    "type": "object",
    "properties": {
        "opt_name": {"type": "string", "minLength": 1, "maxLength": 64},
        "opt_value": {"type": ["string", "null"], "maxLength": 255},
        "ip_version": {"enum": [4, 6, "4", "6", None]},
    },
    "required": ["opt_name"],
    "additionalProperties": False,
}


def visible_ports(call: Call, statement: Any, listing: bool) -> Any:
    """Own ones, and all in the networks that the caller's project owns."""
    if call.ctx.is_admin or call.ctx.is_service:
        return statement
    network, port = table_of(Network).c, table_of(Port).c
    own = select(network.id).where(network.project_id == call.ctx.project_id)
    return statement.where(or_(port.project_id == call.ctx.project_id, port.network_id.in_(own)))


def create_target(call: Call) -> dict[str, Any]:
    first = call.body[0] if isinstance(call.body, list) else call.body
    return target_in(call, network_of(call, first["network_id"]), call.ctx.project_id)


def row_target(call: Call) -> dict[str, Any]:
    network = network_of_port(call)
    return target_in(call, network, call.row.project_id, device_owner=call.row.device_owner)


def network_of_port(call: Call) -> Any:
    """The network of the port at hand: who sees the port may also see that."""
    known = call.extra.setdefault("networks", {})
    if call.row.network_id not in known:
        known[call.row.network_id] = call.tx.get(Network, call.row.network_id)
    return known[call.row.network_id]


def create_port(call: Call, body: dict[str, Any]) -> Any:
    """Make a port."""
    network = network_of(call, body.pop("network_id"))
    if isinstance(call.body, list):
        call.demand("create_port", target_in(call, network, call.ctx.project_id))
    project_id = standard.owner_of(call, body)
    values = port_requests.for_create(call, network, project_id, body)
    return ports.create(call.tx, call.cloud, network, project_id, values)


def list_ports(call: Call) -> Any:
    """The ports that the caller can see."""
    port = table_of(Port)
    if "fields" in call.query:
        return standard.listing(call, _filtered(call, standard.filtered(call)))
    page = call.list_rows(_filtered(call, standard.filtered(call, port.c.id, port.c.revision_number)))
    rights = tuple(call.may(f"get_port:binding:{name}") for name in _GUARDED)
    items = _rendered.of(call, page.rows, rights)
    ids = [row.id for row in page.rows[:1] + page.rows[-1:]]
    return Reply(200, lists.wrap(call, call.resource, items, ids, page.more, call.service.style))


def _filtered(call: Call, statement: Any) -> Any:
    port, taken, member = table_of(Port).c, table_of(IpAllocation).c, table_of(PortSecurityGroup).c
    by_name: dict[str, list[str]] = {}
    for text in call.query.get("fixed_ips", ()):
        for part in text.split(","):
            name, _, value = part.partition("=")
            by_name.setdefault(name.strip(), []).append(value.strip())
    conditions: list[Any] = []
    if "ip_address" in by_name:
        conditions.append(taken.ip_address.in_(by_name["ip_address"]))
    if "subnet_id" in by_name:
        conditions.append(taken.subnet_id.in_(by_name["subnet_id"]))
    if "ip_address_substr" in by_name:
        conditions.append(
            or_(*(taken.ip_address.contains(text, autoescape=True) for text in by_name["ip_address_substr"]))
        )
    if conditions:
        statement = statement.where(port.id.in_(select(taken.port_id).where(*conditions)))
    if groups := call.query.get("security_groups"):
        statement = statement.where(port.id.in_(select(member.port_id).where(member.security_group_id.in_(groups))))
    return statement


def update_port(call: Call) -> Any:
    """Change a port."""
    standard.check_revision(call)
    values = port_requests.for_update(call, network_of_port(call), call.row, call.body)
    return ports.update(call.tx, call.cloud, call.row, values)


def delete_port(call: Call) -> Any:
    """Remove a port."""
    standard.check_revision(call)
    ports.check_deletable(call.row)
    ports.delete(call.tx, call.cloud, call.row)
    return Reply(204)


def _vif_type(row: Any, call: Call) -> str:
    return "bridge" if row["host_id"] else "unbound"


def _vif_details(row: Any, call: Call) -> dict[str, Any]:
    if not row["host_id"]:
        return {}
    return {"port_filter": True, "connectivity": "l2", "tap": wants.tap_name(row["id"])}


def _dns_assignment(row: Any, call: Call) -> list[dict[str, str]]:
    domain = row["dns_domain"] or call.cloud[NetworkOptions].dns_domain
    return port_options.dns_assignment(row["dns_name"], row["fixed_ips"], domain)


class PortResource(Named, path="/ports", one="port", many="ports"):
    """A place where a device plugs into a network."""

    row = Port
    scope = visible_ports
    network_id = Uuid("crfs", required=True)
    status = Text(0, 16, "rfs")
    admin_state_up = Bool("crufs", default=True)
    mac_address = Text(1, 32, "crufs", nullable=True)
    fixed_ips = ListOf(FIXED_IP, "cru", nullable=True)
    device_id = Text(0, 255, "crufs")
    device_owner = Text(0, 255, "crufs")
    security_groups = ListOf({"type": "string", "maxLength": 36}, "cru", nullable=True, unique=True)
    port_security_enabled = Bool("crufs")
    allowed_address_pairs = ListOf(ADDRESS_PAIR, "cru", nullable=True)
    extra_dhcp_opts = ListOf(DHCP_OPTION, "cru", nullable=True)
    host_id = Text(0, 255, "crufs", wire="binding:host_id", guard="r", nullable=True)
    vnic_type = Choice(*VNIC_TYPES, on="crufs", wire="binding:vnic_type")
    profile = Object("cru", wire="binding:profile", guard="r", nullable=True)
    vif_type = Computed(_vif_type, wire="binding:vif_type", guard="r")
    vif_details = Computed(_vif_details, wire="binding:vif_details", guard="r")
    dns_name = Text(0, 255, "cruf")
    dns_domain = Text(0, 255, "cruf")
    dns_assignment = Computed(_dns_assignment)
    qos_policy_id = Text(0, 36, "rf")
    qos_network_policy_id = Computed(lambda row, call: None)
    propagate_uplink_status = Bool("cruf")
    ip_allocation = Computed(lambda row, call: "immediate" if row["fixed_ips"] else "none")
    tags = ListOf(TAG_SCHEMA, "cr", maximum=50)

    create = Create("create_port", PORT_CREATOR, standard.creating(create_port), bulk=True, target=create_target)
    index = List("get_port", PORT_READER, list_ports)
    show = Show("get_port", PORT_READER, standard.show, target=row_target)
    update = Update("update_port", PORT_MEMBER, update_port, target=row_target)
    delete = Delete("delete_port", PORT_DELETER, delete_port, target=row_target)
    (tags_list, tags_replace, tags_clear, tag_check, tag_add, tag_remove) = standard.tag_operations(
        "port", PORT_READER, PORT_MEMBER, row_target
    )
