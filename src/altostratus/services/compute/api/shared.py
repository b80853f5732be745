# SPDX-License-Identifier: Apache-2.0
"""Patterns and small answers that every resource of compute uses."""

from typing import Any, TypeVar

from altostratus.kernel.errors import BadRequest
from altostratus.kernel.numbers import whole_number
from altostratus.kernel.resource.call import Call

# printable, no white space at either end
NAME_PATTERN = r"^[^\s\p{C}](?:[^\p{C}]*[^\s\p{C}])?$"
NAME: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": NAME_PATTERN}
# printable, line breaks allowed
DESCRIPTION: dict[str, Any] = {
    "type": ["string", "null"],
    "maxLength": 255,
    "pattern": r"^[^\p{Cc}\p{Cs}\p{Co}\p{Cn}]*$",
}
UUID: dict[str, Any] = {"type": "string", "pattern": "^[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){4}[0-9a-fA-F]{8}$"}
METADATA: dict[str, Any] = {
    "type": "object",
    "patternProperties": {r"^[a-zA-Z0-9\-_:. ]{1,255}$": {"type": "string", "maxLength": 255}},
    "additionalProperties": False,
}
BOOLEAN: dict[str, Any] = {
    "enum": [
        *(True, "True", "TRUE", "true", "1", "ON", "On", "on", "YES", "Yes", "yes"),
        *(False, "False", "FALSE", "false", "0", "OFF", "Off", "off", "NO", "No", "no"),
    ]
}
T = TypeVar("T")
_LONGEST = 1000
ACTION_NULL: dict[str, Any] = {}


def at(call: Call, minor: int) -> bool:
    """Is the request's microversion 2.`minor` or newer?"""
    return call.version is not None and call.version.minor >= minor


def links(call: Call, collection: str, key: str) -> list[dict[str, str]]:
    """The `self` and `bookmark` links of one thing."""
    return [
        {"rel": "self", "href": f"{call.host_url}{call.service.path}/{collection}/{key}"},
        {"rel": "bookmark", "href": f"{call.host_url}{call.service.root}/{collection}/{key}"},
    ]


def limited(call: Call, items: list[T]) -> list[T]:
    """The part of a list that `offset` and `limit` ask for, as the old lists have it."""
    numbers = {}
    for name in ("offset", "limit"):
        text = call.query.get(name, ["0"])[-1]
        number = whole_number(text)
        if number is None:
            raise BadRequest(f"{name} param must be an integer, not {text!r}.")
        numbers[name] = number
    start, size = numbers["offset"], numbers["limit"] or _LONGEST
    return items[start : start + min(size, _LONGEST)]


def closed(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    """Schema of an object with these members and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def wrapped(name: str, inner: dict[str, Any]) -> dict[str, Any]:
    """Schema of a body with exactly one member."""
    return closed({name: inner}, name)
