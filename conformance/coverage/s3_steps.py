# SPDX-License-Identifier: Apache-2.0
"""The operations of S3 that this cloud offers, by the names and arguments of Amazon's client library."""

from conformance.coverage.steps import Asked

_BUCKET = {"Bucket": "{bucket}"}
_OBJECT = {"Bucket": "{bucket}", "Key": "{key}"}
_EVERYBODYS = {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]}

BUCKETS = (
    Asked("CreateBucket", _BUCKET),
    Asked("HeadBucket", _BUCKET),
    Asked("ListBuckets", {}),
    Asked("GetBucketLocation", _BUCKET),
    Asked("PutBucketAcl", {**_BUCKET, "ACL": "public-read"}),
    Asked("GetBucketAcl", _BUCKET),
    Asked("GetBucketVersioning", _BUCKET),
    Asked("GetBucketLogging", _BUCKET),
    Asked("GetBucketRequestPayment", _BUCKET),
)

# what nobody has set is told by an error of its own
UNSET = (
    Asked("GetBucketCors", _BUCKET, error="NoSuchCORSConfiguration"),
    Asked("GetBucketEncryption", _BUCKET, error="ServerSideEncryptionConfigurationNotFoundError"),
    Asked("GetBucketLifecycle", _BUCKET, error="NoSuchLifecycleConfiguration"),
    Asked("GetBucketLifecycleConfiguration", _BUCKET, error="NoSuchLifecycleConfiguration"),
    Asked("GetObjectLockConfiguration", _BUCKET, error="ObjectLockConfigurationNotFoundError"),
    Asked("GetBucketPolicy", _BUCKET, error="NoSuchBucketPolicy"),
    Asked("GetPublicAccessBlock", _BUCKET, error="NoSuchPublicAccessBlockConfiguration"),
    Asked("GetBucketReplication", _BUCKET, error="ReplicationConfigurationNotFoundError"),
    Asked("GetBucketTagging", _BUCKET, error="NoSuchTagSet"),
    Asked("GetBucketWebsite", _BUCKET, error="NoSuchWebsiteConfiguration"),
)

OBJECTS = (
    Asked("PutObject", {**_OBJECT, "Body": b"a picture of hills"}),
    Asked("HeadObject", _OBJECT),
    Asked("GetObject", {**_OBJECT, "Range": "bytes=2-8"}),
    Asked("GetObjectAcl", _OBJECT),
    Asked("PutObjectTagging", {**_OBJECT, "Tagging": {"TagSet": [{"Key": "season", "Value": "spring"}]}}),
    Asked("GetObjectTagging", _OBJECT),
    Asked("DeleteObjectTagging", _OBJECT),
    Asked("CopyObject", {**_BUCKET, "Key": "copied", "CopySource": "{bucket}/{key}"}),
    Asked("ListObjects", {**_BUCKET, "Prefix": "hills/", "Delimiter": "/"}),
    Asked("ListObjectsV2", {**_BUCKET, "MaxKeys": 1}),
    Asked("ListObjectVersions", _BUCKET),
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

STEPS = (*BUCKETS, *UNSET, *OBJECTS, *UPLOADS, *ENDING)
