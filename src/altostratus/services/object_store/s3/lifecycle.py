# SPDX-License-Identifier: Apache-2.0
"""A bucket's lifecycle: rules by which objects, versions and uploads in parts end. There is one storage class."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote
from xml.etree.ElementTree import Element

from altostratus.kernel import ids
from altostratus.kernel.db import Row
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Reply
from altostratus.services.object_store.logic import containers, lifecycle, objects, versioning
from altostratus.services.object_store.logic.lifecycle import DAY_S, Expiry, Rule
from altostratus.services.object_store.logic.times import http_date
from altostratus.services.object_store.s3.bodies import read_xml
from altostratus.services.object_store.s3.errors import S3Error
from altostratus.services.object_store.s3.shapes import iso_z
from altostratus.services.object_store.s3.visits import demand_owner, no_such_bucket, visit_of
from altostratus.services.object_store.s3.xml import Member, children, document, text_of

_MOST_RULES, _LONGEST_ID, _MOST_NEWER = 1000, 255, 100
_MOST_DAYS, _LAST_DAY_S = 1_000_000, 253_402_214_400
_IN_RULE = {
    "ID", "Status", "Prefix", "Filter", "Expiration", "NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload",
}  # fmt: skip
_CONDITIONS = {"Prefix", "Tag", "ObjectSizeGreaterThan", "ObjectSizeLessThan"}


def show_lifecycle(call: Call) -> Reply:
    visit = visit_of(call)
    demand_owner(visit)
    with call.cloud.db.read() as tx:
        row = containers.find(tx, visit.account, visit.bucket)
    if row is None:
        raise no_such_bucket(visit.bucket)
    rules = lifecycle.rules_of(row, enabled=False)
    if not rules:
        raise S3Error("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist.")
    return Reply(200, document("LifecycleConfiguration", [("Rule", _shown(rule)) for rule in rules]))


def put_lifecycle(call: Call) -> Reply:
    visit = visit_of(call)
    demand_owner(visit)
    rules = _rules_in(read_xml(call, visit.signed, "LifecycleConfiguration"))
    _set(call, visit.account, visit.bucket, rules)
    return Reply(200)


def delete_lifecycle(call: Call) -> Reply:
    visit = visit_of(call)
    demand_owner(visit)
    _set(call, visit.account, visit.bucket, [])
    return Reply(204)


def _set(call: Call, account: str, bucket: str, rules: list[Rule]) -> None:
    with call.cloud.db.write() as tx:
        row = containers.find(tx, account, bucket)
        if row is None:
            raise no_such_bucket(bucket)
        lifecycle.set_rules(tx, row, rules)


def told_expiry(container: Row[Any], row: Row[Any]) -> dict[str, str]:
    """The header that says when a current object will end."""
    if versioning.is_version(row) or not _has_rules(container):
        return {}
    expiry = lifecycle.expiry_of(lifecycle.rules_of(container), row)
    if expiry is None:
        return {}
    return {"x-amz-expiration": f'expiry-date="{_date_of(expiry)}", rule-id="{quote(expiry.rule.id)}"'}


def told_expiry_of_new(call: Call, container: Row[Any], key: str) -> dict[str, str]:
    """The same of an object that was written just now."""
    if not _has_rules(container):
        return {}
    with call.cloud.db.read() as tx:
        row = objects.find(tx, container.id, key)
    return {} if row is None else told_expiry(container, row)


def told_abort(container: Row[Any], name: str, created_us: int) -> dict[str, str]:
    """Headers that say when an upload in parts will be given up."""
    if not _has_rules(container):
        return {}
    expiry = lifecycle.abort_of(lifecycle.rules_of(container), name, created_us)
    if expiry is None:
        return {}
    return {"x-amz-abort-date": _date_of(expiry), "x-amz-abort-rule-id": quote(expiry.rule.id)}


def _has_rules(container: Row[Any]) -> bool:
    return lifecycle.SETTING in (container.s3 or {})


def _date_of(expiry: Expiry) -> str:
    return http_date(expiry.at_s * 1_000_000)


# what comes


def _rules_in(asked: Element) -> list[Rule]:
    rules = [_rule_in(item) for item in children(asked, "Rule")]
    if not 0 < len(rules) <= _MOST_RULES or len(rules) != len(asked):
        raise _malformed(f"A lifecycle has 1 to {_MOST_RULES} rules, and nothing else.")
    if len({rule.id for rule in rules}) < len(rules):
        raise S3Error("InvalidArgument", "Rule ID must be unique. Found same ID for more than one rule.")
    return rules


def _rule_in(given: Element) -> Rule:
    _demand_only(given, _IN_RULE)
    status, name = text_of(given, "Status"), text_of(given, "ID") or ids.new_id()
    if status not in ("Enabled", "Disabled"):
        raise _malformed("The Status of a rule is Enabled or Disabled.")
    if len(name) > _LONGEST_ID:
        raise S3Error("InvalidArgument", f"ID length should not exceed allowed limit of {_LONGEST_ID}.")
    actions = {**_expiration_in(given), **_noncurrent_in(given), **_abort_in(given)}
    if not actions:
        raise S3Error("InvalidRequest", "At least one action needs to be specified in a rule.")
    rule = Rule(id=name, enabled=status == "Enabled", **_filter_in(given), **actions)
    narrow = rule.tags or rule.larger_than is not None or rule.smaller_than is not None
    if narrow and rule.abort_days is not None:
        raise S3Error("InvalidRequest", "AbortIncompleteMultipartUpload cannot be specified with tags or sizes.")
    if narrow and rule.lone_markers is not None:
        raise S3Error("InvalidRequest", "ExpiredObjectDeleteMarker cannot be specified with tags or sizes.")
    return rule


def _filter_in(given: Element) -> dict[str, Any]:
    """The conditions, and how they were written. Ceph's clients leave out the And around several."""
    chosen, prefix = given.find("Filter"), given.find("Prefix")
    if (chosen is None) == (prefix is None):
        raise _malformed("A rule has a Filter, or else a Prefix of its own.")
    form: Literal["prefix", "filter", "and"] = "prefix"
    conditions = [prefix] if prefix is not None else []
    if chosen is not None:
        _demand_only(chosen, {*_CONDITIONS, "And"})
        several = chosen.find("And")
        if several is not None and len(chosen) > 1:
            raise _malformed("What a Filter has besides its And stands in it.")
        form, conditions = ("filter", list(chosen)) if several is None else ("and", list(several))
        if several is not None:
            _demand_only(several, _CONDITIONS)
    found: dict[str, Any] = {"form": form, "tags": {}}
    for condition in conditions:
        if condition.tag == "Prefix":
            found["prefix"] = condition.text or ""
        elif condition.tag == "Tag":
            found["tags"][text_of(condition, "Key")] = text_of(condition, "Value")
        else:
            which = "larger_than" if condition.tag.endswith("GreaterThan") else "smaller_than"
            found[which] = _whole(condition, 0, 1 << 50)
    return found


