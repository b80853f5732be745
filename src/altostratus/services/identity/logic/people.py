# SPDX-License-Identifier: Apache-2.0
"""Users and groups."""

from typing import Any

from sqlalchemy import select

from altostratus.kernel import clock, ids
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import BadRequest
from altostratus.services.identity.config import IdentityOptions
from altostratus.services.identity.errors import duplicate, not_found
from altostratus.services.identity.logic import access_rules, accounts, oauth1, password_rules, trusts
from altostratus.services.identity.logic.changes import announce
from altostratus.services.identity.models import (
    ApplicationCredential,
    Credential,
    ExpiringMember,
    FederatedUser,
    Group,
    GroupMember,
    Project,
    RoleAssignment,
    User,
)


def create_user(tx: Tx, cloud: Cloud, values: dict[str, Any]) -> Row[Any]:
    """`values`: columns of the user. Raises NotFound (domain), Conflict (name), BadRequest (default project)."""
    demand_domain(tx, values["domain_id"])
    _demand_free_name(tx, User, "user", values)
    _demand_default_project(tx, values)
    user_id = ids.new_hex_id()
    if "password_hash" in values:
        values = values | _given_password(cloud, values["options"], values["password_hash"])
    tx.insert(User, id=user_id, created_at=clock.now(), **values)
    announce(tx, cloud, "identity.user.created", user_id)
    return tx.get(User, user_id)


def update_user(tx: Tx, cloud: Cloud, user: Row[Any], values: dict[str, Any]) -> Row[Any]:
    """A new password or a disabled user voids the user's tokens at once.

    A new password and `enabled` unlock the account.
    """
    if values.get("domain_id", user.domain_id) != user.domain_id:
        raise BadRequest("Cannot change Domain ID. Create the user again in the other domain.")
    if values.get("name", user.name) != user.name:
        _demand_free_name(tx, User, "user", {"domain_id": user.domain_id, "name": values["name"]})
    _demand_default_project(tx, values)
    if "password_hash" in values:
        password_rules.remember(tx, cloud[IdentityOptions], user)
        options = values.get("options", user.options)
        values = values | _given_password(cloud, options, values["password_hash"]) | accounts.UNLOCKED
    if values.get("enabled") is True:
        values = values | accounts.enabled_again()
    if "password_hash" in values or values.get("enabled") is False:
        values = {**values, "tokens_from": clock.now()}
    if values:
        tx.update(User, user.id, **values)
    announce(tx, cloud, "identity.user.updated", user.id)
    return tx.get(User, user.id)


def _given_password(cloud: Cloud, options: dict[str, Any], password_hash: str | None) -> dict[str, Any]:
    return password_rules.columns_of(cloud[IdentityOptions], options, password_hash, by_self=False)


def change_own_password(tx: Tx, cloud: Cloud, user: Row[Any], password_hash: str) -> None:
    """The password that the user has chosen, and was allowed to choose. The user's tokens are void at once."""
    rules = cloud[IdentityOptions]
    password_rules.remember(tx, rules, user)
    new = password_rules.columns_of(rules, user.options, password_hash, by_self=True)
    tx.update(User, user.id, **new, tokens_from=clock.now())
    announce(tx, cloud, "identity.user.updated", user.id)


def delete_user(tx: Tx, cloud: Cloud, user_id: str) -> None:
    member, assignment = table_of(GroupMember).c, table_of(RoleAssignment).c
    tx.delete_where(GroupMember, member.user_id == user_id)
    tx.delete_where(RoleAssignment, assignment.actor_kind == "user", assignment.actor_id == user_id)
    tx.delete_where(ApplicationCredential, table_of(ApplicationCredential).c.user_id == user_id)
    access_rules.forget_users(tx, [user_id])
    trusts.forget_users(tx, [user_id])
    tx.delete_where(Credential, table_of(Credential).c.user_id == user_id)
    oauth1.forget_users(tx, [user_id])
    tx.delete_where(FederatedUser, table_of(FederatedUser).c.user_id == user_id)
    tx.delete_where(ExpiringMember, table_of(ExpiringMember).c.user_id == user_id)
    tx.delete(User, user_id)
    announce(tx, cloud, "identity.user.deleted", user_id)


def create_group(tx: Tx, cloud: Cloud, values: dict[str, Any]) -> Row[Any]:
    demand_domain(tx, values["domain_id"])
    _demand_free_name(tx, Group, "group", values)
    group_id = ids.new_hex_id()
    tx.insert(Group, id=group_id, **values)
    announce(tx, cloud, "identity.group.created", group_id)
    return tx.get(Group, group_id)


def update_group(tx: Tx, cloud: Cloud, group: Row[Any], values: dict[str, Any]) -> Row[Any]:
    if values.get("domain_id", group.domain_id) != group.domain_id:
        raise BadRequest("Cannot change Domain ID. Create the group again in the other domain.")
    if values.get("name", group.name) != group.name:
        _demand_free_name(tx, Group, "group", {"domain_id": group.domain_id, "name": values["name"]})
    if values:
        tx.update(Group, group.id, **values)
    announce(tx, cloud, "identity.group.updated", group.id)
    return tx.get(Group, group.id)


def delete_group(tx: Tx, cloud: Cloud, group_id: str) -> None:
    member, assignment = table_of(GroupMember).c, table_of(RoleAssignment).c
    tx.delete_where(GroupMember, member.group_id == group_id)
    tx.delete_where(ExpiringMember, table_of(ExpiringMember).c.group_id == group_id)
    tx.delete_where(RoleAssignment, assignment.actor_kind == "group", assignment.actor_id == group_id)
    tx.delete(Group, group_id)
    announce(tx, cloud, "identity.group.deleted", group_id)


def add_member(tx: Tx, cloud: Cloud, group_id: str, user_id: str) -> None:
    if tx.find(GroupMember, group_id, user_id) is None:
        tx.insert(GroupMember, group_id=group_id, user_id=user_id)
        announce(tx, cloud, "identity.group.added_to", group_id)


def remove_member(tx: Tx, cloud: Cloud, group_id: str, user_id: str) -> None:
    """Raises NotFound if the user is not in the group."""
    if tx.delete(GroupMember, group_id, user_id) == 0:
        raise not_found(f"user {user_id} in group", group_id)
    announce(tx, cloud, "identity.group.removed_from", group_id)


def demand_domain(tx: Tx, domain_id: str) -> Row[Any]:
    row = tx.find(Project, domain_id)
    if row is None or not row.is_domain:
        raise not_found("domain", domain_id)
    return row


def _demand_free_name(tx: Tx, model: type[User | Group], what: str, values: dict[str, Any]) -> None:
    table = table_of(model)
    taken = select(table.c.id).where(table.c.domain_id == values["domain_id"], table.c.name == values["name"])
    if tx.first(taken) is not None:
        raise duplicate(what, values["name"], values["domain_id"])


def _demand_default_project(tx: Tx, values: dict[str, Any]) -> None:
    project_id = values.get("default_project_id")
    project = tx.find(Project, project_id) if project_id else None
    if project is not None and project.is_domain:
        raise BadRequest("A domain cannot be the default project. Choose one of the domain's projects.")
