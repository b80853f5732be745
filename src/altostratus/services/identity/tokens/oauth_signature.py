# SPDX-License-Identifier: Apache-2.0
"""Requests signed as RFC 5849 (OAuth 1) says: what the Authorization header states, and whether its signature is right.

Only HMAC signatures are taken: PLAINTEXT would send the secrets themselves, and no RSA keys are kept here.
"""

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from oauthlib.oauth1.rfc5849 import signature, utils

from altostratus.kernel import clock
from altostratus.kernel.errors import BadRequest
from altostratus.services.identity.logic.login import missing
from altostratus.services.identity.tokens.attempt import HttpRequest

_HASHES = {"HMAC-SHA1": hashlib.sha1, "HMAC-SHA256": hashlib.sha256, "HMAC-SHA512": hashlib.sha512}
_NEEDED = ("oauth_signature_method", "oauth_timestamp", "oauth_nonce", "oauth_signature")
_LONGEST = 255
CLOCK_SKEW_S = 600  # upstream's library has the same window

Parameters = dict[str, str]


def read_parameters(request: HttpRequest, *wanted: str) -> Parameters:
    """The header's parameters, `wanted` and the general ones among them, with a timely timestamp. Raises BadRequest."""
    header = request.headers.get("AUTHORIZATION", "")
    try:
        found = {name: utils.unescape(value) for name, value in utils.parse_authorization_header(header)}
    except ValueError:
        raise BadRequest(
            "Error retrieving OAuth headers: the request needs the header"
            ' `Authorization: OAuth oauth_consumer_key="...", ...`.'
        ) from None
    for name in wanted:
        if not found.get(name):
            raise missing(name, "request")
    for name in _NEEDED:
        if not found.get(name):
            raise _invalid(f"Missing mandatory OAuth parameters: {name}")
    if any(len(value) > _LONGEST for value in found.values()):
        raise _invalid(f"A parameter has more than {_LONGEST} characters")
    if found.get("oauth_version", "1.0") != "1.0":
        raise _invalid("Invalid OAuth version; use 1.0")
    if found["oauth_signature_method"] not in _HASHES:
        raise _invalid(f"Invalid signature method; use {', '.join(_HASHES)}")
    _demand_timely(found["oauth_timestamp"])
    return found


def is_signed(request: HttpRequest, given: Parameters, secrets: Sequence[str], places: Iterable[str] = ()) -> bool:
    """Do the secrets (consumer's, token's) make the signature that the header has?

    `places` are our own addresses ("https://cloud.example") besides the one that the request came to: behind a proxy
    clients sign another.
    """
    try:
        here = urlsplit(request.url)
    except ValueError:  # no address at all
        return False
    addresses = [request.url, *(f"{place}{here.path}?{here.query}" for place in places)]
    return any(_is_signed_for(replace(request, url=address), given, secrets) for address in addresses)


def _is_signed_for(request: HttpRequest, given: Parameters, secrets: Sequence[str]) -> bool:
    try:
        text = _signed_text(request)
    except ValueError:  # a Host or a query that no client could have signed
        return False
    consumer_secret, token_secret = (*secrets, "")[:2]
    key = f"{utils.escape(consumer_secret)}&{utils.escape(token_secret)}"
    made = hmac.new(key.encode(), text.encode(), _HASHES[given["oauth_signature_method"]]).digest()
    return hmac.compare_digest(b64encode(made), given["oauth_signature"].encode())


def _signed_text(request: HttpRequest) -> str:
    header = {"Authorization": request.headers["AUTHORIZATION"]}
    parameters = signature.collect_parameters(uri_query=urlsplit(request.url).query, headers=header)
    place, pairs = signature.base_string_uri(request.url), signature.normalize_parameters(parameters)
    return str(signature.signature_base_string(request.method, place, pairs))


def digest_of(given: Parameters) -> str:
    """What makes this signed request different from every other one of its consumer."""
    parts = (given.get("oauth_token", ""), given["oauth_timestamp"], given["oauth_nonce"])
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _demand_timely(timestamp: str) -> None:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise _invalid("Invalid timestamp; give seconds since 1970")
    if abs(clock.unix() - int(timestamp)) > CLOCK_SKEW_S:
        raise _invalid(f"Timestamp differs from the time here by more than {CLOCK_SKEW_S} seconds; set the clock")


def _invalid(detail: str) -> BadRequest:
    return BadRequest(f"Validation failed with errors: invalid_request, detail message is: {detail}.")