def _expiration_in(given: Element) -> dict[str, Any]:
    chosen = given.find("Expiration")
    if chosen is None:
        return {}
    _demand_only(chosen, {"Days", "Date", "ExpiredObjectDeleteMarker"})
    if len(chosen) != 1:
        raise _malformed("An Expiration has one of Days, Date and ExpiredObjectDeleteMarker.")
    said = chosen[0]
    if said.tag == "Days":
        return {"days": _whole(said, 1, _MOST_DAYS)}
    if said.tag == "Date":
        return {"date": _midnight_in(said.text or "")}
    if said.text not in ("true", "false"):
        raise _malformed("ExpiredObjectDeleteMarker is true or false.")
    return {"lone_markers": said.text == "true"}


def _noncurrent_in(given: Element) -> dict[str, Any]:
    chosen = given.find("NoncurrentVersionExpiration")
    if chosen is None:
        return {}
    _demand_only(chosen, {"NoncurrentDays", "NewerNoncurrentVersions"})
    days, newer = chosen.find("NoncurrentDays"), chosen.find("NewerNoncurrentVersions")
    if days is None:
        raise _malformed("A NoncurrentVersionExpiration has NoncurrentDays.")
    found = {"noncurrent_days": _whole(days, 1, _MOST_DAYS)}
    return found if newer is None else {**found, "newer_noncurrent": _whole(newer, 1, _MOST_NEWER)}


