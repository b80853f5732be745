# SPDX-License-Identifier: Apache-2.0
"""Security groups, floating IPs and networks as plain data: what compute's old APIs (before 2.36) pass on.

Who may do it was asked by the caller; here only the project counts. Raises the errors of this service.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import or_, select

from altostratus.kernel.auth import Context
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import NotFound
from altostratus.services.network.errors import missing
from altostratus.services.network.logic import floating_ips, ports, queries, security_groups, security_rules, wants
from altostratus.services.network.models import FloatingIp, Network, Port, SecurityGroup, SecurityGroupRule


class RuleInfo(NamedTuple):
    """What a group lets in. `remote_group` is (name, project id) of the group that may send."""

    id: str
    group_id: str
    protocol: str | None
    port_min: int | None
    port_max: int | None
    remote_ip_prefix: str | None
    remote_group: tuple[str, str] | None


class GroupInfo(NamedTuple):
    """A security group with its rules for incoming traffic."""

    id: str
    name: str
    description: str
    project_id: str
    rules: list[RuleInfo]


class FloatingIpInfo(NamedTuple):
    """A floating IP; `server_id` if it leads to a server."""

    id: str
    address: str
    fixed_address: str | None
    network_name: str
    server_id: str | None


def _groups(tx: Tx, rows: Sequence[Row[Any]]) -> list[GroupInfo]:
    rule, group = table_of(SecurityGroupRule), table_of(SecurityGroup)
    found = tx.rows(
        select(rule, group.c.name, group.c.project_id.label("remote_project_id"))
        .select_from(rule.outerjoin(group, group.c.id == rule.c.remote_group_id))
        .where(rule.c.security_group_id.in_([row.id for row in rows]), rule.c.direction == "ingress")
        .order_by(rule.c.created_at, rule.c.id)
    )
    by_group: dict[str, list[RuleInfo]] = {}
    for row in found:
        remote = (row.name, row.remote_project_id) if row.remote_group_id else None
        by_group.setdefault(row.security_group_id, []).append(
            RuleInfo(
                row.id, row.security_group_id, row.protocol, row.port_range_min, row.port_range_max,
                row.remote_ip_prefix, remote,
            )
        )  # fmt: skip
    return [GroupInfo(row.id, row.name, row.description, row.project_id, by_group.get(row.id, [])) for row in rows]


def _group_row(tx: Tx, ctx: Context, group_id: str) -> Row[Any]:
    row = tx.find(SecurityGroup, group_id)
    if row is None or not (ctx.is_admin or row.project_id == ctx.project_id):
        raise missing("security group", group_id)
    return row


def list_security_groups(tx: Tx, cloud: Cloud, project_id: str | None) -> list[GroupInfo]:
    """Groups of the project, whose default one is made if there is none; without project of all."""
    table = table_of(SecurityGroup)
    statement = select(table).order_by(table.c.project_id, table.c.name, table.c.id)
    if project_id is not None:
        security_groups.ensure_default(tx, cloud, project_id)
        statement = statement.where(table.c.project_id == project_id)
    return _groups(tx, tx.rows(statement))


def get_security_group(tx: Tx, ctx: Context, group_id: str) -> GroupInfo:
    return _groups(tx, [_group_row(tx, ctx, group_id)])[0]


def create_security_group(tx: Tx, cloud: Cloud, project_id: str, values: dict[str, Any]) -> GroupInfo:
    """`values`: name, description. Raises Conflict or OverQuota."""
    return _groups(tx, [security_groups.create(tx, cloud, project_id, {"stateful": True, **values})])[0]


def update_security_group(tx: Tx, cloud: Cloud, ctx: Context, group_id: str, values: dict[str, Any]) -> GroupInfo:
    return _groups(tx, [security_groups.update(tx, cloud, _group_row(tx, ctx, group_id), values)])[0]


def delete_security_group(tx: Tx, cloud: Cloud, ctx: Context, group_id: str) -> None:
    """Raises Conflict for the default group and one that ports use."""
    security_groups.delete(tx, cloud, _group_row(tx, ctx, group_id), ctx)


def add_security_group_rule(tx: Tx, cloud: Cloud, ctx: Context, group_id: str, values: dict[str, Any]) -> RuleInfo:
    """Let something in; `values` are columns. Raises BadRequest, Conflict or OverQuota."""
    group = _group_row(tx, ctx, group_id)
    remote = values.get("remote_group_id")
    if remote:
        security_groups.check_usable(tx, [remote], group.project_id, is_admin=ctx.is_admin)
    made = security_rules.create(
        tx, cloud, group, group.project_id, {"description": "", "direction": "ingress", **values}
    )
    wants.publish_group(tx, cloud, group.id)
    return next(rule for rule in _groups(tx, [group])[0].rules if rule.id == made.id)


def remove_security_group_rule(tx: Tx, cloud: Cloud, ctx: Context, rule_id: str) -> None:
    rule = tx.find(SecurityGroupRule, rule_id)
    if rule is None or not (ctx.is_admin or rule.project_id == ctx.project_id):
        raise missing("security group rule", rule_id)
    security_rules.delete(tx, cloud, rule)


def _fips(tx: Tx, ctx: Context, *conditions: Any) -> list[FloatingIpInfo]:
    """Floating IPs of the caller's project; an administrator finds others by id or address, but lists his own."""
    fip, port, network = table_of(FloatingIp), table_of(Port), table_of(Network)
    statement = (
        select(
            fip.c.id, fip.c.floating_ip_address, fip.c.fixed_ip_address, network.c.name, port.c.device_id,
            port.c.device_owner,
        )
        .select_from(
            fip.join(network, network.c.id == fip.c.floating_network_id).outerjoin(port, port.c.id == fip.c.port_id)
        )
        .where(*conditions)
        .order_by(fip.c.created_at, fip.c.id)
    )  # fmt: skip
    if not (conditions and ctx.is_admin):
        statement = statement.where(fip.c.project_id == ctx.project_id)
    return [
        FloatingIpInfo(
            row.id, row.floating_ip_address, row.fixed_ip_address, row.name,
            row.device_id if (row.device_owner or "").startswith("compute:") else None,
        )
        for row in tx.rows(statement)
    ]  # fmt: skip


