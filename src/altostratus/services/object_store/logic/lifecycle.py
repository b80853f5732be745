# SPDX-License-Identifier: Apache-2.0
"""Rules by which the objects of a bucket grow old: which of them, and what then. As S3 has them.

Days are counted to the next midnight (UTC) after they are over, so that everything becomes due at midnights.
"""

import itertools
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

import msgspec

from altostratus.kernel.db import Row, Tx
from altostratus.services.object_store.logic import containers, versioning
from altostratus.services.object_store.models import LifecyclePass

SETTING, FIRST_STAGE = "lifecycle", "objects"
DAY_S = 86_400
_SECOND_US = 1_000_000


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`form` is how its filter was written: as the rule's own prefix, as one condition, or as several.

    date: seconds since 1970. `lone_markers`: markers that hide no version any longer go.
    """

    id: str
    enabled: bool
    form: Literal["prefix", "filter", "and"] = "filter"
    prefix: str = ""
    tags: dict[str, str] = {}
    larger_than: int | None = None
    smaller_than: int | None = None
    days: int | None = None
    date: int | None = None
    lone_markers: bool | None = None
    noncurrent_days: int | None = None
    newer_noncurrent: int | None = None
    abort_days: int | None = None

    @property
    def expires(self) -> bool:
        """Does it end current objects?"""
        return self.days is not None or self.date is not None


class Expiry(NamedTuple):
    """Seconds since 1970, and the rule that says so."""

    at_s: int
    rule: Rule


def set_rules(tx: Tx, container: Row[Any], rules: list[Rule]) -> None:
    """In the place of those that were there; the next pass begins at once."""
    containers.set_s3(tx, container, **{SETTING: msgspec.to_builtins(rules) or None})
    tx.delete(LifecyclePass, container.id)
    if rules:
        tx.insert(LifecyclePass, container_id=container.id, done_day=0, stage=FIRST_STAGE, position=[])


def rules_of(container: Row[Any], *, enabled: bool = True) -> list[Rule]:
    """Those that hold, or all."""
    rules = msgspec.convert((container.s3 or {}).get(SETTING, []), list[Rule])
    return [rule for rule in rules if rule.enabled or not enabled]


def common_prefix(rules: list[Rule]) -> str:
    """What all names begin with that a rule is about."""
    prefixes = sorted(rule.prefix for rule in rules) or [""]
    pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(prefixes[0], prefixes[-1], strict=False))
    return "".join(letter for letter, _ in pairs)


def expiry_of(rules: Iterable[Rule], row: Row[Any]) -> Expiry | None:
    """When a current object, or a marker in its place, is over."""
    found = []
    for rule in rules:
        if rule.expires and _covers(rule, row):
            at_s = rule.date if rule.date is not None else midnight_after(_made_us(row), rule.days or 0)
            found.append(Expiry(at_s, rule))
    return min(found, key=lambda expiry: expiry.at_s, default=None)


def is_over(rules: Iterable[Rule], row: Row[Any], now_s: float) -> bool:
    expiry = expiry_of(rules, row)
    return expiry is not None and expiry.at_s <= now_s


def may_keep(rules: Iterable[Rule], version: Row[Any], now_s: float) -> int | None:
    """How many newer versions a version that is not the current one needs to be over; None: it is not due at all."""
    counts = [
        rule.newer_noncurrent or 0
        for rule in rules
        if rule.noncurrent_days is not None
        and _covers(rule, version)
        and midnight_after(version.noncurrent_us, rule.noncurrent_days) <= now_s
    ]
    return min(counts, default=None)


def hides_for_nothing(rules: Iterable[Rule], marker: Row[Any], now_s: float) -> bool:
    """May a marker that hides no version go?"""
    rules = list(rules)
    told = any(rule.lone_markers and marker.name.startswith(rule.prefix) for rule in rules)
    return told or is_over(rules, marker, now_s)


def abort_of(rules: Iterable[Rule], name: str, created_us: int) -> Expiry | None:
    """When an upload in parts is given up."""
    found = [
        Expiry(midnight_after(created_us, rule.abort_days), rule)
        for rule in rules
        if rule.abort_days is not None and name.startswith(rule.prefix)
    ]
    return min(found, key=lambda expiry: expiry.at_s, default=None)


def midnight_after(moment_us: int, days: int) -> int:
    return (-(-moment_us // (DAY_S * _SECOND_US)) + days) * DAY_S


def _made_us(row: Row[Any]) -> int:
    if versioning.is_version(row):
        return -int(row.newest_first)
    return int(row.modified_us if row.version_us is None else row.version_us)


def _covers(rule: Rule, row: Row[Any]) -> bool:
    if not row.name.startswith(rule.prefix):
        return False
    if rule.larger_than is not None and row.size <= rule.larger_than:
        return False
    if rule.smaller_than is not None and row.size >= rule.smaller_than:
        return False
    return bool(rule.tags.items() <= (row.s3 or {}).get("tags", {}).items())
