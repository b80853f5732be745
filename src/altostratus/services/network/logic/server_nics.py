# SPDX-License-Identifier: Apache-2.0
"""Ports for servers: what a request may ask for, binding, and giving back."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import or_, select

from altostratus.kernel.auth import Context
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.desired import Want
from altostratus.kernel.errors import BadRequest, Conflict, Forbidden, NotFound
from altostratus.services.network.logic import (
    addresses,
    port_info,
    port_options,
    ports,
    queries,
    rows,
    security_groups,
    wants,
)
from altostratus.services.network.logic.port_info import COMPUTE_OWNER, PortInfo
from altostratus.services.network.models import Network, Port, Subnet


@dataclass(frozen=True, slots=True)
class RequestedNic:
    """One network card somebody asks for: an existing port, or a new one in a network."""

    port_id: str | None = None
    network_id: str | None = None
    fixed_ip: str | None = None
    tag: str | None = None


def validate_requested(
    tx: Tx, ctx: Context, requested: Sequence[RequestedNic] | Literal["auto", "none"] | None
) -> list[RequestedNic]:
    """The cards a new server gets. None and "auto": one in the project's only network.

    Raises BadRequest, Forbidden or Conflict, with the codes that compute answers.
    """
    if requested == "none":
        return []
    if requested is None or requested == "auto":
        return _only_network(tx, ctx, must=requested is not None)
    networks = queries.rows_by_id(tx, Network, [nic.network_id for nic in requested])
    found_ports = queries.rows_by_id(tx, Port, [nic.port_id for nic in requested])
    with_subnets = _networks_with_subnets(tx, networks)
    for nic in requested:
        if nic.port_id is not None:
            _check_port(ctx, nic.port_id, found_ports.get(nic.port_id))
        else:
            _check_network(tx, ctx, nic, networks.get(nic.network_id or ""), with_subnets)
    seen = [nic.port_id for nic in requested if nic.port_id]
    if len(seen) != len(set(seen)):
        raise BadRequest("The same port is given more than once.", kind="NetworkDuplicated")
    return list(requested)


def _only_network(tx: Tx, ctx: Context, *, must: bool) -> list[RequestedNic]:
    network = table_of(Network).c
    own = (network.project_id == ctx.project_id) & network.router_external.is_(False)
    ids = tx.scalars(select(network.id).where(or_(own, network.shared.is_(True))).order_by(network.id).limit(2))
    usable = [id for id in ids if id in _networks_with_subnets(tx, ids)] if len(ids) == 1 else ids
    if len(usable) > 1:
        raise Conflict(
            "Multiple possible networks found, use a Network ID to be more specific.", kind="NetworkAmbiguous"
        )
    if not usable and must:
        raise BadRequest(
            "No network could be chosen: the project has none with a subnet, and none is shared. Create one, or ask "
            "for no network with 'none'.",
            kind="UnableToAutoAllocateNetwork",
        )
    return [RequestedNic(network_id=id) for id in usable]


def _networks_with_subnets(tx: Tx, ids: Iterable[str]) -> set[str]:
    subnet = table_of(Subnet).c
    wanted = list(ids)
    return (
        set(tx.scalars(select(subnet.network_id).where(subnet.network_id.in_(wanted)).distinct())) if wanted else set()
    )


def _check_port(ctx: Context, port_id: str, port: Row[Any] | None) -> None:
    if port is None or not (ctx.is_admin or port.project_id == ctx.project_id):
        raise BadRequest(f"Port id {port_id} could not be found.", kind="PortNotFound")
    if port.device_id:
        raise Conflict(f"Port {port_id} is still in use.", kind="PortInUse")
    if not port.fixed_ips:
        raise BadRequest(f"Port {port_id} requires a FixedIP in order to be used.", kind="PortRequiresFixedIP")


def _check_network(tx: Tx, ctx: Context, nic: RequestedNic, network: Row[Any] | None, with_subnets: set[str]) -> None:
    if network is None or not queries.sees_network(ctx, network):
        raise BadRequest(f"Network {nic.network_id} could not be found.", kind="NetworkNotFound")
    if network.router_external and not network.shared and not ctx.is_admin:
        raise Forbidden(
            f"It is not allowed to create an interface on external network {network.id}.",
            kind="ExternalNetworkAttachForbidden",
        )
    if network.id not in with_subnets:
        raise BadRequest(
            f"Network {network.id} requires a subnet in order to boot instances on.", kind="NetworkRequiresSubnet"
        )
    if nic.fixed_ip is None:
        return
    try:
        subnet = addresses.subnet_of_address(queries.subnets_of(tx, network.id), nic.fixed_ip)
    except ValueError:
        raise BadRequest(f"Invalid fixed IP Address {nic.fixed_ip}.", kind="InvalidInput") from None
    if subnet is None:
        raise BadRequest(
            f"Fixed IP {nic.fixed_ip} is not a valid ip address for network {network.id}.",
            kind="FixedIpInvalidForNetwork",
        )
    if addresses.is_taken(tx, subnet.id, nic.fixed_ip):
        raise BadRequest(
            f"Fixed IP address {nic.fixed_ip} is already in use in network {network.id}.", kind="FixedIpAlreadyInUse"
        )


def create_or_bind_ports(
    tx: Tx,
    cloud: Cloud,
    ctx_project_id: str,
    ctx_user_id: str,
    *,
    server_id: str,
    server_name: str,
    host: str,
    availability_zone: str,
    requested: Sequence[RequestedNic],
    security_groups: Sequence[str],
) -> list[PortInfo]:
    """Give the server its ports, bound to `host`, in the order of `requested`.

    `security_groups` are names or ids, for new ports only (empty: the default group).
    Raises NotFound, Conflict, BadRequest or OverQuota.
    """
    binding: dict[str, Any] = {
        "device_id": server_id,
        "device_owner": COMPUTE_OWNER + availability_zone,
        "host_id": host,
        "dns_name": _dns_name(server_name),
    }
    made: list[str] = []
    group_ids: list[str] | None = None
    for nic in requested:
        if nic.port_id is not None:
            port = queries.get_port(tx, nic.port_id)
            _bind(tx, cloud, port, server_id, binding)
            made.append(port.id)
            continue
        network = queries.get_network(tx, nic.network_id or "")
        if group_ids is None:
            group_ids = groups_for(tx, cloud, ctx_project_id, security_groups)
        values = {
            **binding,
            "created_by_compute": True,
            "fixed_ips": [{"ip_address": nic.fixed_ip}] if nic.fixed_ip else None,
            "security_groups": group_ids if network.port_security_enabled else [],
        }
        made.append(ports.create(tx, cloud, network, ctx_project_id, values).id)
    infos = port_info.find_ports(tx, made)
    return [infos[id] for id in made]


def groups_for(tx: Tx, cloud: Cloud, project_id: str, names: Sequence[str]) -> list[str]:
    return security_groups.resolve(tx, cloud, project_id, names)


def _dns_name(server_name: str) -> str:
    try:
        return port_options.check_dns_name(server_name)
    except BadRequest:
        return ""


def _bind(tx: Tx, cloud: Cloud, port: Row[Any], server_id: str, values: dict[str, Any]) -> None:
    if port.device_id not in ("", server_id):
        raise Conflict(f"Port {port.id} is still in use by {port.device_id}.", kind="PortInUse")
    ports.update(tx, cloud, port, {**values, "dns_name": port.dns_name or values["dns_name"]})


def port_wants(tx: Tx, cloud: Cloud, port_ids: Iterable[str], host: str) -> list[Want]:
    """What the host must have plugged for these ports: for a job to wait on."""
    return _wants_on(tx, port_ids, host, plugged=True)


def unplug_wants(tx: Tx, cloud: Cloud, port_ids: Iterable[str], host: str) -> list[Want]:
    """The same ports without their taps; their addresses stay reserved. Ports that are gone: nothing."""
    return _wants_on(tx, port_ids, host, plugged=False)


def _wants_on(tx: Tx, port_ids: Iterable[str], host: str, *, plugged: bool) -> list[Want]:
    wanted = list(port_ids)
    found = queries.rows_by_id(tx, Port, wanted)
    subnets = queries.rows_by_id(tx, Subnet, [one["subnet_id"] for port in found.values() for one in port.fixed_ips])
    wants_: list[Want] = []
    for id in wanted:
        port = found.get(id)
        if port is not None:
            wants_.append(Want("port", id, host, wants.port_spec(port, subnets, plugged=plugged)))
        elif not plugged:
            wants_.append(Want("port", id, host, None))
    return wants_


def release_ports(tx: Tx, cloud: Cloud, server_id: str) -> None:
    """Delete the ports that were made for the server, and free the others."""
    for port in queries.ports_of_device(tx, server_id):
        _release(tx, cloud, port)


def detach_port(tx: Tx, cloud: Cloud, port_id: str) -> None:
    """The same for one port; nothing if it is gone."""
    port = tx.find(Port, port_id)
    if port is not None:
        _release(tx, cloud, port)


def _release(tx: Tx, cloud: Cloud, port: Row[Any]) -> None:
    if port.device_owner.startswith("network:"):
        return
    if port.created_by_compute:
        ports.delete(tx, cloud, port)
        return
    values = {"device_id": "", "device_owner": "", "host_id": "", "status": "DOWN"}
    ports.update(tx, cloud, port, values)


def set_ports_status(tx: Tx, port_ids: Iterable[str], status: Literal["ACTIVE", "DOWN"]) -> None:
    port = table_of(Port).c
    wanted = list(port_ids)
    if wanted:
        rows.change_where(tx, Port, port.id.in_(wanted), port.status != status, status=status)


# --- security groups of servers --------------------------------------------------------------------------


def _server_ports(tx: Tx, server_id: str) -> list[Row[Any]]:
    return [port for port in queries.ports_of_device(tx, server_id) if not port.device_owner.startswith("network:")]


def add_security_group(tx: Tx, cloud: Cloud, ctx: Context, server_id: str, name_or_id: str) -> None:
    """Put all ports of the server into the group. Raises NotFound, Conflict, BadRequest."""
    group_id = groups_for(tx, cloud, ctx.project_id or "", [name_or_id])[0]
    found = _server_ports(tx, server_id)
    if not found:
        raise BadRequest(f"Server {server_id} has no port that a security group could be added to.")
    for port in found:
        if port.port_security_enabled and port.fixed_ips and group_id not in port.security_groups:
            ports.update(tx, cloud, port, {"security_groups": [*port.security_groups, group_id]})


def remove_security_group(tx: Tx, cloud: Cloud, ctx: Context, server_id: str, name_or_id: str) -> None:
    """Take all ports of the server out of the group. Raises NotFound if none is in it."""
    group_id = groups_for(tx, cloud, ctx.project_id or "", [name_or_id])[0]
    holding = [port for port in _server_ports(tx, server_id) if group_id in port.security_groups]
    if not holding:
        raise NotFound(
            f"Security group {name_or_id} not associated with the instance {server_id}.",
            kind="SecurityGroupNotFoundForInstance",
        )
    for port in holding:
        left = [id for id in port.security_groups if id != group_id]
        ports.update(tx, cloud, port, {"security_groups": left})


def security_groups_of_servers(tx: Tx, server_ids: Iterable[str]) -> dict[str, list[tuple[str, str]]]:
    """(id, name) pairs of each server's groups, each once."""
    return {
        server_id: list(dict.fromkeys(group for port in infos for group in port.security_groups))
        for server_id, infos in port_info.ports_of_servers(tx, server_ids).items()
    }
