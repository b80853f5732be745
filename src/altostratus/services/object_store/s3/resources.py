# SPDX-License-Identifier: Apache-2.0
"""Paths of the S3 API, in path style: `/object-store/s3/BUCKET/KEY`."""

from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.object_store.s3 import (
    acls,
    buckets,
    cors,
    forms,
    lifecycle,
    listings,
    multipart,
    objects,
    parts,
    settings,
    versions,
    writing,
)
from altostratus.services.object_store.s3.buckets import said, unset
from altostratus.services.object_store.s3.errors import S3Error
from altostratus.services.object_store.s3.visits import answered, chosen, refused

_SHOW_BUCKET = {
    "location": buckets.show_location,
    "uploads": multipart.list_uploads,
    "acl": acls.show_acl,
    "versions": listings.list_versions,
    "versioning": versions.show_versioning,
    "accelerate": said("AccelerateConfiguration"),
    "logging": said("BucketLoggingStatus"),
    "notification": said("NotificationConfiguration"),
    "ownershipControls": unset("OwnershipControlsNotFoundError"),
    "requestPayment": said("RequestPaymentConfiguration", ("Payer", "BucketOwner")),
    "cors": settings.show_cors,
    "encryption": unset("ServerSideEncryptionConfigurationNotFoundError"),
    "lifecycle": lifecycle.show_lifecycle,
    "object-lock": unset("ObjectLockConfigurationNotFoundError"),
    "policy": settings.show_policy,
    "policyStatus": settings.show_policy_status,
    "publicAccessBlock": unset("NoSuchPublicAccessBlockConfiguration"),
    "replication": unset("ReplicationConfigurationNotFoundError"),
    "tagging": settings.show_tags,
    "website": unset("NoSuchWebsiteConfiguration"),
}
_PUT_BUCKET = {
    "acl": acls.put_acl,
    "cors": settings.put_cors,
    "lifecycle": lifecycle.put_lifecycle,
    "policy": settings.put_policy,
    "tagging": settings.put_tags,
    "versioning": versions.put_versioning,
}
_DELETE_BUCKET = {
    "cors": settings.removal("cors"),
    "lifecycle": lifecycle.delete_lifecycle,
    "policy": settings.removal("policy"),
    "tagging": settings.removal("tags"),
}
_SHOW_OBJECT = {
    "tagging": objects.show_tags,
    "acl": acls.show_acl,
    "uploadId": multipart.list_parts,
    "attributes": parts.show_attributes,
    "partNumber": objects.get_object,
}
_PUT_OBJECT = {"acl": acls.put_object_acl, "tagging": objects.put_tags, "uploadId": multipart.put_part}
_POST_OBJECT = {"uploads": multipart.create_upload, "uploadId": multipart.complete_upload}
_DELETE_OBJECT = {"tagging": objects.delete_tags, "uploadId": multipart.abort_upload}


def _put(call: Call) -> Reply:
    return writing.copy_object(call) if "X-AMZ-COPY-SOURCE" in call.headers else writing.put_object(call)


def _no_form(call: Call) -> Reply:
    raise S3Error("MethodNotAllowed", f"{call.asked.method} is for forms, at the bucket's address, or for parameters.")


class S3Account(Resource, path="!/s3"):
    """The buckets of the one who asks."""

    envelope = refused

    index = Op("GET", "", None, "@", chosen(buckets.list_buckets), public=True, tx="none", stream="out")


class Bucket(Resource, path="!/s3/{bucket}"):
    """A bucket: a container with a name that S3 allows."""

    envelope = refused
    preflight = Op("OPTIONS", "", None, "@", answered(cors.preflight), public=True, tx="none")
    head = Op("HEAD", "", None, "@", chosen(buckets.head_bucket), public=True, tx="none", stream="out")
    show = Op(
        "GET", "", None, "@", chosen(listings.list_objects, _SHOW_BUCKET), public=True, tx="none", stream="out"
    )  # fmt: skip
    put = Op(
        "PUT", "", None, "@", chosen(buckets.put_bucket, _PUT_BUCKET), public=True, tx="none",
        stream="in", status=200,
    )  # fmt: skip
    post = Op(
        "POST", "", None, "@", chosen(forms.post_object, {"delete": objects.delete_many}), public=True, tx="none",
        stream="in", status=200,
    )  # fmt: skip
    remove = Op(
        "DELETE", "", None, "@", chosen(buckets.delete_bucket, _DELETE_BUCKET), public=True, tx="none", stream="in",
        status=204,
    )  # fmt: skip


class BucketObject(Resource, path="!/s3/{bucket}/{object:path}"):
    """An object by its key."""

    envelope = refused
    preflight = Op("OPTIONS", "", None, "@", answered(cors.preflight), public=True, tx="none")
    head = Op(
        "HEAD",
        "",
        None,
        "@",
        chosen(objects.head_object, {"partNumber": objects.head_object}),
        public=True,
        tx="none",
        stream="out",
    )
    show = Op(
        "GET", "", None, "@", chosen(objects.get_object, _SHOW_OBJECT), public=True, tx="none", stream="out"
    )  # fmt: skip
    put = Op("PUT", "", None, "@", chosen(_put, _PUT_OBJECT), public=True, tx="none", stream="in", status=200)
    post = Op("POST", "", None, "@", chosen(_no_form, _POST_OBJECT), public=True, tx="none", stream="in", status=200)
    remove = Op(
        "DELETE", "", None, "@", chosen(objects.delete_object, _DELETE_OBJECT), public=True, tx="none", stream="in",
        status=204,
    )  # fmt: skip
