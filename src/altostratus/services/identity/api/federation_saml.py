# SPDX-License-Identifier: Apache-2.0
"""SAML 2 between clouds: this one vouches for its users, and takes the word of others (keystone to keystone, ECP)."""

from pathlib import Path
from typing import Any

from altostratus.kernel import ids, log
from altostratus.kernel.errors import NotImplementedHere, TooLarge, Unauthorized, Unavailable, UnsupportedMediaType
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.identity.api.declaring import IdentityResource
from altostratus.services.identity.federation import handover, login, vouching
from altostratus.services.identity.federation.config import FederationOptions, SamlPeer
from altostratus.services.identity.federation.saml.keys import SigningKey, load_signing_key
from altostratus.services.identity.federation.saml.names import PAOS_TYPE
from altostratus.services.identity.models import UsedAssertion
from altostratus.services.identity.tokens.authenticator import UNAUTHORIZED, TokenAuthenticator

_log = log.get("identity")
_XML = "text/xml"
_NAMED = {"type": "object", "properties": {"id": {"type": "string", "maxLength": 8192}}, "required": ["id"]}
_BODY: dict[str, Any] = {
    "type": "object",
    "properties": {
        "auth": {
            "type": "object",
            "properties": {
                "identity": {
                    "type": "object",
                    "properties": {"token": _NAMED, "methods": {"type": "array"}},
                    "required": ["token"],
                },
                "scope": {
                    "type": "object",
                    "properties": {"service_provider": _NAMED},
                    "required": ["service_provider"],
                },
            },
            "required": ["identity", "scope"],
        }
    },
    "required": ["auth"],
}


# our word for our users


def make_assertion(call: Call) -> Reply:
    """A signed SAML response about the user of a token, for a service provider."""
    return _assertion(call, ecp=False)


def make_ecp_assertion(call: Call) -> Reply:
    """The same, wrapped so that a client can present it (ECP)."""
    return _assertion(call, ecp=True)


def _assertion(call: Call, *, ecp: bool) -> Reply:
    from altostratus.services.identity.federation.saml import asserting  # noqa: PLC0415

    auth = call.body["auth"]
    state = vouching.demand_own_hand(call.cloud, auth["identity"]["token"]["id"])
    with call.cloud.db.read() as tx:
        provider = vouching.demand_service_provider(tx, auth["scope"]["service_provider"]["id"])
        facts = vouching.facts_of(tx, state)
    statement = asserting.Statement(
        issuer=_entity_id(call),
        recipient=provider.sp_url,
        name_id=state.user.name,
        attributes=facts,
        lifetime_s=call.cloud[FederationOptions].saml_assertion_lifetime_s,
    )
    answer = asserting.response(statement, _signing_key(call))
    if ecp:
        answer = asserting.enveloped(answer, provider.relay_state_prefix + ids.new_hex_id())
    headers = {"X-sp-url": provider.sp_url, "X-auth-url": provider.auth_url, "Cache-Control": "no-store"}
    return Reply(200, asserting.to_bytes(answer), headers=headers, content_type=_XML)


def show_metadata(call: Call) -> Reply:
    """This cloud as an identity provider: its name, and the certificate that it signs with."""
    from altostratus.services.identity.federation.saml import asserting  # noqa: PLC0415

    document = asserting.metadata(_entity_id(call), call.service_url("/auth/OS-FEDERATION/saml2"), _signing_key(call))
    return Reply(200, document, content_type=_XML)


def _entity_id(call: Call) -> str:
    return call.cloud[FederationOptions].saml_entity_id or call.service_url("/OS-FEDERATION/saml2/idp")


def _signing_key(call: Call) -> SigningKey:
    if not call.cloud.has_part(SigningKey):
        key_dir = call.cloud.part(TokenAuthenticator).key_dir
        call.cloud.add_part(SigningKey, load_signing_key(key_dir / "saml" if key_dir is not None else None))
    return call.cloud.part(SigningKey)


class SamlAssertion(IdentityResource, path="/auth/OS-FEDERATION/saml2"):
    """Our word for a user, for another cloud."""

    plain = Op("POST", "", None, "@", make_assertion, tx="none", public=True, body=_BODY)
    ecp = Op("POST", "/ecp", None, "@", make_ecp_assertion, tx="none", public=True, body=_BODY)


class SamlMetadata(IdentityResource, path="/OS-FEDERATION/saml2/metadata"):
    """What other clouds must know of us."""

    show = Op("GET", "", None, "@", show_metadata, tx="none", public=True)


# the word of others


def take_assertion(call: Call) -> Reply:
    """An assertion of another cloud, presented by its user's client; on to `auth`, where the token is."""
    from altostratus.services.identity.federation.saml import believing  # noqa: PLC0415

    way = call.params["idp_id"], call.params["protocol_id"]
    login.demand_usable(call.cloud, *way)
    peer = _peer(call, way)
    if not call.headers.get("CONTENT-TYPE", "").startswith(PAOS_TYPE):
        # no browser sends this on behalf of a page of somebody else
        raise UnsupportedMediaType(f"An assertion comes as {PAOS_TYPE}.")
    message = call.stream.read(believing.LARGEST_MESSAGE_BYTES + 1)
    if len(message) > believing.LARGEST_MESSAGE_BYTES:
        raise TooLarge(f"An assertion has {believing.LARGEST_MESSAGE_BYTES} bytes at most.")
    try:
        believed = believing.believe(
            message,
            issuer=peer.entity_id,
            certificate=_certificate(peer),
            recipient=peer.acs_url,
            audience=_entity_id(call),
        )
        _use_once(call, believed.key, believed.ends_at)
    except believing.WrongAssertionError as error:
        _log.info("an assertion of identity provider %s was refused: %s", way[0], error)
        raise Unauthorized(UNAUTHORIZED) from None
    token, _ = login.log_in(call.cloud, *way, believed.attributes)
    page = call.service_url(f"/OS-FEDERATION/identity_providers/{way[0]}/protocols/{way[1]}/auth")
    headers = {"Location": page, "Set-Cookie": handover.cookie_with(call.cloud, way, token, page)}
    return Reply(303, b"", headers={**headers, "Cache-Control": "no-store"}, content_type=_XML)


def _peer(call: Call, way: tuple[str, str]) -> SamlPeer:
    peer = call.cloud[FederationOptions].saml.get(way[0])
    if peer is None or peer.protocol != way[1]:
        raise NotImplementedHere(
            f"This cloud takes no assertions of identity provider {way[0]} for protocol {way[1]}. An operator gives"
            f" entity_id, certificate_file and acs_url in [federation.saml.{way[0]}] of altostratus.toml."
        )
    return peer


def _certificate(peer: SamlPeer) -> str:
    try:
        return Path(peer.certificate_file).read_text()
    except OSError as error:
        _log.warning("the certificate of %s cannot be read: %s", peer.entity_id, error)
        raise Unavailable("The other cloud's certificate cannot be read here; the log says more.") from None


def _use_once(call: Call, key: str, ends_at: str) -> None:
    with call.cloud.db.write() as tx:
        if tx.find(UsedAssertion, key) is not None:
            _log.warning("an assertion was presented a second time")
            raise Unauthorized(UNAUTHORIZED)
        tx.insert(UsedAssertion, key=key, ends_at=ends_at)


class SamlConsumer(
    IdentityResource, path="/auth/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}/saml2/ecp"
):
    """Where clients present assertions of other clouds (an `sp_url` there)."""

    take = Op("POST", "", None, "@", take_assertion, status=303, tx="none", public=True, stream="in")
