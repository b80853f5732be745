# SPDX-License-Identifier: Apache-2.0
"""`TokenAuthenticator`: issues tokens, and says what a token means, from memory as long as nothing changed.

An entry of the cache is good for one generation. A generation ends when this process commits a change of
identity (the bus topic `identity`), or when it sees that another process did (a counter in the database,
looked at once a second at most).
"""

import hashlib
import threading
from pathlib import Path
from typing import Any

import msgspec

from altostratus.kernel import clock, log
from altostratus.kernel.access_rules import AccessRule, AccessRules
from altostratus.kernel.auth import Context
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.errors import Unauthorized
from altostratus.services.identity.config import IdentityOptions
from altostratus.services.identity.logic.catalog import catalog_for
from altostratus.services.identity.logic.changes import TOPIC, current_revision
from altostratus.services.identity.logic.federation import enabled_service_providers
from altostratus.services.identity.logic.token_state import TokenState, VoidTokenError, look_up
from altostratus.services.identity.tokens.body import token_json
from altostratus.services.identity.tokens.jws import SigningKeys, is_jws
from altostratus.services.identity.tokens.key_ring import CredentialKeys, KeyRing
from altostratus.services.identity.tokens.layout import Claims, pack, unpack

_log = log.get("identity")
_encode = msgspec.json.Encoder().encode
LONGEST_TOKEN = 8192
UNAUTHORIZED = "The request you have made requires authentication."

Generation = tuple[int, int]


class Entry:
    """A valid token, with what was made of it so far."""

    __slots__ = ("context", "expires_unix", "generation", "json", "state")

    def __init__(self, state: TokenState, generation: Generation) -> None:
        self.state, self.generation = state, generation
        self.expires_unix = clock.parse(state.claims.expires_at).timestamp()
        self.context = context_of(state)
        self.json: dict[bool, bytes] = {}


