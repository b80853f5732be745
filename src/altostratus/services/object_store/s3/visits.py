# SPDX-License-Identifier: Apache-2.0
"""What every operation begins and ends with: who asks, which bucket and key are meant, errors as XML."""

import functools
import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from altostratus.kernel.db import Row
from altostratus.kernel.errors import ApiError
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Reply
from altostratus.services.object_store.api.pace import pace_container
from altostratus.services.object_store.api.visits import READ_ACL, WRITE_ACL, finished
from altostratus.services.object_store.config import ObjectStoreOptions
from altostratus.services.object_store.logic import access, containers
from altostratus.services.object_store.logic.access import Visitor
from altostratus.services.object_store.s3.errors import S3Error, refusal
from altostratus.services.object_store.s3.signatures import Signed, signed_by

Handler = Callable[[Call], Reply]
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
# asked for only with a parameter of this name; what is not named for an operation is not built
_SUB_RESOURCES = frozenset({
    "abac", "accelerate", "acl", "analytics", "annotation", "annotations", "attributes", "cors", "delete",
    "encryption", "intelligent-tiering", "inventory", "legal-hold", "lifecycle", "location", "logging",
    "metadataAnnotationTable", "metadataConfiguration", "metadataInventoryTable", "metadataJournalTable",
    "metadataTable", "metrics", "notification", "object-lock", "ownershipControls", "partNumber", "policy",
    "policyStatus", "publicAccessBlock", "renameObject", "replication", "requestPayment", "restore", "retention",
    "select", "session", "tagging", "torrent", "uploadId", "uploads", "versioning", "versions", "website",
})  # fmt: skip
_NOT_KEPT = (
    "X-AMZ-SERVER-SIDE-ENCRYPTION", "X-AMZ-SERVER-SIDE-ENCRYPTION-CUSTOMER-ALGORITHM", "X-AMZ-OBJECT-LOCK-MODE",
    "X-AMZ-OBJECT-LOCK-LEGAL-HOLD", "X-AMZ-WEBSITE-REDIRECT-LOCATION", "X-AMZ-WRITE-OFFSET-BYTES",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Visit:
    """Who asks for what. `signed` is None for somebody who has not said who it is."""

    signed: Signed | None
    visitor: Visitor
    account: str
    bucket: str = ""
    key: str = ""


def answered(handler: Handler) -> Handler:
    """The handler with its refusals as S3's clients know them."""

    @functools.wraps(handler)
    def run(call: Call) -> Reply:
        try:
            reply = handler(call)
        except ApiError as error:
            reply = refusal(call, error)
        reply.headers["x-amz-request-id"] = call.request_id
        if reply.content_type is None:
            reply.content_type = "application/xml"
        return finished(reply)

    return run


def chosen(plain: Handler, by_parameter: Mapping[str, Handler] | None = None) -> Handler:
    """One path and method, several operations: S3 tells them apart by a parameter's name."""
    known = by_parameter or {}

    @functools.wraps(plain)
    def run(call: Call) -> Reply:
        if call.query.get("versionId", ["null"])[-1] != "null":
            raise S3Error("NoSuchVersion", "The specified version does not exist: objects here have the version null.")
        for name, handler in known.items():
            if name in call.query:
                return handler(call)
        unknown = sorted(_SUB_RESOURCES & call.query.keys())
        if unknown:
            raise S3Error("NotImplemented", f"This cloud does not offer ?{unknown[0]} with {call.asked.method} here.")
        return plain(call)

    return answered(run)


def visit_of(call: Call) -> Visit:
    """Raises S3Error or Unauthorized for a signature that is not right, and for names that cannot be."""
    signed = signed_by(call)
    ctx = signed.ctx if signed is not None else None
    if ctx is not None and ctx.access_rules is not None:
        ctx.access_rules.demand(call.asked)
    visitor = Visitor(ctx, call.headers.get("REFERER", ""))
    # others' buckets are called PROJECT:BUCKET, as by Ceph
    project_id, _, bucket = call.params.get("bucket", "").rpartition(":")
    if not project_id:
        project_id = (ctx.project_id if ctx is not None else None) or ""
    if not project_id:
        raise S3Error(
            "AccessDenied", "Access Denied. Sign the request; a public bucket of a project is called PROJECT_ID:BUCKET."
        )
    if bucket or "bucket" in call.params:
        demand_bucket_name(bucket)
    return Visit(signed, visitor, access.account_of(project_id), bucket, _key_of(call))


def is_bucket_name(name: str) -> bool:
    if not _BUCKET.fullmatch(name) or ".." in name:
        return False
    try:
        ipaddress.IPv4Address(name)
    except ValueError:
        return True
    return False


def demand_bucket_name(name: str) -> None:
    if not is_bucket_name(name):
        raise S3Error(
            "InvalidBucketName",
            "The specified bucket is not valid: 3 to 63 lower-case letters, digits, dots and hyphens.",
        )


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


def container_for(call: Call, visit: Visit, what: str) -> Row[Any]:
    """The bucket, if the caller may `read`, `list` or `write` there. Who may not learns nothing of it."""
    with call.cloud.db.read() as tx:
        row = containers.find(tx, visit.account, visit.bucket)
    settings = {} if row is None else row.settings
    if what == "write":
        allowed = access.may_write(visit.visitor, visit.account, settings.get(WRITE_ACL, ""))
    else:
        acl = settings.get(READ_ACL, "")
        allowed = access.may_read(visit.visitor, visit.account, acl, listing=what == "list")
    if not allowed:
        raise denied()
    if row is None:
        raise no_such_bucket(visit.bucket)
    pace_container(call, row)
    return row


def demand_plain(call: Call) -> None:
    """Raises S3Error for wishes that would silently not come true."""
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


def no_such_key(name: str) -> S3Error:
    return S3Error("NoSuchKey", f"The specified key does not exist: {name[:200]}.")
