# SPDX-License-Identifier: Apache-2.0
"""Errors of the domain. Logic raises them; a service's envelope turns them into its own JSON.

The message is a sentence for people: what was wrong and what to do about it. `kind` is the name that
some services put into the reply (network: `PortNotFound`).
"""

from collections.abc import Mapping
from typing import Any


class ApiError(Exception):
    """A refusal with an HTTP status."""

    status = 500
    title = "Internal Server Error"

    def __init__(
        self,
        message: str,
        *,
        kind: str | None = None,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        details: Any = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind or type(self).__name__
        self.headers = dict(headers or {})
        self.details = details
        if status is not None:
            self.status = status


class BadRequest(ApiError):
    status = 400
    title = "Bad Request"


class Unauthorized(ApiError):
    status = 401
    title = "Unauthorized"


class Forbidden(ApiError):
    status = 403
    title = "Forbidden"


class PolicyRefused(Forbidden):
    """The policy says no: `rule` is its name, `advice` a sentence about what would be allowed.

    Services whose clients know other words put them in front of `advice` in their envelopes.
    """

    def __init__(self, rule: str, advice: str) -> None:
        super().__init__(f"Policy doesn't allow {rule} to be performed. {advice}", kind="PolicyNotAuthorized")
        self.rule, self.advice = rule, advice
        self.details = {"rule": rule}


class OverQuota(ApiError):
    """More than the quota allows. Compute and network answer 403 and 409, block storage 413."""

    status = 403
    title = "Forbidden"


class NotFound(ApiError):
    status = 404
    title = "Not Found"


class MethodNotAllowed(ApiError):
    status = 405
    title = "Method Not Allowed"


class NotAcceptable(ApiError):
    status = 406
    title = "Not Acceptable"


class Conflict(ApiError):
    status = 409
    title = "Conflict"


class Busy(Conflict):
    """Another job holds the lock of this resource."""


class PreconditionFailed(ApiError):
    status = 412
    title = "Precondition Failed"


class TooLarge(ApiError):
    status = 413
    title = "Request Entity Too Large"


class UnsupportedMediaType(ApiError):
    status = 415
    title = "Unsupported Media Type"


class RangeNotSatisfiable(ApiError):
    status = 416
    title = "Requested Range Not Satisfiable"


class NotImplementedHere(ApiError):
    """A documented call that this cloud does not offer; the message says what to use instead."""

    status = 501
    title = "Not Implemented"


class Unavailable(ApiError):
    status = 503
    title = "Service Unavailable"


class OutOfSpace(ApiError):
    status = 507
    title = "Insufficient Storage"
