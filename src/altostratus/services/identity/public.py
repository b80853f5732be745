# SPDX-License-Identifier: Apache-2.0
"""What other services and the composition root may use of identity."""

from dataclasses import dataclass

from altostratus.kernel import ids
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Tx
from altostratus.services.identity.logic import bootstrap as logic
from altostratus.services.identity.logic.catalog import register_catalog
from altostratus.services.identity.models import Project, User
from altostratus.services.identity.tokens.authenticator import TokenAuthenticator
from altostratus.services.identity.tokens.passwords import hash_password

__all__ = [
    "ProjectInfo",
    "TokenAuthenticator",
    "UserInfo",
    "bootstrap",
    "find_project",
    "find_user",
    "register_catalog",
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
    return None if row is None else ProjectInfo(row.id, row.name, row.domain_id or row.id, row.enabled, row.parent_id)


def find_user(tx: Tx, user_id: str) -> UserInfo | None:
    row = tx.find(User, user_id)
    return None if row is None else UserInfo(row.id, row.name, row.domain_id, row.enabled)


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