class TokenAuthenticator:
    """See the module's text. Without `key_dir` the keys are in memory and no token survives a restart."""

    def __init__(self, cloud: Cloud, key_dir: Path | None = None) -> None:
        self._cloud = cloud
        self._options = cloud[IdentityOptions]
        self.key_dir = key_dir
        self.keys = KeyRing(key_dir)
        jws_dir, wanted = key_dir / "jws" if key_dir is not None else None, self._options.token_provider == "jws"
        self.signing_keys = SigningKeys(jws_dir, wanted=wanted)
        # apart from the tokens' keys: these are rotated and dropped, stored secrets last
        self.credential_keys = CredentialKeys(key_dir / "credentials" if key_dir is not None else None)
        # two halves instead of a list of uses: when the young one is full it becomes the old one
        self._young: dict[bytes, Entry] = {}
        self._old: dict[bytes, Entry] = {}
        self._catalogs: dict[tuple[str, str | None], tuple[Generation, bytes]] = {}
        self._service_providers: tuple[Generation, list[dict[str, str]]] = ((-1, -1), [])
        self._lock = threading.Lock()
        self._others = 0
        self._revision = 0
        self._look_at = 0.0
        cloud.add_part(TokenAuthenticator, self)
        cloud.add_part(CredentialKeys, self.credential_keys)

    def authenticate(self, token: str) -> Context:
        """Raises Unauthorized for a token that is malformed, expired or revoked."""
        try:
            return self.entry(token).context
        except VoidTokenError as error:
            _log.info("a token was refused: %s", error)
            raise Unauthorized(UNAUTHORIZED) from None

    def issue(self, claims: Claims) -> tuple[str, Entry]:
        """A new token. Raises VoidTokenError if its claims do not hold (no role on the project ...)."""
        signed = self._options.token_provider == "jws"
        token = self.signing_keys.sign(claims) if signed else self.keys.seal(pack(claims))
        return token, self._remember(token, claims)

    def entry(self, token: str, *, expired_s: int = 0) -> Entry:
        """The valid token's entry; `expired_s` still accepts it so long after its end. Raises VoidTokenError."""
        key = hashlib.sha256(token.encode(errors="replace")).digest()
        entry = self._young.get(key) or self._old.get(key)
        if entry is None or entry.generation != self.generation():
            if len(token) > LONGEST_TOKEN:
                raise VoidTokenError("it is too long")
            try:
                # of either kind, whichever is made now: who changes the option logs nobody out
                claims = self.signing_keys.verify(token) if is_jws(token) else unpack(self.keys.unseal(token))
            except ValueError as error:
                raise VoidTokenError(str(error)) from None
            entry = self._remember(token, claims)
        if clock.unix() >= entry.expires_unix + expired_s:
            raise VoidTokenError("it has expired")
        return entry

    def json_of(self, entry: Entry, *, with_catalog: bool) -> bytes:
        """The token's JSON body, made once per generation."""
        known = entry.json.get(with_catalog)
        if known is None:
            catalog = self.catalog_json(entry.state.user.id, entry.context.project_id) if with_catalog else None
            known = entry.json[with_catalog] = token_json(entry.state, catalog, self._enabled_service_providers())
        return known

    def catalog_json(self, user_id: str, project_id: str | None) -> bytes:
        generation = self.generation()
        known = self._catalogs.get((user_id, project_id))
        if known is None or known[0] != generation:
            with self._cloud.db.read() as tx:
                catalog = catalog_for(
                    tx, user_id, project_id, all_by_default=self._options.return_all_endpoints_if_no_filter
                )
                known = generation, _encode(catalog)
            if len(self._catalogs) >= self._options.token_cache_size:
                self._catalogs = {}
            self._catalogs[user_id, project_id] = known
        return known[1]

    def _enabled_service_providers(self) -> list[dict[str, str]]:
        generation = self.generation()
        if self._service_providers[0] != generation:
            with self._cloud.db.read() as tx:
                self._service_providers = generation, enabled_service_providers(tx)
        return self._service_providers[1]

    def _remember(self, token: str, claims: Claims) -> Entry:
        # the generation is read first: a change that comes while we look makes the entry old at once
        generation = self.generation()
        with self._cloud.db.read() as tx:
            state = look_up(tx, claims)
        entry = Entry(state, generation)
        if len(self._young) >= self._options.token_cache_size:
            self._old, self._young = self._young, {}
        self._young[hashlib.sha256(token.encode()).digest()] = entry
        return entry

    def generation(self) -> Generation:
        """What was made of rows is right as long as this is the same. Ask before you read them."""
        if clock.monotonic() >= self._look_at:
            self._look_for_others()
        return self._cloud.bus.count(TOPIC), self._others

    def _look_for_others(self) -> None:
        if not self._lock.acquire(blocking=False):
            return
        try:
            with self._cloud.db.read() as tx:
                revision = current_revision(tx)
            if revision != self._revision:
                self._revision, self._others = revision, self._others + 1
            self._look_at = clock.monotonic() + self._options.revision_check_s
        finally:
            self._lock.release()


def context_of(state: TokenState) -> Context:
    """What the other services see of a token."""
    claims, user = state.claims, state.user
    names = {"user_name": user.name, "user_domain_id": user.domain_id, "user_domain_name": user.domain_name}
    if state.project is not None:
        names |= {
            "project_name": state.project.name,
            "project_domain_id": state.project_domain.id,
            "project_domain_name": state.project_domain.name,
        }
    elif state.domain is not None:
        names["domain_name"] = state.domain.name
    extra: dict[str, Any] = {"methods": claims.methods}
    if state.application_credential is not None:
        extra["application_credential_id"] = state.application_credential.id
        extra["restricted"] = not state.application_credential.unrestricted
    if state.trust is not None:
        extra["trust_id"] = state.trust.id
        extra["trustor_id"] = state.trust.trustor_user_id
        extra["trustee_id"] = state.trust.trustee_user_id
    if claims.federated is not None and user.id == claims.user_id:
        extra["group_ids"] = claims.federated.group_ids
    if state.access_token is not None:
        extra["access_token_id"] = state.access_token.id
    return Context(
        user_id=user.id,
        roles=frozenset(role.name for role in state.roles),
        project_id=claims.scope_id if claims.scope == "project" else None,
        domain_id=claims.scope_id if claims.scope == "domain" else None,
        system=claims.scope == "system",
        names=names,
        expires_at=claims.expires_at,
        audit_ids=claims.audit_ids,
        access_rules=_access_rules(state),
        extra=extra,
    )


def _access_rules(state: TokenState) -> AccessRules | None:
    if not state.access_rules:
        return None
    return AccessRules(AccessRule(rule.service, rule.method, rule.path) for rule in state.access_rules)
