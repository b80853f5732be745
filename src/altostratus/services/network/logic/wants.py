# SPDX-License-Identifier: Apache-2.0
"""Wanted rows for the hosts: what each network, port, security group and router must be there.

Every change of a row calls the matching `publish_...` in its own transaction. Equal specs cost
nothing, so callers need not know whether a change concerns the hosts.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import select

from altostratus.contracts.network import (
    AddressPair,
    DhcpPort,
    FixedIp,
    HostRoute,
    NetworkSpec,
    PortSpec,
    SecurityGroupSpec,
    SecurityRule,
    SubnetSpec,
)
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.desired import Host, Want
from altostratus.services.network.logic import queries
from altostratus.services.network.models import Network, Port, SecurityGroup, SecurityGroupRule, Subnet

TAP_LENGTH = 14


def network_hosts(tx: Tx, cloud: Cloud) -> list[Host]:
    """Hosts with a network agent; every one of them knows every network, group and router."""
    return cloud.desired.hosts(tx, kind="network")


def first_host(tx: Tx, cloud: Cloud) -> str:
    """Where routers and DHCP are: the first network host that is alive, else the first; "" if there is none."""
    hosts = network_hosts(tx, cloud)
    chosen = next((host for host in hosts if host.alive), hosts[0] if hosts else None)
    return chosen.name if chosen is not None else ""


def tap_name(port_id: str) -> str:
    return ("tap" + port_id)[:TAP_LENGTH]


def publish_everywhere(tx: Tx, cloud: Cloud, kind: str, id: str, spec: Any) -> None:
    """The same spec (None: absent) on every network host."""
    for host in network_hosts(tx, cloud):
        cloud.desired.want(tx, Want(kind, id, host.name, spec))


# --- networks --------------------------------------------------------------------------------------------


def subnet_spec(subnet: Row[Any]) -> SubnetSpec:
    return SubnetSpec(
        id=subnet.id,
        cidr=subnet.cidr,
        ip_version=subnet.ip_version,
        gateway_ip=subnet.gateway_ip,
        enable_dhcp=subnet.enable_dhcp,
        dns_nameservers=list(subnet.dns_nameservers),
        host_routes=[HostRoute(destination=one["destination"], nexthop=one["nexthop"]) for one in subnet.host_routes],
        ra_mode=subnet.ipv6_ra_mode,
        address_mode=subnet.ipv6_address_mode,
    )


def fixed_ips(given: Iterable[Mapping[str, Any]], subnets: Mapping[str, Row[Any]]) -> list[FixedIp]:
    return [
        FixedIp(
            subnet_id=one["subnet_id"],
            ip_address=one["ip_address"],
            prefix_length=ipaddress.ip_network(subnets[one["subnet_id"]].cidr).prefixlen,
        )
        for one in given
        if one["subnet_id"] in subnets
    ]


def network_wants(tx: Tx, cloud: Cloud, network: Row[Any], hosts: Iterable[Host]) -> list[Want]:
    subnets = queries.subnets_of(tx, network.id)
    dhcp = queries.find_dhcp_port(tx, network.id)
    by_id = {subnet.id: subnet for subnet in subnets}
    all_hosts = network_hosts(tx, cloud)
    wants = []
    for host in hosts:
        dhcp_here = dhcp is not None and dhcp.host_id == host.name
        spec = NetworkSpec(
            id=network.id,
            name=network.name,
            project_id=network.project_id,
            network_type=network.network_type,
            mtu=network.mtu,
            physical_network=network.physical_network,
            segmentation_id=network.segmentation_id,
            external=network.router_external,
            admin_state_up=network.admin_state_up,
            dns_domain=network.dns_domain,
            subnets=[subnet_spec(subnet) for subnet in subnets],
            dhcp=DhcpPort(port_id=dhcp.id, mac=dhcp.mac_address, fixed_ips=fixed_ips(dhcp.fixed_ips, by_id))
            if dhcp is not None and dhcp_here
            else None,
            vxlan_peers=_peers(host, all_hosts) if network.network_type == "vxlan" else [],
        )
        wants.append(Want("network", network.id, host.name, spec))
    return wants


def _peers(host: Host, hosts: Iterable[Host]) -> list[str]:
    """Tunnel addresses of the other hosts, as their network agents announce them."""
    found = [other.facts.get("network", {}).get("tunnel_address") for other in hosts if other.name != host.name]
    return sorted(address for address in found if address)


def publish_network(tx: Tx, cloud: Cloud, network_id: str) -> None:
    network = tx.find(Network, network_id)
    if network is None:
        publish_everywhere(tx, cloud, "network", network_id, None)
        return
    for want in network_wants(tx, cloud, network, network_hosts(tx, cloud)):
        cloud.desired.want(tx, want)


# --- ports -----------------------------------------------------------------------------------------------


def is_plugged(port: Row[Any]) -> bool:
    """Whether a server's tap for the port is wanted on its host."""
    return bool(port.host_id) and not port.device_owner.startswith("network:")


