# SPDX-License-Identifier: Apache-2.0
"""Access rules: the requests that an application credential is good for. Each belongs to a user, who reuses it."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import select

from altostratus.kernel import ids
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import BadRequest, Forbidden
from altostratus.services.identity.logic.changes import announce
from altostratus.services.identity.models import AccessRule, CredentialRule

_MEMBERS = ("path", "method", "service")


def shown_rule(rule: Any) -> dict[str, str]:
    return {"id": rule.id, **{name: getattr(rule, name) for name in _MEMBERS}}


def rules_of(tx: Tx, credential_ids: Iterable[str]) -> dict[str, tuple[Row[Any], ...]]:
    """Rules by application credential, for many in one query."""
    rule, link = table_of(AccessRule), table_of(CredentialRule).c
    wanted = list(credential_ids)
    statement = select(rule, link.application_credential_id).join(
        table_of(CredentialRule), link.access_rule_id == rule.c.id
    )
    found: dict[str, list[Row[Any]]] = {credential_id: [] for credential_id in wanted}
    for row in tx.rows(statement.where(link.application_credential_id.in_(wanted)).order_by(rule.c.id)):
        found[row.application_credential_id].append(row)
    return {credential_id: tuple(rows) for credential_id, rows in found.items()}


def ensure_rules(tx: Tx, cloud: Cloud, user_id: str, given: Iterable[dict[str, str]]) -> list[Row[Any]]:
    """The user's rules of `{"id"}` or `{"path", "method", "service"}`; new ones are stored. Raises BadRequest."""
    rows = [_by_id(tx, user_id, one["id"]) if "id" in one else _ensure(tx, cloud, user_id, one) for one in given]
    return list({row.id: row for row in rows}.values())


def _by_id(tx: Tx, user_id: str, rule_id: str) -> Row[Any]:
    row = tx.find(AccessRule, rule_id, user_id=user_id)
    if row is None:
        raise BadRequest(
            f"Invalid application credential: Could not find access rule: {rule_id}."
            " Give one of your own, or path, method and service of a new one."
        )
    return row


def _ensure(tx: Tx, cloud: Cloud, user_id: str, given: dict[str, str]) -> Row[Any]:
    values = {name: given[name] for name in _MEMBERS}
    row = tx.find(AccessRule, user_id=user_id, **values)
    if row is not None:
        return row
    rule_id = ids.new_hex_id()
    tx.insert(AccessRule, id=rule_id, user_id=user_id, **values)
    announce(tx, cloud, "identity.access_rule.created", rule_id)
    return tx.get(AccessRule, rule_id)


def bind(tx: Tx, credential_id: str, rules: Iterable[Row[Any]]) -> None:
    """The new application credential is good for these rules only."""
    tx.insert_many(
        CredentialRule, [{"application_credential_id": credential_id, "access_rule_id": rule.id} for rule in rules]
    )


def delete_rule(tx: Tx, cloud: Cloud, rule: Row[Any]) -> None:
    """Raises Forbidden while an application credential is bound to it."""
    if tx.find(CredentialRule, access_rule_id=rule.id) is not None:
        raise Forbidden("May not delete access rule in use. Delete the application credentials that have it first.")
    tx.delete(AccessRule, rule.id)
    announce(tx, cloud, "identity.access_rule.deleted", rule.id)


def forget_users(tx: Tx, user_ids: Any) -> None:
    """Rules of users (ids, or a select of ids) who leave; their application credentials must be gone."""
    tx.delete_where(AccessRule, table_of(AccessRule).c.user_id.in_(user_ids))
