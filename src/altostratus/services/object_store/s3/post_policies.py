# SPDX-License-Identifier: Apache-2.0
"""Policies of forms: what whoever signed a form lets its sender fill in, and until when."""

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from altostratus.kernel import clock
from altostratus.services.object_store.s3.errors import S3Error

# fields that no condition needs to name
_FREE = frozenset({"file", "policy", "signature", "x-amz-signature", "awsaccesskeyid", "bucket"})
_FREE_PREFIXES = ("x-ignore-", "x-amz-checksum-")


class Sizes(NamedTuple):
    """Bytes of the file."""

    least: int
    most: int


def demand_fits(text: str, fields: Mapping[str, str], sizes: Sizes) -> Sizes:
    """The sizes that the policy allows of those. Raises S3Error if it is over, or the fields are not as it wants them.

    text: base64 of JSON. fields: by name in lower case, the bucket among them.
    """
    policy = _decoded(text)
    if _seconds_of(policy) <= clock.unix():
        raise _denied("Policy expired.")
    named = set()
    for kind, name, value in _conditions(policy):
        if kind == "content-length-range":
            sizes = Sizes(max(sizes.least, int(name)), min(sizes.most, int(value)))
            continue
        named.add(name)
        given = fields.get(name, "")
        if not (given == value if kind == "eq" else given.startswith(value)):
            raise _denied(f'Policy Condition failed: ["{kind}", "${name}", "{value}"]')
    extra = sorted(name for name in set(fields) - named - _FREE if not name.startswith(_FREE_PREFIXES))
    if extra:
        raise _denied(f"Extra input fields: {', '.join(extra)}")
    return sizes


def _decoded(text: str) -> dict[str, Any]:
    try:
        policy = msgspec.json.decode(base64.b64decode(text, validate=True))
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError):
        raise _invalid("it is no JSON in base64") from None
    if not isinstance(policy, dict):
        raise _invalid("it is no object")
    return policy


def _seconds_of(policy: Mapping[str, Any]) -> float:
    text = policy.get("expiration")
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) and "T" in text else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise _invalid("its expiration is missing, or no time like 2026-01-02T03:04:05Z")
    return moment.timestamp()


def _conditions(policy: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(eq or starts-with, field, value), or (content-length-range, least, most)"""
    given = policy.get("conditions")
    if not isinstance(given, list):
        raise _invalid("it has no list of conditions")
    return [one for condition in given for one in _condition(condition)]


def _condition(given: Any) -> list[tuple[str, str, str]]:
    if isinstance(given, dict) and given:
        found = [("eq", f"${name}", value) for name, value in given.items()]
    elif isinstance(given, list) and len(given) == 3:
        found = [(str(given[0]).lower(), given[1], given[2])]
    else:
        raise _invalid(f"{str(given)[:60]!r} is no condition")
    return [_checked(*one) for one in found]


def _checked(kind: str, name: Any, value: Any) -> tuple[str, str, str]:
    if kind == "content-length-range":
        least, most = str(name), str(value)
        if not (least + most).isascii() or not least.isdigit() or not most.isdigit() or max(len(least), len(most)) > 18:
            raise _invalid("content-length-range has a least and a most number of bytes")
        return kind, least, most
    if kind not in ("eq", "starts-with") or not isinstance(name, str) or not name.startswith("$"):
        raise _invalid('conditions are {"FIELD": "VALUE"}, ["eq" or "starts-with", "$FIELD", "VALUE"] or a range')
    if not isinstance(value, str):
        raise _invalid(f"the value of {name[:60]} is no text")
    return kind, name[1:].lower(), value


def _denied(why: str) -> S3Error:
    return S3Error("AccessDenied", f"Invalid according to Policy: {why}")


def _invalid(why: str) -> S3Error:
    return S3Error("InvalidPolicyDocument", f"Invalid Policy: {why}.")