def port_spec(port: Row[Any], subnets: Mapping[str, Row[Any]], *, plugged: bool) -> PortSpec:
    addresses = fixed_ips(port.fixed_ips, subnets)
    return PortSpec(
        id=port.id,
        network_id=port.network_id,
        mac=port.mac_address,
        tap=tap_name(port.id),
        hostname=host_name(port.dns_name, [one.ip_address for one in addresses]),
        fixed_ips=addresses,
        admin_state_up=port.admin_state_up,
        port_security=port.port_security_enabled,
        security_groups=sorted(port.security_groups),
        allowed_address_pairs=[AddressPair(**pair) for pair in port.allowed_address_pairs],
        dhcp_options={option["opt_name"]: option["opt_value"] for option in port.extra_dhcp_opts},
        device_id=port.device_id,
        device_owner=port.device_owner,
        plugged=plugged,
        quarantined=port.quarantined,
    )


def host_name(dns_name: str, addresses: list[str]) -> str:
    """What DHCP calls the port: its DNS name, or one made of its first address."""
    if dns_name or not addresses:
        return dns_name
    return "host-" + addresses[0].replace(".", "-").replace(":", "-")


def port_wants(port: Row[Any], subnets: Mapping[str, Row[Any]], hosts: Iterable[str]) -> list[Want]:
    """A tap on the host the port is bound to; on other hosts a DHCP reservation, if it has addresses."""
    if port.device_owner.startswith("network:"):
        return []
    bound = port.host_id if is_plugged(port) else ""
    names = sorted({*hosts, bound} - {""})
    reserve = bool(port.fixed_ips)
    return [
        Want(
            "port",
            port.id,
            name,
            port_spec(port, subnets, plugged=name == bound) if name == bound or reserve else None,
        )
        for name in names
    ]


def publish_port(tx: Tx, cloud: Cloud, port: Row[Any], subnets: Iterable[Row[Any]] | None = None) -> None:
    """Write the port's wanted rows as they are now; `subnets` of its network save a query."""
    if port.device_owner.startswith("network:"):
        return
    known = queries.subnets_of(tx, port.network_id) if subnets is None else subnets
    hosts = [host.name for host in network_hosts(tx, cloud)]
    for want in port_wants(port, {subnet.id: subnet for subnet in known}, hosts):
        cloud.desired.want(tx, want)


def retract_port(tx: Tx, cloud: Cloud, port: Row[Any]) -> None:
    if port.device_owner.startswith("network:"):
        return
    for name in sorted({host.name for host in network_hosts(tx, cloud)} | ({port.host_id} - {""})):
        cloud.desired.want(tx, Want("port", port.id, name, None))


# --- security groups -------------------------------------------------------------------------------------


def group_spec(tx: Tx, group: Row[Any]) -> SecurityGroupSpec:
    rule = table_of(SecurityGroupRule)
    rows = tx.rows(select(rule).where(rule.c.security_group_id == group.id).order_by(rule.c.id))
    return SecurityGroupSpec(
        id=group.id,
        rules=[
            SecurityRule(
                id=row.id,
                direction=row.direction,
                ethertype=row.ethertype,
                protocol=row.protocol,
                port_min=row.port_range_min,
                port_max=row.port_range_max,
                remote_ip_prefix=row.remote_ip_prefix,
                remote_group_id=row.remote_group_id,
            )
            for row in rows
        ],
        stateful=group.stateful,
    )


def publish_group(tx: Tx, cloud: Cloud, group_id: str) -> None:
    group = tx.find(SecurityGroup, group_id)
    publish_everywhere(tx, cloud, "security_group", group_id, None if group is None else group_spec(tx, group))


# --- everything ------------------------------------------------------------------------------------------


def host_wants(tx: Tx, cloud: Cloud, host: Host) -> list[Want]:
    """All that a host which is new to the cloud must be told, except routers."""
    network, group, port, subnet = (table_of(model) for model in (Network, SecurityGroup, Port, Subnet))
    wants: list[Want] = []
    for row in tx.rows(select(network).order_by(network.c.id)):
        wants += network_wants(tx, cloud, row, [host])
    for row in tx.rows(select(group).order_by(group.c.id)):
        wants.append(Want("security_group", row.id, host.name, group_spec(tx, row)))
    subnets = {row.id: row for row in tx.rows(select(subnet))}
    for row in tx.rows(select(port).order_by(port.c.id)):
        wants += [want for want in port_wants(row, subnets, [host.name]) if want.host == host.name]
    return wants
