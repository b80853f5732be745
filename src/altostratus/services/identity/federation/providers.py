# SPDX-License-Identifier: Apache-2.0
"""The providers of OpenID Connect that this cloud is configured for; the only place that knows them all."""

import threading

from altostratus.kernel import log
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.errors import NotImplementedHere, Unauthorized, Unavailable
from altostratus.services.identity.federation.config import FederationOptions
from altostratus.services.identity.federation.oidc import OidcProvider, WrongTokenError
from altostratus.services.identity.federation.web import ProviderError, RefusedError
from altostratus.services.identity.tokens.authenticator import UNAUTHORIZED

_log = log.get("identity")


class OidcProviders:
    """Made at their first use, then kept: they remember documents and keys."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, OidcProvider] = {}

    def get(self, cloud: Cloud, idp_id: str, protocol_id: str) -> OidcProvider:
        """Raises NotImplementedHere for an identity provider that the operator's file does not know."""
        client = cloud[FederationOptions].oidc.get(idp_id)
        if client is None or client.protocol != protocol_id:
            raise NotImplementedHere(
                f"This cloud is not a client of identity provider {idp_id} for protocol {protocol_id}. An operator"
                f" gives issuer and client_id in [federation.oidc.{idp_id}] of altostratus.toml."
            )
        with self._lock:
            if idp_id not in self._known:
                self._known[idp_id] = OidcProvider(client)
            return self._known[idp_id]

    def forget(self) -> None:
        """Ask every provider anew."""
        with self._lock:
            self._known = {}


def providers_of(cloud: Cloud) -> OidcProviders:
    if not cloud.has_part(OidcProviders):
        cloud.add_part(OidcProviders, OidcProviders())
    return cloud.part(OidcProviders)


def as_refusal(error: Exception) -> Exception:
    """What the caller is told of a WrongTokenError, RefusedError or ProviderError; the log has the rest."""
    if isinstance(error, WrongTokenError | RefusedError):
        _log.info("what an identity provider's user brought was refused: %s", error)
        return Unauthorized(UNAUTHORIZED)
    assert isinstance(error, ProviderError)
    _log.warning("an identity provider cannot be used: %s", error)
    return Unavailable("The identity provider does not answer as it should. Try again in a while; the log says more.")
