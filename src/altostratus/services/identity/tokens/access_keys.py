# SPDX-License-Identifier: Apache-2.0
"""Who signs requests with an EC2 credential: for services that check such signatures themselves, at every request.

What is remembered is good for one generation, like a token: a deleted credential, a lost role or a disabled user
counts from the next request on.
"""

import hmac
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field

from altostratus.kernel import clock
from altostratus.kernel.auth import Context
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.errors import Unauthorized
from altostratus.services.identity.config import IdentityOptions
from altostratus.services.identity.tokens import aws_signature
from altostratus.services.identity.tokens.authenticator import Generation, TokenAuthenticator
from altostratus.services.identity.tokens.ec2 import find_pair, log_in_by_pair

# of a pair: a region or two, today's and yesterday's
_MOST_SIGNING_KEYS = 8


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A pair of access key and secret. Ask for `context()` only after the signature was found right."""

    access: str
    _secret: str = field(repr=False)
    _ctx: Context | None
    _refusal: str = ""
    _signing_keys: dict[tuple[str, ...], bytes] = field(default_factory=dict, repr=False, compare=False)

    def context(self) -> Context:
        """Raises Unauthorized if its user may not use the project any longer."""
        if self._ctx is None:
            raise Unauthorized(self._refusal)
        return self._ctx

    def signing_key(self, scope: Sequence[str]) -> bytes:
        """Of signatures of version 4; scope: date, region, service, end. Remembered as long as the secret is."""
        known = self._signing_keys.get(tuple(scope))
        if known is None:
            if len(self._signing_keys) >= _MOST_SIGNING_KEYS:
                self._signing_keys.clear()
            known = self._signing_keys[tuple(scope)] = aws_signature.signing_key(self._secret, scope)
        return known

    def signature_4(self, scope: Sequence[str], text: bytes) -> str:
        return hmac.digest(self.signing_key(scope), text, "sha256").hex()

    def signature_2(self, text: bytes) -> str:
        """Of S3's version 2."""
        return b64encode(hmac.digest(self._secret.encode(), text, "sha1")).decode()


@dataclass(frozen=True, slots=True)
class _Known:
    key: AccessKey
    generation: Generation
    expires_unix: float


class AccessKeys:
    """Those in use lately."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._most = cloud[IdentityOptions].token_cache_size
        self._known: dict[str, _Known] = {}

    def find(self, access: str) -> AccessKey | None:
        # the generation is read first: a change that comes while we look makes the entry old at once
        generation = self._cloud.part(TokenAuthenticator).generation()
        known = self._known.get(access)
        if known is None or known.generation != generation or known.expires_unix <= clock.unix():
            known = self._read(access, generation)
            if known is None:
                self._known.pop(access, None)
                return None
            if len(self._known) >= self._most:
                self._known = {}
            self._known[access] = known
        return known.key

    def _read(self, access: str, generation: Generation) -> _Known | None:
        started_at = clock.now()
        pair = find_pair(self._cloud, access)
        if pair is None:
            return None
        row, blob = pair
        secret = str(blob.get("secret", ""))
        try:
            _, entry = log_in_by_pair(self._cloud, row, blob, started_at)
        except Unauthorized as error:
            return _Known(AccessKey(access, secret, None, error.message), generation, clock.unix() + 1.0)
        return _Known(AccessKey(access, secret, entry.context), generation, entry.expires_unix)


def find_access_key(cloud: Cloud, access: str) -> AccessKey | None:
    """The pair that has this access key, if there is one."""
    if not cloud.has_part(AccessKeys):
        cloud.add_part(AccessKeys, AccessKeys(cloud))
    return cloud.part(AccessKeys).find(access)
