# SPDX-License-Identifier: Apache-2.0
"""From an auth request to a token: read, compare passwords without a transaction, read again, issue."""

from typing import Any

from altostratus.kernel import clock, log
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx
from altostratus.kernel.errors import Forbidden, Unauthorized
from altostratus.services.identity.config import IdentityOptions
from altostratus.services.identity.directory import looking
from altostratus.services.identity.logic import accounts, factors, login, trusts
from altostratus.services.identity.logic.login import LoginError, Scope
from altostratus.services.identity.logic.token_state import VoidTokenError
from altostratus.services.identity.tokens import receipts
from altostratus.services.identity.tokens.attempt import Attempt, HttpRequest
from altostratus.services.identity.tokens.authenticator import UNAUTHORIZED, Entry, TokenAuthenticator
from altostratus.services.identity.tokens.layout import Claims, new_audit_id
from altostratus.services.identity.tokens.methods import METHODS

_log = log.get("identity")
# with these, nobody has shown to be there: they were given before
_PROVES_NOTHING_NEW = frozenset({"token", "application_credential", "oauth1"})


def log_in(cloud: Cloud, auth: dict[str, Any], request: HttpRequest | None = None) -> tuple[str, Entry]:
    """A token for the body's `auth`. Raises Unauthorized (never saying what was wrong) or BadRequest."""
    identity = auth["identity"]
    names = list(dict.fromkeys(identity["methods"]))
    for name in names:
        if name not in METHODS:
            raise Unauthorized("Attempted to authenticate with an unsupported method.")
        if name not in identity:
            raise login.missing(name, "identity")
    if not names:
        raise Unauthorized(UNAUTHORIZED)
    attempt = Attempt(clock.now(), auth.get("scope"), request)
    try:
        for name in names:
            METHODS[name].step(cloud, attempt, identity[name])
            attempt.methods.insert(0, name)
        _add_receipt(cloud, attempt)
        token, entry = issue(cloud, attempt)
    except (LoginError, VoidTokenError) as error:
        _log.info("authentication was refused: %s", error)
        raise Unauthorized(UNAUTHORIZED) from None
    if not _PROVES_NOTHING_NEW.issuperset(names):
        note_login(cloud, attempt)
    return token, entry


def _add_receipt(cloud: Cloud, attempt: Attempt) -> None:
    """Methods that were right a moment ago. Raises LoginError."""
    given = attempt.request.headers.get(receipts.HEADER.upper()) if attempt.request is not None else None
    if given and attempt.user is not None:
        proven = receipts.methods_proven(receipts.unseal(cloud, given), attempt.user)
        attempt.methods += [method for method in proven if method not in attempt.methods]


def note_login(cloud: Cloud, attempt: Attempt) -> None:
    """The user was there: accounts of others may be disabled for inactivity."""
    if attempt.user is not None and not accounts.is_noted(attempt.user):
        with cloud.db.write() as tx:
            accounts.note_login(tx, attempt.user.id)


def issue(cloud: Cloud, attempt: Attempt) -> tuple[str, Entry]:
    """The token for an attempt whose methods all passed. Raises LoginError, VoidTokenError, Unauthorized (receipt)."""
    if attempt.user is None:
        raise LoginError("no method named a user")
    methods = tuple(dict.fromkeys(attempt.methods))
    rules = factors.usable_rules(attempt.user.options, METHODS)
    if not factors.suffice(rules, set(methods)):
        still = factors.still_possible(rules, set(methods))
        raise receipts.incomplete(cloud, attempt.user, methods, still, attempt.started_at)
    return make_token(cloud, attempt)


