# SPDX-License-Identifier: Apache-2.0
"""Does what a token says still hold? Users, projects, roles and revocations as they are now."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, not_, select

from altostratus.kernel import clock
from altostratus.kernel.db import Tx, table_of
from altostratus.services.identity.logic import trusts
from altostratus.services.identity.logic.access_rules import rules_of
from altostratus.services.identity.logic.effective import RoleName, effective_roles, roles_behind
from altostratus.services.identity.models import (
    AccessToken,
    ApplicationCredential,
    FederatedUser,
    FederationProtocol,
    IdentityProvider,
    Project,
    Revocation,
    User,
)
from altostratus.services.identity.tokens.layout import Claims, Federated


class VoidTokenError(Exception):
    """The token holds no longer; the message says why, for the log only."""


@dataclass(frozen=True, slots=True)
class TokenState:
    """Everything about a valid token. `project` and `domain` are rows of the scope, or None.

    `user` has id, name, domain_id, domain_name and password_expires_at; with a trust that impersonates it is the
    trustor. `access_rules` are rows: the only requests that the application credential is good for; empty for all.
    """

    claims: Claims
    user: Any
    roles: tuple[RoleName, ...] = ()
    project: Any = None
    project_domain: Any = None
    domain: Any = None
    application_credential: Any = None
    access_token: Any = None
    trust: Any = None
    access_rules: tuple[Any, ...] = ()


def look_up(tx: Tx, claims: Claims) -> TokenState:
    """The state of a token that holds. Raises VoidTokenError. Expiry is the caller's business."""
    if tx.find(Revocation, claims.audit_ids[0]) is not None:
        raise VoidTokenError("it was revoked")
    user = _user(tx, claims)
    group_ids: tuple[str, ...] = ()
    if claims.federated is not None:
        demand_vouched(tx, claims.federated)
        group_ids = claims.federated.group_ids
    if claims.scope == "unscoped":
        return TokenState(claims, user)
    project = project_domain = domain = None
    if claims.scope == "project":
        project, project_domain = _project(tx, claims)
    elif claims.scope == "domain":
        domain = _enabled(tx.find(Project, claims.scope_id), "domain", claims)
    if claims.trust_id is not None:
        trust, actor, delegated = _delegated(tx, claims)
        return TokenState(claims, actor, tuple(delegated), project, project_domain, trust=trust)
    roles = effective_roles(tx, claims.user_id, claims.scope, claims.scope_id, group_ids)
    credential = access_token = None
    rules: tuple[Any, ...] = ()
    if claims.application_credential_id is not None:
        credential = _application_credential(tx, claims)
        rules = rules_of(tx, [credential.id])[credential.id]
        roles = _given_on(tx, roles, credential.role_ids)
    if claims.access_token_id is not None:
        access_token = _access_token(tx, claims)
        roles = _given_on(tx, roles, access_token.role_ids)
    if not roles:
        raise VoidTokenError(f"user {claims.user_id} has no role on {claims.scope} {claims.scope_id}")
    return TokenState(
        claims, user, tuple(roles), project, project_domain, domain, credential, access_token, access_rules=rules
    )


def _user(tx: Tx, claims: Claims, user_id: str | None = None) -> Any:
    """The claims' own user, or another one whom the token needs as well."""
    user_id = user_id or claims.user_id
    user, domain = table_of(User), table_of(Project)
    row = tx.first(
        select(
            user.c.id, user.c.name, user.c.enabled, user.c.tokens_from, user.c.password_expires_at,
            domain.c.id.label("domain_id"), domain.c.name.label("domain_name"),
            domain.c.enabled.label("domain_enabled"), domain.c.tokens_from.label("domain_tokens_from"),
            _is_forsaken(user.c).label("forsaken"),
        ).join(domain, domain.c.id == user.c.domain_id)
        .where(user.c.id == user_id)
    )  # fmt: skip
    if row is None:
        raise VoidTokenError(f"user {user_id} does not exist")
    if not row.enabled or not row.domain_enabled:
        raise VoidTokenError(f"user {user_id} or its domain is disabled")
    if row.forsaken:
        raise VoidTokenError(f"every identity provider that vouches for user {user_id} is disabled")
    if claims.issued_at <= max(row.tokens_from, row.domain_tokens_from):
        raise VoidTokenError(f"the password of user {user_id} was changed, or the user disabled, since")
    return row


def _is_forsaken(user: Any) -> ColumnElement[bool]:
    """Has no password, and all the identity providers that vouch for the user are disabled."""
    voucher, idp = table_of(FederatedUser).c, table_of(IdentityProvider).c
    known = exists().where(voucher.user_id == user.id)
    good = exists().where(voucher.user_id == user.id, voucher.idp_id == idp.id, idp.enabled)
    return and_(user.password_hash.is_(None), known, not_(good))


def demand_vouched(tx: Tx, federated: Federated) -> None:
    """The identity provider is still there and enabled, and still speaks this protocol. Raises VoidTokenError."""
    idp = tx.find(IdentityProvider, federated.idp_id)
    domain = tx.find(Project, idp.domain_id) if idp is not None else None
    if idp is None or not idp.enabled or domain is None or not domain.enabled:
        raise VoidTokenError(f"identity provider {federated.idp_id} is gone or disabled")
    if tx.find(FederationProtocol, federated.idp_id, federated.protocol_id) is None:
        raise VoidTokenError(f"protocol {federated.protocol_id} of identity provider {federated.idp_id} is gone")


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


def _access_token(tx: Tx, claims: Claims) -> Any:
    """It need not be good for new logins any more, but it must not have been taken back."""
    row = tx.find(AccessToken, claims.access_token_id)
    if row is None or (row.user_id, row.project_id) != (claims.user_id, claims.scope_id):
        raise VoidTokenError(f"OAuth access token {claims.access_token_id} is gone")
    return row


def _delegated(tx: Tx, claims: Claims) -> tuple[Any, Any, list[RoleName]]:
    """The trust, the user that its token acts as, and the roles. Everybody who passed it on must be in order."""
    trust_id = str(claims.trust_id)
    chain = trusts.chain_of(tx, trust_id)
    if not chain:
        raise VoidTokenError(f"trust {trust_id} is gone")
    trust = chain[0]
    if trust.trustee_user_id != claims.user_id or (claims.scope, claims.scope_id) != ("project", trust.project_id):
        raise VoidTokenError(f"user {claims.user_id} is not the trustee of trust {trust_id}")
    agents = {user_id for one in chain for user_id in (one.trustor_user_id, one.trustee_user_id)}
    known = {user_id: _user(tx, claims, user_id) for user_id in sorted(agents)}
    if lost := trusts.lost_roles(tx, chain):
        raise VoidTokenError(f"the trustor has lost the roles {', '.join(sorted(lost))} of trust {trust_id}")
    actor = known[trust.trustor_user_id if trust.impersonation else trust.trustee_user_id]
    return trust, actor, roles_behind(tx, list(trust.role_ids))


def _given_on(tx: Tx, own: list[RoleName], role_ids: list[str]) -> list[RoleName]:
    """Of the roles that the user has now, those that were given on, and what they imply."""
    given = set(roles_behind(tx, list(role_ids)))
    return [role for role in own if role in given]
