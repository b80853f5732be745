# SPDX-License-Identifier: Apache-2.0
"""The envelope of this service's refusals: `{"NeutronError": {"type", "message", "detail"}}`."""

from collections.abc import Iterable
from typing import Any

from altostratus.kernel.errors import ApiError, BadRequest, Conflict, NotFound, PolicyRefused

# The kernel makes `FloatingIpNotFound` of "floating IP"; upstream spells some differently.
_SPELLING = {
    "FloatingIpNotFound": "FloatingIPNotFound",
    "BadRequest": "HTTPBadRequest",
    "Forbidden": "PolicyNotAuthorized",
    "SubnetpoolNotFound": "SubnetPoolNotFound",
}


def envelope(error: ApiError, call: Any) -> dict[str, Any]:
    """JSON of a refusal."""
    if error.status == 401:
        return {"error": {"code": 401, "title": "Unauthorized", "message": error.message}}
    kind = _SPELLING.get(error.kind, error.kind)
    message = error.message
    if isinstance(error, PolicyRefused):
        message = f"rule:{error.rule} is disallowed by policy. {error.advice}"
    return {"NeutronError": {"type": kind, "message": message, "detail": ""}}


def missing(what: str, id: str) -> NotFound:
    """ "security group", id -> 404 SecurityGroupNotFound."""
    kind = "".join(part.capitalize() for part in what.split()) + "NotFound"
    return NotFound(f"{what[:1].upper()}{what[1:]} {id} could not be found.", kind=kind)


def invalid(message: str, kind: str = "InvalidInput") -> BadRequest:
    return BadRequest(message, kind=kind)


def in_use(message: str, kind: str) -> Conflict:
    return Conflict(message, kind=kind)


def listed(ids: Iterable[str], most: int = 5) -> str:
    """Ids for a sentence: the first few, and how many more there are."""
    all_ids = list(ids)
    shown = ", ".join(all_ids[:most])
    return shown if len(all_ids) <= most else f"{shown} and {len(all_ids) - most} more"
