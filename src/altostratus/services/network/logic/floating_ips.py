# SPDX-License-Identifier: Apache-2.0
"""Floating IPs: external addresses that lead to servers."""

from typing import Any

from sqlalchemy import select

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import Conflict, NotFound
from altostratus.services.network.errors import in_use, invalid
from altostratus.services.network.logic import notices, ports, queries, quotas, router_wants, rows
from altostratus.services.network.models import FloatingIp, Port, PortForwarding, Router


def create(
    tx: Tx, cloud: Cloud, project_id: str, network: Row[Any], values: dict[str, Any], port: Row[Any] | None
) -> Row[Any]:
    """A new floating IP of the external network, leading to `port` if given.

    `values` may have subnet_id and floating_ip_address (wishes), fixed_ip_address, and columns.
    Raises BadRequest, Conflict, NotFound or OverQuota.
    """
    quotas.demand(tx, cloud, project_id, {"floatingip": 1})
    if not network.router_external:
        raise invalid(f"Bad floatingip request: Network {network.id} is not a valid external network.", "BadRequest")
    new = rows.begin(project_id)
    subnet_id, address = values.pop("subnet_id", None), values.pop("floating_ip_address", None)
    fixed_ip = values.pop("fixed_ip_address", None)
    outer = _create_port(tx, cloud, network, new["id"], subnet_id, address)
    v4 = [one["ip_address"] for one in outer.fixed_ips if ":" not in one["ip_address"]]
    if not v4:
        raise invalid(f"Bad floatingip request: Network {network.id} does not contain any IPv4 subnet.", "BadRequest")
    tx.insert(
        FloatingIp,
        **new,
        **values,
        floating_network_id=network.id,
        floating_port_id=outer.id,
        floating_ip_address=v4[0],
    )
    row = queries.get_floating_ip(tx, new["id"])
    if port is not None:
        row = associate(tx, cloud, row, port, fixed_ip)
    notices.tell(tx, cloud, "floatingip.create", row)
    return row


def _create_port(
    tx: Tx, cloud: Cloud, network: Row[Any], floatingip_id: str, subnet_id: str | None, address: str | None
) -> Row[Any]:
    subnets = [subnet for subnet in queries.subnets_of(tx, network.id) if subnet.ip_version == 4]
    wanted = {name: value for name, value in (("subnet_id", subnet_id), ("ip_address", address)) if value}
    if not wanted and not subnets:
        raise invalid(f"Bad floatingip request: Network {network.id} does not contain any IPv4 subnet.", "BadRequest")
    values: dict[str, Any] = {
        "device_id": floatingip_id,
        "device_owner": queries.FLOATING_IP,
        "status": "N/A",
        "fixed_ips": [wanted] if wanted else None,
    }
    return ports.create(tx, cloud, network, "", values, limited=False)


def associate(tx: Tx, cloud: Cloud, fip: Row[Any], port: Row[Any], fixed_ip: str | None) -> Row[Any]:
    """Lead the floating IP to an address of the port. Raises BadRequest, Conflict or NotFound."""
    if port.project_id != fip.project_id:
        raise invalid(
            f"Bad floatingip request: Cannot process floating IP association with port {port.id}, since that port is "
            "owned by a different project.",
            "BadRequest",
        )
    chosen = _choose_address(port, fixed_ip)
    other = tx.find(
        FloatingIp,
        port_id=port.id,
        fixed_ip_address=chosen["ip_address"],
        floating_network_id=fip.floating_network_id,
    )
    if other is not None and other.id != fip.id:
        raise Conflict(
            f"Cannot associate floating IP {fip.floating_ip_address} ({fip.id}) with port {port.id} using fixed IP "
            f"{chosen['ip_address']}, as that fixed IP already has a floating IP on external network "
            f"{fip.floating_network_id}: {other.floating_ip_address}.",
            kind="FloatingIPPortAlreadyAssociated",
        )
    if tx.find(PortForwarding, floatingip_id=fip.id) is not None:
        raise in_use(
            f"Cannot associate floating IP {fip.floating_ip_address} with port {port.id}: it has port forwardings.",
            "FipAssociated",
        )
    if tx.find(PortForwarding, internal_port_id=port.id, internal_ip_address=chosen["ip_address"]) is not None:
        raise in_use(
            f"Cannot associate floating IP {fip.floating_ip_address} with port {port.id} using fixed IP "
            f"{chosen['ip_address']}, as port forwardings lead to it.",
            "PortHasPortForwarding",
        )
    router_id = find_router(tx, fip.floating_network_id, chosen["subnet_id"], port.id)
    before = fip.router_id
    rows.change(
        tx, FloatingIp, fip.id, port_id=port.id, fixed_ip_address=chosen["ip_address"], router_id=router_id,
        status="DOWN",
    )  # fmt: skip
    for id in {router_id, before} - {None}:
        router_wants.publish_router(tx, cloud, str(id))
    return queries.get_floating_ip(tx, fip.id)


