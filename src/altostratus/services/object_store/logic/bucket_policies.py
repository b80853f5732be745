# SPDX-License-Identifier: Apache-2.0
"""Policies of buckets, in Amazon's language: who may, or must not, besides what ownership and access lists say.

They count for every API. A Deny counts against everybody, the owner too, who can still replace the policy itself.
Only a part of the language is understood (see `ACTIONS` and `_KEYS`); the rest is refused when a policy is set, with
BadRequest whose `kind` is S3's code MalformedPolicy, and never passed over.
"""

import functools
import ipaddress
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal, NamedTuple

import msgspec

from altostratus.kernel.errors import BadRequest
from altostratus.services.object_store.logic.access import Visitor, is_named

MOST_BYTES = 20 * 1024
_ON_OBJECTS = frozenset({
    "GetObject", "GetObjectVersion", "GetObjectTagging", "GetObjectVersionTagging", "PutObject", "PutObjectTagging",
    "PutObjectVersionTagging", "DeleteObject", "DeleteObjectVersion", "DeleteObjectTagging",
    "DeleteObjectVersionTagging", "AbortMultipartUpload", "ListMultipartUploadParts",
})  # fmt: skip
_ON_BUCKET = frozenset({
    "ListBucket", "ListBucketVersions", "ListBucketMultipartUploads", "GetBucketLocation", "DeleteBucket",
})  # fmt: skip
ACTIONS = _ON_OBJECTS | _ON_BUCKET
_TEXTS = frozenset({"StringEquals", "StringNotEquals", "StringLike", "StringNotLike"})
# condition key in lower case -> operators that are understood with it
_KEYS = {
    "aws:securetransport": frozenset({"Bool"}),
    "aws:sourceip": frozenset({"IpAddress", "NotIpAddress"}),
    "aws:referer": _TEXTS,
    "aws:useragent": _TEXTS,
    "s3:prefix": _TEXTS,
}
_MEMBERS = frozenset({"Sid", "Effect", "Principal", "Action", "Resource", "Condition"})
_PRINCIPAL = re.compile(r"arn:aws:iam::([\w-]+):(?:root|user/([^/*?]+))|([\w-]+)")


class Wish(NamedTuple):
    """What is asked of a bucket. key: None stands for whatever key. prefix: of a listing."""

    action: str
    key: str | None = ""
    prefix: str = ""


class Condition(NamedTuple):
    operator: str
    key: str
    values: tuple[str, ...]


class Statement(NamedTuple):
    """principals: (project, user) with `*` for any; None for everybody. keys: patterns of objects' names."""

    allows: bool
    principals: tuple[tuple[str, str], ...] | None
    actions: frozenset[str]
    on_bucket: bool
    keys: tuple[str, ...]
    conditions: tuple[Condition, ...]


def verdict(text: str, bucket: str, visitor: Visitor, wish: Wish) -> Literal["allow", "deny", ""]:
    """What the bucket's policy says of a wish; perhaps nothing."""
    said = {statement.allows for statement in parsed(text, bucket) if _fits(statement, visitor, wish)}
    if False in said:
        return "deny"
    return "allow" if said else ""


def is_public(text: str, bucket: str) -> bool:
    """Does it open anything to everybody, wherever they are?"""
    return any(
        statement.allows
        and statement.principals is None
        and not any(condition.operator == "IpAddress" for condition in statement.conditions)
        for statement in parsed(text, bucket)
    )


def _fits(statement: Statement, visitor: Visitor, wish: Wish) -> bool:
    if wish.action not in statement.actions or not _is_meant(statement, visitor):
        return False
    if wish.action in _ON_BUCKET:
        reached = statement.on_bucket
    elif wish.key is None:
        # it stands for all keys: what is allowed must be so for each of them, what is denied for one
        reached = "*" in statement.keys if statement.allows else bool(statement.keys)
    else:
        reached = any(_is_like(wish.key, pattern) for pattern in statement.keys)
    return reached and all(_holds(condition, visitor, wish) for condition in statement.conditions)


def _is_meant(statement: Statement, visitor: Visitor) -> bool:
    if statement.principals is None:
        return True
    ctx = visitor.ctx
    return ctx is not None and any(is_named(project, user, ctx) for project, user in statement.principals)


def _holds(condition: Condition, visitor: Visitor, wish: Wish) -> bool:
    operator, key, values = condition
    if operator == "Bool":
        return str(visitor.secure).lower() == values[0]
    if key == "aws:sourceip":
        inside = any(_is_within(visitor.peer, network) for network in values)
        return inside == (operator == "IpAddress")
    text = _text_of(key, visitor, wish)
    wanted = "Not" not in operator
    if text is None:
        return not wanted
    if operator.endswith("Like"):
        return any(_is_like(text, pattern) for pattern in values) == wanted
    return (text in values) == wanted


def _text_of(key: str, visitor: Visitor, wish: Wish) -> str | None:
    if key == "s3:prefix":
        return wish.prefix if wish.action in _ON_BUCKET else None
    return (visitor.referrer if key == "aws:referer" else visitor.agent) or None


def _is_like(text: str, pattern: str) -> bool:
    """`*` for anything, `?` for one character, and nothing else."""
    return fnmatchcase(text, pattern.replace("[", "[[]"))


