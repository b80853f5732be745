# SPDX-License-Identifier: Apache-2.0
"""Refusals in the shape of compute's API: `{"itemNotFound": {"code": 404, "message": ...}}`."""

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


def envelope(error: ApiError, _call: Any) -> dict[str, Any]:
    """JSON of a refusal. A version that is not supported also says which ones are."""
    if error.kind == "InvalidGlobalAPIVersion" and error.details:
        return {
            "errors": [
                {
                    "status": error.status,
                    "request_id": "",
                    "code": "compute.microversion-unsupported",
                    "title": "Requested microversion is unsupported",
                    "detail": error.message,
                    **error.details,
                }
            ],
            "notAcceptable": {"code": error.status, "message": error.message},
        }
    return {_NAMES.get(error.status, "computeFault"): {"code": error.status, "message": error.message}}
