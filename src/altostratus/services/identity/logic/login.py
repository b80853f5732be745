# SPDX-License-Identifier: Apache-2.0
"""Who asks for a token, and for which scope. Only reads; passwords are compared by the caller."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import BadRequest
from altostratus.services.identity.logic.effective import effective_roles
from altostratus.services.identity.models import ApplicationCredential, Project, User


class LoginError(Exception):
    """Refused; the message says why, for the log. The caller is told nothing."""


@dataclass(frozen=True, slots=True)
class Scope:
    """kind: project, domain, system or unscoped."""

    kind: str
    id: str = ""


UNSCOPED = Scope("unscoped")
TRUST = "OS-TRUST:trust"
_SCOPES = {"project", "domain", "system", "unscoped", TRUST}


def missing(attribute: str, target: str) -> BadRequest:
    return BadRequest(
        f"Expecting to find {attribute} in {target}. The server could not comply with the request since it is either"
        " malformed or otherwise incorrect. The client is assumed to be in error."
    )


def find_login_user(tx: Tx, named: dict[str, Any]) -> Row[Any] | None:
    """The user of `{"id"}` or `{"name", "domain"}`, if there is an enabled one in an enabled domain."""
    user = table_of(User)
    if "id" in named:
        row = tx.find(User, named["id"])
    else:
        if "name" not in named:
            raise missing("id or name", "user")
        if "domain" not in named:
            raise missing("domain", "user")
        domain_id = find_domain_id(tx, named["domain"])
        row = tx.first(select(user).where(user.c.domain_id == domain_id, user.c.name == named["name"]))
    if row is None or not row.enabled:
        return None
    domain = tx.find(Project, row.domain_id)
    return row if domain is not None and domain.enabled else None


def find_domain_id(tx: Tx, named: dict[str, Any]) -> str | None:
    """The id of the enabled domain of `{"id"}` or `{"name"}`."""
    project = table_of(Project)
    if "id" in named:
        row = tx.find(Project, named["id"])
    elif "name" in named:
        row = tx.first(select(project).where(project.c.is_domain, project.c.name == named["name"]))
    else:
        raise missing("id or name", "domain")
    return str(row.id) if row is not None and row.is_domain and row.enabled else None


def find_application_credential(tx: Tx, named: dict[str, Any]) -> Row[Any] | None:
    """By `{"id"}` or by `{"name", "user"}`."""
    credential = table_of(ApplicationCredential)
    if "id" in named:
        return tx.find(ApplicationCredential, named["id"])
    if "name" not in named or "user" not in named:
        raise missing("id, or name and user", "application credential")
    user = find_login_user(tx, named["user"])
    if user is None:
        return None
    return tx.first(select(credential).where(credential.c.user_id == user.id, credential.c.name == named["name"]))


def resolve_scope(tx: Tx, wanted: Any, user_id: str) -> Scope:
    """The scope of a request's `scope` member (None: the user's default project). Raises LoginError, BadRequest."""
    if wanted is None:
        return _default_scope(tx, user_id)
    if wanted == "unscoped":
        return UNSCOPED
    if not isinstance(wanted, dict) or len(_SCOPES & set(wanted)) != 1:
        raise missing("system, project, domain, OS-TRUST:trust or unscoped", "scope")
    if "unscoped" in wanted:
        return UNSCOPED
    if "system" in wanted:
        if wanted["system"].get("all") is not True:
            raise missing("all", "system")
        return Scope("system", "all")
    if "domain" in wanted:
        domain_id = find_domain_id(tx, wanted["domain"])
        if domain_id is None:
            raise LoginError("the domain of the scope does not exist or is disabled")
        return Scope("domain", domain_id)
    return Scope("project", _project_id(tx, wanted["project"]))


def trust_of_scope(wanted: Any) -> str | None:
    """The id in a scope that is a trust. Raises BadRequest."""
    if not isinstance(wanted, dict) or TRUST not in wanted:
        return None
    if len(_SCOPES & set(wanted)) != 1:
        raise missing("system, project, domain, OS-TRUST:trust or unscoped", "scope")
    if "id" not in wanted[TRUST]:
        raise missing("trust_id", "trust")
    return str(wanted[TRUST]["id"])


def _project_id(tx: Tx, named: dict[str, Any]) -> str:
    project = table_of(Project)
    if "id" in named:
        row = tx.find(Project, named["id"])
    else:
        if "name" not in named:
            raise missing("id or name", "project")
        if "domain" not in named:
            raise missing("domain", "project")
        domain_id = find_domain_id(tx, named["domain"])
        row = tx.first(select(project).where(project.c.domain_id == domain_id, project.c.name == named["name"]))
    if row is None:
        raise LoginError(f"project {named.get('id') or named.get('name')!r} does not exist")
    return str(row.id)


def _default_scope(tx: Tx, user_id: str) -> Scope:
    """The default project where the user really has a role there; else no scope."""
    user = tx.find(User, user_id)
    project = tx.find(Project, user.default_project_id) if user is not None and user.default_project_id else None
    if project is None or not project.enabled or not effective_roles(tx, user_id, "project", project.id):
        return UNSCOPED
    domain = tx.find(Project, project.domain_id)
    return Scope("project", project.id) if domain is not None and domain.enabled else UNSCOPED
