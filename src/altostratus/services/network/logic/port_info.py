# SPDX-License-Identifier: Apache-2.0
"""Ports as other services see them, in a constant number of queries."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Select, select

from altostratus.kernel.auth import Context
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.desired import HostRow
from altostratus.services.network.errors import missing
from altostratus.services.network.logic import queries, wants
from altostratus.services.network.models import FloatingIp, IpAllocation, Network, Port, SecurityGroup, Subnet

COMPUTE_OWNER = "compute:"


@dataclass(frozen=True, slots=True)
class PortInfo:
    """A port of a server.

    fixed_ips       (address, subnet id, IP version) triples
    floating_ips    fixed address -> floating address
    security_groups (id, name) pairs
    tap, netns      the device of the guest and the network namespace that has it (None: the host's own)
    network_label   the name under which servers show their addresses
    """

    id: str
    network_id: str
    network_name: str
    name: str
    mac: str
    fixed_ips: list[tuple[str, str, int]]
    floating_ips: dict[str, str]
    device_id: str
    device_owner: str
    status: str
    binding_host: str
    security_groups: list[tuple[str, str]]
    tap: str
    netns: str | None
    mtu: int
    network_label: str
    created_by_compute: bool
    vnic_type: str
    tags: list[str] = field(default_factory=list)
    project_id: str = ""
    port_security_enabled: bool = True
    network_type: str = ""


@dataclass(frozen=True, slots=True)
class SubnetInfo:
    """What guests must know of a subnet."""

    id: str
    network_id: str
    cidr: str
    ip_version: int
    gateway_ip: str | None
    enable_dhcp: bool
    dns_nameservers: list[str]
    host_routes: list[dict[str, str]]
    ipv6_ra_mode: str | None
    ipv6_address_mode: str | None


_port, _network = table_of(Port), table_of(Network)
_columns = (
    _port.c.id, _port.c.network_id, _port.c.name, _port.c.mac_address, _port.c.fixed_ips, _port.c.device_id,
    _port.c.device_owner, _port.c.status, _port.c.host_id, _port.c.security_groups, _port.c.created_by_compute,
    _port.c.vnic_type, _port.c.tags, _port.c.project_id, _port.c.port_security_enabled,
    _network.c.name.label("network_name"), _network.c.mtu, _network.c.network_type,
)  # fmt: skip
_ports: Select[Any] = (
    select(*_columns).join(_network, _network.c.id == _port.c.network_id).order_by(_port.c.created_at, _port.c.id)
)


def ports_of_servers(tx: Tx, server_ids: Iterable[str]) -> dict[str, list[PortInfo]]:
    """The ports of each server, oldest first; four queries however many servers."""
    wanted = list(server_ids)
    if not wanted:
        return {}
    rows = tx.rows(_ports.where(_port.c.device_id.in_(wanted)))
    found: dict[str, list[PortInfo]] = {}
    for info in _infos(tx, [row for row in rows if not row.device_owner.startswith("network:")]):
        found.setdefault(info.device_id, []).append(info)
    return found


def find_ports(tx: Tx, port_ids: Iterable[str]) -> dict[str, PortInfo]:
    """The ports that exist, by id."""
    wanted = list(port_ids)
    return {info.id: info for info in _infos(tx, tx.rows(_ports.where(_port.c.id.in_(wanted))))} if wanted else {}


def get_port(tx: Tx, ctx: Context, port_id: str) -> PortInfo:
    """Raises NotFound if there is no such port, or the caller cannot see it."""
    info = find_ports(tx, [port_id]).get(port_id)
    if info is None or not (ctx.is_admin or ctx.is_service or info.project_id == ctx.project_id):
        raise missing("port", port_id)
    return info


def find_subnets(tx: Tx, subnet_ids: Iterable[str]) -> dict[str, SubnetInfo]:
    return {
        id: SubnetInfo(
            id=id,
            network_id=row.network_id,
            cidr=row.cidr,
            ip_version=row.ip_version,
            gateway_ip=row.gateway_ip,
            enable_dhcp=row.enable_dhcp,
            dns_nameservers=list(row.dns_nameservers),
            host_routes=list(row.host_routes),
            ipv6_ra_mode=row.ipv6_ra_mode,
            ipv6_address_mode=row.ipv6_address_mode,
        )
        for id, row in queries.rows_by_id(tx, Subnet, subnet_ids).items()
    }


def _infos(tx: Tx, rows: Sequence[Row[Any]]) -> list[PortInfo]:
    if not rows:
        return []
    floating = _floating_ips(tx, [row.id for row in rows])
    names = _group_names(tx, {id for row in rows for id in row.security_groups})
    netns = _namespaces(tx) if any(row.host_id for row in rows) else {}
    return [
        PortInfo(
            id=row.id,
            network_id=row.network_id,
            network_name=row.network_name,
            name=row.name,
            mac=row.mac_address,
            fixed_ips=[
                (one["ip_address"], one["subnet_id"], 6 if ":" in one["ip_address"] else 4) for one in row.fixed_ips
            ],
            floating_ips=floating.get(row.id, {}),
            device_id=row.device_id,
            device_owner=row.device_owner,
            status=row.status,
            binding_host=row.host_id,
            security_groups=[(id, names.get(id, id)) for id in row.security_groups],
            tap=wants.tap_name(row.id),
            netns=netns.get(row.host_id),
            mtu=row.mtu,
            network_label=row.network_name,
            created_by_compute=row.created_by_compute,
            vnic_type=row.vnic_type,
            tags=row.tags,
            project_id=row.project_id,
            port_security_enabled=row.port_security_enabled,
            network_type=row.network_type,
        )
        for row in rows
    ]


def _floating_ips(tx: Tx, port_ids: list[str]) -> dict[str, dict[str, str]]:
    fip = table_of(FloatingIp).c
    found: dict[str, dict[str, str]] = {}
    for row in tx.rows(
        select(fip.port_id, fip.fixed_ip_address, fip.floating_ip_address).where(fip.port_id.in_(port_ids))
    ):
        found.setdefault(row.port_id, {})[row.fixed_ip_address] = row.floating_ip_address
    return found


def _group_names(tx: Tx, ids: set[str]) -> dict[str, str]:
    if not ids:
        return {}
    group = table_of(SecurityGroup).c
    return {row.id: row.name for row in tx.rows(select(group.id, group.name).where(group.id.in_(sorted(ids))))}


def _namespaces(tx: Tx) -> dict[str, str | None]:
    """Where each host's taps are, as its network agent says."""
    host = table_of(HostRow).c
    return {
        row.name: row.facts.get("network", {}).get("hypervisor_netns") for row in tx.rows(select(host.name, host.facts))
    }


def metadata_ports(tx: Tx, network_or_router_id: str, ip: str) -> str | None:
    """The server that asks for metadata with this address in a network, or through a router."""
    port, taken = table_of(Port).c, table_of(IpAllocation).c
    connected = select(port.network_id).where(
        port.device_id == network_or_router_id, port.device_owner == queries.ROUTER_INTERFACE
    )
    statement = (
        select(port.device_id)
        .join(table_of(IpAllocation), taken.port_id == port.id)
        .where(
            taken.ip_address == ip,
            (taken.network_id == network_or_router_id) | taken.network_id.in_(connected),
            port.device_owner.startswith(COMPUTE_OWNER),
        )
    )
    found: str | None = tx.scalar(statement)
    return found
