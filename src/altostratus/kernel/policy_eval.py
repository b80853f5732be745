# SPDX-License-Identifier: Apache-2.0
"""Evaluates oslo.policy's checks without its overhead.

oslo.policy inspects the signature of every check each time it is called, which costs more than the
check itself, and parses what a comparison names. Here that is done once: `and`, `or`, `not`, `rule:` and comparisons
with the caller's own things become plain functions, and only other leaves (roles, literals, other projects' own
checks) are oslo.policy's objects.
"""

import ast
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from oslo_policy import _checks

Decide = Callable[[Mapping[str, Any], dict[str, Any]], bool]
_WITH_RULE_NAME = 4


class Evaluator:
    """The rules of one service as they stand; make a new one when they change."""

    def __init__(self, checks: Mapping[str, Any], enforcer: Any) -> None:
        self._checks, self._enforcer = checks, enforcer
        self._known: dict[str, Decide] = {}

    def decide(self, rule: str, target: Mapping[str, Any], credentials: dict[str, Any]) -> bool:
        """Raises KeyError for a rule nobody declared."""
        known = self._known.get(rule)
        if known is None:
            known = self._known[rule] = self._compile(self._checks[rule], rule)
        return known(target, credentials)

    def _compile(self, check: Any, rule: str) -> Decide:
        kind = type(check)
        if kind is _checks.AndCheck:
            parts = [self._compile(part, rule) for part in check.rules]
            return lambda target, credentials: all(part(target, credentials) for part in parts)
        if kind is _checks.OrCheck:
            parts = [self._compile(part, rule) for part in check.rules]
            return lambda target, credentials: any(part(target, credentials) for part in parts)
        if kind is _checks.NotCheck:
            inner = self._compile(check.rule, rule)
            return lambda target, credentials: not inner(target, credentials)
        if kind is _checks.RuleCheck:
            return self._by_name(check.match)
        if kind is _checks.GenericCheck and not _is_literal(check.kind):
            return _comparison(check)
        return self._leaf(check, rule)

    def _by_name(self, name: str) -> Decide:
        def decide(target: Mapping[str, Any], credentials: dict[str, Any]) -> bool:
            try:
                return self.decide(name, target, credentials)
            except KeyError:  # as in oslo.policy: a rule that does not exist lets nobody through
                return False

        return decide

    def _leaf(self, check: Any, rule: str) -> Decide:
        enforcer = self._enforcer
        if len(inspect.signature(check.__call__).parameters) < _WITH_RULE_NAME:
            return lambda target, credentials: bool(check(target, credentials, enforcer))
        return lambda target, credentials: bool(check(target, credentials, enforcer, rule))


def _is_literal(text: str) -> bool:
    """Is it a value, and not the name of one? Who compares something odd is told by oslo.policy."""
    try:
        ast.literal_eval(text)
    except ValueError:
        return False
    except SyntaxError:
        pass
    return True


def _comparison(check: Any) -> Decide:
    """`user_id:%(user_id)s`: something of the caller is something of the target."""
    path = check.kind.split(".")

    def decide(target: Mapping[str, Any], credentials: dict[str, Any]) -> bool:
        try:
            wanted = check.match % target
        except KeyError:
            return False
        return bool(check._find_in_dict(credentials, path, wanted))

    return decide
