# SPDX-License-Identifier: Apache-2.0
"""`/v2.0/security-group-rules`."""

from typing import Any

from sqlalchemy import or_, select

from altostratus.kernel.db import table_of
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.fields import Computed, Field, Int, Text, Uuid
from altostratus.kernel.resource.operations import Create, Delete, List, Reply, Show
from altostratus.services.network.api import standard
from altostratus.services.network.api.standard import Standard
from altostratus.services.network.errors import missing
from altostratus.services.network.logic import queries, security_groups, security_rules, wants
from altostratus.services.network.models import SecurityGroup, SecurityGroupRule
from altostratus.services.network.policies import GROUP_MEMBER, GROUP_READER

_ETHERTYPES = {"ipv4": "IPv4", "ipv6": "IPv6"}


def visible_rules(call: Call, statement: Any, listing: bool) -> Any:
    """Own rules, and all rules of own groups."""
    if call.ctx.is_admin:
        return statement
    rule, group = table_of(SecurityGroupRule).c, table_of(SecurityGroup).c
    own = select(group.id).where(group.project_id == call.ctx.project_id)
    return statement.where(or_(rule.project_id == call.ctx.project_id, rule.security_group_id.in_(own)))


def _ethertype(text: str) -> str:
    found = _ETHERTYPES.get(text.lower())
    if found is None:
        raise ValueError("use IPv4 or IPv6")
    return found


def _target(call: Call, group: Any) -> dict[str, Any]:
    return {**call.own_target(), "security_group:project_id": group.project_id}


def group_of(call: Call, group_id: str) -> Any:
    """The group, if the caller's project owns it; remembered for the rest of the request."""
    known = call.extra.setdefault("groups", {})
    if group_id not in known:
        group = queries.get_group(call.tx, group_id)
        if not call.ctx.is_admin and group.project_id != call.ctx.project_id:
            raise missing("security group", group_id)
        known[group_id] = group
    return known[group_id]


def create_target(call: Call) -> dict[str, Any]:
    first = call.body[0] if isinstance(call.body, list) else call.body
    return _target(call, group_of(call, first["security_group_id"]))


def row_target(call: Call) -> dict[str, Any]:
    return _target(call, queries.get_group(call.tx, call.row.security_group_id))


def list_target(call: Call) -> dict[str, Any]:
    """In a list everybody sees only what `visible_rules` lets through."""
    target = call.own_target()
    return target | ({"security_group:project_id": call.ctx.project_id} if call.ctx.project_id else {})


def create_rule(call: Call, body: dict[str, Any]) -> Any:
    """Add a rule to a security group."""
    group = group_of(call, body.pop("security_group_id"))
    call.demand("create_security_group_rule", _target(call, group))
    project_id = standard.owner_of(call, body)
    remote = body.get("remote_group_id")
    if remote:
        security_groups.check_usable(call.tx, [remote], project_id, is_admin=call.ctx.is_admin)
    values = {name: value for name, value in body.items() if value is not None}
    rule = security_rules.create(call.tx, call.cloud, group, project_id, values)
    wants.publish_group(call.tx, call.cloud, group.id)
    return rule


def delete_rule(call: Call) -> Any:
    """Remove a rule."""
    security_rules.delete(call.tx, call.cloud, call.row)
    return Reply(204)


class SecurityGroupRuleResource(
    Standard, path="/security-group-rules", one="security_group_rule", many="security_group_rules"
):
    """One thing that a security group lets through."""

    row = SecurityGroupRule
    scope = visible_rules
    security_group_id = Uuid("crfs", required=True)
    direction = Field({"enum": ["ingress", "egress"]}, "crfs", required=True)
    ethertype = Field({"type": "string", "maxLength": 8}, "crfs", parse=_ethertype, default="IPv4")
    protocol = Field({"type": ["string", "integer"], "maxLength": 40}, "crfs", nullable=True, parse=lambda value: value)
    # wider than ports are: what is no port is refused in the words of `security_rules`
    port_range_min = Int(-(2**31), 2**31 - 1, "crfs", nullable=True)
    port_range_max = Int(-(2**31), 2**31 - 1, "crfs", nullable=True)
    remote_ip_prefix = Text(1, 64, "crfs", nullable=True)
    remote_group_id = Text(1, 255, "crfs", nullable=True)
    remote_address_group_id = Computed(lambda row, call: None)
    normalized_cidr = Computed(lambda row, call: security_rules.normalized_cidr(row["remote_ip_prefix"]))

    create = Create(
        "create_security_group_rule", GROUP_MEMBER, standard.creating(create_rule), bulk=True, target=create_target
    )
    index = List("get_security_group_rule", GROUP_READER, standard.listing, target=list_target)
    show = Show("get_security_group_rule", GROUP_READER, standard.show, target=row_target)
    delete = Delete("delete_security_group_rule", GROUP_MEMBER, delete_rule, target=row_target)
