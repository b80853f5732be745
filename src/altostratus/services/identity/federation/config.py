# SPDX-License-Identifier: Apache-2.0
"""The `[federation]` section. Only the operator's file says where identity providers are, never an API user.

[federation]
trusted_dashboard = ["https://dashboard.example.com/auth/websso/"]

[federation.oidc.acme]                  # the identity provider's id in `/OS-FEDERATION/identity_providers`
issuer = "https://login.acme.example"
client_id = "cloud"
client_secret_file = "/etc/altostratus/acme-secret"
"""

from pathlib import Path
from typing import Annotated

import msgspec

from altostratus.kernel.config import Meta, Section


class OidcClient(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How this cloud is known to one provider of OpenID Connect."""

    issuer: Annotated[str, Meta(description="the provider's issuer, as its tokens name it", min_length=1)]
    client_id: Annotated[str, Meta(description="what the provider calls this cloud", min_length=1)]
    client_secret: Annotated[str, Meta(description="secret of the client; empty: a public client, or a file")] = ""
    client_secret_file: Annotated[str, Meta(description="file that holds the secret and nothing else")] = ""
    protocol: Annotated[str, Meta(description="the protocol that these tokens are for")] = "openid"
    scopes: Annotated[tuple[str, ...], Meta(description="what is asked for in a browser")] = (
        "openid",
        "email",
        "profile",
    )
    audiences: Annotated[
        tuple[str, ...],
        Meta(description="further audiences, besides client_id, of tokens that clients bring themselves"),
    ] = ()
    userinfo: Annotated[bool, Meta(description="ask the provider for the claims that its tokens do not carry")] = False
    ca_file: Annotated[str, Meta(description="certificates to trust instead of the system's")] = ""
    deadline_s: Annotated[float, Meta(description="how long one answer of the provider may take", gt=0, le=60)] = 10.0

    def __repr__(self) -> str:
        """Without the secret."""
        return f"OidcClient(issuer={self.issuer!r}, client_id={self.client_id!r})"

    def secret(self) -> str:
        """Read anew each time, so that the file may change. Raises OSError."""
        return Path(self.client_secret_file).read_text().strip() if self.client_secret_file else self.client_secret


class SamlPeer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another cloud whose word for its users is taken (SAML 2, ECP)."""

    entity_id: Annotated[str, Meta(description="what the other cloud calls itself", min_length=1)]
    certificate_file: Annotated[str, Meta(description="PEM file with the certificate that it signs with", min_length=1)]
    acs_url: Annotated[
        str, Meta(description="our address for its assertions, exactly as it knows it (its sp_url)", min_length=1)
    ]
    protocol: Annotated[str, Meta(description="the protocol that its assertions are for")] = "saml2"


class FederationOptions(Section, frozen=True, kw_only=True, name="federation"):
    """What concerns users that other identity providers vouch for."""

    trusted_dashboard: Annotated[
        tuple[str, ...], Meta(description="addresses that a token may be handed to after single sign-on in a browser")
    ] = ()
    default_authorization_ttl: Annotated[
        int, Meta(description="minutes that groups from a mapping last beyond the login; 0: only its tokens", ge=0)
    ] = 0
    attribute_mapping_default_schema_version: Annotated[
        str, Meta(description="schema version of mappings that name none", pattern=r"^[12]\.0$")
    ] = "1.0"
    remote_id_attribute: Annotated[
        str, Meta(description="attribute in which an identity provider names itself, for protocols without their own")
    ] = ""
    oidc: Annotated[dict[str, OidcClient], Meta(description="providers of OpenID Connect, by identity provider")] = {}
    saml: Annotated[dict[str, SamlPeer], Meta(description="clouds that vouch by SAML 2, by identity provider")] = {}
    saml_entity_id: Annotated[
        str, Meta(description="what this cloud calls itself towards other clouds; empty: made of its address")
    ] = ""
    saml_assertion_lifetime_s: Annotated[
        int, Meta(description="how long our word for a user may be presented elsewhere", ge=30, le=86_400)
    ] = 600
