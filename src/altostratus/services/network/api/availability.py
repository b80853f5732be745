# SPDX-License-Identifier: Apache-2.0
"""Small read-only resources: zones, providers of services, and how many addresses are left."""

import ipaddress
from typing import Any

from sqlalchemy import func, select

from altostratus.kernel.db import table_of
from altostratus.kernel.numbers import whole_number
from altostratus.kernel.policy import ADMIN, Persona
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.network.api.networks import ZONE
from altostratus.services.network.errors import missing
from altostratus.services.network.logic import wants
from altostratus.services.network.models import IpAllocation, Network, Subnet

READER_ROLE = Persona("reader", "role:reader or rule:context_is_admin")


def list_zones(call: Call) -> Any:
    """Where networks and routers can be."""
    state = "available" if wants.network_hosts(call.tx, call.cloud) else "unavailable"
    zones = [{"name": ZONE, "resource": resource, "state": state} for resource in ("network", "router")]
    for name in ("name", "resource", "state"):
        if name in call.query:
            zones = [zone for zone in zones if zone[name] in call.query[name]]
    return Reply(200, {"availability_zones": zones})


def list_providers(call: Call) -> Any:
    """Who serves what."""
    provider = {"service_type": "L3_ROUTER_NAT", "name": "single_node", "default": True}
    return Reply(200, {"service_providers": [provider]})


class AvailabilityZones(Resource, path="/availability_zones", many="availability_zones"):
    """Where networks and routers can be."""

    index = Op("GET", "", "get_availability_zone", READER_ROLE, list_zones)


class ServiceProviders(Resource, path="/service-providers", many="service_providers"):
    """Who serves what."""

    index = Op("GET", "", "get_service_provider", READER_ROLE, list_providers)


# --- addresses left --------------------------------------------------------------------------------------


def _availability(call: Call, network_ids: list[str] | None) -> list[dict[str, Any]]:
    """Total and used addresses of networks; three queries."""
    network, subnet, taken = table_of(Network), table_of(Subnet), table_of(IpAllocation).c
    networks = select(network.c.id, network.c.name, network.c.project_id).order_by(network.c.id)
    if network_ids is not None:
        networks = networks.where(network.c.id.in_(network_ids))
    for name, column in (("network_name", network.c.name), ("project_id", network.c.project_id)):
        if name in call.query:
            networks = networks.where(column.in_(call.query[name]))
    found = call.tx.rows(networks)
    subnets = select(subnet).where(subnet.c.network_id.in_([row.id for row in found])).order_by(subnet.c.id)
    if "ip_version" in call.query:
        versions = [whole_number(text) for text in call.query["ip_version"]]
        subnets = subnets.where(subnet.c.ip_version.in_([number for number in versions if number is not None]))
    used = {
        row.subnet_id: row.number
        for row in call.tx.rows(select(taken.subnet_id, func.count().label("number")).group_by(taken.subnet_id))
    }
    by_network: dict[str, list[dict[str, Any]]] = {row.id: [] for row in found}
    for row in call.tx.rows(subnets):
        by_network[row.network_id].append(
            {
                "subnet_id": row.id,
                "subnet_name": row.name,
                "cidr": row.cidr,
                "ip_version": row.ip_version,
                "total_ips": _total(row),
                "used_ips": used.get(row.id, 0),
            }
        )
    return [
        {
            "network_id": row.id,
            "network_name": row.name,
            "project_id": row.project_id,
            "tenant_id": row.project_id,
            "total_ips": sum(one["total_ips"] for one in by_network[row.id]),
            "used_ips": sum(one["used_ips"] for one in by_network[row.id]),
            "subnet_ip_availability": by_network[row.id],
        }
        for row in found
        if "ip_version" not in call.query or by_network[row.id]
    ]


def _total(subnet: Any) -> int:
    if not subnet.allocation_pools:
        return ipaddress.ip_network(subnet.cidr).num_addresses
    return sum(
        int(ipaddress.ip_address(pool["end"])) - int(ipaddress.ip_address(pool["start"])) + 1
        for pool in subnet.allocation_pools
    )


def list_availability(call: Call) -> Any:
    """How many addresses are left in all networks."""
    return Reply(200, {"network_ip_availabilities": _availability(call, call.query.get("network_id"))})


def show_availability(call: Call) -> Any:
    """How many addresses are left in a network."""
    found = _availability(call, [call.params["id"]])
    if not found:
        raise missing("network", call.params["id"])
    return Reply(200, {"network_ip_availability": found[0]})


class IpAvailability(Resource, path="/network-ip-availabilities", many="network_ip_availabilities"):
    """How many addresses are left."""

    index = Op("GET", "", "get_network_ip_availability", ADMIN, list_availability)
    show = Op("GET", "/{id}", "get_network_ip_availability", ADMIN, show_availability)