def make_token(cloud: Cloud, attempt: Attempt) -> tuple[str, Entry]:
    """The token for an attempt, whichever methods the user's own rules ask for. Raises LoginError, VoidTokenError."""
    user, parent, credential = attempt.user, attempt.parent, attempt.credential
    if user is None:
        raise LoginError("no method named a user")
    if accounts.is_inactive(cloud[IdentityOptions], user._mapping):
        raise LoginError(f"user {user.id} has not logged in for too long")
    looking.keep_fresh(cloud, user.id, may_be_dead=parent is not None)
    with cloud.db.read() as tx:
        attempt.trust = attempt.trust or _trust(tx, attempt)
        scope = _scope(tx, attempt)
    if attempt.trust is not None:
        looking.keep_fresh(cloud, attempt.trust.trustor_user_id, may_be_dead=False)
    expires_at = _whole_second(clock.after(cloud[IdentityOptions].token_lifetime_s))
    if parent is not None:
        expires_at = min(expires_at, parent.state.claims.expires_at)
    if credential is not None and credential.expires_at is not None:
        expires_at = min(expires_at, credential.expires_at)
    if attempt.trust is not None and attempt.trust.expires_at is not None:
        expires_at = min(expires_at, attempt.trust.expires_at)
    if attempt.access_token is not None and attempt.access_token.expires_at is not None:
        expires_at = min(expires_at, attempt.access_token.expires_at)
    claims = Claims(
        user_id=user.id,
        methods=tuple(dict.fromkeys(attempt.methods)),
        scope=scope.kind,
        scope_id=scope.id,
        # the moment before the password was read: if it was changed meanwhile, the token is void
        issued_at=attempt.started_at,
        expires_at=expires_at,
        audit_ids=(new_audit_id(), *(() if parent is None else parent.state.claims.audit_ids[-1:])),
        application_credential_id=None if credential is None else credential.id,
        trust_id=None if attempt.trust is None else attempt.trust.id,
        access_token_id=None if attempt.access_token is None else attempt.access_token.id,
        federated=attempt.federated,
    )
    if attempt.trust is not None:
        return _issue_by_trust(cloud, attempt.trust, claims)
    return cloud.part(TokenAuthenticator).issue(claims)


def _issue_by_trust(cloud: Cloud, trust: Row[Any], claims: Claims) -> tuple[str, Entry]:
    """Its user is known by now, and may learn why the trust is no good. A use counts when the token is made."""
    try:
        made = cloud.part(TokenAuthenticator).issue(claims)
    except VoidTokenError as error:
        raise Forbidden(f"The trust gives no token: {error}. Ask the trustor for another one.") from None
    if trust.remaining_uses is not None:
        with cloud.db.write() as tx:
            trusts.use(tx, trust.id)
    return made


def _trust(tx: Tx, attempt: Attempt) -> Row[Any] | None:
    """The trust that the scope names. Raises LoginError, BadRequest."""
    trust_id = login.trust_of_scope(attempt.wanted_scope)
    if trust_id is None:
        return None
    if attempt.credential is not None or attempt.access_token is not None:
        raise LoginError("who acts for somebody by one kind of delegation cannot use another kind with it")
    trust = trusts.find_trust(tx, trust_id)
    if trust is None or trust.project_id is None:
        raise LoginError(f"trust {trust_id} does not exist, has ended or is for no project")
    return trust


def _scope(tx: Tx, attempt: Attempt) -> Scope:
    """Application credentials bring their scope with them; a token keeps nothing of its old one."""
    wanted = attempt.wanted_scope
    if attempt.access_token is not None:
        return Scope("project", attempt.access_token.project_id)
    if attempt.trust is not None:
        return Scope("project", attempt.trust.project_id)
    if attempt.credential is None:
        return login.resolve_scope(tx, wanted, attempt.user.id if attempt.user is not None else "")
    own = Scope("project", attempt.credential.project_id)
    if attempt.parent is None and wanted is not None:
        raise Unauthorized(
            "Error authenticating with application credential: Application credentials cannot request a scope."
        )
    if wanted is not None and login.resolve_scope(tx, wanted, attempt.credential.user_id) != own:
        raise LoginError("an application credential is good for its own project only")
    return own


def _whole_second(moment: str) -> str:
    return moment[:19] + ".000000"
