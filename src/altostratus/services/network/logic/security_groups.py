# SPDX-License-Identifier: Apache-2.0
"""Security groups: the default one of every project, and who uses which."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import bindparam, or_, select

from altostratus.kernel.auth import Context
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import Conflict
from altostratus.services.network.errors import in_use, listed, missing
from altostratus.services.network.logic import notices, queries, quotas, rows, wants
from altostratus.services.network.models import PortSecurityGroup, SecurityGroup, SecurityGroupRule

DEFAULT = "default"

_group = table_of(SecurityGroup).c
_DEFAULT_GROUP = select(_group.id).where(_group.project_id == bindparam("project"), _group.is_default.is_(True))


def _rule(group: dict[str, Any], direction: str, ethertype: str, remote_group_id: str | None) -> dict[str, Any]:
    return {
        **rows.begin(group["project_id"]),
        "description": "",
        "security_group_id": group["id"],
        "direction": direction,
        "ethertype": ethertype,
        "protocol": None,
        "port_range_min": None,
        "port_range_max": None,
        "remote_ip_prefix": None,
        "remote_group_id": remote_group_id,
    }


def _insert(tx: Tx, cloud: Cloud, project_id: str, values: dict[str, Any]) -> Row[Any]:
    """A group with upstream's first rules: all egress; the default group also lets its members in."""
    group = {**rows.begin(project_id), **values}
    tx.insert(SecurityGroup, **group)
    rules = [_rule(group, "egress", ethertype, None) for ethertype in ("IPv4", "IPv6")]
    if group.get("is_default"):
        rules += [_rule(group, "ingress", ethertype, group["id"]) for ethertype in ("IPv4", "IPv6")]
    tx.insert_many(SecurityGroupRule, rules)
    wants.publish_group(tx, cloud, group["id"])
    return queries.get_group(tx, group["id"])


def create(tx: Tx, cloud: Cloud, project_id: str, values: dict[str, Any]) -> Row[Any]:
    """A new group. Raises Conflict for the name "default", OverQuota."""
    if values.get("name", "").lower() == DEFAULT:
        raise Conflict("Default security group already exists.", kind="SecurityGroupDefaultAlreadyExists")
    ensure_default(tx, cloud, project_id)
    quotas.demand(tx, cloud, project_id, {"security_group": 1, "security_group_rule": 2})
    row = _insert(tx, cloud, project_id, values)
    notices.tell(tx, cloud, "security_group.create", row)
    return row


def find_default(tx: Tx, project_id: str) -> str | None:
    found: str | None = tx.scalar(_DEFAULT_GROUP, {"project": project_id})
    return found


def ensure_default(tx: Tx, cloud: Cloud, project_id: str) -> str:
    """Id of the project's default group, which is made when first needed. Quota does not stop it."""
    found = find_default(tx, project_id)
    if found is not None:
        return found
    values = {"name": DEFAULT, "description": "Default security group", "is_default": True}
    return str(_insert(tx, cloud, project_id, values).id)


def update(tx: Tx, cloud: Cloud, group: Row[Any], values: dict[str, Any]) -> Row[Any]:
    if group.is_default and values.get("name", group.name) != group.name:
        raise Conflict(
            "Updating default security group not allowed: its name stays.", kind="SecurityGroupCannotUpdateDefault"
        )
    if not group.is_default and values.get("name", "").lower() == DEFAULT:
        raise Conflict("Default security group already exists.", kind="SecurityGroupDefaultAlreadyExists")
    if "stateful" in values and values["stateful"] != group.stateful and users_of(tx, group.id):
        raise in_use(
            f"Security Group {group.id} cannot change whether it is stateful while ports use it.", "SecurityGroupInUse"
        )
    rows.change(tx, SecurityGroup, group.id, **values)
    if "stateful" in values:
        wants.publish_group(tx, cloud, group.id)
    row = queries.get_group(tx, group.id)
    notices.tell(tx, cloud, "security_group.update", row)
    return row


def delete(tx: Tx, cloud: Cloud, group: Row[Any], ctx: Context) -> None:
    if group.is_default and not ctx.is_admin:
        raise Conflict(
            "Insufficient rights for removing default security group: only an administrator can.",
            kind="SecurityGroupCannotRemoveDefault",
        )
    used_by = users_of(tx, group.id)
    if used_by:
        raise in_use(f"Security Group {group.id} in use by ports {listed(used_by)}.", "SecurityGroupInUse")
    rule = table_of(SecurityGroupRule).c
    others = tx.scalars(
        select(rule.security_group_id).where(rule.remote_group_id == group.id, rule.security_group_id != group.id)
    )
    tx.delete_where(SecurityGroupRule, or_(rule.security_group_id == group.id, rule.remote_group_id == group.id))
    tx.delete(SecurityGroup, group.id)
    for other in sorted(set(others)):
        wants.publish_group(tx, cloud, other)
    wants.publish_group(tx, cloud, group.id)
    notices.tell_deleted(tx, cloud, "security_group.delete", group)


def users_of(tx: Tx, group_id: str) -> list[str]:
    """Ids of the ports that are in the group."""
    used = table_of(PortSecurityGroup).c
    return tx.scalars(select(used.port_id).where(used.security_group_id == group_id).limit(20))


def check_usable(tx: Tx, group_ids: Iterable[str], project_id: str, *, is_admin: bool) -> list[str]:
    """The ids without repetition; raises NotFound for a group that ports of the project cannot use."""
    wanted = list(dict.fromkeys(group_ids))
    found = queries.rows_by_id(tx, SecurityGroup, wanted)
    for id in wanted:
        if id not in found or not (is_admin or found[id].project_id == project_id):
            raise missing("security group", id)
    if len({group.stateful for group in found.values()}) > 1:
        raise Conflict(
            "Cannot apply both stateful and stateless security groups on the same port at the same time.",
            kind="SecurityGroupConflict",
        )
    return wanted


def resolve(tx: Tx, cloud: Cloud, project_id: str, names: Iterable[str]) -> list[str]:
    """Names or ids of the project's groups to ids. Raises NotFound, or Conflict for an ambiguous name."""
    wanted = list(dict.fromkeys(names))
    if not wanted or DEFAULT in wanted:
        ensure_default(tx, cloud, project_id)
    if not wanted:
        wanted = [DEFAULT]
    group = table_of(SecurityGroup).c
    found = tx.rows(
        select(group.id, group.name).where(
            group.project_id == project_id, or_(group.name.in_(wanted), group.id.in_(wanted))
        )
    )
    ids: list[str] = []
    for name in wanted:
        matching = [row.id for row in found if row.id == name] or [row.id for row in found if row.name == name]
        if not matching:
            raise missing("security group", name)
        if len(matching) > 1:
            raise Conflict(
                f"Multiple security_group matches found for name '{name}', use an ID to be more specific.",
                kind="NoUniqueMatch",
            )
        ids.append(matching[0])
    return list(dict.fromkeys(ids))