def list_floating_ips(tx: Tx, ctx: Context) -> list[FloatingIpInfo]:
    return _fips(tx, ctx)


def get_floating_ip(tx: Tx, ctx: Context, fip_id: str) -> FloatingIpInfo:
    for found in _fips(tx, ctx, table_of(FloatingIp).c.id == fip_id):
        return found
    raise missing("floating IP", fip_id)


def floating_ip_of_address(tx: Tx, ctx: Context, address: str) -> FloatingIpInfo:
    for found in _fips(tx, ctx, table_of(FloatingIp).c.floating_ip_address == address):
        return found
    raise NotFound(f"Floating IP {address} could not be found.", kind="FloatingIPNotFound")


def list_pools(tx: Tx) -> list[Row[Any]]:
    """External networks: rows of (id, name)."""
    network = table_of(Network).c
    return tx.rows(
        select(network.id, network.name).where(network.router_external.is_(True)).order_by(network.name, network.id)
    )


def allocate_floating_ip(tx: Tx, cloud: Cloud, ctx: Context, pool: str | None) -> FloatingIpInfo:
    """From the external network of this name or id, or the first. Raises NotFound or OverQuota."""
    matching = [row.id for row in list_pools(tx) if pool is None or pool in (row.id, row.name)]
    if not matching:
        raise NotFound(f"Floating IP pool {pool or ''} not found: use the name of an external network.")
    network = queries.get_network(tx, matching[0])
    made = floating_ips.create(tx, cloud, str(ctx.project_id), network, {}, None)
    return get_floating_ip(tx, ctx, made.id)


def release_floating_ip(tx: Tx, cloud: Cloud, ctx: Context, fip_id: str) -> None:
    get_floating_ip(tx, ctx, fip_id)
    floating_ips.delete(tx, cloud, queries.get_floating_ip(tx, fip_id))


def lead_floating_ip(
    tx: Tx, cloud: Cloud, found: FloatingIpInfo, port_id: str | None, fixed_address: str | None = None
) -> None:
    """To a port, or nowhere. Raises BadRequest, Conflict or NotFound."""
    fip = queries.get_floating_ip(tx, found.id)
    if port_id is None:
        floating_ips.dissociate(tx, cloud, fip)
    else:
        floating_ips.associate(tx, cloud, fip, queries.get_port(tx, port_id), fixed_address)


def add_fixed_ip(tx: Tx, cloud: Cloud, port_id: str) -> None:
    """Another address of the port's network. Raises Conflict when there is none left, BadRequest."""
    port = queries.get_port(tx, port_id)
    subnets = queries.subnets_of(tx, port.network_id)
    used = [{"subnet_id": one["subnet_id"], "ip_address": one["ip_address"]} for one in port.fixed_ips]
    wanted = [*used, *({"subnet_id": subnet.id} for subnet in subnets[:1])]
    ports.update(tx, cloud, port, {"fixed_ips": wanted})


def remove_fixed_ip(tx: Tx, cloud: Cloud, port_id: str, address: str) -> None:
    """Raises Conflict or BadRequest while something needs the address."""
    port = queries.get_port(tx, port_id)
    kept = [
        {"subnet_id": one["subnet_id"], "ip_address": one["ip_address"]}
        for one in port.fixed_ips
        if one["ip_address"] != address
    ]
    ports.update(tx, cloud, port, {"fixed_ips": kept})


def list_networks(tx: Tx, ctx: Context, ids: Iterable[str] | None = None) -> list[Row[Any]]:
    """Networks that servers of the project can use: rows of (id, name)."""
    network = table_of(Network).c
    statement = select(network.id, network.name).order_by(network.created_at, network.id)
    if ids is not None:
        statement = statement.where(network.id.in_(list(ids)))
    if not ctx.is_admin:
        mine = network.project_id == ctx.project_id
        statement = statement.where(or_(mine, network.shared.is_(True), network.router_external.is_(True)))
    return tx.rows(statement)
