# SPDX-License-Identifier: Apache-2.0
"""What other services and the composition root may use of identity."""

from dataclasses import dataclass
from typing import Any

from altostratus.kernel import ids
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Tx
from altostratus.services.identity.logic import assignments, explaining
from altostratus.services.identity.logic import bootstrap as logic
from altostratus.services.identity.logic.bootstrap import ensure_role
from altostratus.services.identity.logic.catalog import register_catalog
from altostratus.services.identity.logic.explaining import HeldRole, held_roles
from altostratus.services.identity.logic.token_state import VoidTokenError
from altostratus.services.identity.logic.unified_limits import UnifiedLimits
from altostratus.services.identity.models import Project, User
from altostratus.services.identity.tokens.access_keys import AccessKey, find_access_key
from altostratus.services.identity.tokens.authenticator import TokenAuthenticator
from altostratus.services.identity.tokens.passwords import hash_password
from altostratus.services.identity.tokens.rings import KeyInfo, add_keys, list_keys, secrets_behind
from altostratus.services.identity.tokens.would_be import would_be_context

__all__ = [
    "AccessKey",
    "HeldRole",
    "KeyInfo",
    "ProjectInfo",
    "TokenAuthenticator",
    "UnifiedLimits",
    "UserInfo",
    "VoidTokenError",
    "add_keys",
    "bootstrap",
    "domains_named",
    "ensure_role",
    "find_access_key",
    "find_project",
    "find_user",
    "held_roles",
    "list_keys",
    "projects_named",
    "projects_of_user",
    "register_catalog",
    "secrets_behind",
    "users_named",
    "would_be_context",
]


@dataclass(frozen=True, slots=True)
class ProjectInfo:
    """A project, or a domain (then `domain_id` is its own id and it has no parent)."""

    id: str
    name: str
    domain_id: str
    enabled: bool
    parent_id: str | None


@dataclass(frozen=True, slots=True)
class UserInfo:
    id: str
    name: str
    domain_id: str
    enabled: bool


def find_project(tx: Tx, project_id: str) -> ProjectInfo | None:
    row = tx.find(Project, project_id)
    return None if row is None else _project_info(row)


def find_user(tx: Tx, user_id: str) -> UserInfo | None:
    row = tx.find(User, user_id)
    return None if row is None else _user_info(row)


def users_named(tx: Tx, name_or_id: str) -> list[UserInfo]:
    """Users of every domain with this name or id."""
    return [_user_info(row) for row in explaining.users_named(tx, name_or_id)]


def projects_named(tx: Tx, name_or_id: str) -> list[ProjectInfo]:
    """Projects of every domain with this name or id."""
    return [_project_info(row) for row in explaining.projects_named(tx, name_or_id)]


def projects_of_user(tx: Tx, user_id: str) -> list[ProjectInfo]:
    """Where the user has any role: its own, its groups' or an inherited one."""
    return [_project_info(row) for row in assignments.projects_of_user(tx, user_id)]


def domains_named(tx: Tx, name_or_id: str) -> list[ProjectInfo]:
    return [_project_info(row) for row in explaining.projects_named(tx, name_or_id, is_domain=True)]


def _project_info(row: Any) -> ProjectInfo:
    return ProjectInfo(row.id, row.name, row.domain_id or row.id, row.enabled, row.parent_id)


def _user_info(row: Any) -> UserInfo:
    return UserInfo(row.id, row.name, row.domain_id, row.enabled)


def bootstrap(
    cloud: Cloud,
    tx: Tx,
    *,
    admin_password: str,
    base_url: str,
    demo_password: str | None = None,
    region: str = "RegionOne",
) -> None:
    """Domain, projects, users, roles and catalog of a new cloud; idempotent, for every start.

    Passwords count only for users that do not exist yet. Without `demo_password` nobody knows demo's.
    """
    demo = demo_password or ids.new_secret()
    secrets = {"admin": lambda: hash_password(admin_password), "demo": lambda: hash_password(demo)}
    logic.bootstrap(cloud, tx, secrets=secrets, base_url=base_url, region=region)
