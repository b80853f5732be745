# SPDX-License-Identifier: Apache-2.0
"""Plugging subnets into routers and out again."""

import ipaddress
from typing import Any, NamedTuple

from sqlalchemy import select

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import NotFound
from altostratus.services.network.errors import in_use, invalid, listed
from altostratus.services.network.logic import dhcp, gateways, notices, ports, queries, router_wants, rows, wants
from altostratus.services.network.models import FloatingIp, IpAllocation, Port, Router, Subnet


class Interface(NamedTuple):
    port: Row[Any]
    subnet_ids: list[str]


def add_subnet(tx: Tx, cloud: Cloud, router: Row[Any], subnet: Row[Any]) -> Interface:
    """Give the router the subnet's gateway address. Raises BadRequest or Conflict."""
    if not subnet.gateway_ip:
        raise invalid("Bad router request: Subnet for router interface must have a gateway IP.", "BadRequest")
    existing = _check_new(tx, router, [subnet])
    shared = next((port for port in existing if port.network_id == subnet.network_id and _only_v6(port)), None)
    if subnet.ip_version == 6 and shared is not None:
        wanted = [*shared.fixed_ips, {"subnet_id": subnet.id, "ip_address": subnet.gateway_ip}]
        port = ports.update(tx, cloud, shared, {"fixed_ips": wanted})
    else:
        values = {
            "device_id": router.id,
            "device_owner": queries.ROUTER_INTERFACE,
            "status": "ACTIVE",
            "host_id": wants.first_host(tx, cloud),
            "fixed_ips": [{"subnet_id": subnet.id, "ip_address": subnet.gateway_ip}],
        }
        network = queries.get_network(tx, subnet.network_id)
        port = ports.create(tx, cloud, network, router.project_id, values, limited=False)
    return _added(tx, cloud, router, port, [subnet.id])


def _only_v6(port: Row[Any]) -> bool:
    return all(":" in one["ip_address"] for one in port.fixed_ips)


def add_port(tx: Tx, cloud: Cloud, router: Row[Any], port: Row[Any]) -> Interface:
    """Make an unused port the router's. Raises BadRequest or Conflict."""
    if port.device_id:
        raise in_use(
            f"Unable to complete operation on port {port.id} for network {port.network_id}. Port already has an "
            f"attached device {port.device_id}.",
            "PortInUse",
        )
    if not port.fixed_ips:
        raise invalid("Bad router request: Router port must have at least one fixed IP.", "BadRequest")
    subnets = queries.rows_by_id(tx, Subnet, [one["subnet_id"] for one in port.fixed_ips])
    if sum(subnet.ip_version == 4 for subnet in subnets.values()) > 1:
        raise invalid("Bad router request: Cannot have multiple IPv4 subnets on router port.", "BadRequest")
    _check_new(tx, router, list(subnets.values()))
    values = {
        "device_id": router.id,
        "device_owner": queries.ROUTER_INTERFACE,
        "status": "ACTIVE",
        "host_id": wants.first_host(tx, cloud),
        "port_security_enabled": False,
        "security_groups": [],
        "allowed_address_pairs": [],
    }
    # its reservation must go while the port is still an ordinary one
    wants.retract_port(tx, cloud, port)
    rows.change(tx, Port, port.id, security_groups=[])
    made = ports.update(tx, cloud, queries.get_port(tx, port.id), values)
    return _added(tx, cloud, router, made, list(subnets))


def _check_new(tx: Tx, router: Row[Any], subnets: list[Row[Any]]) -> list[Row[Any]]:
    """The router's present interfaces, none of which has or overlaps the subnets."""
    all_ports = queries.ports_of_device(tx, router.id, *queries.ROUTER_PORTS)
    connected = queries.rows_by_id(tx, Subnet, [one["subnet_id"] for port in all_ports for one in port.fixed_ips])
    for subnet in subnets:
        if subnet.id in connected:
            raise invalid(f"Bad router request: Router already has a port on subnet {subnet.id}.", "BadRequest")
        gateways.check_no_overlap(router, subnet, list(connected.values()))
    return [port for port in all_ports if port.device_owner == queries.ROUTER_INTERFACE]


