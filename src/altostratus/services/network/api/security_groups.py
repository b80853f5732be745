# SPDX-License-Identifier: Apache-2.0
"""`/v2.0/security-groups`."""

from typing import Any

from sqlalchemy import select

from altostratus.kernel.db import table_of
from altostratus.kernel.policy import MEMBER, READER
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.fields import Bool, Computed, ListOf, Text
from altostratus.kernel.resource.operations import Create, Delete, List, Reply, Show, Update
from altostratus.services.network.api import security_group_rules, standard
from altostratus.services.network.api.standard import Named
from altostratus.services.network.logic import security_groups
from altostratus.services.network.models import SecurityGroup, SecurityGroupRule


def visible_groups(call: Call, statement: Any, listing: bool) -> Any:
    return standard.own_rows(call, statement, SecurityGroup)


def load_groups(call: Call, rows: list[Any]) -> list[dict[str, Any]]:
    """Rows with their rules: one query."""
    rule = table_of(SecurityGroupRule)
    found = call.tx.rows(
        select(rule)
        .where(rule.c.security_group_id.in_([row.id for row in rows]))
        .order_by(rule.c.created_at, rule.c.id)
    )
    shown = call.render_as(security_group_rules.SecurityGroupRuleResource, found)
    by_group: dict[str, list[Any]] = {}
    for item in shown:
        by_group.setdefault(item["security_group_id"], []).append(item)
    return [{**row._mapping, "security_group_rules": by_group.get(row.id, [])} for row in rows]


def create_group(call: Call, body: dict[str, Any]) -> Any:
    """Make a security group."""
    return security_groups.create(call.tx, call.cloud, standard.owner_of(call, body), body)


def show_group(call: Call) -> Any:
    """Show a security group."""
    return standard.show(call)


def list_groups(call: Call) -> Any:
    """The security groups of the project; its default one is made when there is none yet."""
    project_id = call.ctx.project_id
    asked = call.query.get("project_id") or call.query.get("tenant_id")
    if asked and call.ctx.is_admin:
        project_id = asked[0]
    if project_id is not None and not call.ctx.is_service:
        with call.cloud.db.read() as tx:
            known = security_groups.find_default(tx, project_id)
        if known is None:
            with call.cloud.db.write() as tx:
                security_groups.ensure_default(tx, call.cloud, project_id)
    with call.cloud.db.read() as call.tx:
        return standard.listing(call)


def update_group(call: Call) -> Any:
    """Change a security group."""
    standard.check_revision(call)
    return security_groups.update(call.tx, call.cloud, call.row, call.body)


def delete_group(call: Call) -> Any:
    """Remove a security group."""
    standard.check_revision(call)
    security_groups.delete(call.tx, call.cloud, call.row, call.ctx)
    return Reply(204)


class SecurityGroupResource(Named, path="/security-groups", one="security_group", many="security_groups"):
    """What may reach ports, and what they may reach."""

    row = SecurityGroup
    scope = visible_groups
    load = load_groups
    name = Text(0, 255, "crufs", required=True)
    stateful = Bool("cruf", default=True)
    is_default = Bool("f")
    shared = Computed(lambda row, call: False)
    security_group_rules = ListOf({"type": "object"}, "r")

    create = Create("create_security_group", MEMBER, standard.creating(create_group), bulk=True)
    index = List("get_security_group", READER, list_groups, tx="none")
    show = Show("get_security_group", READER, show_group)
    update = Update("update_security_group", MEMBER, update_group)
    delete = Delete("delete_security_group", MEMBER, delete_group)
    (tags_list, tags_replace, tags_clear, tag_check, tag_add, tag_remove) = standard.tag_operations(
        "security_group", READER, MEMBER
    )
