# SPDX-License-Identifier: Apache-2.0
"""A user's own rules about several factors: `multi_factor_auth_rules`, each a list of methods that suffice together."""

from collections.abc import Collection, Mapping
from typing import Any


def usable_rules(options: Mapping[str, Any], known: Collection[str]) -> list[set[str]]:
    """The rules without methods that this cloud does not know; a rule of unknown ones only does not count.

    No rules, or none that counts, lets every method pass: nobody is locked out by a typing error, as upstream has it.
    """
    if options.get("multi_factor_auth_enabled", True) is False:
        return []
    rules = options.get("multi_factor_auth_rules") or []
    return [methods for rule in rules if (methods := set(rule) & set(known))]


def suffice(rules: list[set[str]], methods: set[str]) -> bool:
    return not rules or any(rule <= methods for rule in rules)


def still_possible(rules: list[set[str]], methods: set[str]) -> list[list[str]]:
    """The rules that `methods` have begun to fulfil, for the caller to choose from."""
    return [sorted(rule) for rule in rules if rule & methods]
