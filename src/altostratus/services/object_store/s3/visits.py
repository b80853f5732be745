# SPDX-License-Identifier: Apache-2.0
"""What every operation begins and ends with: who asks, which bucket and key are meant, errors as XML."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from altostratus.kernel.db import Row
from altostratus.kernel.errors import ApiError
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Reply
from altostratus.services.object_store.api.metering import metered, note
from altostratus.services.object_store.api.pace import pace_container
from altostratus.services.object_store.api.visits import finished, one, seen
from altostratus.services.object_store.config import ObjectStoreOptions
from altostratus.services.object_store.logic import access, containers, permission
from altostratus.services.object_store.logic.access import Visitor
from altostratus.services.object_store.logic.bucket_policies import Wish
from altostratus.services.object_store.logic.permission import What
from altostratus.services.object_store.s3 import cors
from altostratus.services.object_store.s3.errors import S3Error, refusal
from altostratus.services.object_store.s3.names import demand_bucket_name, project_and_bucket
from altostratus.services.object_store.s3.signatures import Signed, signed_by

Handler = Callable[[Call], Reply]
# asked for only with a parameter of this name; what is not named for an operation is not built
_SUB_RESOURCES = frozenset({
    "abac", "accelerate", "acl", "analytics", "annotation", "annotations", "attributes", "cors", "delete",
    "encryption", "events", "intelligent-tiering", "inventory", "legal-hold", "lifecycle", "location", "logging",
    "metadataAnnotationTable", "metadataConfiguration", "metadataInventoryTable", "metadataJournalTable",
    "metadataTable", "metrics", "notification", "object-lock", "ownershipControls", "partNumber", "policy",
    "policyStatus", "publicAccessBlock", "renameObject", "replication", "requestPayment", "restore", "retention",
    "select", "session", "tagging", "torrent", "uploadId", "uploads", "versioning", "versions", "website",
})  # fmt: skip
_NOT_KEPT = (
    "X-AMZ-SERVER-SIDE-ENCRYPTION", "X-AMZ-SERVER-SIDE-ENCRYPTION-CUSTOMER-ALGORITHM", "X-AMZ-OBJECT-LOCK-MODE",
    "X-AMZ-OBJECT-LOCK-LEGAL-HOLD", "X-AMZ-WEBSITE-REDIRECT-LOCATION", "X-AMZ-WRITE-OFFSET-BYTES",
)  # fmt: skip

# parameter -> action, as policies call them
_LISTINGS = {
    "versions": "ListBucketVersions", "uploads": "ListBucketMultipartUploads", "location": "GetBucketLocation",
}  # fmt: skip
# method -> action, with `?uploadId`
_ON_UPLOADS = {"GET": "ListMultipartUploadParts", "DELETE": "AbortMultipartUpload"}


@dataclass(frozen=True, slots=True)
class Visit:
    """Who asks for what. `signed` is None for somebody who has not said who it is; `version` is an id or nothing."""

    signed: Signed | None
    visitor: Visitor
    account: str
    bucket: str = ""
    key: str = ""
    version: str = ""


def answered(handler: Handler) -> Handler:
    @functools.wraps(handler)
    def run(call: Call) -> Reply:
        return _dressed(call, handler(call))

    return run


def refused(error: ApiError, call: Call | None) -> Reply:
    """A refusal as S3's clients know it."""
    reply = refusal(error, call)
    return reply if call is None else _dressed(call, reply)


def _dressed(call: Call, reply: Reply) -> Reply:
    """With what every answer of S3 has."""
    reply.headers |= cors.headers_for(call)
    reply.headers["x-amz-request-id"] = call.request_id
    if reply.content_type is None:
        reply.content_type = "application/xml"
    return finished(reply)


def chosen(plain: Handler, by_parameter: Mapping[str, Handler] | None = None) -> Handler:
    """One path and method, several operations: S3 tells them apart by a parameter's name."""
    known = by_parameter or {}

    @functools.wraps(plain)
    def run(call: Call) -> Reply:
        for name, handler in known.items():
            if name in call.query:
                return handler(call)
        unknown = sorted(_SUB_RESOURCES & call.query.keys())
        if unknown:
            raise S3Error("NotImplemented", f"This cloud does not offer ?{unknown[0]} with {call.asked.method} here.")
        return plain(call)

    return metered(answered(run))


def visit_of(call: Call) -> Visit:
    """Raises S3Error or Unauthorized for a signature that is not right, and for names that cannot be."""
    return visit_as(call, signed_by(call))


