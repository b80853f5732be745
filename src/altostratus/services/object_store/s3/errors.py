# SPDX-License-Identifier: Apache-2.0
"""Refusals in S3's words: a code, a sentence, a page of XML."""

from collections.abc import Mapping

from altostratus.kernel.errors import ApiError
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Reply
from altostratus.services.object_store.s3.xml import document

_STATUS = {
    "AccessControlListNotSupported": 400,
    "AccessDenied": 403,
    "AccessForbidden": 403,
    "AuthorizationHeaderMalformed": 400,
    "AuthorizationQueryParametersError": 400,
    "BadDigest": 400,
    "BucketAlreadyOwnedByYou": 409,
    "BucketNotEmpty": 409,
    "EntityTooLarge": 400,
    "EntityTooSmall": 400,
    "IllegalVersioningConfigurationException": 400,
    "IncompleteBody": 400,
    "IncorrectNumberOfFilesInPostRequest": 400,
    "InvalidAccessKeyId": 403,
    "InvalidArgument": 400,
    "InvalidBucketName": 400,
    "InvalidBucketState": 409,
    "InvalidDigest": 400,
    "InvalidPart": 400,
    "InvalidPartNumber": 416,
    "InvalidPartOrder": 400,
    "InvalidPolicyDocument": 400,
    "InvalidRange": 416,
    "InvalidRequest": 400,
    "InvalidStorageClass": 400,
    "InvalidTag": 400,
    "KeyTooLongError": 400,
    "MalformedPOSTRequest": 400,
    "MalformedPolicy": 400,
    "MalformedXML": 400,
    "MaxPostPreDataLengthExceededError": 400,
    "MetadataTooLarge": 400,
    "MethodNotAllowed": 405,
    "MissingContentLength": 411,
    "MissingSecurityHeader": 400,
    "NoSuchBucket": 404,
    "NoSuchBucketPolicy": 404,
    "NoSuchCORSConfiguration": 404,
    "NoSuchKey": 404,
    "NoSuchLifecycleConfiguration": 404,
    "NoSuchTagSet": 404,
    "NoSuchUpload": 404,
    "NoSuchVersion": 404,
    "NotImplemented": 501,
    "PreconditionFailed": 412,
    "QuotaExceeded": 403,
    "RequestTimeTooSkewed": 403,
    "SignatureDoesNotMatch": 403,
    "UserKeyMustBeSpecified": 400,
    "XAmzContentSHA256Mismatch": 400,
}
# headers of other refusals that S3's have as well
_TOLD = ("Content-Range", "Allow")
# what the rest of the object store says -> S3's code, and the status if it is another one
_CODES = {
    400: ("InvalidRequest", 400),
    401: ("AccessDenied", 403),
    403: ("AccessDenied", 403),
    404: ("NoSuchBucket", 404),
    405: ("MethodNotAllowed", 405),
    409: ("OperationAborted", 409),
    411: ("MissingContentLength", 411),
    412: ("PreconditionFailed", 412),
    413: ("EntityTooLarge", 400),
    416: ("InvalidRange", 416),
    498: ("SlowDown", 503),
    499: ("IncompleteBody", 400),
    501: ("NotImplemented", 501),
    503: ("ServiceUnavailable", 503),
    507: ("InsufficientStorage", 507),
}


class S3Error(ApiError):
    """A refusal with one of S3's codes. Logic says its code as the `kind` of an ordinary error.

    details: what the page tells besides, by name
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        details: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, kind=code, status=status or _STATUS[code], headers=headers)
        self.details = dict(details or {})


def refusal(error: ApiError, call: Call | None) -> Reply:
    """The page. Without a call: of a request that no operation is for."""
    code, status = code_and_status(error)
    where = [] if call is None else [("Resource", call.asked.path), ("RequestId", call.request_id)]
    details = error.details.items() if isinstance(error, S3Error) else ()
    body = document("Error", [("Code", code), ("Message", error.message), *details, *where], bare=True)
    told = {name: value for name, value in error.headers.items() if isinstance(error, S3Error) or name in _TOLD}
    return Reply(status, body, headers=told, content_type="application/xml")


def code_and_status(error: ApiError) -> tuple[str, int]:
    if isinstance(error, S3Error):
        return error.kind, error.status
    if error.kind in _STATUS:
        return error.kind, _STATUS[error.kind]
    return _CODES.get(error.status, ("InternalError", 500))
