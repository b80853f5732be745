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
    """May this token touch a credential of the project? Delegated ones reach no other, and none of the user alone."""
    return not delegation_of(call.ctx) or project_id == call.ctx.project_id


def demand_within(call: Call, project_id: str | None) -> None:
    if not is_within(call, project_id):
        raise Forbidden(
            "You are not authorized to perform the requested action: the credential's project does not match the"
            " project scope of the delegated token."
        )


def demand_own_credentials(call: Call) -> None:
    """A trust or an OAuth access token makes nothing that would outlive it. Raises Forbidden."""
    if {"trust_id", "access_token_id"} & set(delegation_of(call.ctx)):
        raise Forbidden(
            "Cannot manage application credentials with a token issued via delegation."
            " Log in with the user's own password."
        )


def demand_no_application_credential(call: Call) -> None:
    """One for one project must not reach what is trusted for others, restricted or not. Raises Forbidden."""
    if "application_credential_id" in delegation_of(call.ctx):
        raise Forbidden(
            "You are not authorized to perform the requested action: Using method 'application_credential' is not"
            " allowed for managing trusts. Log in with the user's own password."
        )


def demand_unrestricted(call: Call, what: str) -> None:
    """Programs that were given a restricted application credential make no other `what`. Raises Forbidden."""
    if call.ctx.extra.get("restricted"):
        raise Forbidden(
            "You are not authorized to perform the requested action: Using method 'application_credential' is not"
            f" allowed for managing additional {what}. Create the application credential with unrestricted=true if its"
            " program must do that."
        )
