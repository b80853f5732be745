# SPDX-License-Identifier: Apache-2.0
"""A router's way out: its port on an external network."""

import ipaddress
from typing import Any

from sqlalchemy import select

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.services.network.errors import in_use, invalid, listed, missing
from altostratus.services.network.logic import ports, queries, rows, wants
from altostratus.services.network.models import FloatingIp, Network, Router, Subnet


def set_gateway(tx: Tx, cloud: Cloud, router: Row[Any], info: dict[str, Any]) -> None:
    """Make the router's gateway as `external_gateway_info` says. Raises BadRequest, Conflict or NotFound."""
    network_id = str(info["network_id"])
    network = tx.find(Network, network_id)
    if network is None:
        raise missing("network", network_id)
    if not network.router_external:
        raise invalid(f"Bad router request: Network {network_id} is not an external network.", "BadRequest")
    wanted = _wanted_addresses(info)
    changes: dict[str, Any] = {"enable_snat": info.get("enable_snat", True)}
    if router.gateway_network_id == network_id:
        _change_addresses(tx, cloud, router, wanted)
    else:
        if router.gateway_network_id is not None:
            clear(tx, cloud, router)
        _check_overlap(tx, router, queries.subnets_of(tx, network_id))
        port = _create_port(tx, cloud, router, network, wanted)
        changes |= {"gateway_port_id": port.id, "gateway_network_id": network_id}
    rows.change(tx, Router, router.id, **changes)


def _wanted_addresses(info: dict[str, Any]) -> list[dict[str, str]] | None:
    """The chosen addresses; None if there are none."""
    given = info.get("external_fixed_ips")
    if not given:
        return None
    found = []
    for one in given:
        cleaned = {name: value for name, value in one.items() if value}
        if "ip_address" in cleaned:
            try:
                cleaned["ip_address"] = str(ipaddress.ip_address(cleaned["ip_address"]))
            except ValueError:
                raise invalid(
                    f"Invalid input for external_gateway_info. Reason: '{cleaned['ip_address']}' is not a valid IP "
                    "address."
                ) from None
        found.append(cleaned)
    return found


def _change_addresses(tx: Tx, cloud: Cloud, router: Row[Any], wanted: list[dict[str, str]] | None) -> None:
    if wanted is None:
        return
    port = queries.get_port(tx, router.gateway_port_id)
    have = [(one["subnet_id"], one["ip_address"]) for one in port.fixed_ips]
    asked = [(one.get("subnet_id"), one.get("ip_address")) for one in wanted]
    if len(have) != len(asked) or any(
        subnet not in (None, old[0]) or address not in (None, old[1])
        for old, (subnet, address) in zip(have, asked, strict=True)
    ):
        ports.update(tx, cloud, port, {"fixed_ips": wanted})


def _create_port(
    tx: Tx, cloud: Cloud, router: Row[Any], network: Row[Any], wanted: list[dict[str, str]] | None
) -> Row[Any]:
    values: dict[str, Any] = {
        "device_id": router.id,
        "device_owner": queries.ROUTER_GATEWAY,
        "status": "ACTIVE",
        "host_id": wants.first_host(tx, cloud),
        "fixed_ips": wanted,
    }
    return ports.create(tx, cloud, network, "", values, limited=False)


def _check_overlap(tx: Tx, router: Row[Any], outside: list[Row[Any]]) -> None:
    interfaces = queries.ports_of_device(tx, router.id, queries.ROUTER_INTERFACE)
    inside = queries.rows_by_id(tx, Subnet, [one["subnet_id"] for port in interfaces for one in port.fixed_ips])
    for subnet in outside:
        check_no_overlap(router, subnet, list(inside.values()))


def check_no_overlap(router: Row[Any], subnet: Row[Any], others: list[Row[Any]]) -> None:
    """Raises BadRequest if a router could not tell the subnet from another one of its own."""
    new: Any = ipaddress.ip_network(subnet.cidr)
    for other in others:
        old: Any = ipaddress.ip_network(other.cidr)
        if new.version == old.version and new.overlaps(old):
            raise invalid(
                f"Bad router request: Cidr {subnet.cidr} of subnet {subnet.id} overlaps with cidr {other.cidr} of "
                f"subnet {other.id}, which router {router.id} has already.",
                "BadRequest",
            )


def clear(tx: Tx, cloud: Cloud, router: Row[Any]) -> None:
    """Take the gateway away. Raises Conflict while floating IPs need it."""
    if router.gateway_port_id is None:
        return
    fip = table_of(FloatingIp).c
    using = tx.scalars(select(fip.id).where(fip.router_id == router.id))
    if using:
        raise in_use(
            f"Gateway cannot be updated for router {router.id}, since a gateway to external network "
            f"{router.gateway_network_id} is required by one or more floating IPs: {listed(using)}.",
            "RouterExternalGatewayInUseByFloatingIp",
        )
    port_id = router.gateway_port_id
    rows.change(tx, Router, router.id, gateway_port_id=None, gateway_network_id=None, enable_snat=True)
    ports.delete(tx, cloud, queries.get_port(tx, port_id))
