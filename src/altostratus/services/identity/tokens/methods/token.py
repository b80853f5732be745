# SPDX-License-Identifier: Apache-2.0
"""A token that the user has already: for another scope, or as one factor of several.

One that holds no longer is answered with 404, as upstream does and Tempest expects; everything else that is wrong
with a login is a 401.
"""

from typing import Any

from altostratus.kernel import log
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.errors import Forbidden, NotFound
from altostratus.services.identity.logic.login import LoginError
from altostratus.services.identity.logic.token_state import VoidTokenError
from altostratus.services.identity.tokens.attempt import Attempt, existing_user
from altostratus.services.identity.tokens.authenticator import LONGEST_TOKEN, TokenAuthenticator

_log = log.get("identity")
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"id": {"type": "string", "maxLength": LONGEST_TOKEN}},
    "required": ["id"],
}


def step(cloud: Cloud, attempt: Attempt, given: dict[str, Any]) -> None:
    try:
        entry = cloud.part(TokenAuthenticator).entry(given["id"])
    except VoidTokenError as error:
        _log.info("a token was refused: %s", error)
        raise NotFound("Failed to validate token. Log in again.") from None
    if entry.state.access_token is not None:
        raise Forbidden(
            "You are not authorized to perform the requested action: Using OAuth-scoped token to create another token."
            " Create a new OAuth-scoped token instead."
        )
    if entry.state.trust is not None:
        raise Forbidden(
            "You are not authorized to perform the requested action: Using trust-scoped token to create another token."
            " Create a new trust-scoped token instead."
        )
    if entry.state.claims.scope == "system" and _names(attempt.wanted_scope, "project", "domain"):
        raise Forbidden(
            "You are not authorized to perform the requested action: Using a system-scoped token to create a"
            " project-scoped or domain-scoped token is not allowed. Log in again for the other scope."
        )
    if entry.state.application_credential is not None and not entry.state.application_credential.unrestricted:
        raise LoginError("a token of a restricted application credential makes no new tokens")
    attempt.parent = entry
    attempt.credential = entry.state.application_credential
    attempt.federated = entry.state.claims.federated
    with cloud.db.read() as tx:
        attempt.settle_user(existing_user(tx, entry.state.claims.user_id))
    attempt.methods += [method for method in entry.state.claims.methods if method not in attempt.methods]


def _names(wanted_scope: Any, *kinds: str) -> bool:
    return isinstance(wanted_scope, dict) and not wanted_scope.keys().isdisjoint(kinds)
