# SPDX-License-Identifier: Apache-2.0
"""`/ec2tokens` and `/s3tokens`: services that take signed requests ask here whose they are.

Only services and administrators may: whoever saw a signed URL could otherwise make a token of it (OSSA-2025-002).
"""

from typing import Any

from altostratus.kernel.errors import BadRequest, Unauthorized
from altostratus.kernel.policy import Persona
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.identity.api.declaring import IdentityResource
from altostratus.services.identity.config import IdentityOptions
from altostratus.services.identity.tokens import aws_signature
from altostratus.services.identity.tokens.authenticator import TokenAuthenticator
from altostratus.services.identity.tokens.ec2 import log_in_signed

_SERVICE = Persona("service or admin", "rule:service_or_admin", ("system", "domain", "project"))
_WORD = {"type": "string", "maxLength": 1024}
_ANY_OBJECT = {"type": "object", "maxProperties": 256}
_SIGNED = {
    "type": "object",
    "properties": {
        "access": _WORD,
        "signature": _WORD,
        "params": {**_ANY_OBJECT, "additionalProperties": {"type": ["string", "number", "boolean"]}},
        "headers": {**_ANY_OBJECT, "additionalProperties": {"type": "string"}},
        "host": _WORD,
        "verb": _WORD,
        "path": {"type": "string", "maxLength": 65_536},
        "body_hash": _WORD,
        "token": {"type": "string", "maxLength": 65_536},
    },
}
# three names for the same, as upstream takes them
_NAMES = ("credentials", "credential", "ec2Credentials")
_BODY: dict[str, Any] = {"type": "object", "properties": dict.fromkeys(_NAMES, _SIGNED), "minProperties": 1}


def _given(call: Call) -> dict[str, Any]:
    return next((call.body[name] for name in _NAMES if call.body.get(name)), {})


def create_ec2_token(call: Call) -> Reply:
    given = _given(call)
    _demand_timely(call, given)
    token, entry = log_in_signed(call.cloud, given, aws_signature.is_ec2_signed)
    body = call.cloud.part(TokenAuthenticator).json_of(entry, with_catalog=True)
    return Reply(200, body, headers={"X-Subject-Token": token}, content_type="application/json")


def _demand_timely(call: Call, given: dict[str, Any]) -> None:
    try:
        timely = aws_signature.is_timely(given, call.cloud[IdentityOptions].signed_request_lifetime_s)
    except aws_signature.SignatureError as error:
        raise Unauthorized(f"Credential timestamp is invalid: {error}.") from None
    if not timely:
        raise Unauthorized("Credential is expired. Sign the request anew, with a clock that is right.")


def create_s3_token(call: Call) -> Reply:
    """The token itself stays here: the service learns who it is and what for, and needs no more."""
    given = _given(call)
    if "token" not in given and given.get("access"):
        raise BadRequest("Expecting to find token in credentials: the string to sign, in base64.")
    _, entry = log_in_signed(call.cloud, given, aws_signature.is_s3_signed)
    body = call.cloud.part(TokenAuthenticator).json_of(entry, with_catalog=True)
    return Reply(200, body, content_type="application/json")


class Ec2Token(IdentityResource, path="/ec2tokens"):
    """A token for who has signed an EC2 request."""

    create = Op("POST", "", "identity:ec2tokens_validate", _SERVICE, create_ec2_token, tx="none", body=_BODY)


class S3Token(IdentityResource, path="/s3tokens"):
    """The same for an S3 request."""

    create = Op("POST", "", "identity:s3tokens_validate", _SERVICE, create_s3_token, tx="none", body=_BODY)
