# SPDX-License-Identifier: Apache-2.0
"""What lists of servers show of their ports: the least that is needed, because lists are long."""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import bindparam, select

from altostratus.kernel.db import Tx, table_of
from altostratus.services.network.models import FloatingIp, Network, Port, SecurityGroup

_port, _network, _fip, _group = table_of(Port), table_of(Network), table_of(FloatingIp), table_of(SecurityGroup)


class PortView(NamedTuple):
    """A port as a server shows it; the members are those of `PortInfo`."""

    id: str
    mac: str
    network_name: str
    fixed_ips: list[tuple[str, str, int]]
    floating_ips: dict[str, str]
    security_groups: list[tuple[str, str]]


_ports = (
    select(
        _port.c.id,
        _port.c.device_id,
        _port.c.mac_address,
        _port.c.fixed_ips,
        _port.c.security_groups,
        _network.c.name.label("network_name"),
    )
    .join(_network, _network.c.id == _port.c.network_id)
    .where(_port.c.device_id.in_(bindparam("servers", expanding=True)), _port.c.device_owner.not_like("network:%"))
    .order_by(_port.c.created_at, _port.c.id)
)
_floating = (
    select(_fip.c.port_id, _fip.c.fixed_ip_address, _fip.c.floating_ip_address)
    .join(_port, _port.c.id == _fip.c.port_id)
    .where(_port.c.device_id.in_(bindparam("servers", expanding=True)))
)
_groups = select(_group.c.id, _group.c.name).where(_group.c.id.in_(bindparam("groups", expanding=True)))


def port_views(tx: Tx, server_ids: Iterable[str]) -> dict[str, list[PortView]]:
    """The ports of each server, oldest first; three queries however many servers."""
    wanted = {"servers": list(server_ids)}
    if not wanted["servers"]:
        return {}
    rows = tx.execute(_ports, wanted).fetchall()
    if not rows:
        return {}
    floating: dict[str, dict[str, str]] = {}
    for one in tx.execute(_floating, wanted).fetchall():
        floating.setdefault(one.port_id, {})[one.fixed_ip_address] = one.floating_ip_address
    names: dict[str, tuple[str, str]] = {}
    ids = {group_id for row in rows for group_id in row.security_groups}
    if ids:
        names = {one.id: (one.id, one.name) for one in tx.execute(_groups, {"groups": sorted(ids)}).fetchall()}
    found: dict[str, list[PortView]] = {}
    for row in rows:
        view = PortView(
            row.id,
            row.mac_address,
            row.network_name,
            [(one["ip_address"], one["subnet_id"], 6 if ":" in one["ip_address"] else 4) for one in row.fixed_ips],
            floating.get(row.id, {}),
            [names[group_id] for group_id in row.security_groups if group_id in names],
        )
        found.setdefault(row.device_id, []).append(view)
    return found
