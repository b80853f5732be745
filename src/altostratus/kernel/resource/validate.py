# SPDX-License-Identifier: Apache-2.0
"""Requests against their schemas: compiled once, answered with a sentence that names the member."""

from functools import lru_cache
from typing import Any

import jsonschema_rs
import msgspec

from altostratus.kernel.errors import BadRequest
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Action, Op
from altostratus.kernel.resource.versions import Version

_LONGEST_SHOWN = 120
_SECRET_WORDS = ("password", "secret", "adminpass", "blob")
# keywords whose messages name members, not values
_QUIET_KEYWORDS = ("required", "additionalProperties")


def body_schema(op: Op, version: Version | None) -> dict[str, Any] | None:
    """JSON schema of the whole request body, or None if the operation takes none."""
    resource: type[Resource] = op.resource
    if op.body is not None:
        return op.body
    if op.kind not in ("create", "update") or op.stream:
        return None
    inner = resource.request_schema("c" if op.kind == "create" else "u", version)
    if resource.one is None:
        return inner
    if op.bulk and resource.many:
        several = {"type": "array", "items": inner, "minItems": 1}
        properties = {resource.one: inner, resource.many: several}
        one_of_them = {"minProperties": 1, "maxProperties": 1, "additionalProperties": False}
        return {"type": "object", "properties": properties, **one_of_them}
    return {
        "type": "object",
        "properties": {resource.one: inner, **op.beside},
        "required": [resource.one],
        "additionalProperties": resource.unknown != "refuse",
    }


@lru_cache(maxsize=4096)
def _validator(op: Op, version: Version | None) -> Any:
    schema = body_schema(op, version)
    return None if schema is None else jsonschema_rs.validator_for(schema, validate_formats=True)


@lru_cache(maxsize=4096)
def _query_validator(op: Op) -> Any:
    schema = {
        "type": "object",
        "properties": {name: {"type": "array", "items": inner} for name, inner in (op.query or {}).items()},
        "additionalProperties": False,
    }
    return jsonschema_rs.validator_for(schema, validate_formats=True)


def check_body(call: Call, payload: Any) -> None:
    """Fills `call.body` and `call.extra` from valid JSON; raises BadRequest with the place and the reason."""
    op, resource = call.op, call.resource
    validator = _validator(op, call.version)
    call.raw = payload
    if op.bulk:
        payload = _without_inner_envelopes(resource, payload)
    if validator is None:
        call.body = payload
        return
    _check(validator, payload)
    if op.body is not None or op.kind not in ("create", "update"):
        call.body = payload[op.action] if isinstance(op, Action) else payload
        return
    letter = "c" if op.kind == "create" else "u"
    if op.bulk and resource.many in payload:
        call.body = [_parse(call, letter, given) for given in payload[resource.many]]
        return
    given = payload if resource.one is None else payload[resource.one]
    call.body = _parse(call, letter, given)
    if resource.unknown == "keep":
        call.extra = resource.unknown_members(letter, call.version, given)


def _without_inner_envelopes(resource: type[Resource], payload: Any) -> Any:
    """`{"ports": [{"port": {...}}]}` is taken as well as `{"ports": [{...}]}`."""
    several = payload.get(resource.many) if isinstance(payload, dict) else None
    if not isinstance(several, list):
        return payload
    one = resource.one
    bare = [item[one] if isinstance(item, dict) and set(item) == {one} else item for item in several]
    return {**payload, resource.many: bare}


def _parse(call: Call, letter: str, given: dict[str, Any]) -> dict[str, Any]:
    try:
        values = call.resource.parse(letter, call.version, given)
    except ValueError as error:
        raise BadRequest(str(error), kind="InvalidInput") from None
    _demand_guarded(call, letter, given)
    return values


def check_query(call: Call) -> None:
    if call.op.query is not None:
        _check(_query_validator(call.op), call.query)


def decode(data: bytes) -> Any:
    """JSON from the wire. Raises BadRequest."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"Malformed request body: not valid JSON ({error}).", kind="MalformedRequestBody") from None


def _check(validator: Any, value: Any) -> None:
    for error in validator.iter_errors(value):
        where = "/".join(str(step) for step in error.instance_path)
        secret = _is_secret(where) or _holds_secret(error.instance)
        shown = "(not shown)" if secret else _cut(repr(error.instance), _LONGEST_SHOWN)
        reason = _cut(error.message, 2 * _LONGEST_SHOWN)
        if secret and error.kind.name not in _QUIET_KEYWORDS:
            reason = f"It breaks the rule {error.kind.name}."
        if where:
            raise BadRequest(
                f"Invalid input for field/attribute {where}. Value: {shown}. {reason}", kind="InvalidInput"
            )
        raise BadRequest(f"Invalid input: {reason}", kind="InvalidInput")


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[:longest] + "..."


def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in _SECRET_WORDS)


def _holds_secret(value: Any) -> bool:
    """Does the value carry a password somewhere? Then a refusal does not repeat it."""
    if isinstance(value, dict):
        return any(_is_secret(str(name)) or _holds_secret(inner) for name, inner in value.items())
    return isinstance(value, list) and any(map(_holds_secret, value))


def _demand_guarded(call: Call, letter: str, given: dict[str, Any]) -> None:
    for field in call.resource.fields.values():
        if letter in field.guard and field.wire in given and call.op.rule:
            call.demand(f"{call.op.rule}:{field.wire}")
