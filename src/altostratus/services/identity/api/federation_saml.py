# SPDX-License-Identifier: Apache-2.0
"""This cloud as an identity provider for others (keystone to keystone)."""

from typing import Any

from altostratus.kernel.errors import NotImplementedHere
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.identity.api.declaring import IdentityResource

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


def refuse(_call: Call) -> Reply:
    raise NotImplementedHere(
        "This cloud does not vouch for its users by SAML 2 yet. Clouds that trust the same provider of OpenID Connect"
        " let the same users in: see [federation.oidc] in the documentation."
    )


class SamlAssertion(IdentityResource, path="/auth/OS-FEDERATION/saml2"):
    """Our word for a user, for another cloud."""

    plain = Op("POST", "", None, "@", refuse, tx="none", public=True, body=_BODY)
    ecp = Op("POST", "/ecp", None, "@", refuse, tx="none", public=True, body=_BODY)


class SamlMetadata(IdentityResource, path="/OS-FEDERATION/saml2/metadata"):
    """What other clouds must know of us."""

    show = Op("GET", "", None, "@", refuse, tx="none", public=True)
