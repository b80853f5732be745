# SPDX-License-Identifier: Apache-2.0
"""Which roles a user really has somewhere: through groups, inheritance and implication, in one query."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import CompoundSelect, Select, and_, or_, select

from altostratus.kernel import clock
from altostratus.kernel.db import Tx, table_of
from altostratus.services.identity.models import (
    ExpiringMember,
    GroupMember,
    ImpliedRole,
    Project,
    Role,
    RoleAssignment,
)

SYSTEM = "all"


class RoleName(NamedTuple):
    id: str
    name: str


def effective_roles(tx: Tx, user_id: str, scope: str, scope_id: str, group_ids: Sequence[str] = ()) -> list[RoleName]:
    """Roles of a token; scope is project, domain or system. Roles that belong to a domain only lead to others.

    `group_ids`: groups that the user is in besides those that our tables know of.
    """
    return roles_behind(tx, _direct_role_ids(user_id, scope, scope_id, group_ids))


def roles_behind(tx: Tx, role_ids: Any) -> list[RoleName]:
    """These roles (ids, or a select of ids) and all they imply, without those that belong to a domain."""
    role = table_of(Role).c
    start = role_ids if isinstance(role_ids, Select) else select(role.id).where(role.id.in_(role_ids))
    statement = select(role.id, role.name).where(role.id.in_(_reached_from(start)), role.domain_id.is_(None))
    return [RoleName(row.id, row.name) for row in tx.rows(statement.order_by(role.name))]


def effective_role_ids(tx: Tx, user_id: str, project_id: str) -> set[str]:
    """Ids of all roles on a project, those that belong to a domain too: what a trust may pass on."""
    return set(tx.scalars(_reached_from(_direct_role_ids(user_id, "project", project_id))))


def _reached_from(role_ids: Select[Any]) -> Select[Any]:
    """Select of ids: these roles and all they imply."""
    implied = table_of(ImpliedRole).c
    found = role_ids.cte("found", recursive=True)
    first = next(iter(found.c))
    found = found.union(select(implied.implied_role_id).join(found, implied.prior_role_id == first))
    return select(next(iter(found.c)))


def _direct_role_ids(user_id: str, scope: str, scope_id: str, group_ids: Sequence[str] = ()) -> Select[Any]:
    assignment = table_of(RoleAssignment).c
    here = and_(assignment.target_kind == scope, assignment.target_id == scope_id, assignment.inherited.is_(False))
    places = [here]
    if scope == "project":
        places.append(
            and_(
                assignment.inherited.is_(True),
                assignment.target_kind.in_(("project", "domain")),
                assignment.target_id.in_(ancestor_ids(scope_id)),
            )
        )
    return select(assignment.role_id).where(is_actor(user_id, group_ids), or_(*places))


def is_actor(user_id: str, group_ids: Sequence[str] = ()) -> Any:
    """Condition on role assignments: given to the user or to one of the user's groups (`group_ids` are some more)."""
    assignment, member, expiring = table_of(RoleAssignment).c, table_of(GroupMember).c, table_of(ExpiringMember).c
    groups = [
        assignment.actor_id.in_(select(member.group_id).where(member.user_id == user_id)),
        assignment.actor_id.in_(
            select(expiring.group_id).where(expiring.user_id == user_id, expiring.expires_at > clock.now())
        ),
    ]
    if group_ids:
        groups.append(assignment.actor_id.in_(group_ids))
    return or_(
        and_(assignment.actor_kind == "user", assignment.actor_id == user_id),
        and_(assignment.actor_kind == "group", or_(*groups)),
    )


def ancestor_ids(project_id: str) -> Select[Any] | CompoundSelect[Any]:
    """Ids of everything above a project, its domain included."""
    project = table_of(Project)
    above = select(project.c.parent_id.label("id")).where(project.c.id == project_id).cte("above", recursive=True)
    above = above.union(select(project.c.parent_id).join(above, project.c.id == above.c.id))
    return select(above.c.id).where(above.c.id.is_not(None))


def descendant_ids(project_ids: Any) -> Select[Any]:
    """Ids of everything below these projects or domains (ids, or a select of ids), without themselves."""
    project = table_of(Project)
    below = select(project.c.id).where(project.c.parent_id.in_(project_ids)).cte("below", recursive=True)
    below = below.union(select(project.c.id).join(below, project.c.parent_id == below.c.id))
    return select(below.c.id)
