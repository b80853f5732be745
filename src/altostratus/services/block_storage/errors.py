# SPDX-License-Identifier: Apache-2.0
"""How refusals of block storage look: `{"badRequest": {"code": 400, "message": ...}}`."""

from typing import Any

from altostratus.kernel.errors import ApiError

_NAMES = {
    400: "badRequest",
    401: "unauthorized",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    406: "notAcceptable",
    409: "conflictingRequest",
    413: "overLimit",
    415: "badMediaType",
    429: "overLimit",
    501: "notImplemented",
    503: "serviceUnavailable",
}


class QuotaExceeded(ApiError):
    """More than the quota allows: this service answers 413 and says when to try again (never: 0)."""

    status = 413
    title = "Request Entity Too Large"

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"Retry-After": "0"})


def envelope(error: ApiError, call: Any) -> dict[str, Any]:
    """The JSON of a refusal."""
    fault: dict[str, Any] = {"code": error.status, "message": error.message}
    if error.status in (413, 429):
        fault["retryAfter"] = error.headers.get("Retry-After", "0")
    if error.status == 406 and isinstance(error.details, dict):
        fault |= error.details
    return {_NAMES.get(error.status, "computeFault"): fault}