def _is_within(peer: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(peer) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


# taking it apart


@functools.lru_cache(maxsize=512)
def parsed(text: str, bucket: str) -> tuple[Statement, ...]:
    """Raises BadRequest for what is no policy of this bucket, or has anything that is not understood."""
    try:
        whole = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise _malformed(f"it is no JSON: {error}") from None
    if len(text.encode()) > MOST_BYTES:
        raise _malformed(f"it has more than {MOST_BYTES} bytes")
    if not isinstance(whole, dict) or set(whole) - {"Version", "Id", "Statement"} or "Statement" not in whole:
        raise _malformed("it must be an object of Version, Id and Statement")
    if whole.get("Version", "2008-10-17") not in ("2008-10-17", "2012-10-17"):
        raise _malformed("its Version is 2012-10-17 or 2008-10-17")
    statements = whole["Statement"] if isinstance(whole["Statement"], list) else [whole["Statement"]]
    if not statements:
        raise _malformed("it has no Statement")
    return tuple(_statement(one, bucket) for one in statements)


def _statement(given: Any, bucket: str) -> Statement:
    if not isinstance(given, dict):
        raise _malformed("a Statement must be an object")
    unknown = sorted(set(given) - _MEMBERS)
    if unknown:
        raise _malformed(f"{unknown[0]} is not understood here; a Statement has {', '.join(sorted(_MEMBERS))}")
    if given.get("Effect") not in ("Allow", "Deny"):
        raise _malformed("Effect must be Allow or Deny")
    keys = [_key_pattern(text, bucket) for text in _texts(given, "Resource")]
    on_bucket, patterns = None in keys, tuple(key for key in keys if key is not None)
    actions = frozenset[str]()
    for text in _texts(given, "Action"):
        named = _actions_named(text)
        if not ((on_bucket and named & _ON_BUCKET) or (patterns and named & _ON_OBJECTS)):
            raise _malformed(f"Action does not apply to any resource(s) in statement: {text[:60]}")
        actions |= named
    conditions = tuple(_conditions(given.get("Condition", {})))
    return Statement(
        given["Effect"] == "Allow", _principals(given.get("Principal")), actions, on_bucket, patterns, conditions
    )


def _texts(given: Mapping[str, Any], name: str) -> list[str]:
    value = given.get(name)
    texts: list[Any] = value if isinstance(value, list) else [value]
    if not texts or not all(isinstance(text, str) and text for text in texts):
        raise _malformed(f"{name} must be a text or a list of texts")
    return texts


def _key_pattern(text: str, bucket: str) -> str | None:
    """None for the bucket itself."""
    place = re.fullmatch(rf"arn:aws:s3::[\w-]*:{re.escape(bucket)}(?:/(.*))?", text, re.DOTALL)
    if place is None or "${" in text:
        own = f"arn:aws:s3:::{bucket}"
        raise _malformed(f"Policy has invalid resource: {text[:100]}; here it is {own} or {own}/KEYS")
    return place[1]


def _actions_named(text: str) -> frozenset[str]:
    pattern = "*" if text == "*" else text[3:].lower() if text[:3].lower() == "s3:" else ""
    found = frozenset(action for action in ACTIONS if _is_like(action.lower(), pattern))
    if not found:
        raise _malformed(f"Policy has invalid action: {text[:60]}; here are s3:{', s3:'.join(sorted(ACTIONS))}")
    return found


def _principals(given: Any) -> tuple[tuple[str, str], ...] | None:
    if given == "*":
        return None
    if not isinstance(given, dict) or not given or set(given) - {"AWS", "CanonicalUser"}:
        raise _malformed('Principal must be "*", or {"AWS": ...} with projects and users')
    found = [text for name in given for text in _texts(given, name)]
    return None if "*" in found else tuple(map(_principal, found))


def _principal(text: str) -> tuple[str, str]:
    named = _PRINCIPAL.fullmatch(text)
    if named is None:
        raise _malformed(
            f"Invalid principal in policy: {text[:100]}; here it is *, PROJECT, arn:aws:iam::PROJECT:root"
            " or arn:aws:iam::PROJECT:user/USER"
        )
    return named[1] or named[3], named[2] or "*"


def _conditions(given: Any) -> Iterator[Condition]:
    if not isinstance(given, dict) or not all(isinstance(tests, dict) for tests in given.values()):
        raise _malformed("Condition must be an object of operators, each an object of keys")
    for operator, tests in given.items():
        for name, value in tests.items():
            key = name.lower()
            if operator not in _KEYS.get(key, ()):
                raise _malformed(f"the condition {operator[:40]} of {name[:60]} is not understood here")
            values = tuple(_plain(one) for one in (value if isinstance(value, list) else [value]))
            _demand_values(operator, name, values)
            yield Condition(operator, key, values)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else ""


def _demand_values(operator: str, name: str, values: tuple[str, ...]) -> None:
    if not values or any(not value or "${" in value for value in values if name.lower() != "s3:prefix"):
        raise _malformed(f"{name[:60]} needs values, as plain texts")
    if operator == "Bool" and values not in (("true",), ("false",)):
        raise _malformed(f"{name[:60]} is true or false")
    if operator.endswith("IpAddress"):
        for value in values:
            try:
                ipaddress.ip_network(value, strict=False)
            except ValueError:
                raise _malformed(f"{value[:60]!r} is no network, such as 192.0.2.0/24") from None


def _malformed(why: str) -> BadRequest:
    return BadRequest(f"Policies must be valid and understood here: {why}.", kind="MalformedPolicy")
