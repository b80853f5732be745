# SPDX-License-Identifier: Apache-2.0
"""Rows that several rules need, each with one query."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import bindparam, select

from altostratus.kernel.auth import Context
from altostratus.kernel.db import Model, Row, Tx, table_of
from altostratus.services.network.errors import missing
from altostratus.services.network.models import FloatingIp, Network, Port, Router, SecurityGroup, Subnet

ROUTER_INTERFACE = "network:router_interface"
ROUTER_GATEWAY = "network:router_gateway"
FLOATING_IP = "network:floatingip"
DHCP = "network:dhcp"
ROUTER_PORTS = (ROUTER_INTERFACE, ROUTER_GATEWAY)

_SPARSE = 500

# Asked for with every new port: made once, because building a statement costs more than running it.
_subnet, _port = table_of(Subnet), table_of(Port)
_SUBNETS = (
    select(_subnet).where(_subnet.c.network_id == bindparam("network")).order_by(_subnet.c.created_at, _subnet.c.id)
)
_DHCP_PORT = select(_port.c.id).where(_port.c.network_id == bindparam("network"), _port.c.device_owner == DHCP)


def subnets_of(tx: Tx, network_id: str) -> list[Row[Any]]:
    """The network's subnets, oldest first."""
    return tx.rows(_SUBNETS, {"network": network_id})


def rows_by_id(tx: Tx, model: type[Model], ids: Iterable[str | None]) -> dict[str, Row[Any]]:
    """The rows of these ids that exist; one query however many (up to several hundred)."""
    wanted = sorted({id for id in ids if id})
    if not wanted:
        return {}
    table = table_of(model)
    found: dict[str, Row[Any]] = {}
    for at in range(0, len(wanted), _SPARSE):
        found |= {row.id: row for row in tx.rows(select(table).where(table.c.id.in_(wanted[at : at + _SPARSE])))}
    return found


def ports_of_device(tx: Tx, device_id: str, *owners: str) -> list[Row[Any]]:
    port = table_of(Port)
    statement = select(port).where(port.c.device_id == device_id).order_by(port.c.created_at, port.c.id)
    return tx.rows(statement.where(port.c.device_owner.in_(owners)) if owners else statement)


def find_dhcp_port(tx: Tx, network_id: str) -> Row[Any] | None:
    return tx.find(Port, network_id=network_id, device_owner=DHCP)


def has_dhcp_port(tx: Tx, network_id: str) -> bool:
    return tx.first(_DHCP_PORT, {"network": network_id}) is not None


def get_network(tx: Tx, network_id: str, ctx: Context | None = None) -> Row[Any]:
    """Raises NetworkNotFound; with `ctx` also when the caller cannot see it."""
    row = tx.find(Network, network_id)
    if row is None or (ctx is not None and not sees_network(ctx, row)):
        raise missing("network", network_id)
    return row


def sees_network(ctx: Context, network: Row[Any]) -> bool:
    return bool(
        ctx.is_admin or ctx.is_service or network.project_id == ctx.project_id or network.shared
        or network.router_external
    )  # fmt: skip


def get_subnet(tx: Tx, subnet_id: str) -> Row[Any]:
    row = tx.find(Subnet, subnet_id)
    if row is None:
        raise missing("subnet", subnet_id)
    return row


def get_port(tx: Tx, port_id: str) -> Row[Any]:
    row = tx.find(Port, port_id)
    if row is None:
        raise missing("port", port_id)
    return row


def get_router(tx: Tx, router_id: str) -> Row[Any]:
    row = tx.find(Router, router_id)
    if row is None:
        raise missing("router", router_id)
    return row


def get_floating_ip(tx: Tx, floatingip_id: str) -> Row[Any]:
    row = tx.find(FloatingIp, floatingip_id)
    if row is None:
        raise missing("floating IP", floatingip_id)
    return row


def get_group(tx: Tx, group_id: str) -> Row[Any]:
    row = tx.find(SecurityGroup, group_id)
    if row is None:
        raise missing("security group", group_id)
    return row


def floating_ips_of_ports(tx: Tx, port_ids: Iterable[str]) -> list[Row[Any]]:
    """Floating IPs that lead to these ports; one query."""
    fip = table_of(FloatingIp)
    wanted = list(port_ids)
    return tx.rows(select(fip).where(fip.c.port_id.in_(wanted)).order_by(fip.c.id)) if wanted else []


def homeless_dhcp_ports(tx: Tx) -> list[Row[Any]]:
    port = table_of(Port)
    return tx.rows(select(port).where(port.c.device_owner == DHCP, port.c.host_id == ""))
