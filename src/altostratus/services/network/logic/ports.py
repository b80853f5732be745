# SPDX-License-Identifier: Apache-2.0
"""Making, changing and removing ports. Nobody else writes their rows, addresses and group members."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import Conflict
from altostratus.services.network.config import NetworkOptions
from altostratus.services.network.errors import in_use, invalid
from altostratus.services.network.logic import (
    addresses,
    associations,
    dhcp,
    notices,
    port_addresses,
    queries,
    quotas,
    router_wants,
    rows,
    security_groups,
    wants,
)
from altostratus.services.network.models import IpAllocation, Port, PortSecurityGroup, Quarantine


def create(
    tx: Tx,
    cloud: Cloud,
    network: Row[Any],
    project_id: str,
    values: dict[str, Any],
    *,
    limited: bool = True,
) -> Row[Any]:
    """A new port. `values` are columns of the port, already allowed and of the right form; absent
    `fixed_ips`, `security_groups`, `mac_address` and `port_security_enabled` mean "choose for me".
    `limited` False: quota does not count (the service's own ports).
    Raises BadRequest, Conflict or OverQuota.
    """
    if limited:
        quotas.demand(tx, cloud, project_id, {"port": 1})
    values = {name: value for name, value in values.items() if value is not None}
    service_port = values.get("device_owner", "").startswith("network:")
    mac = _mac(tx, cloud, network.id, values.pop("mac_address", None))
    subnets = queries.subnets_of(tx, network.id)
    if not service_port and dhcp.ensure_port(tx, cloud, network, subnets):
        subnets = queries.subnets_of(tx, network.id)
    wanted = values.pop("fixed_ips", None)
    assignment = port_addresses.Assignment(tx, network.id, subnets, values.get("device_owner", ""), mac)
    assignment.plan(wanted)
    if wanted is None or wanted:
        assignment.plan_automatic()
    secure = values.get("port_security_enabled", network.port_security_enabled and not service_port)
    groups = values.pop("security_groups", None)
    if groups is None:
        groups = [security_groups.ensure_default(tx, cloud, project_id)] if secure and not service_port else []
    values |= {"port_security_enabled": secure, "security_groups": groups}
    check_security(values)
    values["quarantined"] = _is_quarantined(tx, {}, values)
    new = {**rows.begin(project_id), "network_id": network.id, "mac_address": mac, **values}
    tx.insert(Port, **new, fixed_ips=assignment.fixed_ips())
    assignment.record(new["id"])
    _write_groups(tx, new["id"], groups)
    port = queries.get_port(tx, new["id"])
    wants.publish_port(tx, cloud, port, subnets)
    notices.tell(tx, cloud, "port.create", port)
    return port


def _mac(tx: Tx, cloud: Cloud, network_id: str, wanted: str | None) -> str:
    if wanted is None:
        return addresses.new_mac(tx, network_id, cloud[NetworkOptions].base_mac)
    mac = addresses.check_mac(wanted)
    if addresses.is_mac_taken(tx, network_id, mac):
        raise Conflict(
            f"Unable to complete operation for network {network_id}. The mac address {mac} is in use.",
            kind="MacAddressInUse",
        )
    return mac


def _write_groups(tx: Tx, port_id: str, groups: Sequence[str]) -> None:
    tx.insert_many(PortSecurityGroup, [{"port_id": port_id, "security_group_id": group} for group in groups])


def check_security(values: dict[str, Any]) -> None:
    """Raises when port security is off and something needs it. `values` is the port as it would be."""
    if values.get("port_security_enabled", True):
        return
    if values.get("security_groups"):
        raise invalid(
            "Port security must be enabled and port must have an IP address in order to use security groups.",
            "PortSecurityAndIPRequiredForSecurityGroups",
        )
    if values.get("allowed_address_pairs"):
        raise Conflict(
            "Port Security must be enabled in order to have allowed address pairs on a port.",
            kind="AddressPairAndPortSecurityRequired",
        )


def update(tx: Tx, cloud: Cloud, port: Row[Any], values: dict[str, Any]) -> Row[Any]:
    """Change the port. `values` are columns; `fixed_ips` as requested, `security_groups` as ids."""
    after = {**port._mapping, **values}
    if not after["port_security_enabled"] and port.port_security_enabled and after["security_groups"]:
        raise Conflict(
            "Port has security group associated. Cannot disable port security or IP address until security group is "
            "removed.",
            kind="PortSecurityPortHasSecurityGroup",
        )
    check_security(after)
    subnets = queries.subnets_of(tx, port.network_id)
    if "mac_address" in values:
        values["mac_address"] = _new_mac(tx, cloud, port, values["mac_address"])
    if "fixed_ips" in values:
        values["fixed_ips"] = port_addresses.reassign(
            tx, port, subnets, values["fixed_ips"] or [], after["device_owner"]
        )
    if "security_groups" in values:
        member = table_of(PortSecurityGroup).c
        tx.delete_where(PortSecurityGroup, member.port_id == port.id)
        _write_groups(tx, port.id, values["security_groups"])
    if "host_id" in values:
        values["host_id"] = values["host_id"] or ""
        if port.host_id and values["host_id"] != port.host_id:
            wants.retract_port(tx, cloud, port)
        if not values["host_id"]:
            values["status"] = "DOWN"
    if not values.keys().isdisjoint(("device_id", "host_id")):
        values.setdefault("quarantined", _is_quarantined(tx, {**port._mapping}, {**port._mapping, **values}))
    rows.change(tx, Port, port.id, **values)
    now = queries.get_port(tx, port.id)
    _after_change(tx, cloud, port, now, subnets)
    notices.tell(tx, cloud, "port.update", now)
    return now


def _is_quarantined(tx: Tx, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Does the port drop all traffic? One that is plugged stays shut, even if its owner gives it another device."""
    if after.get("device_owner", "").startswith("network:"):
        return False
    if before.get("quarantined") and after.get("host_id"):
        return True
    device_id = after.get("device_id")
    return bool(device_id) and tx.find(Quarantine, device_id) is not None


def _new_mac(tx: Tx, cloud: Cloud, port: Row[Any], wanted: str | None) -> str:
    if wanted is not None and addresses.check_mac(wanted) == port.mac_address:
        return str(port.mac_address)
    if wanted is not None and port.host_id and port.device_owner.startswith("compute:") and port.status == "ACTIVE":
        raise in_use(
            f"Unable to complete operation on port {port.id}, port is already bound, port type: bridge, old_mac "
            f"{port.mac_address}, new_mac {wanted}. Detach it first.",
            "PortBound",
        )
    return _mac(tx, cloud, port.network_id, wanted)


def _after_change(tx: Tx, cloud: Cloud, before: Row[Any], now: Row[Any], subnets: Sequence[Row[Any]]) -> None:
    wants.publish_port(tx, cloud, now, subnets)
    if now.device_owner == queries.DHCP:
        wants.publish_network(tx, cloud, now.network_id)
    lost = {one["ip_address"] for one in before.fixed_ips} - {one["ip_address"] for one in now.fixed_ips}
    if lost:
        associations.forget_port(tx, cloud, now.id, lost)
    if now.device_owner in queries.ROUTER_PORTS:
        router_wants.publish_router(tx, cloud, now.device_id)


def delete(tx: Tx, cloud: Cloud, port: Row[Any]) -> None:
    """Remove the port with its addresses; floating IPs that led to it are free again."""
    associations.forget_port(tx, cloud, port.id, None)
    wants.retract_port(tx, cloud, port)
    taken, member = table_of(IpAllocation).c, table_of(PortSecurityGroup).c
    tx.delete_where(IpAllocation, taken.port_id == port.id)
    tx.delete_where(PortSecurityGroup, member.port_id == port.id)
    tx.delete(Port, port.id)
    notices.tell_deleted(tx, cloud, "port.delete", port)


def check_deletable(port: Row[Any]) -> None:
    """Raises ServicePortInUse for ports that live and die with something else."""
    if port.device_owner in (*queries.ROUTER_PORTS, queries.FLOATING_IP):
        raise in_use(
            f"Port {port.id} cannot be deleted directly via the port API: has device owner {port.device_owner}. "
            "Remove the router interface, gateway or floating IP instead.",
            "ServicePortInUse",
        )


def ids_in_network(tx: Tx, network_id: str, *without_owners: str) -> list[str]:
    port = table_of(Port).c
    return tx.scalars(
        select(port.id).where(port.network_id == network_id, port.device_owner.not_in(without_owners)).limit(20)
    )
