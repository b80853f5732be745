# SPDX-License-Identifier: Apache-2.0
"""`/OS-OAUTH2/token`: tokens for programs that speak OAuth 2.0 client credentials (RFC 6749, section 4.4).

The client is an application credential: its id and secret, by HTTP Basic or in the form. Upstream's second way, a
client certificate that a web server in front has checked, is not offered.
"""

import binascii
from base64 import b64decode
from urllib.parse import parse_qs

from altostratus.kernel import clock
from altostratus.kernel.errors import BadRequest, Unauthorized
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.identity import policies
from altostratus.services.identity.api.declaring import IdentityResource
from altostratus.services.identity.errors import OAuth2Error
from altostratus.services.identity.tokens.attempt import HttpRequest
from altostratus.services.identity.tokens.login import log_in

_LARGEST_FORM_BYTES = 16_384
_UNSTORED = {"Cache-Control": "no-store", "Pragma": "no-cache"}


def create_access_token(call: Call) -> Reply:
    form = _form(call)
    grant = form.get("grant_type")
    if grant is None:
        raise OAuth2Error(400, "invalid_request", "The parameter grant_type is required.")
    if grant != "client_credentials":
        raise OAuth2Error(400, "unsupported_grant_type", f"The parameter grant_type {grant} is not supported.")
    client_id, secret = _basic(call) or (form.get("client_id"), form.get("client_secret"))
    if not client_id or not secret:
        raise OAuth2Error(401, "invalid_client", "Client authentication failed.")
    credential = {"id": client_id, "secret": secret}
    auth = {"identity": {"methods": ["application_credential"], "application_credential": credential}}
    try:
        token, entry = log_in(call.cloud, auth, HttpRequest("POST", call.url(), {}))
    except Unauthorized as error:
        raise OAuth2Error(401, "invalid_client", error.message) from None
    except BadRequest as error:
        raise OAuth2Error(400, "invalid_request", error.message) from None
    lifetime_s = max(0, int(entry.expires_unix - clock.unix()))
    shown = {"access_token": token, "token_type": "Bearer", "expires_in": lifetime_s}
    return Reply(200, shown, headers=_UNSTORED)


def _form(call: Call) -> dict[str, str]:
    """The body's parameters; none may come twice (RFC 6749, section 3.2). Raises OAuth2Error."""
    kind = call.headers.get("CONTENT-TYPE", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        return {}
    data = call.stream.read(_LARGEST_FORM_BYTES + 1)
    if len(data) > _LARGEST_FORM_BYTES:
        raise OAuth2Error(400, "invalid_request", f"The form has more than {_LARGEST_FORM_BYTES} bytes.")
    try:
        found = parse_qs(data.decode(), strict_parsing=bool(data), max_num_fields=32)
    except ValueError:
        raise OAuth2Error(400, "invalid_request", "The body is not a form of name=value pairs.") from None
    twice = [name for name, values in found.items() if len(values) > 1]
    if twice:
        raise OAuth2Error(400, "invalid_request", f"The parameter {twice[0]} is given more than once.")
    return {name: values[0] for name, values in found.items()}


def _basic(call: Call) -> tuple[str, str] | None:
    """Id and secret of the Authorization header, taken as they are: upstream's clients do not form-encode them."""
    scheme, _, given = call.headers.get("AUTHORIZATION", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, _, secret = b64decode(given, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return client_id, secret


class OAuth2Token(IdentityResource, path="/OS-OAUTH2/token"):
    """A token in the words of OAuth 2.0."""

    create = Op("POST", "", None, policies.ANYBODY, create_access_token, tx="none", public=True, stream="in")
