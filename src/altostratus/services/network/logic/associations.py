# SPDX-License-Identifier: Apache-2.0
"""Where floating IPs lead, seen from the ports they lead to."""

from collections.abc import Collection

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Tx, table_of
from altostratus.services.network.logic import queries, router_wants, rows
from altostratus.services.network.models import FloatingIp, Port, PortForwarding


def forget_port(tx: Tx, cloud: Cloud, port_id: str, addresses: Collection[str] | None) -> None:
    """Nothing leads to these addresses of the port (None: all) any more."""
    changed: set[str] = set()
    for fip in queries.floating_ips_of_ports(tx, [port_id]):
        if addresses is None or fip.fixed_ip_address in addresses:
            changed.add(fip.router_id or "")
            rows.change(tx, FloatingIp, fip.id, port_id=None, fixed_ip_address=None, router_id=None, status="DOWN")
    forwarding = table_of(PortForwarding)
    condition = forwarding.c.internal_port_id == port_id
    if addresses is not None:
        condition &= forwarding.c.internal_ip_address.in_(list(addresses))
    for row in tx.rows(forwarding.select().where(condition)):
        tx.delete(PortForwarding, row.id)
        fip = queries.get_floating_ip(tx, row.floatingip_id)
        changed.add(fip.router_id or "")
    for router_id in sorted(changed - {""}):
        router_wants.publish_router(tx, cloud, router_id)


def port_details(tx: Tx, port_ids: list[str]) -> dict[str, dict[str, object]]:
    """What a floating IP says of the port it leads to, by port id; one query."""
    from_rows = queries.rows_by_id(tx, Port, port_ids)
    return {
        id: {
            "name": port.name,
            "network_id": port.network_id,
            "mac_address": port.mac_address,
            "admin_state_up": port.admin_state_up,
            "status": port.status,
            "device_id": port.device_id,
            "device_owner": port.device_owner,
        }
        for id, port in from_rows.items()
    }
