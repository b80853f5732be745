# SPDX-License-Identifier: Apache-2.0
"""Refusals of the object store: a status and a small page of HTML, as Swift's clients know it."""

from collections.abc import Mapping
from html import escape
from http import HTTPStatus
from typing import Any

from altostratus.contracts.object_store import ObjectStoreError
from altostratus.kernel import log
from altostratus.kernel.errors import ApiError, Forbidden, NotFound, TooLarge, Unauthorized

_log = log.get("object_store")
_REASONS = {498: "Rate Limited", 499: "Client Disconnect", 507: "Insufficient Storage"}


def envelope(error: ApiError, _call: Any) -> bytes:
    reason = _REASONS.get(error.status) or HTTPStatus(error.status).phrase
    return f"<html><h1>{reason}</h1><p>{escape(error.message)}</p></html>".encode()


class LengthRequired(ApiError):
    status = 411


class Unprocessable(ApiError):
    status = 422


class NoRoom(ApiError):
    status = 507


class Vanished(ApiError):
    """The bytes that the row names are not there: it was replaced in this moment, or a disk is away."""

    status = 503


def refused(signed_in: bool, account: str) -> ApiError:
    """Who is not known may log in; who is known may not."""
    if signed_in:
        return Forbidden("Access was denied to this resource. Its owner can grant it: X-Container-Read or -Write.")
    return Unauthorized(
        "This server could not verify that you are authorized to access the document you requested."
        " Send a token in X-Auth-Token.",
        headers={"WWW-Authenticate": f'Swift realm="{account}"'},
    )


def not_found(what: str, name: str, headers: Mapping[str, str] | None = None) -> NotFound:
    return NotFound(f"The resource could not be found: there is no {what} {name!r}.", headers=headers)


def of_driver(error: ObjectStoreError) -> ApiError:
    """What a trouble of the store means for the client."""
    if error.reason == "too_large":
        return TooLarge(f"Your request is too large. {error}")
    if error.reason == "full":
        return NoRoom(f"The object was not stored: {error} Delete something, or add a disk.")
    if error.reason == "short":
        return ApiError(f"The object was not stored: {error}", status=499)
    # what is wrong with the disks is for the operator
    _log.error("a request cannot be served: %s", error)
    kind = Vanished if error.reason == "missing" else ApiError
    return kind("The object store cannot do this now. Try again; the reason is told by: alto logs", status=503)
