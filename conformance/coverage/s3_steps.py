# SPDX-License-Identifier: Apache-2.0
"""The operations of S3 that this cloud offers, by the names and arguments of Amazon's client library."""

import json

from conformance.coverage.steps import Asked

_BUCKET = {"Bucket": "{bucket}"}
_OBJECT = {"Bucket": "{bucket}", "Key": "{key}"}

BUCKETS = (
    Asked("CreateBucket", _BUCKET),
    Asked("HeadBucket", _BUCKET),
    Asked("ListBuckets", {}),
    Asked("GetBucketLocation", _BUCKET),
    Asked("PutBucketAcl", {**_BUCKET, "ACL": "public-read"}),
    Asked("GetBucketAcl", _BUCKET),
    Asked("GetBucketLogging", _BUCKET),
    Asked("GetBucketAccelerateConfiguration", _BUCKET),
    Asked("GetBucketNotification", _BUCKET),
    Asked("GetBucketNotificationConfiguration", _BUCKET),
    Asked("GetBucketRequestPayment", _BUCKET),
)

_CORS = {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]}
_TAGS = {"TagSet": [{"Key": "season", "Value": "spring"}]}
_RULE = {"ID": "forget", "Status": "Enabled", "Expiration": {"Days": 30}}
_STATEMENT = {
    "Effect": "Allow",
    "Principal": "*",
    "Action": "s3:GetObject",
    "Resource": "arn:aws:s3:::pictures/*",
}
_POLICY = json.dumps({"Version": "2012-10-17", "Statement": [_STATEMENT]})
SETTINGS = (
    Asked("PutBucketCors", {**_BUCKET, "CORSConfiguration": _CORS}),
    Asked("GetBucketCors", _BUCKET),
    Asked("DeleteBucketCors", _BUCKET),
    Asked("PutBucketTagging", {**_BUCKET, "Tagging": _TAGS}),
    Asked("GetBucketTagging", _BUCKET),
    Asked("DeleteBucketTagging", _BUCKET),
    Asked("PutBucketPolicy", {**_BUCKET, "Policy": _POLICY}),
    Asked("GetBucketPolicy", _BUCKET),
    Asked("GetBucketPolicyStatus", _BUCKET),
    Asked("DeleteBucketPolicy", _BUCKET),
    Asked(
        "PutBucketLifecycleConfiguration",
        {**_BUCKET, "LifecycleConfiguration": {"Rules": [{**_RULE, "Filter": {"Prefix": "old/"}}]}},
    ),
    Asked("GetBucketLifecycleConfiguration", _BUCKET),
    Asked("PutBucketLifecycle", {**_BUCKET, "LifecycleConfiguration": {"Rules": [{**_RULE, "Prefix": "old/"}]}}),
    Asked("GetBucketLifecycle", _BUCKET),
    Asked("DeleteBucketLifecycle", _BUCKET),
)

# what nobody can set here is told by an error of its own
UNSET = (
    Asked("GetBucketOwnershipControls", _BUCKET, error="OwnershipControlsNotFoundError"),
    Asked("GetBucketEncryption", _BUCKET, error="ServerSideEncryptionConfigurationNotFoundError"),
    Asked("GetObjectLockConfiguration", _BUCKET, error="ObjectLockConfigurationNotFoundError"),
    Asked("GetPublicAccessBlock", _BUCKET, error="NoSuchPublicAccessBlockConfiguration"),
    Asked("GetBucketReplication", _BUCKET, error="ReplicationConfigurationNotFoundError"),
    Asked("GetBucketWebsite", _BUCKET, error="NoSuchWebsiteConfiguration"),
)

OBJECTS = (
    Asked("PutObject", {**_OBJECT, "Body": b"a picture of hills"}),
    Asked("HeadObject", _OBJECT),
    Asked("GetObject", {**_OBJECT, "Range": "bytes=2-8"}),
    Asked("GetObjectAttributes", {**_OBJECT, "ObjectAttributes": ["ETag", "ObjectSize"]}),
    Asked("PutObjectAcl", {**_OBJECT, "ACL": "public-read"}),
    Asked("GetObjectAcl", _OBJECT),
    Asked("PutObjectTagging", {**_OBJECT, "Tagging": _TAGS}),
    Asked("GetObjectTagging", _OBJECT),
    Asked("DeleteObjectTagging", _OBJECT),
    Asked("CopyObject", {**_BUCKET, "Key": "copied", "CopySource": "{bucket}/{key}"}),
    Asked("ListObjects", {**_BUCKET, "Prefix": "hills/", "Delimiter": "/"}),
    Asked("ListObjectsV2", {**_BUCKET, "MaxKeys": 1}),
)

_DRAFTS = {"Bucket": "drafts"}
VERSIONS = (
    Asked("CreateBucket", _DRAFTS),
    Asked("PutBucketVersioning", {**_DRAFTS, "VersioningConfiguration": {"Status": "Enabled"}}),
    Asked("GetBucketVersioning", _DRAFTS),
    Asked("PutObject", {**_DRAFTS, "Key": "first", "Body": b"once upon a time"}, "version=VersionId"),
    Asked("ListObjectVersions", _DRAFTS),
    Asked("DeleteObject", {**_DRAFTS, "Key": "first", "VersionId": "{version}"}),
    Asked("DeleteBucket", _DRAFTS),
)

_UPLOAD = {"Bucket": "{bucket}", "Key": "large", "UploadId": "{upload}"}
_PART = {"ETag": "{part_etag}", "PartNumber": 1}
UPLOADS = (
    Asked("CreateMultipartUpload", {**_BUCKET, "Key": "large"}, "upload=UploadId"),
    Asked("ListMultipartUploads", _BUCKET),
    Asked("UploadPart", {**_UPLOAD, "PartNumber": 1, "Body": b"the first part"}, "part_etag=ETag"),
    Asked("UploadPartCopy", {**_UPLOAD, "PartNumber": 2, "CopySource": "{bucket}/{key}"}),
    Asked("ListParts", _UPLOAD),
    Asked("CompleteMultipartUpload", {**_UPLOAD, "MultipartUpload": {"Parts": [_PART]}}),
    Asked("CreateMultipartUpload", {**_BUCKET, "Key": "large"}, "upload=UploadId"),
    Asked("AbortMultipartUpload", _UPLOAD),
)

ENDING = (
    Asked("DeleteObjects", {**_BUCKET, "Delete": {"Objects": [{"Key": "copied"}, {"Key": "large"}]}}),
    Asked("DeleteObject", _OBJECT),
    Asked("DeleteBucket", _BUCKET),
)

STEPS = (*BUCKETS, *SETTINGS, *UNSET, *OBJECTS, *VERSIONS, *UPLOADS, *ENDING)
