# SPDX-License-Identifier: Apache-2.0
"""Projects, their tree, and domains (which are the roots of the trees)."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import select

from altostratus.kernel import clock, ids
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import BadRequest, Conflict, Forbidden
from altostratus.services.identity.config import IdentityOptions
from altostratus.services.identity.errors import duplicate, immutable
from altostratus.services.identity.logic import access_rules, federation, oauth1, trusts
from altostratus.services.identity.logic.changes import announce
from altostratus.services.identity.logic.effective import ancestor_ids, descendant_ids
from altostratus.services.identity.logic.endpoint_groups import forget_projects
from altostratus.services.identity.logic.limit_models import deepest_project
from altostratus.services.identity.models import (
    ApplicationCredential,
    Credential,
    DomainOption,
    ExpiringMember,
    FederatedUser,
    Group,
    GroupMember,
    IdMapping,
    ImpliedRole,
    Limit,
    Project,
    ProjectTag,
    Role,
    RoleAssignment,
    User,
)

DEFAULT_DOMAIN = "default"


def create_project(tx: Tx, cloud: Cloud, values: dict[str, Any], tags: Iterable[str] = ()) -> Row[Any]:
    """`values`: columns, with domain_id; parent_id may be missing. Raises BadRequest, Forbidden, Conflict."""
    parent = _demand_parent(tx, cloud, values)
    values = {**values, "name": values["name"].strip(), "parent_id": parent.id}
    _demand_free_name(tx, values["domain_id"], values["name"])
    return _insert(tx, cloud, ids.new_hex_id(), values | {"is_domain": False}, tags)


def create_domain(
    tx: Tx, cloud: Cloud, values: dict[str, Any], *, domain_id: str | None = None, tags: Iterable[str] = ()
) -> Row[Any]:
    """`domain_id`: the wanted id, for clouds that share their domains."""
    if domain_id is not None and tx.find(Project, domain_id) is not None:
        raise duplicate("domain", domain_id)
    _demand_free_name(tx, None, values["name"])
    values = {**values, "domain_id": None, "parent_id": None, "is_domain": True}
    return _insert(tx, cloud, domain_id or ids.new_hex_id(), values, tags)


def _insert(tx: Tx, cloud: Cloud, project_id: str, values: dict[str, Any], tags: Iterable[str]) -> Row[Any]:
    tx.insert(Project, id=project_id, **values)
    set_tags(tx, project_id, tags)
    announce(tx, cloud, f"identity.{_word(values)}.created", project_id)
    return tx.get(Project, project_id)


def update_project(tx: Tx, cloud: Cloud, project: Row[Any], values: dict[str, Any]) -> Row[Any]:
    """Disabling voids the tokens of the project, or of everybody in the domain, at once."""
    _demand_changeable(project, values)
    if "name" in values and values["name"] != project.name:
        _demand_free_name(tx, project.domain_id, values["name"])
    if values.get("enabled") is False and project.enabled:
        if not project.is_domain:
            _demand_subtree_disabled(tx, project)
        values = {**values, "tokens_from": clock.now()}
    elif values.get("enabled") is True and not project.enabled and not project.is_domain:
        _demand_parents_enabled(tx, project)
    if values:
        tx.update(Project, project.id, **values)
    announce(tx, cloud, f"identity.{_word(project._mapping)}.updated", project.id)
    return tx.get(Project, project.id)


def delete_project(tx: Tx, cloud: Cloud, project: Row[Any]) -> None:
    """Raises Forbidden while it has projects below it."""
    if project.is_domain:
        delete_domain(tx, cloud, project)
        return
    _demand_mutable(project, "delete")
    if tx.first(select(table_of(Project).c.id).where(table_of(Project).c.parent_id == project.id)) is not None:
        raise Forbidden(
            f"Cannot delete the project {project.id} since it is not a leaf in the hierarchy."
            " Delete the projects below it first."
        )
    _remove(tx, cloud, [project])


def delete_domain(tx: Tx, cloud: Cloud, domain: Row[Any]) -> None:
    """Raises Forbidden for the default domain and for enabled ones. Everything in the domain goes with it."""
    _demand_mutable(domain, "delete")
    if domain.id == DEFAULT_DOMAIN:
        raise Forbidden("The default domain cannot be deleted: users without a domain belong there.")
    if domain.enabled:
        raise Forbidden("Cannot delete a domain that is enabled, please disable it first.")
    federation.delete_idps_of_domain(tx, cloud, domain.id)
    user, group, role = table_of(User).c, table_of(Group).c, table_of(Role).c
    users = select(user.id).where(user.domain_id == domain.id)
    groups = select(group.id).where(group.domain_id == domain.id)
    roles = select(role.id).where(role.domain_id == domain.id)
    assignment, member, implied = table_of(RoleAssignment).c, table_of(GroupMember).c, table_of(ImpliedRole).c
    tx.delete_where(RoleAssignment, assignment.actor_kind == "user", assignment.actor_id.in_(users))
    tx.delete_where(RoleAssignment, assignment.actor_kind == "group", assignment.actor_id.in_(groups))
    tx.delete_where(RoleAssignment, assignment.role_id.in_(roles))
    tx.delete_where(ImpliedRole, implied.prior_role_id.in_(roles) | implied.implied_role_id.in_(roles))
    tx.delete_where(GroupMember, member.user_id.in_(users) | member.group_id.in_(groups))
    tx.delete_where(ApplicationCredential, table_of(ApplicationCredential).c.user_id.in_(users))
    access_rules.forget_users(tx, users)
    trusts.forget_users(tx, users)
    tx.delete_where(Credential, table_of(Credential).c.user_id.in_(users))
    oauth1.forget_users(tx, users)
    expiring = table_of(ExpiringMember).c
    tx.delete_where(ExpiringMember, expiring.user_id.in_(users) | expiring.group_id.in_(groups))
    tx.delete_where(FederatedUser, table_of(FederatedUser).c.user_id.in_(users))
    for model, kind in ((User, "user"), (Group, "group"), (Role, "role")):
        table = table_of(model).c
        for gone in tx.scalars(select(table.id).where(table.domain_id == domain.id)):
            announce(tx, cloud, f"identity.{kind}.deleted", gone)
        tx.delete_where(model, table.domain_id == domain.id)
    tx.delete_where(IdMapping, table_of(IdMapping).c.domain_id == domain.id)
    project = table_of(Project)
    below = tx.rows(select(project).where(project.c.id.in_(descendant_ids([domain.id]))))
    _remove(tx, cloud, [*below, domain])


def _remove(tx: Tx, cloud: Cloud, projects: list[Row[Any]]) -> None:
    gone = [project.id for project in projects]
    assignment, user = table_of(RoleAssignment).c, table_of(User).c
    tx.delete_where(RoleAssignment, assignment.target_kind.in_(("project", "domain")), assignment.target_id.in_(gone))
    tx.delete_where(ApplicationCredential, table_of(ApplicationCredential).c.project_id.in_(gone))
    tx.delete_where(Credential, table_of(Credential).c.project_id.in_(gone))
    oauth1.forget_projects(tx, gone)
    tx.delete_where(ProjectTag, table_of(ProjectTag).c.project_id.in_(gone))
    limit = table_of(Limit).c
    tx.delete_where(Limit, limit.project_id.in_(gone) | limit.domain_id.in_(gone))
    forget_projects(tx, gone)
    tx.delete_where(DomainOption, table_of(DomainOption).c.domain_id.in_(gone))
    tx.update_where(User, user.default_project_id.in_(gone), default_project_id=None)
    tx.delete_where(Project, table_of(Project).c.id.in_(gone))
    for project in projects:
        announce(tx, cloud, f"identity.{_word(project._mapping)}.deleted", project.id)


# tags


def set_tags(tx: Tx, project_id: str, tags: Iterable[str]) -> None:
    tx.delete_where(ProjectTag, table_of(ProjectTag).c.project_id == project_id)
    tx.insert_many(ProjectTag, [{"project_id": project_id, "name": tag} for tag in sorted(set(tags))])


def tags_of(tx: Tx, project_ids: Iterable[str]) -> dict[str, list[str]]:
    """Tags by project, for many projects in one query."""
    tag = table_of(ProjectTag)
    wanted = list(project_ids)
    found: dict[str, list[str]] = {project_id: [] for project_id in wanted}
    for row in tx.rows(select(tag).where(tag.c.project_id.in_(wanted)).order_by(tag.c.name)):
        found[row.project_id].append(row.name)
    return found


# the tree


def parents_of(tx: Tx, project_id: str) -> list[Row[Any]]:
    """Everything above, nearest first; the last one is the domain."""
    project = table_of(Project)
    by_id = {row.id: row for row in tx.rows(select(project).where(project.c.id.in_(ancestor_ids(project_id))))}
    own = tx.find(Project, project_id)
    chain: list[Row[Any]] = []
    step = own.parent_id if own is not None else None
    while step in by_id:
        chain.append(by_id[step])
        step = by_id[step].parent_id
    return chain


def subtree_of(tx: Tx, project_id: str) -> list[Row[Any]]:
    """Everything below, without the project itself."""
    project = table_of(Project)
    return tx.rows(select(project).where(project.c.id.in_(descendant_ids([project_id]))).order_by(project.c.name))


def nest(parent_id: str, rows: list[Row[Any]]) -> dict[str, Any] | None:
    """`{child: {grandchild: None}}`, as upstream shows subtrees."""
    children = {row.id: nest(row.id, rows) for row in rows if row.parent_id == parent_id}
    return children or None


# rules


def _word(values: Any) -> str:
    return "domain" if values["is_domain"] else "project"


def _demand_parent(tx: Tx, cloud: Cloud, values: dict[str, Any]) -> Row[Any]:
    domain_id = values["domain_id"]
    domain = tx.find(Project, domain_id)
    if domain is None or not domain.is_domain:
        raise BadRequest(f"Could not find domain: {domain_id}.")
    parent = tx.find(Project, values.get("parent_id") or domain_id)
    if parent is None:
        raise BadRequest(f"Could not find project: {values['parent_id']}.")
    if domain_id not in (parent.id, parent.domain_id):
        raise BadRequest(
            f"Cannot create the project in domain {domain_id}: its parent {parent.id} is in another domain."
            " Give the parent's domain_id, or another parent."
        )
    above = [parent, *parents_of(tx, parent.id)]
    disabled = [row.id for row in above if not row.enabled]
    if disabled:
        raise BadRequest(f"Cannot create a project in a branch containing a disabled project: {disabled[0]}.")
    deepest = deepest_project(cloud[IdentityOptions])
    if len(above) > deepest:
        raise Forbidden(
            f"Max hierarchy depth reached for {parent.id} branch. Projects may be nested {deepest} deep"
            " ([identity] project_depth and enforcement_model)."
        )
    return parent


def _demand_free_name(tx: Tx, domain_id: str | None, name: str) -> None:
    project = table_of(Project).c
    where = project.domain_id.is_(None) if domain_id is None else project.domain_id == domain_id
    if tx.first(select(project.id).where(where, project.name == name)) is None:
        return
    if domain_id is None:
        raise Conflict(
            "Conflict occurred attempting to store project - it is not permitted to have two projects acting as"
            f" domains with the same name: {name}."
        )
    raise Conflict(
        "Conflict occurred attempting to store project - it is not permitted to have two projects with the same"
        f" name in the same domain: name is {name}, domain {domain_id}."
    )


def _demand_changeable(project: Row[Any], values: dict[str, Any]) -> None:
    if set(values) != {"options"}:
        _demand_mutable(project, "update")
    for name, refusal in (
        ("domain_id", BadRequest("Update of `domain_id` is not allowed. Create the project in the other domain.")),
        ("parent_id", Forbidden("Update of `parent_id` is not allowed. Create the project below the other parent.")),
        ("is_domain", BadRequest("Update of `is_domain` is not allowed.")),
    ):
        if name in values and values[name] != project._mapping[name]:
            raise refusal


def _demand_mutable(project: Row[Any], verb: str) -> None:
    if project.options.get("immutable"):
        raise immutable(_word(project._mapping), project.id, verb)


def _demand_subtree_disabled(tx: Tx, project: Row[Any]) -> None:
    if any(row.enabled for row in subtree_of(tx, project.id)):
        raise Forbidden(f"Cannot disable project {project.id} since its subtree contains enabled projects.")


def _demand_parents_enabled(tx: Tx, project: Row[Any]) -> None:
    if not all(row.enabled for row in parents_of(tx, project.id)):
        raise Forbidden(f"Cannot enable project {project.id} since it has disabled parents.")
