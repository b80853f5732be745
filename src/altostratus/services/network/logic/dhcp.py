# SPDX-License-Identifier: Apache-2.0
"""The DHCP port of a network: made with its first other port, once a subnet has DHCP."""

from collections.abc import Sequence
from typing import Any

from altostratus.kernel import ids
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx
from altostratus.services.network.config import NetworkOptions
from altostratus.services.network.logic import addresses, port_addresses, queries, rows, wants
from altostratus.services.network.models import Port


def device_id(host: str, network_id: str) -> str:
    """As upstream names the device: the host's part, then the network's."""
    return f"dhcp{ids.derived_id('dhcp', host)}-{network_id}"


def ensure_port(tx: Tx, cloud: Cloud, network: Row[Any], subnets: Sequence[Row[Any]]) -> bool:
    """Make the network's DHCP port if it needs one and has none; whether one was made."""
    served = [subnet for subnet in subnets if subnet.enable_dhcp]
    if not served or queries.has_dhcp_port(tx, network.id):
        return False
    host = wants.first_host(tx, cloud)
    mac = addresses.new_mac(tx, network.id, cloud[NetworkOptions].base_mac)
    new = {
        **rows.begin(network.project_id),
        "network_id": network.id,
        "mac_address": mac,
        "device_owner": queries.DHCP,
        "device_id": device_id(host, network.id) if host else "reserved_dhcp_port",
        "host_id": host,
        "port_security_enabled": False,
        "status": "ACTIVE" if host else "DOWN",
    }
    assignment = port_addresses.Assignment(tx, network.id, subnets, queries.DHCP, mac)
    assignment.plan([_request(subnet, mac) for subnet in served if _has_room(tx, subnet)])
    tx.insert(Port, **new, fixed_ips=assignment.fixed_ips())
    assignment.record(new["id"])
    wants.publish_network(tx, cloud, network.id)
    return True


def _request(subnet: Row[Any], mac: str) -> dict[str, str]:
    if addresses.is_auto_addressed(subnet):
        return {"subnet_id": subnet.id, "ip_address": addresses.eui64(subnet.cidr, mac)}
    return {"subnet_id": subnet.id}


def _has_room(tx: Tx, subnet: Row[Any]) -> bool:
    return addresses.is_auto_addressed(subnet) or addresses.find_free(tx, subnet) is not None


def follow_subnet(tx: Tx, cloud: Cloud, network: Row[Any], subnet: Row[Any]) -> None:
    """A subnet came or its `enable_dhcp` changed: give the DHCP port an address there, or take it away.

    Without a DHCP port one is made if the network has other ports already.
    """
    port = queries.find_dhcp_port(tx, network.id)
    if port is None:
        if subnet.enable_dhcp and _has_client(tx, network.id):
            ensure_port(tx, cloud, network, queries.subnets_of(tx, network.id))
        return
    here = [one for one in port.fixed_ips if one["subnet_id"] == subnet.id]
    if subnet.enable_dhcp and not here and _has_room(tx, subnet):
        assignment = port_addresses.Assignment(tx, network.id, [subnet], queries.DHCP, port.mac_address)
        assignment.plan([_request(subnet, port.mac_address)])
        rows.change(tx, Port, port.id, fixed_ips=[*port.fixed_ips, *assignment.record(port.id)])
    elif here and not subnet.enable_dhcp:
        addresses.free(tx, port.id, [one["ip_address"] for one in here])
        left = [one for one in port.fixed_ips if one["subnet_id"] != subnet.id]
        rows.change(tx, Port, port.id, fixed_ips=left)
        drop_if_idle(tx, port.id)


def drop_if_idle(tx: Tx, port_id: str) -> None:
    """A DHCP port without addresses serves nobody."""
    port = queries.get_port(tx, port_id)
    if port.device_owner == queries.DHCP and not port.fixed_ips:
        tx.delete(Port, port.id)


def _has_client(tx: Tx, network_id: str) -> bool:
    return tx.find(Port, network_id=network_id) is not None


def settle_on(tx: Tx, cloud: Cloud, host: str) -> None:
    """Give DHCP ports that were made before any host existed to `host`."""
    for port in queries.homeless_dhcp_ports(tx):
        rows.change(tx, Port, port.id, host_id=host, device_id=device_id(host, port.network_id), status="ACTIVE")
        wants.publish_network(tx, cloud, port.network_id)