def visit_as(call: Call, signed: Signed | None) -> Visit:
    ctx = signed.ctx if signed is not None else None
    if ctx is not None and ctx.access_rules is not None:
        ctx.access_rules.demand(call.asked)
    visitor = seen(call, ctx)
    project_id, bucket = project_and_bucket(call.params.get("bucket", ""))
    if not project_id:
        project_id = (ctx.project_id if ctx is not None else None) or ""
    if not project_id:
        raise S3Error(
            "AccessDenied", "Access Denied. Sign the request; a public bucket of a project is called PROJECT_ID:BUCKET."
        )
    if call.headers.get("X-AMZ-EXPECTED-BUCKET-OWNER", project_id) != project_id:
        raise S3Error("AccessDenied", f"Access Denied. The bucket's owner is {project_id}, not the expected one.")
    if bucket or "bucket" in call.params:
        demand_bucket_name(bucket)
    note(call, access.account_of(project_id), visitor)
    return Visit(signed, visitor, access.account_of(project_id), bucket, _key_of(call), one(call, "versionId"))


def _key_of(call: Call) -> str:
    key = call.params.get("object", "")
    if "\0" in key or "\ufffd" in key:
        raise S3Error("InvalidArgument", "A key must be valid UTF-8 without NUL.")
    longest = call.cloud[ObjectStoreOptions].max_object_name_length
    if len(key.encode()) > longest:
        raise S3Error("KeyTooLongError", f"Your key is too long: {len(key.encode())} bytes; the most is {longest}.")
    return key


def demand_owner(visit: Visit) -> None:
    if not access.is_owner(visit.visitor, visit.account):
        raise denied()


def container_for(call: Call, visit: Visit, what: What) -> Row[Any]:
    """The bucket, if the caller may do that there. Who may not learns nothing of it."""
    with call.cloud.db.read_once() as tx:
        row = containers.find(tx, visit.account, visit.bucket)
    if not permission.may(visit.visitor, visit.account, row, what, _wish(call, visit, what)):
        raise denied()
    if row is None:
        raise no_such_bucket(visit.bucket)
    pace_container(call, row)
    return row


def _wish(call: Call, visit: Visit, what: What) -> Wish:
    """What is asked, by the name that policies have for it. Without a key in the path any object may be meant."""
    if what == "list":
        name = next((name for name in _LISTINGS if name in call.query), "")
        return Wish(_LISTINGS.get(name, permission.ACTIONS[what]), prefix=one(call, "prefix"))
    if "uploadId" in call.query and call.op.method in _ON_UPLOADS:
        return Wish(_ON_UPLOADS[call.op.method], visit.key)
    action = permission.ACTIONS[what]
    if visit.version:
        action += "Version" if what != "write" or "tagging" in call.query else ""
    return Wish(f"{action}Tagging" if "tagging" in call.query else action, visit.key or None)


def deletable(call: Call, visit: Visit, wanted: list[tuple[str, str]]) -> tuple[Row[Any], list[tuple[str, str]]]:
    """(the bucket, those of the keys and versions that the caller may not delete)"""
    with call.cloud.db.read() as tx:
        row = containers.find(tx, visit.account, visit.bucket)
    if row is None or not (permission.has_policy(row) or any(version for _, version in wanted)):
        return container_for(call, visit, "delete"), []

    def may(key: str, version: str) -> bool:
        wish = Wish(permission.ACTIONS["delete"] + ("Version" if version else ""), key)
        return permission.may(visit.visitor, visit.account, row, "delete", wish)

    return row, [one for one in wanted if not may(*one)]


def demand_plain(call: Call) -> None:
    """Raises S3Error for wishes that would silently not come true."""
    if "versionId" in call.query:
        raise S3Error("InvalidArgument", "This operation does not accept a version-id.")
    for name in _NOT_KEPT:
        if name in call.headers:
            raise S3Error("NotImplemented", f"This cloud does not offer {name.lower()}. Leave the header out.")
    kind = call.headers.get("X-AMZ-STORAGE-CLASS", "STANDARD")
    if kind != "STANDARD":
        raise S3Error("InvalidStorageClass", f"There is one storage class, STANDARD, and no {kind}.")


def denied() -> S3Error:
    return S3Error("AccessDenied", "Access Denied. The bucket's owner can grant access.")


def no_such_bucket(name: str) -> S3Error:
    return S3Error("NoSuchBucket", f"The specified bucket does not exist: {name}.")


def no_such_key(name: str, headers: Mapping[str, str] | None = None) -> S3Error:
    return S3Error("NoSuchKey", f"The specified key does not exist: {name[:200]}.", headers=headers)