def _abort_in(given: Element) -> dict[str, Any]:
    chosen = given.find("AbortIncompleteMultipartUpload")
    if chosen is None:
        return {}
    _demand_only(chosen, {"DaysAfterInitiation"})
    if len(chosen) != 1:
        raise _malformed("An AbortIncompleteMultipartUpload has DaysAfterInitiation.")
    return {"abort_days": _whole(chosen[0], 1, _MOST_DAYS)}


def _whole(given: Element, least: int, most: int) -> int:
    text = (given.text or "").strip()
    if not (text.isascii() and text.isdigit() and len(text) < 18 and least <= int(text) <= most):
        raise S3Error("InvalidArgument", f"'{given.tag}' must be a whole number from {least} to {most}.")
    return int(text)


def _midnight_in(text: str) -> int:
    """Seconds since 1970."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise _malformed(f"A Date looks like 2030-01-31T00:00:00Z, not {text[:40]!r}.") from None
    seconds = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    if seconds % DAY_S or moment.microsecond or not 0 <= seconds <= _LAST_DAY_S:
        raise S3Error("InvalidArgument", "'Date' must be at midnight GMT.")
    return seconds


def _demand_only(given: Element, known: Iterable[str]) -> None:
    """Raises S3Error: what is not understood is not done in silence."""
    for child in given:
        if child.tag.endswith(("Transition", "Transitions")):
            raise S3Error("NotImplemented", f"There is one storage class, STANDARD: no {child.tag} is possible.")
        if child.tag not in known:
            raise _malformed(f"{given.tag} has no {child.tag[:60]}.")


def _malformed(why: str) -> S3Error:
    return S3Error("MalformedXML", f"The XML you provided was not well-formed or not what is wanted. {why}")


# what goes


def _shown(rule: Rule) -> list[Member]:
    """As it came."""
    conditions: list[Member] = [("Prefix", rule.prefix)] if rule.prefix else []
    conditions += [("Tag", [("Key", name), ("Value", value)]) for name, value in rule.tags.items()]
    conditions += [("ObjectSizeGreaterThan", rule.larger_than), ("ObjectSizeLessThan", rule.smaller_than)]
    where: dict[str, Member] = {
        "prefix": ("Prefix", rule.prefix),
        "filter": ("Filter", conditions if any(value is not None for _, value in conditions) else [("Prefix", "")]),
        "and": ("Filter", [("And", conditions)]),
    }
    days = rule.noncurrent_days
    return [
        ("ID", rule.id),
        where[rule.form],
        ("Status", "Enabled" if rule.enabled else "Disabled"),
        ("Expiration", _expiration_shown(rule)),
        (
            "NoncurrentVersionExpiration",
            None if days is None else [("NoncurrentDays", days), ("NewerNoncurrentVersions", rule.newer_noncurrent)],
        ),
        (
            "AbortIncompleteMultipartUpload",
            None if rule.abort_days is None else [("DaysAfterInitiation", rule.abort_days)],
        ),
    ]


def _expiration_shown(rule: Rule) -> list[Member] | None:
    if rule.expires:
        return [("Days", rule.days), ("Date", None if rule.date is None else iso_z(rule.date * 1_000_000))]
    return None if rule.lone_markers is None else [("ExpiredObjectDeleteMarker", rule.lone_markers)]
