# SPDX-License-Identifier: Apache-2.0
"""The wanted row of a router: interfaces, gateway, floating IPs, port forwardings and routes."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from altostratus.contracts.network import (
    FloatingIpSpec,
    HostRoute,
    PortForwardingSpec,
    RouterGateway,
    RouterInterface,
    RouterSpec,
)
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.services.network.logic import queries, wants
from altostratus.services.network.models import FloatingIp, Network, Port, PortForwarding, Router, Subnet

RowsById = Mapping[str, Row[Any]]


def publish_router(tx: Tx, cloud: Cloud, router_id: str) -> None:
    router = tx.find(Router, router_id)
    wants.publish_everywhere(tx, cloud, "router", router_id, None if router is None else router_spec(tx, router))


def router_spec(tx: Tx, router: Row[Any]) -> RouterSpec:
    ports = queries.ports_of_device(tx, router.id, *queries.ROUTER_PORTS)
    networks = queries.rows_by_id(tx, Network, [port.network_id for port in ports])
    subnets = queries.rows_by_id(tx, Subnet, [one["subnet_id"] for port in ports for one in port.fixed_ips])
    fip, forwarding = table_of(FloatingIp), table_of(PortForwarding)
    fips = tx.rows(select(fip).where(fip.c.router_id == router.id).order_by(fip.c.id))
    forwardings = tx.rows(
        select(forwarding, fip.c.floating_ip_address)
        .join(fip, fip.c.id == forwarding.c.floatingip_id)
        .where(fip.c.router_id == router.id)
        .order_by(forwarding.c.id)
    )
    gateway = next((port for port in ports if port.device_owner == queries.ROUTER_GATEWAY), None)
    return RouterSpec(
        id=router.id,
        name=router.name,
        project_id=router.project_id,
        admin_state_up=router.admin_state_up,
        gateway=_gateway(router, gateway, networks, subnets) if gateway is not None else None,
        interfaces=[
            _interface(port, networks, subnets) for port in ports if port.device_owner == queries.ROUTER_INTERFACE
        ],
        floating_ips=[
            FloatingIpSpec(
                id=row.id,
                floating_ip_address=row.floating_ip_address,
                fixed_ip_address=row.fixed_ip_address,
                port_id=row.port_id,
            )
            for row in fips
            if row.port_id
        ],
        port_forwardings=[
            PortForwardingSpec(
                id=row.id,
                floating_ip_address=row.floating_ip_address,
                protocol=row.protocol,
                external_port=row.external_port,
                internal_ip_address=row.internal_ip_address,
                internal_port=row.internal_port,
            )
            for row in forwardings
        ],
        routes=[HostRoute(destination=one["destination"], nexthop=one["nexthop"]) for one in router.routes],
    )


def _gateway(router: Row[Any], port: Row[Any], networks: RowsById, subnets: RowsById) -> RouterGateway:
    gateways = [subnets[one["subnet_id"]].gateway_ip for one in port.fixed_ips if one["subnet_id"] in subnets]
    return RouterGateway(
        port_id=port.id,
        network_id=port.network_id,
        mac=port.mac_address,
        fixed_ips=wants.fixed_ips(port.fixed_ips, subnets),
        gateway_ips=list(dict.fromkeys(ip for ip in gateways if ip)),
        enable_snat=router.enable_snat,
        mtu=networks[port.network_id].mtu,
    )


def _interface(port: Row[Any], networks: RowsById, subnets: RowsById) -> RouterInterface:
    here = [subnets[one["subnet_id"]] for one in port.fixed_ips if one["subnet_id"] in subnets]
    return RouterInterface(
        port_id=port.id,
        network_id=port.network_id,
        mac=port.mac_address,
        fixed_ips=wants.fixed_ips(port.fixed_ips, subnets),
        mtu=networks[port.network_id].mtu,
        ra_subnets=[wants.subnet_spec(subnet) for subnet in here if subnet.ip_version == 6 and subnet.ipv6_ra_mode],
    )


def routers_of_network(tx: Tx, network_id: str) -> list[str]:
    """Ids of the routers that have a port in the network."""
    port = table_of(Port).c
    return sorted(
        set(
            tx.scalars(
                select(port.device_id).where(port.network_id == network_id, port.device_owner.in_(queries.ROUTER_PORTS))
            )
        )
    )
