# SPDX-License-Identifier: Apache-2.0
"""One provider of OpenID Connect: its documents and keys, remembered; its tokens, verified.

Nothing here runs inside a database transaction. A provider that is slow or gone costs its own users' logins only: few
may wait for it at a time, and after a failure nobody asks it for a moment.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import quote_plus

import jwt

from altostratus.kernel import clock
from altostratus.kernel.turns import release_turn
from altostratus.services.identity.federation.config import OidcClient
from altostratus.services.identity.federation.web import ProviderError, RefusedError, Web

T = TypeVar("T")
LONGEST_TOKEN = 64 * 1024
# only with key pairs: a secret shared with a client could forge what it verifies
_ALGORITHMS = frozenset(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"))
_LEEWAY_S = 60
_KEEP_S = 3600.0
_LOOK_AGAIN_S = 30.0  # for a key that is not known yet, whatever clients send
_REST_S = 3.0
_WAITING_AT_ONCE = 4
_WAIT_S = 2.0


class WrongTokenError(Exception):
    """The token is not one that this provider made for us; the message says why, for the log."""


class OidcProvider:
    """See the module's text."""

    def __init__(self, client: OidcClient) -> None:
        self.client = client
        self._web = Web(ca_file=client.ca_file, deadline_s=client.deadline_s)
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(_WAITING_AT_ONCE)
        self._metadata: dict[str, Any] = {}
        self._metadata_until = 0.0
        self._keys: list[Any] = []
        self._keys_at = -_KEEP_S
        self._resting_until = 0.0

    # what the provider says of itself

    def metadata(self) -> dict[str, Any]:
        """The discovery document. Raises ProviderError."""
        if clock.monotonic() < self._metadata_until:
            return self._metadata
        issuer = self.client.issuer
        found = self._asked(lambda: self._web.get_json(issuer.rstrip("/") + "/.well-known/openid-configuration"))
        if found.get("issuer") != issuer:
            raise ProviderError(f"the document of {issuer} is of another issuer")
        self._metadata, self._metadata_until = found, clock.monotonic() + _KEEP_S
        return found

    def endpoint(self, name: str) -> str:
        url = self.metadata().get(name)
        if not isinstance(url, str):
            raise ProviderError(f"{self.client.issuer} has no {name}")
        return url

    # tokens

    def claims_of_bearer(self, token: str) -> dict[str, Any]:
        """What a token says that a client brought: an ID token or an access token for us.

        Raises WrongTokenError or ProviderError.
        """
        if len(token) > LONGEST_TOKEN:
            raise WrongTokenError("it is too long")
        claims = self._verified(token) if token.count(".") == 2 else self._introspected(token)
        ours = {self.client.client_id, *self.client.audiences}
        party = claims.get("azp", claims.get("client_id"))
        if ours.isdisjoint(_audience(claims)) and party != self.client.client_id:
            raise WrongTokenError(f"it is for {_audience(claims)[:3]}, not for us")
        return self._completed(claims, token)

    def claims_of_code(self, code: str, *, redirect_uri: str, verifier: str, nonce: str) -> dict[str, Any]:
        """What the provider says of the user who came back with a code. Raises WrongTokenError, ProviderError."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        reply = self._post("token_endpoint", form | {"code_verifier": verifier})
        token, access_token = reply.get("id_token"), reply.get("access_token")
        if not isinstance(token, str):
            raise WrongTokenError("the provider gave no ID token")
        claims = self._verified(token)
        audience = _audience(claims)
        if self.client.client_id not in audience:
            raise WrongTokenError("the ID token is for another client")
        if (len(audience) > 1 or "azp" in claims) and claims.get("azp") != self.client.client_id:
            raise WrongTokenError("the ID token was given to another client")
        if claims.get("nonce") != nonce:
            raise WrongTokenError("the ID token is of another login")
        return self._completed(claims, access_token if isinstance(access_token, str) else "")

    def _verified(self, token: str) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
            algorithm, kid = header.get("alg"), header.get("kid")
            if algorithm not in _ALGORITHMS or header.get("typ", "").lower() == "logout+jwt":
                raise WrongTokenError(f"its algorithm or type is not accepted: {algorithm}")
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key(kid, algorithm),
                algorithms=[algorithm],
                issuer=self.client.issuer,
                leeway=_LEEWAY_S,
                options={"require": ["exp", "iss", "sub"], "verify_aud": False},
            )
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError) as error:
            raise WrongTokenError(f"{type(error).__name__}: {error}") from None
        if "events" in claims or not isinstance(claims["sub"], str) or not claims["sub"]:
            raise WrongTokenError("it names no user")
        return claims

    def _introspected(self, token: str) -> dict[str, Any]:
        if "introspection_endpoint" not in self.metadata() or not self.client.secret():
            raise WrongTokenError("it is opaque, and the provider cannot be asked about it")
        claims = self._post("introspection_endpoint", {"token": token})
        if claims.get("active") is not True or not isinstance(claims.get("sub"), str):
            raise WrongTokenError("the provider says that it is not valid")
        if claims.setdefault("iss", self.client.issuer) != self.client.issuer:
            raise WrongTokenError("it is of another issuer")
        expiry = claims.get("exp")
        if isinstance(expiry, int | float) and expiry + _LEEWAY_S <= clock.unix():
            raise WrongTokenError("it has expired")
        return claims

    def _completed(self, claims: dict[str, Any], access_token: str) -> dict[str, Any]:
        """With what the provider tells besides, if the operator wants it; never about another user."""
        if not self.client.userinfo or not access_token:
            return claims
        try:
            url = self.endpoint("userinfo_endpoint")
            more = self._asked(lambda: self._web.get_json(url, bearer=access_token))
        except RefusedError as error:
            raise WrongTokenError(str(error)) from None
        if more.get("sub") != claims["sub"]:
            raise WrongTokenError("the provider's words are about another user")
        return {**more, **claims}

    def _post(self, endpoint: str, form: dict[str, str]) -> dict[str, Any]:
        url, client_id = self.endpoint(endpoint), self.client.client_id
        try:
            secret = self.client.secret()
        except OSError as error:
            raise ProviderError(f"the secret for {self.client.issuer} cannot be read: {error.strerror}") from None
        methods = self.metadata().get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        in_form = not secret or "client_secret_basic" not in methods
        if in_form:
            form = form | {"client_id": client_id} | ({"client_secret": secret} if secret else {})
        basic = None if in_form else (_quoted(client_id), _quoted(secret))
        try:
            return self._asked(lambda: self._web.post_form(url, form, basic=basic))
        except RefusedError as error:
            raise WrongTokenError(str(error)) from None

    # keys

    def _key(self, kid: Any, algorithm: str) -> Any:
        found = self._find_key(kid, algorithm)
        if found is None and clock.monotonic() >= self._keys_at + _LOOK_AGAIN_S:
            url = self.endpoint("jwks_uri")
            self._asked(lambda: self._fetch_keys(url))
            found = self._find_key(kid, algorithm)
        if found is None:
            raise WrongTokenError("none of the provider's keys signed it")
        return found

    def _find_key(self, kid: Any, algorithm: str) -> Any:
        if clock.monotonic() >= self._keys_at + _KEEP_S:
            return None
        fitting = [key for key in self._keys if kid is None or key.get("kid") == kid]
        if kid is None and len(fitting) != 1:
            return None
        for key in fitting:
            if key.get("use", "sig") == "sig" and key.get("alg", algorithm) == algorithm:
                return jwt.PyJWK(key, algorithm=algorithm)
        return None

    def _fetch_keys(self, url: str) -> None:
        with self._lock:
            if clock.monotonic() < self._keys_at + _LOOK_AGAIN_S:
                return  # another thread was faster
            keys = self._web.get_json(url).get("keys")
            if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
                raise ProviderError(f"{self.client.issuer} has no set of keys")
            self._keys, self._keys_at = keys, clock.monotonic()

    # not too often, not too many

    def _asked(self, question: Callable[[], T]) -> T:
        release_turn()
        with self._slot():
            try:
                return question()
            except ProviderError:
                self._resting_until = clock.monotonic() + _REST_S
                raise

    @contextmanager
    def _slot(self) -> Iterator[None]:
        if clock.monotonic() < self._resting_until:
            raise ProviderError(f"{self.client.issuer} did not answer a moment ago")
        if not self._slots.acquire(timeout=_WAIT_S):
            raise ProviderError(f"{_WAITING_AT_ONCE} others wait for {self.client.issuer} already")
        try:
            yield
        finally:
            self._slots.release()


def _quoted(text: str) -> str:
    """As RFC 6749, 2.3.1, wants it before Basic."""
    return quote_plus(text)


def _audience(claims: dict[str, Any]) -> list[str]:
    audience = claims.get("aud")
    several = audience if isinstance(audience, list) else [audience]
    return [one for one in several if isinstance(one, str)]
