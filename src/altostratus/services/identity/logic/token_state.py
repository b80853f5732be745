# SPDX-License-Identifier: Apache-2.0
"""Does what a token says still hold? Users, projects, roles and revocations as they are now."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from altostratus.kernel import clock
from altostratus.kernel.db import Tx, table_of
from altostratus.services.identity.logic.effective import RoleName, effective_roles, roles_behind
from altostratus.services.identity.models import ApplicationCredential, Project, Revocation, User
from altostratus.services.identity.tokens.layout import Claims


class VoidTokenError(Exception):
    """The token holds no longer; the message says why, for the log only."""


@dataclass(frozen=True, slots=True)
class TokenState:
    """Everything about a valid token. `project` and `domain` are rows of the scope, or None.

    `user` has id, name, domain_id, domain_name and password_expires_at.
    """

    claims: Claims
    user: Any
    roles: tuple[RoleName, ...] = ()
    project: Any = None
    project_domain: Any = None
    domain: Any = None
    application_credential: Any = None


def look_up(tx: Tx, claims: Claims) -> TokenState:
    """The state of a token that holds. Raises VoidTokenError. Expiry is the caller's business."""
    if tx.find(Revocation, claims.audit_ids[0]) is not None:
        raise VoidTokenError("it was revoked")
    user = _user(tx, claims)
    if claims.scope == "unscoped":
        return TokenState(claims, user)
    project = project_domain = domain = None
    if claims.scope == "project":
        project, project_domain = _project(tx, claims)
    elif claims.scope == "domain":
        domain = _enabled(tx.find(Project, claims.scope_id), "domain", claims)
    roles = effective_roles(tx, claims.user_id, claims.scope, claims.scope_id)
    credential = None
    if claims.application_credential_id is not None:
        credential = _application_credential(tx, claims)
        allowed = set(roles_behind(tx, list(credential.role_ids)))
        roles = [role for role in roles if role in allowed]
    if not roles:
        raise VoidTokenError(f"user {claims.user_id} has no role on {claims.scope} {claims.scope_id}")
    return TokenState(claims, user, tuple(roles), project, project_domain, domain, credential)


def _user(tx: Tx, claims: Claims) -> Any:
    user, domain = table_of(User), table_of(Project)
    row = tx.first(
        select(
            user.c.id, user.c.name, user.c.enabled, user.c.tokens_from, user.c.password_expires_at,
            domain.c.id.label("domain_id"), domain.c.name.label("domain_name"),
            domain.c.enabled.label("domain_enabled"), domain.c.tokens_from.label("domain_tokens_from"),
        ).join(domain, domain.c.id == user.c.domain_id)
        .where(user.c.id == claims.user_id)
    )  # fmt: skip
    if row is None:
        raise VoidTokenError(f"user {claims.user_id} does not exist")
    if not row.enabled or not row.domain_enabled:
        raise VoidTokenError(f"user {claims.user_id} or its domain is disabled")
    if claims.issued_at <= max(row.tokens_from, row.domain_tokens_from):
        raise VoidTokenError(f"the password of user {claims.user_id} was changed, or the user disabled, since")
    return row


def _project(tx: Tx, claims: Claims) -> tuple[Any, Any]:
    project = _enabled(tx.find(Project, claims.scope_id), "project", claims)
    if project.domain_id is None:
        return project, project
    return project, _enabled(tx.find(Project, project.domain_id), "domain", claims)


def _enabled(row: Any, what: str, claims: Claims) -> Any:
    if row is None or not row.enabled:
        raise VoidTokenError(f"{what} {claims.scope_id} does not exist or is disabled")
    if claims.issued_at <= row.tokens_from:
        raise VoidTokenError(f"{what} {row.id} was disabled since")
    return row


def _application_credential(tx: Tx, claims: Claims) -> Any:
    row = tx.find(ApplicationCredential, claims.application_credential_id)
    if row is None or (row.expires_at is not None and row.expires_at <= clock.now()):
        raise VoidTokenError(f"application credential {claims.application_credential_id} is gone")
    return row
