# SPDX-License-Identifier: Apache-2.0
"""Role assignments: giving, taking, and the places where a user has a role."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Select, select

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import Forbidden, NotFound
from altostratus.services.identity.errors import not_found
from altostratus.services.identity.logic.changes import announce
from altostratus.services.identity.logic.effective import SYSTEM, descendant_ids, is_actor
from altostratus.services.identity.logic.roles import get_role
from altostratus.services.identity.models import Group, Project, Role, RoleAssignment, User


class Place(NamedTuple):
    """Who on what: kinds and ids. kind of actor: user, group; of target: project, domain, system."""

    actor_kind: str
    actor_id: str
    target_kind: str
    target_id: str
    inherited: bool = False


def demand_place(tx: Tx, place: Place, *, actor_may_be_gone: bool = False) -> None:
    """Raises NotFound if the actor or the target does not exist."""
    model = User if place.actor_kind == "user" else Group
    if not actor_may_be_gone and tx.find(model, place.actor_id) is None:
        raise not_found(place.actor_kind, place.actor_id)
    if place.target_kind == "system":
        return
    row = tx.find(Project, place.target_id)
    if row is None or (place.target_kind == "domain" and not row.is_domain):
        raise not_found(place.target_kind, place.target_id)


def grant(tx: Tx, cloud: Cloud, place: Place, role_id: str) -> None:
    """Give a role; giving it again changes nothing. Raises NotFound, Forbidden (a role of another domain)."""
    demand_place(tx, place)
    role = get_role(tx, role_id)
    if role.domain_id is not None and place.target_kind == "project":
        _demand_same_domain(tx, place, role)
    if tx.find(RoleAssignment, **_key(place), role_id=role_id) is None:
        tx.insert(RoleAssignment, **_key(place), role_id=role_id)
        announce(tx, cloud, "identity.role_assignment.created", role_id)


def revoke(tx: Tx, cloud: Cloud, place: Place, role_id: str) -> None:
    """Take a role away. Raises NotFound if it was not given like that."""
    demand_place(tx, place, actor_may_be_gone=True)
    get_role(tx, role_id)
    assignment = table_of(RoleAssignment).c
    conditions = [assignment[name] == value for name, value in _key(place).items()]
    if tx.delete_where(RoleAssignment, *conditions, assignment.role_id == role_id) == 0:
        raise _no_assignment(place, role_id)
    announce(tx, cloud, "identity.role_assignment.deleted", role_id)


def demand_grant(tx: Tx, place: Place, role_id: str) -> None:
    demand_place(tx, place)
    get_role(tx, role_id)
    if tx.find(RoleAssignment, **_key(place), role_id=role_id) is None:
        raise _no_assignment(place, role_id)


def granted(place: Place) -> Select[Any]:
    """Select of the roles given exactly there."""
    assignment, role = table_of(RoleAssignment).c, table_of(Role)
    given = select(assignment.role_id).where(*(assignment[name] == value for name, value in _key(place).items()))
    return select(role).where(role.c.id.in_(given))


# where a user has a role


def project_ids_of_user(user_id: str, group_ids: Sequence[str] = ()) -> Any:
    """Select of project ids: directly, through groups (`group_ids` are some more), or inherited from above."""
    assignment = table_of(RoleAssignment).c
    direct = select(assignment.target_id).where(
        is_actor(user_id, group_ids), assignment.target_kind == "project", assignment.inherited.is_(False)
    )
    roots = select(assignment.target_id).where(is_actor(user_id, group_ids), assignment.inherited.is_(True))
    return direct.union(descendant_ids(roots))


def projects_of_user(tx: Tx, user_id: str) -> list[Row[Any]]:
    project = table_of(Project)
    return tx.rows(select(project).where(project.c.id.in_(project_ids_of_user(user_id))))


def domain_ids_of_user(user_id: str, group_ids: Sequence[str] = ()) -> Select[Any]:
    assignment = table_of(RoleAssignment).c
    return select(assignment.target_id).where(
        is_actor(user_id, group_ids), assignment.target_kind == "domain", assignment.inherited.is_(False)
    )


def has_system_role(tx: Tx, user_id: str, group_ids: Sequence[str] = ()) -> bool:
    assignment = table_of(RoleAssignment).c
    found = select(assignment.role_id).where(is_actor(user_id, group_ids), assignment.target_kind == "system")
    return tx.first(found.limit(1)) is not None


def system_place(actor_kind: str, actor_id: str) -> Place:
    return Place(actor_kind, actor_id, "system", SYSTEM)


def _key(place: Place) -> dict[str, Any]:
    return place._asdict()


def _demand_same_domain(tx: Tx, place: Place, role: Row[Any]) -> None:
    project = tx.get(Project, place.target_id)
    if (project.domain_id or project.id) != role.domain_id:
        raise Forbidden(f"Project {place.target_id} must be in the same domain as the role {role.id} being assigned.")


def _no_assignment(place: Place, role_id: str) -> NotFound:
    return NotFound(
        f"Could not find role assignment with role: {role_id}, user or group: {place.actor_id},"
        f" project, domain, or system: {place.target_id}."
    )
