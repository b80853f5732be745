# SPDX-License-Identifier: Apache-2.0
"""From an auth request to a token: read, compare passwords without a transaction, read again, issue."""

from dataclasses import dataclass, field
from typing import Any

from altostratus.kernel import clock, log
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx
from altostratus.kernel.errors import Unauthorized
from altostratus.services.identity.config import IdentityOptions
from altostratus.services.identity.logic import login
from altostratus.services.identity.logic.login import LoginError, Scope
from altostratus.services.identity.logic.token_state import VoidTokenError
from altostratus.services.identity.models import User
from altostratus.services.identity.tokens import passwords
from altostratus.services.identity.tokens.authenticator import UNAUTHORIZED, Entry, TokenAuthenticator
from altostratus.services.identity.tokens.layout import Claims, new_audit_id

_log = log.get("identity")
METHODS = ("password", "token", "application_credential")


@dataclass(slots=True)
class Attempt:
    """What is known of who logs in, method by method."""

    started_at: str
    user: Row[Any] | None = None
    parent: Entry | None = None
    credential: Row[Any] | None = None
    methods: list[str] = field(default_factory=list)


def log_in(cloud: Cloud, auth: dict[str, Any]) -> tuple[str, Entry]:
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
    attempt = Attempt(clock.now())
    try:
        for name in names:
            _STEPS[name](cloud, attempt, identity[name])
            attempt.methods.insert(0, name)
        return _issue(cloud, attempt, auth.get("scope"))
    except (LoginError, VoidTokenError) as error:
        _log.info("authentication was refused: %s", error)
        raise Unauthorized(UNAUTHORIZED) from None


def _with_password(cloud: Cloud, attempt: Attempt, given: dict[str, Any]) -> None:
    named = given.get("user")
    if not isinstance(named, dict):
        raise login.missing("user", "password")
    if "password" not in named:
        raise login.missing("password", "user")
    with cloud.db.read() as tx:
        user = login.find_login_user(tx, named)
    if not passwords.is_password(named["password"], None if user is None else user.password_hash) or user is None:
        raise LoginError(f"no such user, or wrong password: {named.get('id') or named.get('name')!r}")
    _settle_user(attempt, user)


def _with_token(cloud: Cloud, attempt: Attempt, given: dict[str, Any]) -> None:
    entry = cloud.part(TokenAuthenticator).entry(given["id"])
    if entry.state.application_credential is not None and not entry.state.application_credential.unrestricted:
        raise LoginError("a token of a restricted application credential makes no new tokens")
    attempt.parent = entry
    attempt.credential = entry.state.application_credential
    with cloud.db.read() as tx:
        _settle_user(attempt, _user(tx, entry.state.user.id))
    attempt.methods += [method for method in entry.state.claims.methods if method not in attempt.methods]


def _with_application_credential(cloud: Cloud, attempt: Attempt, given: dict[str, Any]) -> None:
    if "secret" not in given:
        raise login.missing("secret", "application credential")
    with cloud.db.read() as tx:
        credential = login.find_application_credential(tx, given)
        user = None if credential is None else login.find_login_user(tx, {"id": credential.user_id})
    right = passwords.is_password(given["secret"], None if credential is None else credential.secret_hash)
    if credential is None or user is None or not right:
        raise LoginError(f"no such application credential, or wrong secret: {given.get('id') or given.get('name')!r}")
    _settle_user(attempt, user)
    attempt.credential = credential


_STEPS = {
    "password": _with_password,
    "token": _with_token,
    "application_credential": _with_application_credential,
}


def _settle_user(attempt: Attempt, user: Row[Any]) -> None:
    if attempt.user is not None and attempt.user.id != user.id:
        raise LoginError("the methods name different users")
    attempt.user = user


def _user(tx: Tx, user_id: str) -> Row[Any]:
    row = tx.find(User, user_id)
    if row is None:
        raise LoginError(f"user {user_id} does not exist")
    return row


def _issue(cloud: Cloud, attempt: Attempt, wanted: Any) -> tuple[str, Entry]:
    user, parent, credential = attempt.user, attempt.parent, attempt.credential
    if user is None:
        raise LoginError("no method named a user")
    methods = tuple(dict.fromkeys(attempt.methods))
    login.demand_methods(user, set(methods))
    with cloud.db.read() as tx:
        scope = _scope(tx, attempt, wanted)
    expires_at = _whole_second(clock.after(cloud[IdentityOptions].token_lifetime_s))
    if parent is not None:
        expires_at = min(expires_at, parent.state.claims.expires_at)
    if credential is not None and credential.expires_at is not None:
        expires_at = min(expires_at, credential.expires_at)
    claims = Claims(
        user_id=user.id,
        methods=methods,
        scope=scope.kind,
        scope_id=scope.id,
        # the moment before the password was read: if it was changed meanwhile, the token is void
        issued_at=attempt.started_at,
        expires_at=expires_at,
        audit_ids=(new_audit_id(), *(() if parent is None else parent.state.claims.audit_ids[-1:])),
        application_credential_id=None if credential is None else credential.id,
    )
    return cloud.part(TokenAuthenticator).issue(claims)


def _scope(tx: Tx, attempt: Attempt, wanted: Any) -> Scope:
    """Application credentials bring their scope with them; a token keeps nothing of its old one."""
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
