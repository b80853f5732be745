# SPDX-License-Identifier: Apache-2.0
"""What this cloud says of its own users to another one: who, from which project, with which roles and groups."""

from typing import Any

import msgspec
from sqlalchemy import or_, select

from altostratus.kernel import clock
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import Forbidden, Unauthorized
from altostratus.services.identity.errors import not_found
from altostratus.services.identity.logic.token_state import TokenState, VoidTokenError
from altostratus.services.identity.models import ExpiringMember, Group, GroupMember, Project, ServiceProvider
from altostratus.services.identity.tokens.authenticator import UNAUTHORIZED, TokenAuthenticator


def demand_own_hand(cloud: Cloud, token: str) -> TokenState:
    """The state of a token that may speak for its user elsewhere. Raises Unauthorized or Forbidden.

    What was delegated stays here: the other cloud could not keep to its limits.
    """
    try:
        state = cloud.part(TokenAuthenticator).entry(token).state
    except VoidTokenError:
        raise Unauthorized(UNAUTHORIZED) from None
    credential = state.application_credential
    limited = credential is not None and (not credential.unrestricted or state.access_rules)
    if limited or state.trust is not None or state.access_token is not None:
        raise Forbidden(
            "A trust, an OAuth token or a restricted application credential does not speak for its user at other"
            " clouds. Log in yourself."
        )
    if state.project is None:
        raise Forbidden("Use a project scoped token when attempting to create a SAML assertion")
    return state


def demand_service_provider(tx: Tx, provider_id: str) -> Row[Any]:
    row = tx.find(ServiceProvider, provider_id)
    if row is None:
        raise not_found("service provider", provider_id)
    if not row.enabled:
        raise Forbidden(f"Service Provider {provider_id} is disabled.")
    return row


def facts_of(tx: Tx, state: TokenState) -> dict[str, list[str]]:
    """Upstream's attributes. Groups go as `JSON:{"name": ..., "domain": {"name": ...}}`."""
    facts = {
        "openstack_user": [state.user.name],
        "openstack_user_domain": [state.user.domain_name],
        "openstack_roles": [role.name for role in state.roles],
        "openstack_project": [state.project.name],
        "openstack_project_domain": [state.project_domain.name],
    }
    groups = [
        "JSON:" + msgspec.json.encode({"name": row.name, "domain": {"name": row.domain_name}}).decode()
        for row in _groups(tx, state.user.id)
    ]
    return facts | ({"openstack_groups": groups} if groups else {})


def _groups(tx: Tx, user_id: str) -> list[Row[Any]]:
    group, domain = table_of(Group), table_of(Project)
    member, expiring = table_of(GroupMember).c, table_of(ExpiringMember).c
    mine = or_(
        group.c.id.in_(select(member.group_id).where(member.user_id == user_id)),
        group.c.id.in_(select(expiring.group_id).where(expiring.user_id == user_id, expiring.expires_at > clock.now())),
    )
    statement = select(group.c.name, domain.c.name.label("domain_name")).join(domain, domain.c.id == group.c.domain_id)
    return tx.rows(statement.where(mine).order_by(group.c.name, domain.c.name))
