# SPDX-License-Identifier: Apache-2.0
"""Making, changing and removing subnets."""

import ipaddress
from typing import Any

from sqlalchemy import select

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import Conflict
from altostratus.services.network.config import NetworkOptions
from altostratus.services.network.errors import in_use, invalid, listed
from altostratus.services.network.logic import (
    addresses,
    dhcp,
    notices,
    queries,
    quotas,
    router_wants,
    rows,
    subnet_rules,
    wants,
)
from altostratus.services.network.models import IpAllocation, Network, Port, Subnet

_SMALLEST_MTU_BYTES = {4: 68, 6: 1280}


def create(tx: Tx, cloud: Cloud, network: Row[Any], project_id: str, values: dict[str, Any]) -> Row[Any]:
    """A new subnet; `values` are columns, with a `cidr`. Absent `gateway_ip`, `allocation_pools` mean
    "choose for me"; `gateway_ip` None means none. Raises BadRequest, Conflict or OverQuota.
    """
    quotas.demand(tx, cloud, project_id, {"subnet": 1})
    options = cloud[NetworkOptions]
    cidr = subnet_rules.parse_cidr(values["cidr"])
    subnet_rules.check_version(cidr, values.get("ip_version", cidr.version))
    enable_dhcp = values.setdefault("enable_dhcp", True)
    check_network_mtu(network.id, network.mtu, cidr.version)
    subnet_rules.check_dhcp_network(cidr, enable_dhcp=enable_dhcp)
    subnet_rules.check_modes(values, cidr)
    subnet_rules.check_overlap(cidr, queries.subnets_of(tx, network.id), network.id)
    gateway = values.get("gateway_ip", subnet_rules.default_gateway(cidr))
    if gateway is not None:
        gateway = subnet_rules.check_gateway(cidr, gateway)
    pools = values.get("allocation_pools")
    if pools is None:
        pools = subnet_rules.default_pools(cidr, gateway)
    else:
        pools = subnet_rules.check_pools(cidr, pools, gateway)
    new = {
        **rows.begin(project_id),
        **values,
        "network_id": network.id,
        "cidr": str(cidr),
        "ip_version": cidr.version,
        "gateway_ip": gateway,
        "allocation_pools": pools,
        "dns_nameservers": subnet_rules.check_name_servers(
            values.get("dns_nameservers") or [], options.max_dns_nameservers
        ),
        "host_routes": subnet_rules.check_routes(
            values.get("host_routes") or [], options.max_subnet_host_routes, cidr.version
        ),
    }
    tx.insert(Subnet, **new)
    subnet = queries.get_subnet(tx, new["id"])
    if addresses.is_auto_addressed(subnet):
        _give_automatic_addresses(tx, cloud, subnet)
    dhcp.follow_subnet(tx, cloud, network, subnet)
    rows.change(tx, Network, network.id)
    wants.publish_network(tx, cloud, network.id)
    notices.tell(tx, cloud, "subnet.create", subnet)
    return subnet


def check_network_mtu(network_id: str, mtu: int, ip_version: int) -> None:
    """Raises Conflict if packets of this IP version cannot be that small."""
    smallest = _SMALLEST_MTU_BYTES[ip_version]
    if mtu < smallest:
        raise Conflict(
            f"Network {network_id} has an MTU of {mtu}; subnets of IPv{ip_version} need at least {smallest}.",
            kind="NetworkMTUSubnetConflict",
        )


def _give_automatic_addresses(tx: Tx, cloud: Cloud, subnet: Row[Any]) -> None:
    """Ports that exist already make an address in the new subnet, so it becomes theirs."""
    port = table_of(Port)
    subnets = queries.subnets_of(tx, subnet.network_id)
    for row in tx.rows(select(port).where(port.c.network_id == subnet.network_id)):
        if row.device_owner in (*queries.ROUTER_PORTS, queries.FLOATING_IP, queries.DHCP):
            continue
        address = addresses.eui64(subnet.cidr, row.mac_address)
        addresses.allocate(tx, subnet, address, row.id, move_cursor=False)
        fixed_ips = [*row.fixed_ips, {"subnet_id": subnet.id, "ip_address": address}]
        rows.change(tx, Port, row.id, fixed_ips=fixed_ips)
        wants.publish_port(tx, cloud, queries.get_port(tx, row.id), subnets)


