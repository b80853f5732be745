# SPDX-License-Identifier: Apache-2.0
"""Lists of role assignments: as they were given, or as they take effect on users and projects."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, CompoundSelect, Select, and_, literal, or_, select, union, union_all

from altostratus.kernel import clock
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.services.identity.logic.effective import ancestor_ids, descendant_ids, is_actor
from altostratus.services.identity.models import (
    ExpiringMember,
    Group,
    GroupMember,
    ImpliedRole,
    Project,
    Role,
    RoleAssignment,
    User,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Filters; None means any. `inherited`: only such assignments, or only others."""

    role_id: str | None = None
    user_id: str | None = None
    group_id: str | None = None
    project_id: str | None = None
    domain_id: str | None = None
    system: bool = False
    inherited: bool | None = None
    effective: bool = False
    subtree: bool = False


class Assignment(NamedTuple):
    """One assignment; `via_*` say what an effective one comes from."""

    actor_kind: str
    actor_id: str
    target_kind: str
    target_id: str
    role_id: str
    inherited: bool
    via_group: str | None = None
    via_target: tuple[str, str] | None = None
    via_role: str | None = None


def list_assignments(tx: Tx, question: Question) -> list[Assignment]:
    """In a constant number of queries, whatever their number."""
    rows = [Assignment(**row._mapping) for row in tx.rows(_statement(question))]
    if not question.effective:
        return rows
    projects = _wanted_projects(tx, question)
    found = _with_implied(tx, _below(tx, list(_of_users(tx, rows)), question))
    return [one for one in found if _matches(one, question, projects)]


def _statement(question: Question) -> Select[Any]:
    assignment = table_of(RoleAssignment)
    column = assignment.c
    statement = select(
        column.actor_kind, column.actor_id, column.target_kind, column.target_id, column.role_id, column.inherited
    ).order_by(column.target_kind, column.target_id, column.actor_kind, column.actor_id, column.role_id)
    if question.effective:
        return statement.where(*leads_there(question))
    exact = {"user": question.user_id, "group": question.group_id}
    for kind, actor_id in exact.items():
        if actor_id:
            statement = statement.where(column.actor_kind == kind, column.actor_id == actor_id)
    if question.project_id:
        statement = statement.where(column.target_kind == "project", _in_tree(column.target_id, question))
    if question.domain_id:
        statement = statement.where(column.target_kind == "domain", column.target_id == question.domain_id)
    if question.system:
        statement = statement.where(column.target_kind == "system")
    if question.role_id:
        statement = statement.where(column.role_id == question.role_id)
    if question.inherited is not None:
        statement = statement.where(column.inherited.is_(question.inherited))
    return statement


def leads_there(question: Question) -> Iterator[ColumnElement[bool]]:
    """Conditions: what an assignment must be for its effects to be asked for; roles may still come by implication."""
    column = table_of(RoleAssignment).c
    if question.user_id:
        yield is_actor(question.user_id)
    if question.project_id:
        yield column.target_kind.in_(("project", "domain"))
        yield column.target_id.in_(_tree_and_above(question))
    if question.domain_id:
        yield and_(column.target_kind == "domain", column.target_id == question.domain_id)
    if question.system:
        yield column.target_kind == "system"


def _tree_and_above(question: Question) -> CompoundSelect[Any]:
    """Ids of the projects in question and of everything above: one set, so that an index finds them."""
    project_id = question.project_id or ""
    parts = [select(literal(project_id)), ancestor_ids(project_id)]
    return union_all(*parts, *([descendant_ids([project_id])] if question.subtree else []))


def _in_tree(column: ColumnElement[str], question: Question) -> ColumnElement[bool]:
    """The project of the question, and with `subtree` everything below it."""
    itself = column == question.project_id
    return or_(itself, column.in_(descendant_ids([question.project_id]))) if question.subtree else itself


def _of_users(tx: Tx, rows: list[Assignment]) -> Iterator[Assignment]:
    """Each group's assignment becomes one per member, those for a time too."""
    member, expiring = table_of(GroupMember).c, table_of(ExpiringMember).c
    groups = {row.actor_id for row in rows if row.actor_kind == "group"}
    members: dict[str, list[str]] = defaultdict(list)
    statement = union(
        select(member.group_id, member.user_id).where(member.group_id.in_(groups)),
        select(expiring.group_id, expiring.user_id).where(
            expiring.group_id.in_(groups), expiring.expires_at > clock.now()
        ),
    )
    for one in tx.rows(statement) if groups else ():
        members[one.group_id].append(one.user_id)
    for row in rows:
        if row.actor_kind == "user":
            yield row
        else:
            for user_id in members[row.actor_id]:
                yield row._replace(actor_kind="user", actor_id=user_id, via_group=row.actor_id)


