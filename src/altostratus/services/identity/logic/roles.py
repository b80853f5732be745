# SPDX-License-Identifier: Apache-2.0
"""Roles and what they imply."""

from typing import Any

from sqlalchemy import select

from altostratus.kernel import ids
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import BadRequest, Conflict, Forbidden
from altostratus.services.identity.errors import duplicate, immutable, not_found
from altostratus.services.identity.logic.changes import announce
from altostratus.services.identity.logic.people import demand_domain
from altostratus.services.identity.models import ImpliedRole, Role, RoleAssignment


def create_role(tx: Tx, cloud: Cloud, values: dict[str, Any]) -> Row[Any]:
    """`values`: columns; domain_id None for a role that every domain may use."""
    if values.get("domain_id"):
        demand_domain(tx, values["domain_id"])
    _demand_free_name(tx, values.get("domain_id"), values["name"])
    role_id = ids.new_hex_id()
    tx.insert(Role, id=role_id, **values)
    announce(tx, cloud, "identity.role.created", role_id)
    return tx.get(Role, role_id)


def update_role(tx: Tx, cloud: Cloud, role: Row[Any], values: dict[str, Any]) -> Row[Any]:
    if role.options.get("immutable") and set(values) != {"options"}:
        raise immutable("role", role.id, "update")
    if values.get("domain_id", role.domain_id) != role.domain_id:
        raise BadRequest("Update of `domain_id` is not allowed. Create the role in the other domain.")
    if "name" in values and values["name"] != role.name:
        _demand_free_name(tx, role.domain_id, values["name"])
    if values:
        tx.update(Role, role.id, **values)
    announce(tx, cloud, "identity.role.updated", role.id)
    return tx.get(Role, role.id)


def delete_role(tx: Tx, cloud: Cloud, role: Row[Any]) -> None:
    """The role leaves every assignment and inference with it."""
    if role.options.get("immutable"):
        raise immutable("role", role.id, "delete")
    implied = table_of(ImpliedRole).c
    tx.delete_where(RoleAssignment, table_of(RoleAssignment).c.role_id == role.id)
    tx.delete_where(ImpliedRole, (implied.prior_role_id == role.id) | (implied.implied_role_id == role.id))
    tx.delete(Role, role.id)
    announce(tx, cloud, "identity.role.deleted", role.id)


def get_role(tx: Tx, role_id: str) -> Row[Any]:
    row = tx.find(Role, role_id)
    if row is None:
        raise not_found("role", role_id)
    return row


def imply(tx: Tx, cloud: Cloud, prior: Row[Any], implied: Row[Any]) -> None:
    """Who has `prior` has `implied` from now on. Raises Forbidden, BadRequest (a circle) or Conflict."""
    if implied.name == "admin" and implied.domain_id is None:
        raise Forbidden(f"{implied.id} cannot be an implied roles. The role admin is given explicitly only.")
    if prior.domain_id is None and implied.domain_id is not None:
        raise Forbidden(f"{implied.id} cannot be an implied roles. A global role implies no role of a domain.")
    if tx.find(ImpliedRole, prior.id, implied.id) is not None:
        raise Conflict(f"Conflict occurred attempting to store implied_role - {prior.id} implies {implied.id} already.")
    if prior.id in _implied_by(tx, implied.id):
        raise BadRequest(f"Role {implied.name} implies {prior.name} already; implications may not run in a circle.")
    tx.insert(ImpliedRole, prior_role_id=prior.id, implied_role_id=implied.id)
    announce(tx, cloud, "identity.role.updated", prior.id)


def stop_implying(tx: Tx, cloud: Cloud, prior_id: str, implied_id: str) -> None:
    if tx.delete(ImpliedRole, prior_id, implied_id) == 0:
        raise not_found(f"implied role {implied_id} of role", prior_id)
    announce(tx, cloud, "identity.role.updated", prior_id)


def inferences(tx: Tx, prior_id: str | None = None) -> dict[str, list[Row[Any]]]:
    """Roles by the id of the role that implies them directly; prior roles themselves are looked up apart."""
    role, implied = table_of(Role), table_of(ImpliedRole).c
    statement = select(implied.prior_role_id, role).join(role, role.c.id == implied.implied_role_id)
    if prior_id is not None:
        statement = statement.where(implied.prior_role_id == prior_id)
    found: dict[str, list[Row[Any]]] = {}
    for row in tx.rows(statement.order_by(implied.prior_role_id, role.c.name)):
        found.setdefault(row.prior_role_id, []).append(row)
    return found


def _implied_by(tx: Tx, role_id: str) -> set[str]:
    """The role and everything it implies."""
    rules = tx.rows(select(table_of(ImpliedRole)))
    reached, fresh = {role_id}, {role_id}
    while fresh:
        fresh = {rule.implied_role_id for rule in rules if rule.prior_role_id in fresh} - reached
        reached |= fresh
    return reached


def _demand_free_name(tx: Tx, domain_id: str | None, name: str) -> None:
    role = table_of(Role).c
    where = role.domain_id.is_(None) if domain_id is None else role.domain_id == domain_id
    if tx.first(select(role.id).where(where, role.name == name)) is not None:
        raise duplicate("role", name, domain_id)
