# SPDX-License-Identifier: Apache-2.0
"""Single sign-on in browsers: away to the provider with a sealed cookie, back with a code, on to the dashboard.

The cookie binds the answer to the browser that asked (RFC 6749, 10.12); nothing is stored here. PKCE binds the code
to us, the nonce binds the ID token to this login.
"""

import base64
import hashlib
import hmac
import html
import secrets
from urllib.parse import urlencode, urlsplit

import msgspec

from altostratus.kernel import clock
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.errors import BadRequest, Unauthorized
from altostratus.kernel.resource.operations import Reply
from altostratus.services.identity.federation.config import FederationOptions
from altostratus.services.identity.federation.oidc import OidcProvider
from altostratus.services.identity.tokens.authenticator import UNAUTHORIZED, TokenAuthenticator

COOKIE = "altostratus_sso"
_PATIENCE_S = 600
_SEAL = b"websso\0"  # no token begins like this
_HTML = "text/html; charset=utf-8"


class Errand(msgspec.Struct, frozen=True):
    """What a browser is away for."""

    idp_id: str
    protocol_id: str
    origin: str
    redirect_uri: str
    state: str
    nonce: str
    verifier: str
    ends_at: float


def demand_trusted(cloud: Cloud, origin: str | None) -> str:
    """The dashboard that the token will be posted to. Raises BadRequest or Unauthorized."""
    if not origin:
        raise BadRequest("Request must have an origin query parameter: the dashboard's address.")
    if origin not in map(_lower_host, cloud[FederationOptions].trusted_dashboard):
        raise Unauthorized(f"{origin[:200]} is not a trusted dashboard host ([federation] trusted_dashboard).")
    return origin


def send_away(cloud: Cloud, provider: OidcProvider, way: tuple[str, str], origin: str, redirect_uri: str) -> Reply:
    """To the provider's page. Raises ProviderError."""
    errand = Errand(
        *way,
        origin,
        redirect_uri,
        state=secrets.token_urlsafe(32),
        nonce=secrets.token_urlsafe(32),
        verifier=secrets.token_urlsafe(48),
        ends_at=clock.unix() + _PATIENCE_S,
    )
    challenge = base64.urlsafe_b64encode(hashlib.sha256(errand.verifier.encode()).digest()).decode().rstrip("=")
    wishes = {
        "response_type": "code",
        "client_id": provider.client.client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join(dict.fromkeys(["openid", *provider.client.scopes])),
        "state": errand.state,
        "nonce": errand.nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    page = provider.endpoint("authorization_endpoint")
    sealed = cloud.part(TokenAuthenticator).keys.seal(_SEAL + msgspec.json.encode(errand))
    headers = {
        "Location": f"{page}{'&' if '?' in page else '?'}{urlencode(wishes)}",
        "Set-Cookie": _cookie(sealed, redirect_uri, _PATIENCE_S),
        "Cache-Control": "no-store",
    }
    return Reply(302, b"", headers=headers, content_type=_HTML)


def errand_of(cloud: Cloud, cookies: str, way: tuple[str, str], state: str) -> Errand:
    """The errand that this browser comes back from. Raises Unauthorized."""
    for pair in cookies.split(";"):
        name, _, value = pair.strip().partition("=")
        if name != COOKIE:
            continue
        try:
            data = cloud.part(TokenAuthenticator).keys.unseal(value)
            errand = msgspec.json.decode(data.removeprefix(_SEAL), type=Errand) if data.startswith(_SEAL) else None
        except (ValueError, msgspec.MsgspecError):
            continue
        if errand is None or (errand.idp_id, errand.protocol_id) != way or errand.ends_at <= clock.unix():
            continue
        if hmac.compare_digest(errand.state.encode(), state.encode()):
            return errand
    raise Unauthorized(
        "This answer does not belong to a sign-on that this browser began in the last ten minutes. Begin again at the"
        " dashboard."
    )


def hand_over(errand: Errand, token: str) -> Reply:
    """A page that posts the token to the dashboard by itself, as upstream's callback template does."""
    script = secrets.token_urlsafe(16)
    origin, host = html.escape(errand.origin, quote=True), urlsplit(errand.origin)
    page = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Signing on</title></head><body>\n'
        f'<form id="sso" name="sso" action="{origin}" method="post">Please wait...\n'
        f'<input type="hidden" name="token" id="token" value="{html.escape(token, quote=True)}">\n'
        '<noscript><input type="submit" value="Continue"></noscript></form>\n'
        f'<script nonce="{script}">document.getElementById("sso").submit();</script>\n</body></html>\n'
    )
    policy = f"default-src 'none'; script-src 'nonce-{script}'; form-action {host.scheme}://{host.netloc}"
    headers = {
        "Cache-Control": "no-store",
        "Content-Security-Policy": f"{policy}; frame-ancestors 'none'; base-uri 'none'",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Set-Cookie": _cookie("", errand.redirect_uri, 0),
    }
    return Reply(200, page.encode(), headers=headers, content_type=_HTML)


def refused_by_provider() -> Unauthorized:
    return Unauthorized(UNAUTHORIZED)


def _cookie(value: str, redirect_uri: str, life_s: int) -> str:
    place = urlsplit(redirect_uri)
    secure = "; Secure" if place.scheme == "https" else ""
    return f"{COOKIE}={value}; Path={place.path}; Max-Age={life_s}; HttpOnly; SameSite=Lax{secure}"


def _lower_host(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.lower()).geturl()
