# SPDX-License-Identifier: Apache-2.0
"""Who may do what: upstream's rule names and oslo.policy's language, with personas as defaults.

Operators' `policy.yaml` or `policy.json` files are read by oslo.policy itself and read again when they
change. The rules that stand are then evaluated as oslo.policy's own check objects.
"""

import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from oslo_config import cfg
from oslo_policy import opts, policy

from altostratus.kernel import clock, log
from altostratus.kernel.auth import Context
from altostratus.kernel.errors import Forbidden
from altostratus.kernel.policy_eval import Evaluator

_log = log.get("policy")
_RELOAD_EVERY_S = 1.0


class Persona(NamedTuple):
    """A default: the words for people, the check string, and the kinds of tokens it is for (empty: every kind).

    Kinds are system, domain and project; a token without scope counts as project, as in oslo.policy.
    """

    name: str
    check: str
    scopes: tuple[str, ...] = ()


ADMIN = Persona("admin", "rule:context_is_admin")
MANAGER = Persona("manager", "rule:project_manager_or_admin")
MEMBER = Persona("member", "rule:project_member_or_admin")
READER = Persona("reader", "rule:project_reader_or_admin")
SERVICE = Persona("service", "rule:service_or_admin")
ANY = Persona("any authenticated user", "@")
OWNER_USER = Persona("the user", "rule:context_is_admin or user_id:%(user_id)s")

BASE_RULES = (
    policy.RuleDefault("context_is_admin", "role:admin", description="The cloud's administrators."),
    policy.RuleDefault("admin_required", "role:admin", description="The cloud's administrators."),
    policy.RuleDefault("service_api", "role:service", description="Other services of the cloud."),
    policy.RuleDefault("service_or_admin", "rule:service_api or rule:context_is_admin"),
    policy.RuleDefault("project_manager_api", "role:manager and project_id:%(project_id)s"),
    policy.RuleDefault("project_member_api", "role:member and project_id:%(project_id)s"),
    policy.RuleDefault("project_reader_api", "role:reader and project_id:%(project_id)s"),
    policy.RuleDefault("project_manager_or_admin", "rule:project_manager_api or rule:context_is_admin"),
    policy.RuleDefault("project_member_or_admin", "rule:project_member_api or rule:context_is_admin"),
    policy.RuleDefault("project_reader_or_admin", "rule:project_reader_api or rule:context_is_admin"),
)


class Rule(NamedTuple):
    """One rule of a service, as its operations declare it."""

    name: str
    check: str
    description: str
    operations: tuple[tuple[str, str], ...] = ()
    scopes: tuple[str, ...] = ()

    def documented(self) -> policy.RuleDefault:
        scopes = list(self.scopes) or None
        if not self.operations:
            return policy.RuleDefault(self.name, self.check, description=self.description, scope_types=scopes)
        return policy.DocumentedRuleDefault(
            name=self.name,
            check_str=self.check,
            description=self.description,
            operations=[{"method": method, "path": path} for method, path in self.operations],
            scope_types=scopes,
        )


class Policy:
    """The rules of one service. `path` is the operator's file (YAML or JSON), which need not exist."""

    def __init__(self, rules: Iterable[Rule], path: Path | None = None) -> None:
        conf = cfg.ConfigOpts()
        opts._register(conf)
        conf([], project="altostratus", default_config_files=[])
        self._path = path
        self._enforcer = policy.Enforcer(conf, policy_file=str(path) if path else "none.yaml", use_conf=True)
        self._enforcer.suppress_deprecation_warnings = True
        self._enforcer.suppress_default_change_warnings = True
        own = {rule.name: rule for rule in rules}
        self._scopes = {rule.name: rule.scopes for rule in own.values() if rule.scopes}
        self._enforcer.register_defaults([base for base in BASE_RULES if base.name not in own])
        self._enforcer.register_defaults([rule.documented() for rule in own.values()])
        self._lock = threading.Lock()
        self._next_look = 0.0
        self._mtime: float | None = None
        self._enforcer.load_rules()
        self._checks: Mapping[str, Any] = self._enforcer.rules
        self._evaluator = Evaluator(self._checks, self._enforcer)

    @property
    def rules(self) -> Mapping[str, Any]:
        self._reload_if_changed()
        return self._checks

    def allows(self, rule: str, context: Context, target: Mapping[str, Any] | None = None) -> bool:
        """Raises KeyError for a rule nobody declared: that is a programming error."""
        self._reload_if_changed()
        if rule in self._scopes and _scope_of(context) not in self._scopes[rule]:
            return False
        return self._evaluator.decide(rule, target if target is not None else {}, context.credentials)

    def demand(self, rule: str, context: Context, target: Mapping[str, Any] | None = None) -> None:
        """Raises Forbidden, naming the rule."""
        if not self.allows(rule, context, target):
            raise Forbidden(
                f"Policy doesn't allow {rule} to be performed.", kind="PolicyNotAuthorized", details={"rule": rule}
            )

    def describe(self, rule: str) -> str:
        """The check string that stands for `rule` now."""
        return str(self._checks[rule])

    def _reload_if_changed(self) -> None:
        moment = clock.monotonic()
        if moment < self._next_look or self._path is None:
            return
        with self._lock:
            self._next_look = moment + _RELOAD_EVERY_S
            mtime = self._path.stat().st_mtime if self._path.exists() else None
            if mtime == self._mtime:
                return
            self._mtime = mtime
            try:
                self._enforcer.clear()
                self._enforcer.load_rules(force_reload=True)
                self._checks = self._enforcer.rules
                self._evaluator = Evaluator(self._checks, self._enforcer)
            except (policy.InvalidDefinitionError, policy.PolicyNotAuthorized, ValueError, OSError) as error:
                _log.error("policy file %s is not usable and was ignored: %s", self._path, error)


def _scope_of(context: Context) -> str:
    if context.system:
        return "system"
    return "domain" if context.domain_id is not None else "project"
