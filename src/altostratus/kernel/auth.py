# SPDX-License-Identifier: Apache-2.0
"""Who asks. The token's meaning as plain data; identity is the only service that makes one."""

from functools import cached_property
from typing import Any, Protocol

from altostratus.kernel.access_rules import AccessRules


class Context:
    """The authenticated caller of one request.

    At most one of `project_id`, `domain_id` and `system` is set (the token's scope). `roles` are role
    names with implied ones included. Immutable by convention; one context may serve many requests of
    the same token, so nothing about a request lives here.
    """

    def __init__(
        self,
        *,
        user_id: str,
        roles: frozenset[str] = frozenset(),
        project_id: str | None = None,
        domain_id: str | None = None,
        system: bool = False,
        names: dict[str, str] | None = None,
        expires_at: str | None = None,
        audit_ids: tuple[str, ...] = (),
        access_rules: AccessRules | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        self.user_id = user_id
        self.roles = roles
        self.project_id = project_id
        self.domain_id = domain_id
        self.system = system
        # user_name, user_domain_id, user_domain_name, project_name, project_domain_id, ...
        self.names = names or {}
        self.expires_at = expires_at
        self.audit_ids = audit_ids
        # the only requests that the token is good for; None: all
        self.access_rules = access_rules
        # what only identity reads: methods, trust, restrictions of an application credential ...
        self.extra = extra or {}

    @cached_property
    def is_admin(self) -> bool:
        """May see other projects' resources. Each service asks its policy for what may be *done*."""
        return "admin" in self.roles and self.domain_id is None

    @property
    def is_scoped(self) -> bool:
        return self.system or self.project_id is not None or self.domain_id is not None

    def with_roles(self, roles: frozenset[str]) -> "Context":
        """The same caller, if it had these roles."""
        return Context(
            user_id=self.user_id,
            roles=roles,
            project_id=self.project_id,
            domain_id=self.domain_id,
            system=self.system,
            names=self.names,
            access_rules=self.access_rules,
            extra=self.extra,
        )

    @cached_property
    def is_service(self) -> bool:
        return "service" in self.roles

    @cached_property
    def credentials(self) -> dict[str, Any]:
        """What a policy rule can ask about, under oslo.policy's names."""
        names = self.names
        return {
            "user_id": self.user_id,
            "user_domain_id": names.get("user_domain_id"),
            "project_id": self.project_id,
            "tenant_id": self.project_id,
            "project_domain_id": names.get("project_domain_id"),
            "domain_id": self.domain_id,
            "system_scope": "all" if self.system else None,
            "roles": sorted(self.roles),
            "is_admin": self.is_admin,
            "is_admin_project": True,
            "service_roles": [],
            **{name: self.extra.get(name) for name in ("trust_id", "trustor_id", "trustee_id")},
            # identity's rules ask `token.domain.id` and `token.project.domain.id`
            "token": {
                "domain": {"id": self.domain_id} if self.domain_id else {},
                "project": {"domain": {"id": names.get("project_domain_id")}} if self.project_id else {"domain": {}},
            },
        }


class Authenticator(Protocol):
    """Turns a token into a context; `identity.public` implements it."""

    def authenticate(self, token: str) -> Context:
        """Raises Unauthorized for a token that is malformed, expired or revoked."""


SYSTEM_CONTEXT = Context(user_id="altostratus", roles=frozenset({"admin", "manager", "member", "reader"}), system=True)
