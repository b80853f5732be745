# SPDX-License-Identifier: Apache-2.0
"""Making, changing and removing networks."""

from typing import Any

from sqlalchemy import select

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import Conflict
from altostratus.services.network.config import NetworkOptions
from altostratus.services.network.errors import in_use, invalid, listed
from altostratus.services.network.logic import (
    floating_ips,
    notices,
    ports,
    queries,
    quotas,
    router_wants,
    rows,
    security_groups,
    segments,
    subnets,
    wants,
)
from altostratus.services.network.models import Network, Port, Router


def create(tx: Tx, cloud: Cloud, project_id: str, values: dict[str, Any]) -> Row[Any]:
    """A new network; `values` are columns, `network_type` and the like only if somebody chose them.

    Raises BadRequest, Conflict or OverQuota.
    """
    quotas.demand(tx, cloud, project_id, {"network": 1})
    options = cloud[NetworkOptions]
    segment = segments.choose(tx, options, wanted_segment(values))
    if values.get("is_default"):
        _check_only_default(tx, "")
    largest = segments.largest_mtu(options, segment.network_type)
    mtu = check_mtu(values.get("mtu") or largest, largest)
    new = {**rows.begin(project_id), **values, **segment._asdict(), "mtu": mtu}
    tx.insert(Network, **new)
    segments.occupy(tx, segment, new["id"])
    security_groups.ensure_default(tx, cloud, project_id)
    wants.publish_network(tx, cloud, new["id"])
    network = queries.get_network(tx, new["id"])
    notices.tell(tx, cloud, "network.create", network)
    return network


def wanted_segment(values: dict[str, Any]) -> segments.Segment | None:
    """Takes the provider attributes out of `values`; None if there are none."""
    kind, physical, number = (
        values.pop(name, None) for name in ("network_type", "physical_network", "segmentation_id")
    )
    if kind is None:
        if physical is not None or number is not None:
            raise invalid("Invalid input for operation: provider:network_type required.")
        return None
    return segments.Segment(kind, physical, number)


def check_mtu(mtu: int, largest: int) -> int:
    if mtu > largest:
        raise invalid(f"Invalid input for operation: Requested MTU is too big, maximum is {largest}.")
    return mtu


def _check_only_default(tx: Tx, id: str) -> None:
    network = table_of(Network).c
    other = tx.scalar(select(network.id).where(network.is_default.is_(True), network.id != id))
    if other is not None:
        raise Conflict(
            f"A default external network already exists: {other}. Take its default away first.",
            kind="DefaultExternalNetworkExists",
        )


def update(tx: Tx, cloud: Cloud, network: Row[Any], values: dict[str, Any]) -> Row[Any]:
    if network.shared and values.get("shared") is False:
        _check_unsharing(tx, network)
    if network.router_external and values.get("router_external") is False:
        _check_not_gateway(tx, network)
    if values.get("is_default") and not network.is_default:
        _check_only_default(tx, network.id)
    if "mtu" in values:
        largest = segments.largest_mtu(cloud[NetworkOptions], network.network_type)
        values["mtu"] = check_mtu(values["mtu"] or largest, largest)
        for subnet in queries.subnets_of(tx, network.id):
            subnets.check_network_mtu(network.id, values["mtu"], subnet.ip_version)
    rows.change(tx, Network, network.id, **values)
    wants.publish_network(tx, cloud, network.id)
    if "mtu" in values and values["mtu"] != network.mtu:
        for router_id in router_wants.routers_of_network(tx, network.id):
            router_wants.publish_router(tx, cloud, router_id)
    now = queries.get_network(tx, network.id)
    notices.tell(tx, cloud, "network.update", now)
    return now


def _check_unsharing(tx: Tx, network: Row[Any]) -> None:
    port = table_of(Port).c
    strangers = tx.scalars(
        select(port.id)
        .where(
            port.network_id == network.id,
            port.project_id.not_in([network.project_id, ""]),
            port.device_owner.not_in([queries.ROUTER_GATEWAY, queries.FLOATING_IP, queries.DHCP]),
        )
        .limit(20)
    )
    if strangers:
        raise in_use(
            f"Unable to reconfigure sharing settings for network {network.id}. Multiple tenants are using it: ports "
            f"{listed(strangers)}.",
            "InvalidSharedSetting",
        )


def _check_not_gateway(tx: Tx, network: Row[Any]) -> None:
    used = tx.find(Router, gateway_network_id=network.id)
    if used is not None:
        raise in_use(
            f"External network {network.id} cannot be updated to be made non-external, since it has existing gateway "
            f"ports (router {used.id}).",
            "ExternalNetworkInUse",
        )


def delete(tx: Tx, cloud: Cloud, network: Row[Any]) -> None:
    """Remove the network with its subnets, DHCP port and unused floating IPs.

    Raises Conflict while anything else uses it.
    """
    floating_ips.delete_unused(tx, cloud, network.id)
    used_by = ports.ids_in_network(tx, network.id, queries.DHCP)
    if used_by:
        raise in_use(
            f"Unable to complete operation on network {network.id}. There are one or more ports still in use on the "
            f"network, id for these ports is {listed(used_by)}.",
            "NetworkInUse",
        )
    for port in tx.rows(select(table_of(Port)).where(table_of(Port).c.network_id == network.id)):
        ports.delete(tx, cloud, port)
    for subnet in queries.subnets_of(tx, network.id):
        subnets.remove_row(tx, cloud, subnet)
    segments.vacate(tx, network.id)
    tx.delete(Network, network.id)
    wants.publish_network(tx, cloud, network.id)
    notices.tell_deleted(tx, cloud, "network.delete", network)
