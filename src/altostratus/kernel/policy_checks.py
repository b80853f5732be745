# SPDX-License-Identifier: Apache-2.0
"""Looks into oslo.policy's checks: the roles and rules that they name, and what is wrong among them."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from oslo_policy import _checks

from altostratus.kernel.auth import Context

# what a person is told first when several roles would do
_POWER = ("reader", "member", "manager")
_STRONGEST = ("service", "admin")


def leaves(check: Any) -> Iterator[Any]:
    """Checks without the `and`, `or` and `not` around them."""
    if isinstance(check, _checks.AndCheck | _checks.OrCheck):
        for part in check.rules:
            yield from leaves(part)
    elif isinstance(check, _checks.NotCheck):
        yield from leaves(check.rule)
    else:
        yield check


def rules_named(check: Any) -> list[str]:
    """Names of the rules that a check refers to itself."""
    return [leaf.match for leaf in leaves(check) if isinstance(leaf, _checks.RuleCheck)]


def roles_named(checks: Mapping[str, Any], rule: str) -> list[str]:
    """Names of the roles that a rule asks for, itself or through other rules, each once."""
    found: dict[str, None] = {}
    for name in _reached(checks, rule):
        for leaf in leaves(checks[name]):
            if isinstance(leaf, _checks.RoleCheck) and "%" not in leaf.match:
                found[leaf.match] = None
    return list(found)


def wrong_references(checks: Mapping[str, Any], names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(rule, what is wrong): references to rules that do not exist, and rules that lead back to themselves."""
    for name in names:
        missing = [other for other in rules_named(checks[name]) if other not in checks]
        if missing:
            yield name, f"there is no rule {missing[0]!r}"
        elif any(name in rules_named(checks[other]) for other in _reached(checks, name)):
            yield name, "it leads back to itself"


def by_power(roles: Iterable[str]) -> list[str]:
    """The least powerful first, as far as that is known from names: an operator's own roles come in the middle."""
    order = {name: position for position, name in enumerate(_POWER)}
    order |= {name: len(_POWER) + 1 + position for position, name in enumerate(_STRONGEST)}
    return sorted(roles, key=lambda role: order.get(role, len(_POWER)))


def _reached(checks: Mapping[str, Any], rule: str) -> list[str]:
    """The rule and all that it leads to and that exist."""
    found: dict[str, None] = {}
    fresh = [rule]
    while fresh:
        name = fresh.pop(0)
        if name in checks and name not in found:
            found[name] = None
            fresh += rules_named(checks[name])
    return list(found)


# where a rule asks which role is given: an ordinary one, for the place itself
_ORDINARY = {"target.role.name": "reader", "target.role.domain_id": None, "target.inherited": False}


class OwnThings(dict[str, Any]):
    """A target of which everything belongs to the caller: to its project, its domain, itself."""

    def __init__(self, context: Context) -> None:
        super().__init__(_ORDINARY)
        domain_id = context.domain_id or context.names.get("project_domain_id")
        self._own = {"project": context.project_id, "tenant": context.project_id, "domain": domain_id}
        self._own |= {"user": context.user_id}

    def __missing__(self, key: str) -> Any:
        """`target.user.domain_id` -> the domain; `owner` and `network:tenant_id` -> the project.

        Raises KeyError for what the caller has none of.
        """
        words = re.split("[._:]", "project_id" if key == "owner" else key)
        own = self._own.get(words[-2]) if len(words) > 1 and words[-1] == "id" else None
        if own is None:
            raise KeyError(key)
        return own