def update(tx: Tx, cloud: Cloud, subnet: Row[Any], values: dict[str, Any]) -> Row[Any]:
    options = cloud[NetworkOptions]
    cidr = ipaddress.ip_network(subnet.cidr)
    gateway = subnet.gateway_ip
    if "gateway_ip" in values:
        gateway = values["gateway_ip"]
        if gateway is not None:
            gateway = values["gateway_ip"] = subnet_rules.check_gateway(cidr, gateway)
        if gateway != subnet.gateway_ip:
            _check_gateway_free(tx, subnet)
    if values.get("allocation_pools") is not None or "gateway_ip" in values:
        pools = values.get("allocation_pools")
        checked = subnet_rules.check_pools(cidr, subnet.allocation_pools if pools is None else pools, gateway)
        if pools is not None:
            values["allocation_pools"] = checked
            values["ip_cursor"] = ""
    if "dns_nameservers" in values:
        values["dns_nameservers"] = subnet_rules.check_name_servers(
            values["dns_nameservers"] or [], options.max_dns_nameservers
        )
    if "host_routes" in values:
        values["host_routes"] = subnet_rules.check_routes(
            values["host_routes"] or [], options.max_subnet_host_routes, subnet.ip_version
        )
    if values.get("enable_dhcp") is False and (subnet.ipv6_ra_mode or subnet.ipv6_address_mode):
        raise invalid(
            "Invalid input for operation: ipv6_ra_mode or ipv6_address_mode cannot be set when enable_dhcp is set to "
            "False."
        )
    rows.change(tx, Subnet, subnet.id, **values)
    rows.change(tx, Network, subnet.network_id)
    now = queries.get_subnet(tx, subnet.id)
    if now.enable_dhcp != subnet.enable_dhcp:
        dhcp.follow_subnet(tx, cloud, queries.get_network(tx, now.network_id), now)
    _publish(tx, cloud, now.network_id)
    notices.tell(tx, cloud, "subnet.update", now)
    return now


def _check_gateway_free(tx: Tx, subnet: Row[Any]) -> None:
    if not subnet.gateway_ip:
        return
    taken = tx.find(IpAllocation, subnet.id, addresses.ip_key(subnet.gateway_ip))
    if taken is None:
        return
    port = tx.find(Port, taken.port_id)
    if port is not None and port.device_owner == queries.ROUTER_INTERFACE:
        raise Conflict(
            f"Current gateway ip {subnet.gateway_ip} already in use by port {port.id}. Unable to update.",
            kind="GatewayIpInUse",
        )


def _publish(tx: Tx, cloud: Cloud, network_id: str) -> None:
    wants.publish_network(tx, cloud, network_id)
    for router_id in router_wants.routers_of_network(tx, network_id):
        router_wants.publish_router(tx, cloud, router_id)


def delete(tx: Tx, cloud: Cloud, subnet: Row[Any]) -> None:
    """Remove the subnet. Raises SubnetInUse while ports hold its addresses by more than themselves."""
    taken, port = table_of(IpAllocation), table_of(Port)
    holders = tx.rows(
        select(port, taken.c.ip_address.label("held"))
        .join(taken, taken.c.port_id == port.c.id)
        .where(taken.c.subnet_id == subnet.id)
    )
    automatic = addresses.is_auto_addressed(subnet)
    staying = [
        row.id
        for row in holders
        if row.device_owner != queries.DHCP and not (automatic and row.device_owner not in queries.ROUTER_PORTS)
    ]
    if staying:
        raise in_use(
            f"Unable to complete operation on subnet {subnet.id}: One or more ports have an IP allocation from this "
            f"subnet ({listed(staying)}). Delete or change them first.",
            "SubnetInUse",
        )
    left = [other for other in queries.subnets_of(tx, subnet.network_id) if other.id != subnet.id]
    for row in holders:
        fixed_ips = [one for one in row.fixed_ips if one["subnet_id"] != subnet.id]
        rows.change(tx, Port, row.id, fixed_ips=fixed_ips)
        wants.publish_port(tx, cloud, queries.get_port(tx, row.id), left)
    remove_row(tx, cloud, subnet)
    for row in holders:
        dhcp.drop_if_idle(tx, row.id)
    rows.change(tx, Network, subnet.network_id)
    wants.publish_network(tx, cloud, subnet.network_id)


def remove_row(tx: Tx, cloud: Cloud, subnet: Row[Any]) -> None:
    """Delete the subnet's row and addresses, nothing else."""
    tx.delete_where(IpAllocation, table_of(IpAllocation).c.subnet_id == subnet.id)
    tx.delete(Subnet, subnet.id)
    notices.tell_deleted(tx, cloud, "subnet.delete", subnet)
