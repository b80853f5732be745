# SPDX-License-Identifier: Apache-2.0
"""What became void and when: single tokens, and all older tokens of users, projects and domains."""

from typing import NamedTuple

from sqlalchemy import select

from altostratus.kernel.db import Tx, table_of
from altostratus.services.identity.models import Project, Revocation, User


class Event(NamedTuple):
    """`what` names the identifier: audit_id, user_id, project_id or domain_id."""

    revoked_at: str
    what: str
    identifier: str


def events_since(tx: Tx, horizon: str) -> list[Event]:
    """Oldest first."""
    revoked, user, project = table_of(Revocation).c, table_of(User).c, table_of(Project).c
    tokens = select(revoked.audit_id, revoked.revoked_at).where(revoked.revoked_at >= horizon)
    users = select(user.id, user.tokens_from).where(user.tokens_from >= horizon)
    projects = select(project.id, project.tokens_from, project.is_domain).where(project.tokens_from >= horizon)
    found = [Event(row.revoked_at, "audit_id", row.audit_id) for row in tx.rows(tokens)]
    found += [Event(row.tokens_from, "user_id", row.id) for row in tx.rows(users)]
    found += [
        Event(row.tokens_from, "domain_id" if row.is_domain else "project_id", row.id) for row in tx.rows(projects)
    ]
    return sorted(found)