def _choose_address(port: Row[Any], fixed_ip: str | None) -> dict[str, str]:
    v4 = [dict(one) for one in port.fixed_ips if ":" not in one["ip_address"]]
    if fixed_ip is not None:
        for one in v4:
            if one["ip_address"] == fixed_ip:
                return one
        raise invalid(f"Bad floatingip request: Port {port.id} does not have fixed ip {fixed_ip}.", "BadRequest")
    if not v4:
        raise invalid(
            f"Bad floatingip request: Cannot add floating IP to port {port.id} that has no fixed IPv4 addresses.",
            "BadRequest",
        )
    if len(v4) > 1:
        raise invalid(
            f"Bad floatingip request: Port {port.id} has multiple fixed IPv4 addresses. Must provide a specific IPv4 "
            "address when assigning a floating IP.",
            "BadRequest",
        )
    return v4[0]


def find_router(tx: Tx, external_network_id: str, subnet_id: str, port_id: str) -> str:
    """The router between the subnet and the external network. Raises NotFound."""
    router, port = table_of(Router).c, table_of(Port).c
    subnet = queries.get_subnet(tx, subnet_id)
    candidates = tx.rows(
        select(router.id, port.fixed_ips)
        .join(table_of(Port), (port.device_id == router.id) & (port.device_owner == queries.ROUTER_INTERFACE))
        .where(router.gateway_network_id == external_network_id, port.network_id == subnet.network_id)
        .order_by(router.created_at, router.id)
    )
    for row in candidates:
        if any(one["subnet_id"] == subnet_id for one in row.fixed_ips):
            return str(row.id)
    raise NotFound(
        f"External network {external_network_id} is not reachable from subnet {subnet_id}. Therefore, cannot associate "
        f"Port {port_id} with a Floating IP. Give a router of the subnet a gateway to that network first.",
        kind="ExternalGatewayForFloatingIPNotFound",
    )


def dissociate(tx: Tx, cloud: Cloud, fip: Row[Any]) -> Row[Any]:
    rows.change(tx, FloatingIp, fip.id, port_id=None, fixed_ip_address=None, router_id=None, status="DOWN")
    if fip.router_id:
        router_wants.publish_router(tx, cloud, fip.router_id)
    return queries.get_floating_ip(tx, fip.id)


def delete_unused(tx: Tx, cloud: Cloud, network_id: str) -> None:
    """Give back the external network's floating IPs that lead nowhere."""
    fip, forwarding = table_of(FloatingIp), table_of(PortForwarding)
    unused = select(fip).where(
        fip.c.floating_network_id == network_id,
        fip.c.port_id.is_(None),
        fip.c.id.not_in(select(forwarding.c.floatingip_id)),
    )
    for row in tx.rows(unused):
        delete(tx, cloud, row)


def delete(tx: Tx, cloud: Cloud, fip: Row[Any]) -> None:
    """Give the address back. Raises Conflict while it has port forwardings."""
    if tx.find(PortForwarding, floatingip_id=fip.id) is not None:
        raise in_use(
            f"Floating IP {fip.id} has port forwardings; delete them first.", "FloatingIPInUseByPortForwarding"
        )
    tx.delete(FloatingIp, fip.id)
    if fip.router_id:
        router_wants.publish_router(tx, cloud, fip.router_id)
    outer = tx.find(Port, fip.floating_port_id)
    if outer is not None:
        ports.delete(tx, cloud, outer)
    notices.tell_deleted(tx, cloud, "floatingip.delete", fip)
