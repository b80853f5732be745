# SPDX-License-Identifier: Apache-2.0
"""Pieces of JSON schemas that several operations share."""

from typing import Any

from altostratus.kernel.errors import BadRequest
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.fields import FALSE_WORDS, TRUE_WORDS, UUID_PATTERN, parse_bool
from altostratus.services.block_storage.jobs.begin import Origin

LARGEST = 2147483647
NAME: dict[str, Any] = {"type": ["string", "null"], "maxLength": 255}
UUID: dict[str, Any] = {"type": "string", "pattern": UUID_PATTERN}
UUID_OR_NULL: dict[str, Any] = {"type": ["string", "null"], "pattern": UUID_PATTERN}
BOOLEAN: dict[str, Any] = {
    "type": ["boolean", "string"],
    "pattern": f"^(?i:{'|'.join((*TRUE_WORDS, *FALSE_WORDS))})$",
}
METADATA: dict[str, Any] = {
    "type": "object",
    "patternProperties": {"^[a-zA-Z0-9-_:. /]{1,255}$": {"type": "string", "maxLength": 255}},
    "additionalProperties": False,
}
IMAGE_METADATA = METADATA | {
    "patternProperties": {"^[a-zA-Z0-9-_:. /]{1,255}$": {"type": "string", "maxLength": 65535}}
}
METADATA_OR_NULL = METADATA | {"type": ["object", "null"]}
SIZE: dict[str, Any] = {
    "type": ["integer", "string"],
    "pattern": "^[0-9]{1,10}$",
    "minimum": 1,
    "maximum": LARGEST,
}


def wrapped(name: str, inner: dict[str, Any] | None) -> dict[str, Any]:
    """Schema of `{name: inner}`; None: anything."""
    return {
        "type": "object",
        "properties": {name: inner if inner is not None else {}},
        "required": [name],
        "additionalProperties": False,
    }


def closed(required: tuple[str, ...] = (), **properties: dict[str, Any]) -> dict[str, Any]:
    """Schema of an object with these members and no others."""
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return schema | {"required": list(required)} if required else schema


def stripped(value: Any) -> str | None:
    """Names and descriptions lose the blanks around them."""
    return None if value is None else str(value).strip()


def truth(value: Any) -> bool:
    """A boolean in any spelling that the schema let through."""
    return bool(parse_bool(value))


def size_gib(value: Any) -> int:
    """A size from valid JSON. Raises BadRequest for text that is too large or 0."""
    number = int(value)
    if not 1 <= number <= LARGEST:
        raise BadRequest(f"Invalid input received: the size {number} is not between 1 and {LARGEST} GiB.")
    return number


def origin_of(call: Call) -> Origin:
    """Who asked, for jobs."""
    return Origin(call.request_id, call.ctx.project_id, call.ctx.user_id)
