# SPDX-License-Identifier: Apache-2.0
"""What a mapping may look like: upstream's schemas 1.0 and 2.0, and what else would fail at every login.

Patterns are searched by an engine without backtracking (the one behind our JSON schemas): its time grows with the
length of the text only. It knows no look-around and no back-references, so such patterns are refused here.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import jsonschema_rs

from altostratus.kernel.errors import BadRequest

VERSIONS = ("1.0", "2.0")
CONDITIONS = ("any_one_of", "not_any_of", "blacklist", "whitelist")
# conditions whose values can be put into the local side; the others only say yes or no
FILTERS = ("blacklist", "whitelist")
PLACE = re.compile(r"\{\{|\}\}|\{(\d{1,3})\}")
_LARGEST_PATTERN_BYTES = 1_000_000

_WORD = {"type": "string", "maxLength": 1024}
_DOMAIN = {
    "type": "object",
    "properties": {"id": _WORD, "name": _WORD},
    "additionalProperties": False,
    "minProperties": 1,
}
_ROLES = {
    "type": "array",
    "items": {"type": "object", "properties": {"name": _WORD}, "required": ["name"], "additionalProperties": False},
}
_GROUP = {
    "type": "object",
    "oneOf": [
        {"properties": {"id": _WORD}, "required": ["id"], "additionalProperties": False},
        {
            "properties": {"name": _WORD, "domain": _DOMAIN},
            "required": ["name", "domain"],
            "additionalProperties": False,
        },
    ],
}
_USER = {
    "type": "object",
    "properties": {
        "id": _WORD,
        "name": _WORD,
        "email": _WORD,
        "domain": _DOMAIN,
        "type": {"enum": ["ephemeral", "local"]},
    },
    "additionalProperties": False,
}


def _projects(version: str) -> dict[str, Any]:
    place = {"domain": _DOMAIN} if version != "1.0" else {}
    return {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"name": _WORD, "roles": _ROLES, **place},
            "required": ["name", "roles"],
            "additionalProperties": False,
        },
    }


def _remote() -> dict[str, Any]:
    values = {"type": "array", "items": _WORD, "maxItems": 1000}
    kinds: list[dict[str, Any]] = [{"properties": {"type": _WORD}, "required": ["type"], "additionalProperties": False}]
    for name in CONDITIONS:
        members = {"type": _WORD, name: values, "regex": {"type": "boolean"}}
        kinds.append({"properties": members, "required": ["type", name], "additionalProperties": False})
    return {"type": "array", "minItems": 1, "maxItems": 100, "items": {"type": "object", "oneOf": kinds}}


def _schema(version: str) -> dict[str, Any]:
    local = {
        "type": "object",
        "properties": {
            "user": _USER,
            "group": _GROUP,
            "groups": _WORD,
            "group_ids": _WORD,
            "domain": _DOMAIN,
            "projects": _projects(version),
        },
        "additionalProperties": False,
    }
    rule = {
        "type": "object",
        "properties": {"local": {"type": "array", "items": local, "maxItems": 100}, "remote": _remote()},
        "required": ["local", "remote"],
        "additionalProperties": False,
    }
    return {"type": "array", "minItems": 1, "maxItems": 1000, "items": rule}


@lru_cache(maxsize=len(VERSIONS))
def _validator(version: str) -> Any:
    return jsonschema_rs.validator_for(_schema(version))


def check_rules(rules: Any, version: str) -> None:
    """Raises BadRequest with the place and the reason for rules that could not work."""
    if version not in VERSIONS:
        raise BadRequest(f"schema_version {version} is not known here. Give one of {', '.join(VERSIONS)}.")
    for error in _validator(version).iter_errors(rules):
        where = "/".join(map(str, error.instance_path)) or "rules"
        raise BadRequest(f"The rules are not valid for schema {version} at {where}: {error.message[:300]}.")
    for number, rule in enumerate(rules):
        _check_patterns(rule["remote"], number)
        _check_places(rule, number)


def direct_maps_in(remote: list[dict[str, Any]]) -> int:
    """How many entries of the remote side give values for `{0}`, `{1}` ..."""
    return sum("any_one_of" not in entry and "not_any_of" not in entry for entry in remote)


@lru_cache(maxsize=1024)
def pattern(text: str) -> Any:
    """Something with `is_valid(value)`: does the pattern occur anywhere in the value? Raises BadRequest."""
    options = jsonschema_rs.RegexOptions(size_limit=_LARGEST_PATTERN_BYTES)
    try:
        return jsonschema_rs.validator_for({"type": "string", "pattern": text}, pattern_options=options)
    except jsonschema_rs.ValidationError:
        raise BadRequest(
            f"The pattern {text[:120]!r} cannot be used: it is wrong, too large, or needs look-around or"
            " back-references, which are not offered because they can take for ever."
        ) from None


def _check_patterns(remote: list[dict[str, Any]], number: int) -> None:
    for entry in remote:
        if entry.get("regex"):
            for name in CONDITIONS:
                for text in entry.get(name, ()):
                    try:
                        pattern(text)
                    except BadRequest as error:
                        raise BadRequest(f"Rule {number}: {error.message}") from None


def _check_places(rule: dict[str, Any], number: int) -> None:
    known = direct_maps_in(rule["remote"])
    for text in _texts(rule["local"]):
        places = [int(found[1]) for found in PLACE.finditer(text) if found[1] is not None]
        wrong = [place for place in places if place >= known]
        if wrong:
            raise BadRequest(
                f"Rule {number} names {{{wrong[0]}}} in its local part, but its remote part gives {known} value(s) to"
                " put in: entries with any_one_of or not_any_of give none, and counting starts at 0."
            )
        if known and re.search(r"[{}]", PLACE.sub("", text)):
            raise BadRequest(
                f"Rule {number}: {text[:120]!r} has a brace that is not understood. Write {{0}} for the first value,"
                " {{ and }} for plain braces."
            )
    for local in rule["local"]:
        text = local.get("groups")
        if text is not None and "domain" not in local and not PLACE.fullmatch(text):
            raise BadRequest(
                f"Invalid rule {number}: both 'groups' and 'domain' must be given. Say the groups' domain beside them."
            )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
