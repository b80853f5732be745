# SPDX-License-Identifier: Apache-2.0
"""JSON patches of images, in the two drafts that clients send."""

import re
from typing import Any, NamedTuple

from altostratus.kernel.errors import BadRequest, Conflict, Forbidden

CONTENT_TYPES = {
    "application/openstack-images-v2.0-json-patch": 4,
    "application/openstack-images-v2.1-json-patch": 10,
}
_OPERATIONS = ("add", "remove", "replace")


class Change(NamedTuple):
    """One operation: `name` is the member it is about."""

    op: str
    name: str
    value: Any


class Patched(NamedTuple):
    """What the image would be: base members that change, and all properties."""

    members: dict[str, Any]
    properties: dict[str, Any]


def parse(payload: Any, draft: int) -> list[Change]:
    """Operations of a request's body. Raises BadRequest, or Forbidden for locations."""
    if not isinstance(payload, list):
        raise BadRequest("Request body must be a JSON array of operation objects.")
    return [_parse_one(raw, draft) for raw in payload]


def _parse_one(raw: Any, draft: int) -> Change:
    if not isinstance(raw, dict):
        raise BadRequest("Operations must be JSON objects.")
    op: Any
    if draft == 4:
        named = [op for op in _OPERATIONS if op in raw]
        if len(named) != 1:
            raise BadRequest('Operation objects must contain exactly one member named "add", "remove", or "replace".')
        op, pointer = named[0], raw[named[0]]
    else:
        op, pointer = raw.get("op"), raw.get("path")
        if op not in _OPERATIONS:
            raise BadRequest(f"Invalid operation: {op!r}. It must be one of the following: {', '.join(_OPERATIONS)}.")
    if op != "remove" and "value" not in raw:
        raise BadRequest(f'Operation "{op}" requires a member named "value".')
    return Change(op, _member(pointer), raw.get("value"))


def _member(pointer: Any) -> str:
    """`/name` to name. Only members themselves can be changed, not parts of them."""
    if not isinstance(pointer, str) or not pointer.startswith("/"):
        raise BadRequest(f'Pointer {pointer!r} does not start with "/".')
    if re.search(r"~([^01]|$)", pointer):
        raise BadRequest(f'Pointer {pointer!r} contains "~" not part of a recognized escape sequence.')
    parts = [part.replace("~1", "/").replace("~0", "~").strip() for part in pointer[1:].split("/")]
    if parts[0] == "locations":
        raise Forbidden("Locations of image data are not shown here and cannot be changed. Upload the data instead.")
    if len(parts) != 1 or not parts[0]:
        raise BadRequest(f"Invalid JSON pointer for this resource: '{pointer}'. It must name one member.")
    return parts[0]


def apply(changes: list[Change], base: frozenset[str], properties: dict[str, Any], draft: int) -> Patched:
    """The result of the operations, in order. Raises Conflict and Forbidden as upstream does."""
    members: dict[str, Any] = {}
    patched = dict(properties)
    for change in changes:
        known = change.name in base or change.name in patched
        if change.op == "replace" and not known:
            raise Conflict(f"Property {change.name} does not exist.")
        if change.op == "add" and known and draft == 4:
            raise Conflict(f"Property {change.name} already present.")
        if change.op == "remove":
            if change.name in base:
                raise Forbidden(f"Property {change.name} may not be removed.")
            if change.name not in patched:
                raise Conflict(f"Property {change.name} does not exist.")
            del patched[change.name]
        elif change.name in base:
            members[change.name] = change.value
        else:
            patched[change.name] = change.value
    return Patched(members, patched)
