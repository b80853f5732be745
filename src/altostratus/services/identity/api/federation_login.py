# SPDX-License-Identifier: Apache-2.0
"""Logging in with another identity provider's word: with a token of its own, or through a browser."""

from altostratus.kernel import log
from altostratus.kernel.errors import BadRequest, Unauthorized
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.identity.api.declaring import IdentityResource
from altostratus.services.identity.api.tokens import token_reply
from altostratus.services.identity.federation import handover, login, websso
from altostratus.services.identity.federation.claims import assertion_of
from altostratus.services.identity.federation.config import FederationOptions
from altostratus.services.identity.federation.oidc import OidcProvider, WrongTokenError
from altostratus.services.identity.federation.providers import as_refusal, providers_of
from altostratus.services.identity.federation.web import ProviderError, RefusedError
from altostratus.services.identity.logic.token_state import VoidTokenError
from altostratus.services.identity.tokens.authenticator import UNAUTHORIZED, TokenAuthenticator

_log = log.get("identity")


def _provider(call: Call, idp_id: str, protocol_id: str) -> OidcProvider:
    login.demand_usable(call.cloud, idp_id, protocol_id)
    return providers_of(call.cloud).get(call.cloud, idp_id, protocol_id)


def log_in_with_bearer(call: Call) -> Reply:
    """`Authorization: Bearer <ID token or access token of the provider>` for an unscoped token."""
    idp_id, protocol_id = call.params["idp_id"], call.params["protocol_id"]
    if token := handover.token_in(call.cloud, call.headers.get("COOKIE", ""), (idp_id, protocol_id)):
        return _handed_over(call, token)
    provider = _provider(call, idp_id, protocol_id)
    scheme, _, token = call.headers.get("AUTHORIZATION", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthorized(
            "Send the identity provider's own token in the header Authorization: Bearer ... Browsers begin at"
            f" /v3/auth/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}/websso."
        )
    try:
        claims = provider.claims_of_bearer(token.strip())
    except (WrongTokenError, RefusedError, ProviderError) as error:
        raise as_refusal(error) from None
    return token_reply(call, 201, *login.log_in(call.cloud, idp_id, protocol_id, assertion_of(claims)))


def _handed_over(call: Call, token: str) -> Reply:
    """The token that an assertion led to a moment ago."""
    try:
        return token_reply(call, 201, token, call.cloud.part(TokenAuthenticator).entry(token))
    except VoidTokenError:
        raise Unauthorized(UNAUTHORIZED) from None


class FederatedLogin(IdentityResource, path="/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}/auth"):
    """A token for the user that an identity provider's token is about."""

    get = Op("GET", "", None, "@", log_in_with_bearer, status=201, tx="none", public=True)
    post = Op("POST", "", None, "@", log_in_with_bearer, status=201, tx="none", public=True)


# in a browser


def begin_at_provider(call: Call) -> Reply:
    """To the identity provider, which sends the browser back to `callback`."""
    return _begin(call, call.params["idp_id"], call.params["protocol_id"])


def begin_at_protocol(call: Call) -> Reply:
    """The same for the only identity provider that has this protocol."""
    protocol_id = call.params["protocol_id"]
    websso.demand_trusted(call.cloud, _origin(call))
    found = [name for name, client in call.cloud[FederationOptions].oidc.items() if client.protocol == protocol_id]
    if len(found) != 1:
        raise BadRequest(
            f"{len(found) or 'No'} identity providers are configured for protocol {protocol_id}. Name one in the path:"
            f" /v3/auth/OS-FEDERATION/identity_providers/(id)/protocols/{protocol_id}/websso."
        )
    return _begin(call, found[0], protocol_id)


def _begin(call: Call, idp_id: str, protocol_id: str) -> Reply:
    origin = websso.demand_trusted(call.cloud, _origin(call))
    provider = _provider(call, idp_id, protocol_id)
    back = f"/auth/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}/callback"
    try:
        return websso.send_away(call.cloud, provider, (idp_id, protocol_id), origin, call.service_url(back))
    except ProviderError as error:
        raise as_refusal(error) from None


def _origin(call: Call) -> str | None:
    return call.query["origin"][-1] if "origin" in call.query else None


def come_back(call: Call) -> Reply:
    """From the identity provider, with a code; on to the dashboard, with a token."""
    way = call.params["idp_id"], call.params["protocol_id"]
    provider = _provider(call, *way)
    answer = {name: values[-1] for name, values in call.query.items()}
    errand = websso.errand_of(call.cloud, call.headers.get("COOKIE", ""), way, answer.get("state", ""))
    websso.demand_trusted(call.cloud, errand.origin)
    if "code" not in answer:
        _log.info("identity provider %s refused a login: %s", way[0], answer.get("error", "no code")[:100])
        raise websso.refused_by_provider()
    try:
        claims = provider.claims_of_code(
            answer["code"], redirect_uri=errand.redirect_uri, verifier=errand.verifier, nonce=errand.nonce
        )
    except (WrongTokenError, RefusedError, ProviderError) as error:
        raise as_refusal(error) from None
    token, _ = login.log_in(call.cloud, *way, assertion_of(claims))
    return websso.hand_over(errand, token)


class ProtocolSignOn(IdentityResource, path="/auth/OS-FEDERATION/websso/{protocol_id}"):
    """Single sign-on for a dashboard, without naming the identity provider."""

    get = Op("GET", "", None, "@", begin_at_protocol, status=302, tx="none", public=True)
    post = Op("POST", "", None, "@", begin_at_protocol, status=302, tx="none", public=True)


class ProviderSignOn(IdentityResource, path="/auth/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}"):
    """Single sign-on for a dashboard."""

    get = Op("GET", "/websso", None, "@", begin_at_provider, status=302, tx="none", public=True)
    post = Op("POST", "/websso", None, "@", begin_at_provider, status=302, tx="none", public=True)
    callback = Op("GET", "/callback", None, "@", come_back, tx="none", public=True)
