# SPDX-License-Identifier: Apache-2.0
"""For explanations of policy: who is meant by a name, and which roles somebody has somewhere, and why."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import or_, select

from altostratus.kernel.db import Row, Tx, table_of
from altostratus.services.identity.logic.assignment_lists import Assignment, Question, list_assignments
from altostratus.services.identity.models import Group, Project, Role, User


@dataclass(frozen=True, slots=True)
class HeldRole:
    """A role that takes effect, and what it comes from; names, None where it is given directly."""

    role: str
    group: str | None = None
    inherited_from: str | None = None
    implied_by: str | None = None


def users_named(tx: Tx, name_or_id: str) -> list[Row[Any]]:
    user = table_of(User)
    return tx.rows(select(user).where(or_(user.c.id == name_or_id, user.c.name == name_or_id)).order_by(user.c.id))


def projects_named(tx: Tx, name_or_id: str, *, is_domain: bool = False) -> list[Row[Any]]:
    project = table_of(Project)
    named = or_(project.c.id == name_or_id, project.c.name == name_or_id)
    return tx.rows(select(project).where(named, project.c.is_domain.is_(is_domain)).order_by(project.c.id))


def held_roles(tx: Tx, user_id: str, scope: str, scope_id: str) -> list[HeldRole]:
    """Every way in which the user has each role there; scope is project, domain or system."""
    where: dict[str, Any] = {"system": True} if scope == "system" else {f"{scope}_id": scope_id}
    found = list_assignments(tx, Question(user_id=user_id, effective=True, **where))
    names = _names(tx, found)
    held = [
        HeldRole(
            role=names[one.role_id],
            group=names.get(one.via_group or ""),
            inherited_from=None if one.via_target is None else f"{one.via_target[0]} {names[one.via_target[1]]}",
            implied_by=names.get(one.via_role or ""),
        )
        for one in found
    ]
    return sorted(held, key=lambda one: (one.role, one.implied_by or "", one.group or "", one.inherited_from or ""))


def _names(tx: Tx, assignments: list[Assignment]) -> dict[str, str]:
    """Names of all roles, and of the groups and places that these assignments come through, by id."""
    role, group, project = (table_of(model).c for model in (Role, Group, Project))
    groups = {one.via_group for one in assignments if one.via_group}
    places = {one.via_target[1] for one in assignments if one.via_target}
    found = [
        *tx.rows(select(role.id, role.name)),
        *tx.rows(select(group.id, group.name).where(group.id.in_(groups))),
        *tx.rows(select(project.id, project.name).where(project.id.in_(places))),
    ]
    return {row.id: row.name for row in found}
