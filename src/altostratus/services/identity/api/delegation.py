# SPDX-License-Identifier: Apache-2.0
"""Limits of tokens that act for somebody: of a trust, an application credential or an OAuth access token."""

from altostratus.kernel.auth import Context
from altostratus.kernel.errors import Forbidden
from altostratus.kernel.resource.call import Call

DELEGATIONS = ("trust_id", "application_credential_id", "access_token_id")


def delegation_of(ctx: Context) -> dict[str, str]:
    """What the token was delegated by; empty when its user logged in with secrets of the own."""
    return {name: ctx.extra[name] for name in DELEGATIONS if ctx.extra.get(name)}


def demand_own_login(call: Call, what: str) -> None:
    """`what` ("authorize a request token") would let the delegation outlive or widen itself. Raises Forbidden."""
    if delegation_of(call.ctx):
        raise Forbidden(f"Cannot {what} with a token issued via delegation. Log in with the user's own password.")


def is_within(call: Call, project_id: str | None) -> bool:
    """May this token touch a credential of the project? Delegated ones reach no other, and nothing of the user alone."""
    return not delegation_of(call.ctx) or project_id == call.ctx.project_id


def demand_within(call: Call, project_id: str | None) -> None:
    if not is_within(call, project_id):
        raise Forbidden(
            "You are not authorized to perform the requested action: the credential's project does not match the"
            " project scope of the delegated token."
        )
