# SPDX-License-Identifier: Apache-2.0
"""Callers for tests: a token is just the persona's name, so no password is ever hashed.

`member@blue` is a member of project blue; `admin` the cloud's administrator in project admin. Instead of a project
`system`, `domain` (the default one) or `unscoped` may stand: `reader@system`, `manager@domain`, `nobody@unscoped`.
"""

from altostratus.kernel import ids
from altostratus.kernel.auth import Context
from altostratus.kernel.errors import Unauthorized

_ROLES = {
    "admin": frozenset({"admin", "manager", "member", "reader"}),
    "manager": frozenset({"manager", "member", "reader"}),
    "member": frozenset({"member", "reader"}),
    "reader": frozenset({"reader"}),
    "service": frozenset({"service"}),
    "reseller": frozenset({"ResellerAdmin"}),
    "nobody": frozenset[str](),
}

# everybody whose rights differ, by the words for people: the columns of docs/permissions.md
EVERYBODY = {
    "cloud admin": "admin",
    "system admin": "admin@system",
    "system reader": "reader@system",
    "domain admin": "admin@domain",
    "domain manager": "manager@domain",
    "domain reader": "reader@domain",
    "manager": "manager@blue",
    "member": "member@blue",
    "reader": "reader@blue",
    "service": "service@service",
    "no role": "nobody@blue",
    "other project": "member@foreign",
    "unscoped": "nobody@unscoped",
}


def project_id(name: str) -> str:
    """The id of a test project, the same in every run."""
    return ids.derived_id("project", name).replace("-", "")


def user_id(persona: str, project: str) -> str:
    return ids.derived_id("user", f"{persona}@{project}").replace("-", "")


class PersonaAuthenticator:
    """Authenticator whose tokens are `persona` or `persona@place`."""

    def __init__(self) -> None:
        self._known: dict[str, Context] = {}

    def authenticate(self, token: str) -> Context:
        known = self._known.get(token)
        if known is None:
            known = self._known[token] = self._make(token)
        return known

    @staticmethod
    def _make(token: str) -> Context:
        persona, _, place = token.partition("@")
        if persona not in _ROLES:
            raise Unauthorized("The request you have made requires authentication.")
        place = place or ("admin" if persona == "admin" else "blue")
        names = {"user_name": persona, "user_domain_id": "default", "user_domain_name": "Default"}
        if place == "domain":
            names["domain_name"] = "Default"
        elif place not in ("system", "unscoped"):
            names |= {"project_name": place, "project_domain_id": "default", "project_domain_name": "Default"}
        return Context(
            user_id=user_id(persona, place),
            roles=_ROLES[persona],
            project_id=project_id(place) if "project_name" in names else None,
            domain_id="default" if place == "domain" else None,
            system=place == "system",
            names=names,
        )
