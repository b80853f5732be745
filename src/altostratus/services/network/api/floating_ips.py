# SPDX-License-Identifier: Apache-2.0
"""`/v2.0/floatingips`."""

from typing import Any

from sqlalchemy import select

from altostratus.kernel.db import table_of
from altostratus.kernel.policy import MEMBER, READER
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.fields import ListOf, Text, Uuid
from altostratus.kernel.resource.operations import Create, Delete, List, Reply, Show, Update
from altostratus.services.network.api import ports as ports_api
from altostratus.services.network.api import standard
from altostratus.services.network.api.networks import network_of
from altostratus.services.network.api.standard import TAG_SCHEMA, Standard
from altostratus.services.network.errors import invalid
from altostratus.services.network.logic import (
    associations,
    floating_ips,
    notices,
    port_options,
    queries,
    rows,
    subnet_rules,
)
from altostratus.services.network.models import FloatingIp, PortForwarding


def visible_floating_ips(call: Call, statement: Any, listing: bool) -> Any:
    return standard.own_rows(call, statement, FloatingIp)


def load_floating_ips(call: Call, rows_: list[Any]) -> list[dict[str, Any]]:
    """Rows with their port's details and forwardings: two queries."""
    details = associations.port_details(call.tx, [row.port_id for row in rows_])
    forwarding = table_of(PortForwarding)
    by_fip: dict[str, list[dict[str, Any]]] = {}
    for row in call.tx.rows(select(forwarding).where(forwarding.c.floatingip_id.in_([row.id for row in rows_]))):
        shown = {
            "protocol": row.protocol,
            "internal_ip_address": row.internal_ip_address,
            "internal_port": row.internal_port,
            "external_port": row.external_port,
        }
        by_fip.setdefault(row.floatingip_id, []).append(shown)
    return [
        {**row._mapping, "port_details": details.get(row.port_id or ""), "port_forwardings": by_fip.get(row.id, [])}
        for row in rows_
    ]


def _port(call: Call, port_id: str | None) -> Any:
    return standard.visible_row(call, ports_api.PortResource, port_id) if port_id else None


def create_floating_ip(call: Call, body: dict[str, Any]) -> Any:
    """Make a floating IP."""
    project_id = standard.owner_of(call, body)
    values = {name: value for name, value in body.items() if value not in (None, "")}
    if "floating_ip_address" in values:
        call.demand("create_floatingip:floating_ip_address")
        values["floating_ip_address"] = str(subnet_rules.parse_ip(values["floating_ip_address"], "floating_ip_address"))
    network = network_of(call, values.pop("floating_network_id"))
    if "dns_name" in values:
        port_options.check_dns_name(values["dns_name"])
    port = _port(call, values.pop("port_id", None))
    if port is None and "fixed_ip_address" in values:
        raise invalid("Bad floatingip request: fixed_ip_address cannot be specified without a port_id.", "BadRequest")
    return floating_ips.create(call.tx, call.cloud, project_id, network, values, port)


def update_floating_ip(call: Call) -> Any:
    """Lead a floating IP elsewhere, or nowhere."""
    standard.check_revision(call)
    body, fip, tx = call.body, call.row, call.tx
    fixed_ip = body.pop("fixed_ip_address", None)
    if fixed_ip is not None and not body.get("port_id"):
        raise invalid("Bad floatingip request: fixed_ip_address cannot be specified without a port_id.", "BadRequest")
    if "port_id" in body or not body:  # an empty update has always meant: lead nowhere
        port = _port(call, body.pop("port_id", None))
        if port is not None:
            fip = floating_ips.associate(tx, call.cloud, fip, port, fixed_ip)
        else:
            fip = floating_ips.dissociate(tx, call.cloud, fip)
    if body:
        rows.change(tx, FloatingIp, fip.id, **body)
    now = queries.get_floating_ip(tx, fip.id)
    notices.tell(tx, call.cloud, "floatingip.update", now)
    return now


def delete_floating_ip(call: Call) -> Any:
    """Give a floating IP back."""
    standard.check_revision(call)
    floating_ips.delete(call.tx, call.cloud, call.row)
    return Reply(204)


class FloatingIpResource(Standard, path="/floatingips", one="floatingip", many="floatingips"):
    """An external address that leads to a server."""

    what = "floating IP"
    row = FloatingIp
    scope = visible_floating_ips
    load = load_floating_ips
    floating_network_id = Uuid("crfs", required=True)
    subnet_id = Uuid("c", nullable=True)
    floating_ip_address = Text(0, 64, "crfs", nullable=True)
    port_id = Text(0, 36, "crufs", nullable=True)
    fixed_ip_address = Text(0, 64, "crufs", nullable=True)
    router_id = Text(0, 36, "rfs")
    status = Text(0, 16, "rfs")
    dns_name = Text(0, 255, "crf", default="")
    dns_domain = Text(0, 255, "crf", default="")
    qos_policy_id = Text(0, 36, "rf")
    port_details = ListOf({}, "r")
    port_forwardings = ListOf({}, "r")
    tags = ListOf(TAG_SCHEMA, "r")

    create = Create("create_floatingip", MEMBER, standard.creating(create_floating_ip), bulk=True)
    index = List("get_floatingip", READER, standard.listing)
    show = Show("get_floatingip", READER, standard.show)
    update = Update("update_floatingip", MEMBER, update_floating_ip)
    delete = Delete("delete_floatingip", MEMBER, delete_floating_ip)
    (tags_list, tags_replace, tags_clear, tag_check, tag_add, tag_remove) = standard.tag_operations(
        "floatingip", READER, MEMBER
    )
