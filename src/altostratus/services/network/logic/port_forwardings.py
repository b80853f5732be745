# SPDX-License-Identifier: Apache-2.0
"""Single ports of a floating IP that lead to servers."""

from typing import Any

from sqlalchemy import select

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.services.network.errors import in_use, invalid
from altostratus.services.network.logic import floating_ips, notices, queries, router_wants, rows
from altostratus.services.network.models import FloatingIp, PortForwarding


def create(tx: Tx, cloud: Cloud, fip: Row[Any], port: Row[Any], values: dict[str, Any]) -> Row[Any]:
    """A new forwarding of the floating IP to the port. Raises BadRequest, Conflict or NotFound."""
    if fip.port_id is not None:
        raise in_use(
            f"Floating IP {fip.floating_ip_address} ({fip.id}) is associated with port {fip.port_id} as a whole; "
            "single ports of it cannot be forwarded.",
            "FloatingIPPortForwardingInUse",
        )
    inner = _inner_address(port, values.get("internal_ip_address"))
    bound = tx.find(FloatingIp, port_id=port.id, fixed_ip_address=inner["ip_address"])
    if bound is not None:
        raise in_use(
            f"Cannot create port forwarding to port {port.id}: its address {inner['ip_address']} has the floating IP "
            f"{bound.floating_ip_address} as a whole.",
            "PortHasBindingFloatingIP",
        )
    router_id = floating_ips.find_router(tx, fip.floating_network_id, inner["subnet_id"], port.id)
    if fip.router_id not in (None, router_id):
        raise in_use(
            f"Floating IP {fip.id} has forwardings through router {fip.router_id}; port {port.id} is "
            f"behind {router_id}.",
            "FloatingIPPortForwardingInUse",
        )
    new = {
        **rows.begin(fip.project_id),
        **values,
        "floatingip_id": fip.id,
        "internal_port_id": port.id,
        "internal_ip_address": inner["ip_address"],
    }
    _check_new(tx, new)
    tx.insert(PortForwarding, **new)
    rows.change(tx, FloatingIp, fip.id, router_id=router_id)
    router_wants.publish_router(tx, cloud, router_id)
    made = tx.get(PortForwarding, new["id"])
    notices.tell(tx, cloud, "port_forwarding.create", made)
    return made


def _inner_address(port: Row[Any], wanted: str | None) -> dict[str, str]:
    for one in port.fixed_ips:
        if (wanted is None and ":" not in one["ip_address"]) or one["ip_address"] == wanted:
            return dict(one)
    raise invalid(
        f"Bad port_forwarding request: Port {port.id} does not have fixed IPv4 address {wanted or ''}.", "BadRequest"
    )


def _check_new(tx: Tx, new: dict[str, Any], but: str = "") -> None:
    forwarding = table_of(PortForwarding).c
    same_target = (
        (forwarding.internal_port_id == new["internal_port_id"])
        & (forwarding.internal_ip_address == new["internal_ip_address"])
        & (forwarding.internal_port == new["internal_port"])
    )
    other = tx.scalar(
        select(forwarding.id).where(
            forwarding.floatingip_id == new["floatingip_id"],
            forwarding.protocol == new["protocol"],
            (forwarding.external_port == new["external_port"]) | same_target,
            forwarding.id != but,
        )
    )
    if other is not None:
        raise invalid(
            f"Bad port_forwarding request: A duplicate port forwarding entry with same attributes already exists: "
            f"{new['protocol']} port {new['external_port']}, or what it leads to, is forwarded by {other}.",
            "BadRequest",
        )


def update(
    tx: Tx, cloud: Cloud, fip: Row[Any], forwarding: Row[Any], port: Row[Any] | None, values: dict[str, Any]
) -> Row[Any]:
    after = {**forwarding._mapping, **values}
    _check_new(tx, after, but=forwarding.id)
    if port is not None or "internal_ip_address" in values:
        target = port if port is not None else queries.get_port(tx, forwarding.internal_port_id)
        inner = _inner_address(target, values.get("internal_ip_address"))
        floating_ips.find_router(tx, fip.floating_network_id, inner["subnet_id"], target.id)
        values |= {"internal_port_id": target.id, "internal_ip_address": inner["ip_address"]}
    rows.change(tx, PortForwarding, forwarding.id, **values)
    if fip.router_id:
        router_wants.publish_router(tx, cloud, fip.router_id)
    return tx.get(PortForwarding, forwarding.id)


def delete(tx: Tx, cloud: Cloud, fip: Row[Any], forwarding: Row[Any]) -> None:
    tx.delete(PortForwarding, forwarding.id)
    left = tx.find(PortForwarding, floatingip_id=fip.id)
    if left is None:
        rows.change(tx, FloatingIp, fip.id, router_id=None)
    if fip.router_id:
        router_wants.publish_router(tx, cloud, fip.router_id)
    notices.tell_deleted(tx, cloud, "port_forwarding.delete", forwarding)
