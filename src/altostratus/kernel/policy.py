# SPDX-License-Identifier: Apache-2.0
"""Who may do what: upstream's rule names and oslo.policy's language, with personas as defaults.

Operators' files are written in oslo.policy's language and parsed by it, and read again when they change.
The rules that stand are then evaluated as oslo.policy's own check objects.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from oslo_config import cfg
from oslo_policy import opts, policy

from altostratus.kernel import clock, log
from altostratus.kernel.auth import Context
from altostratus.kernel.errors import PolicyRefused
from altostratus.kernel.policy_checks import OwnThings, by_power, roles_named, rules_named, wrong_references
from altostratus.kernel.policy_eval import Evaluator
from altostratus.kernel.policy_files import PolicyFileError, PolicyFiles

_log = log.get("policy")
# looking costs a few stat calls: often enough that the next command sees the change
_RELOAD_EVERY_S = 0.05


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

# In a token of a domain the role admin rules that domain, not the cloud. Upstream's services refuse such tokens.
_CLOUD_ADMIN = "role:admin and domain_id:None"
BASE_RULES = (
    policy.RuleDefault("context_is_admin", _CLOUD_ADMIN, description="The cloud's administrators."),
    policy.RuleDefault("admin_required", _CLOUD_ADMIN, description="The cloud's administrators."),
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


class _Standing(NamedTuple):
    """The rules that stand: checks by name, what decides them, and the file that each overridden one is from."""

    checks: Mapping[str, Any]
    evaluator: Evaluator
    origins: Mapping[str, Path]


class Policy:
    """The rules of one service. `paths` are operators' files (YAML or JSON), which need not exist; the last one wins.

    Raises PolicyFileError if a file cannot be used at the start: falling back to the defaults could allow what
    the operator forbade. Later on the rules that stand stay, and `problems` says why.
    """

    def __init__(self, rules: Iterable[Rule], paths: Sequence[Path] = ()) -> None:
        conf = cfg.ConfigOpts()
        opts._register(conf)
        conf([], project="altostratus", default_config_files=[])
        self._conf = conf
        self.declared = {rule.name: rule for rule in rules}
        bases = [base for base in BASE_RULES if base.name not in self.declared]
        self._defaults = {base.name: base.check for base in bases}
        self._defaults |= {name: rule.documented().check for name, rule in self.declared.items()}
        self._files = PolicyFiles(paths)
        self.problems: tuple[str, ...] = ()
        self._lock = threading.Lock()
        self._next_look = 0.0
        self._files.changed()
        self._standing = self._load()

    def allows(self, rule: str, context: Context, target: Mapping[str, Any] | None = None) -> bool:
        """Raises KeyError for a rule nobody declared: that is a programming error."""
        if not self.takes(rule, context):
            return False
        standing = self._current()
        return standing.evaluator.decide(rule, target if target is not None else {}, context.credentials)

    def demand(self, rule: str, context: Context, target: Mapping[str, Any] | None = None) -> None:
        """Raises PolicyRefused, which names the rule and the role that is missing."""
        if not self.allows(rule, context, target):
            raise PolicyRefused(rule, self.advice(rule, context))

    def takes(self, rule: str, context: Context) -> bool:
        """Is the rule for tokens of this scope at all?"""
        declared = self.declared.get(rule)
        return declared is None or not declared.scopes or scope_of(context) in declared.scopes

    def advice(self, rule: str, context: Context) -> str:
        """What whoever was refused can do. Says nothing about what exists: it depends on rule and token only."""
        if not self.takes(rule, context):
            kinds = " or ".join(self.declared[rule].scopes)
            return f"It takes a token with the scope {kinds}; this one is of a {scope_of(context)}."
        if not context.is_scoped:
            return "This token has no scope: ask for one of a project."
        if self.allows(rule, context, OwnThings(context)):
            return "Your roles allow it only for what is your own."
        ways = [f"the role {role}" for role in self.roles_that_allow(rule, context, OwnThings(context))[:1]]
        if not ways or ways == ["the role admin"]:
            ways += self._ways_elsewhere(rule, context)
        if not ways:
            return "No role would allow it to you."
        words = " or ".join(ways)
        return f"{words[:1].upper()}{words[1:]} would allow it."

    def _ways_elsewhere(self, rule: str, context: Context) -> list[str]:
        """Lesser roles that would be enough in a token of another scope."""
        domain_id = context.names.get("project_domain_id") or context.names.get("user_domain_id")
        others = {"domain": Context(user_id=context.user_id, domain_id=domain_id)} if domain_id else {}
        others["system"] = Context(user_id=context.user_id, system=True)
        ways = []
        for kind, other in others.items():
            roles = self.roles_that_allow(rule, other, OwnThings(other)) if kind != scope_of(context) else []
            ways += [f"the role {role} in a token of the {kind}" for role in roles[:1] if role != "admin"]
        return ways

    def roles_that_allow(self, rule: str, context: Context, target: Mapping[str, Any]) -> list[str]:
        """Names of roles any one of which would be enough, the least powerful first; empty if none would be."""
        standing = self._current()
        return [
            role
            for role in by_power(roles_named(standing.checks, rule))
            if self.takes(rule, context)
            and standing.evaluator.decide(rule, target, context.with_roles(context.roles | {role}).credentials)
        ]

    def describe(self, rule: str) -> str:
        """The check string that stands for `rule` now. Raises KeyError."""
        return str(self._current().checks[rule])

    def named_roles(self, rule: str) -> list[str]:
        """Every role that `rule` asks for, itself or through other rules."""
        return roles_named(self._current().checks, rule)

    def origin(self, rule: str) -> Path | None:
        """The operator's file that the rule stands in, or None for the default."""
        return self._current().origins.get(rule)

    def overrides(self) -> dict[str, Path]:
        """Every rule that stands in a file, with the file that wins."""
        return dict(self._current().origins)

    def unused(self) -> set[str]:
        """Rules of the files that no operation and no other rule asks for: most likely misspelt."""
        standing = self._current()
        asked = set(self._defaults).union(*(rules_named(check) for check in standing.checks.values()))
        return set(standing.origins) - asked

    @property
    def paths(self) -> list[Path]:
        """The files that are there, the weakest first."""
        return self._files.existing()

    def _current(self) -> _Standing:
        moment = clock.monotonic()
        # one thread looks, the others go on with what stands
        if moment >= self._next_look and self._lock.acquire(blocking=False):
            try:
                self._next_look = moment + _RELOAD_EVERY_S
                if self._files.changed():
                    self._reload()
            finally:
                self._lock.release()
        return self._standing

    def _reload(self) -> None:
        try:
            self._standing = self._load()
        except PolicyFileError as error:
            self.problems = error.problems
            for problem in error.problems:
                _log.error("%s. The rules of before stay until this is mended.", problem)
        else:
            self.problems = ()
            _log.info("policy read again: %s", ", ".join(map(str, self._files.existing())) or "only defaults")

    def _load(self) -> _Standing:
        read = self._files.read()
        checks = self._defaults | {name: check for name, (check, _) in read.items()}
        problems = [f"{read[name][1]}: rule {name!r}: {why}" for name, why in wrong_references(checks, read)]
        if problems:
            raise PolicyFileError(problems)
        enforcer = policy.Enforcer(self._conf, policy_file="none.yaml", use_conf=False)
        enforcer.set_rules(dict(checks))
        return _Standing(checks, Evaluator(checks, enforcer), {name: path for name, (_, path) in read.items()})


def scope_of(context: Context) -> str:
    """system, domain or project; a token without scope counts as project, as in oslo.policy."""
    if context.system:
        return "system"
    return "domain" if context.domain_id is not None else "project"
