# SPDX-License-Identifier: Apache-2.0
"""What a new cloud has: a domain, projects, users, roles, and the catalog. Run at every start."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import select

from altostratus.kernel import clock, ids
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Tx, table_of
from altostratus.services.identity.logic.assignments import Place, grant, system_place
from altostratus.services.identity.logic.catalog import register_catalog
from altostratus.services.identity.logic.changes import void_cached_tokens
from altostratus.services.identity.logic.projects import DEFAULT_DOMAIN
from altostratus.services.identity.models import ImpliedRole, Project, Role, User

ROLES = ("admin", "manager", "member", "reader", "service")
IMPLICATIONS = (("admin", "manager"), ("manager", "member"), ("member", "reader"))
PROJECTS = {
    "admin": "Project of the cloud's administrators.",
    "service": "Project of the cloud's own services.",
    "demo": "A project to try things in.",
}


def bootstrap(cloud: Cloud, tx: Tx, *, secrets: dict[str, Callable[[], str]], base_url: str, region: str) -> None:
    """Make what is missing; nothing that exists is changed, except that a moved cloud gets its new URLs.

    secrets: for each user (admin, demo) a function that gives the hash of the password; asked only for users
    that have to be made.
    """
    roles = {name: ensure_role(tx, name) for name in ROLES}
    for prior, implied in IMPLICATIONS:
        if tx.find(ImpliedRole, roles[prior], roles[implied]) is None:
            tx.insert(ImpliedRole, prior_role_id=roles[prior], implied_role_id=roles[implied])
    _ensure_domain(tx)
    projects = {name: _ensure_project(tx, name, words) for name, words in PROJECTS.items()}
    admin, made_admin = _ensure_user(tx, "admin", projects["admin"], secrets["admin"])
    demo, made_demo = _ensure_user(tx, "demo", projects["demo"], secrets["demo"])
    if made_admin:
        grant(tx, cloud, Place("user", admin, "project", projects["admin"]), roles["admin"])
        grant(tx, cloud, Place("user", admin, "domain", DEFAULT_DOMAIN), roles["admin"])
        grant(tx, cloud, system_place("user", admin), roles["admin"])
    if made_demo:
        for name in ("member", "reader"):
            grant(tx, cloud, Place("user", demo, "project", projects["demo"]), roles[name])
        grant(tx, cloud, Place("user", admin, "project", projects["demo"]), roles["admin"])
    register_catalog(tx, cloud, base_url, region)
    void_cached_tokens(tx, cloud)


def ensure_role(tx: Tx, name: str) -> str:
    """The id of the role of no domain with this name, made if it is missing."""
    role = table_of(Role).c
    found = tx.scalar(select(role.id).where(role.name == name, role.domain_id.is_(None)))
    if found is not None:
        return str(found)
    role_id = ids.new_hex_id()
    options = {"immutable": True} if name in ("admin", "manager", "member", "reader") else {}
    tx.insert(Role, id=role_id, name=name, domain_id=None, description=None, options=options, extra={})
    return role_id


def _ensure_domain(tx: Tx) -> None:
    if tx.find(Project, DEFAULT_DOMAIN) is None:
        words = "The default domain"
        tx.insert(
            Project, **_project("Default", words), id=DEFAULT_DOMAIN, domain_id=None, parent_id=None, is_domain=True
        )


def _ensure_project(tx: Tx, name: str, words: str) -> str:
    project = table_of(Project).c
    found = tx.scalar(select(project.id).where(project.domain_id == DEFAULT_DOMAIN, project.name == name))
    if found is not None:
        return str(found)
    project_id = ids.new_hex_id()
    place = {"domain_id": DEFAULT_DOMAIN, "parent_id": DEFAULT_DOMAIN, "is_domain": False}
    tx.insert(Project, id=project_id, **_project(name, words), **place)
    return project_id


def _project(name: str, words: str) -> dict[str, Any]:
    return {"name": name, "description": words, "enabled": True, "options": {}, "extra": {}}


def _ensure_user(tx: Tx, name: str, project_id: str, secret: Callable[[], str]) -> tuple[str, bool]:
    """(id, was it made now)"""
    user = table_of(User).c
    found = tx.scalar(select(user.id).where(user.domain_id == DEFAULT_DOMAIN, user.name == name))
    if found is not None:
        return str(found), False
    user_id = ids.new_hex_id()
    tx.insert(
        User,
        id=user_id, domain_id=DEFAULT_DOMAIN, name=name, enabled=True, password_hash=secret(), options={}, extra={},
        created_at=clock.now(),
    )  # fmt: skip
    return user_id, True