def _added(tx: Tx, cloud: Cloud, router: Row[Any], port: Row[Any], subnet_ids: list[str]) -> Interface:
    network = queries.get_network(tx, port.network_id)
    dhcp.ensure_port(tx, cloud, network, queries.subnets_of(tx, network.id))
    rows.change(tx, Router, router.id)
    router_wants.publish_router(tx, cloud, router.id)
    payload = {"router_interface": {"id": router.id, "port_id": port.id, "subnet_ids": subnet_ids}}
    notices.tell_of(tx, cloud, "router.interface.create", payload)
    return Interface(port, subnet_ids)


def remove(tx: Tx, cloud: Cloud, router: Row[Any], *, port_id: str | None, subnet_id: str | None) -> Interface:
    """Unplug the subnet, the port, or the port that must have the subnet. Raises NotFound, Conflict."""
    interfaces = queries.ports_of_device(tx, router.id, queries.ROUTER_INTERFACE)
    port = _find_interface(router, interfaces, port_id, subnet_id)
    leaving = [subnet_id] if subnet_id and not port_id else [one["subnet_id"] for one in port.fixed_ips]
    for leaving_id in leaving:
        _check_unused(tx, router, leaving_id)
    left = [one for one in port.fixed_ips if one["subnet_id"] not in leaving]
    if left:
        ports.update(tx, cloud, port, {"fixed_ips": left})
    else:
        ports.delete(tx, cloud, port)
    rows.change(tx, Router, router.id)
    router_wants.publish_router(tx, cloud, router.id)
    payload = {"router_interface": {"id": router.id, "port_id": port.id, "subnet_ids": leaving}}
    notices.tell_of(tx, cloud, "router.interface.delete", payload)
    return Interface(port, leaving)


def _find_interface(
    router: Row[Any], interfaces: list[Row[Any]], port_id: str | None, subnet_id: str | None
) -> Row[Any]:
    if port_id is not None:
        port = next((one for one in interfaces if one.id == port_id), None)
        if port is None:
            raise NotFound(
                f"Router {router.id} does not have an interface with id {port_id}.", kind="RouterInterfaceNotFound"
            )
        if subnet_id is not None and all(one["subnet_id"] != subnet_id for one in port.fixed_ips):
            raise invalid(
                f"Subnet on port {port_id} does not match the requested subnet {subnet_id}.", "SubnetMismatchForPort"
            )
        return port
    port = next((one for one in interfaces if any(ip["subnet_id"] == subnet_id for ip in one.fixed_ips)), None)
    if port is None:
        raise NotFound(
            f"Router {router.id} has no interface on subnet {subnet_id}.", kind="RouterInterfaceNotFoundForSubnet"
        )
    return port


def _check_unused(tx: Tx, router: Row[Any], subnet_id: str) -> None:
    fip, taken = table_of(FloatingIp).c, table_of(IpAllocation).c
    holders = select(taken.port_id).where(taken.subnet_id == subnet_id)
    fips = tx.rows(select(fip.id, fip.fixed_ip_address).where(fip.router_id == router.id, fip.port_id.in_(holders)))
    cidr = ipaddress.ip_network(queries.get_subnet(tx, subnet_id).cidr)
    using = [row.id for row in fips if ipaddress.ip_address(row.fixed_ip_address) in cidr]
    if using:
        raise in_use(
            f"Router interface for subnet {subnet_id} on router {router.id} cannot be deleted, as it is required by "
            f"one or more floating IPs: {listed(using)}.",
            "RouterInterfaceInUseByFloatingIP",
        )
    if any(ipaddress.ip_address(route["nexthop"]) in cidr for route in router.routes):
        raise in_use(
            f"Router interface for subnet {subnet_id} on router {router.id} cannot be deleted, as it is required by "
            "one or more routes.",
            "RouterInterfaceInUseByRoute",
        )