def _below(tx: Tx, rows: list[Assignment], question: Question) -> Iterator[Assignment]:
    """Each inherited assignment becomes one per project below its target."""
    children = _children(tx, {row.target_id for row in rows if row.inherited}, question)
    for row in rows:
        if not row.inherited:
            yield row
            continue
        fresh = list(children[row.target_id])
        while fresh:
            project_id = fresh.pop()
            fresh += children[project_id]
            yield row._replace(
                target_kind="project", target_id=project_id, inherited=False,
                via_target=(row.target_kind, row.target_id),
            )  # fmt: skip


def _children(tx: Tx, targets: set[str], question: Question) -> dict[str, list[str]]:
    """Projects by parent: all below these targets, or only those on the way to the project of the question."""
    children: dict[str, list[str]] = defaultdict(list)
    if not targets:
        return children
    project = table_of(Project).c
    wanted = _tree_and_above(question) if question.project_id else descendant_ids(targets)
    way = project.id.in_(wanted), project.parent_id.is_not(None)
    for one in tx.rows(select(project.id, project.parent_id).where(*way)):
        children[one.parent_id].append(one.id)
    return children


def _with_implied(tx: Tx, rows: Iterable[Assignment]) -> Iterator[Assignment]:
    """Each assignment, and one per role that it implies; roles that belong to a domain have no effect themselves."""
    implied: dict[str, list[str]] = defaultdict(list)
    for rule in tx.rows(select(table_of(ImpliedRole))):
        implied[rule.prior_role_id].append(rule.implied_role_id)
    role = table_of(Role).c
    domain_roles = set(tx.scalars(select(role.id).where(role.domain_id.is_not(None))))
    for row in rows:
        if row.role_id not in domain_roles:
            yield row
        reached = {row.role_id}
        fresh = list(implied[row.role_id])
        while fresh:
            role_id = fresh.pop()
            if role_id in reached:
                continue
            reached.add(role_id)
            fresh += implied[role_id]
            if role_id not in domain_roles:
                yield row._replace(role_id=role_id, via_role=row.role_id)


def _wanted_projects(tx: Tx, question: Question) -> set[str] | None:
    if not question.project_id:
        return None
    below = tx.scalars(descendant_ids([question.project_id])) if question.subtree else []
    return {question.project_id, *below}


def _matches(one: Assignment, question: Question, projects: set[str] | None) -> bool:
    return (
        (not question.user_id or one.actor_id == question.user_id)
        and (not question.role_id or one.role_id == question.role_id)
        and (projects is None or (one.target_kind == "project" and one.target_id in projects))
        and (not question.domain_id or (one.target_kind == "domain" and one.target_id == question.domain_id))
        and (not question.system or one.target_kind == "system")
        and (question.inherited is None or (one.via_target is not None) == question.inherited)
    )


@dataclass(frozen=True, slots=True)
class Names:
    """Rows by id: users and groups, projects and domains, roles."""

    actors: dict[str, Row[Any]]
    places: dict[str, Row[Any]]
    roles: dict[str, Row[Any]]


def names_of(tx: Tx, assignments: list[Assignment]) -> Names:
    """Who and what the assignments name, with the domains that these belong to."""
    actors: dict[str, Row[Any]] = {}
    for model, kind in ((User, "user"), (Group, "group")):
        actors |= _rows(tx, model, {one.actor_id for one in assignments if one.actor_kind == kind})
    roles = _rows(tx, Role, {one.role_id for one in assignments})
    places = _rows(tx, Project, {one.target_id for one in assignments if one.target_kind != "system"})
    domains = {row.domain_id for row in (*actors.values(), *places.values(), *roles.values()) if row.domain_id}
    return Names(actors, places | _rows(tx, Project, domains - set(places)), roles)


def _rows(tx: Tx, model: type[User | Group | Role | Project], wanted: set[str]) -> dict[str, Row[Any]]:
    table = table_of(model)
    columns = (table.c.id, table.c.name, table.c.domain_id)
    return {row.id: row for row in tx.rows(select(*columns).where(table.c.id.in_(wanted)))} if wanted else {}
