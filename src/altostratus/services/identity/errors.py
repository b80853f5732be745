# SPDX-License-Identifier: Apache-2.0
"""Identity's refusals, in upstream's words, and its envelope."""

from http import HTTPStatus
from typing import Any

from altostratus.kernel.errors import ApiError, Conflict, Forbidden, NotFound, PolicyRefused

# The kind of the refusal whose body is a receipt for the factors that were right.
INCOMPLETE = "InsufficientAuthMethods"


class OAuth2Error(ApiError):
    """A refusal in the words of RFC 6749, section 5.2; `code` is one of its error codes."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message, status=status)
        self.code = code


def envelope(error: ApiError, _call: Any) -> dict[str, Any]:
    """`{"error": {"code", "message", "title"}}`; of a login that lacks factors, its receipt."""
    if error.kind == INCOMPLETE and isinstance(error.details, dict):
        return error.details
    if isinstance(error, OAuth2Error):
        return {"error": error.code, "error_description": error.message}
    message = error.message
    if isinstance(error, PolicyRefused):
        message = f"You are not authorized to perform the requested action: {error.rule}. {error.advice}"
    return {"error": {"code": error.status, "message": message, "title": HTTPStatus(error.status).phrase}}


def not_found(what: str, name: str) -> NotFound:
    return NotFound(f"Could not find {what}: {name}.", kind=what.title().replace(" ", "") + "NotFound")


def duplicate(what: str, name: str, domain_id: str | None = None) -> Conflict:
    where = f" at domain ID {domain_id}" if domain_id else ""
    return Conflict(f"Conflict occurred attempting to store {what} - Duplicate entry found with name {name}{where}.")


def immutable(what: str, identifier: str, verb: str) -> Forbidden:
    return Forbidden(
        f"Cannot {verb} {what} {identifier}: its option 'immutable' is set. Set the option to false first."
    )
