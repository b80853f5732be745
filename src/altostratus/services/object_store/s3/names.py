# SPDX-License-Identifier: Apache-2.0
"""Names of buckets, and whose they are."""

import ipaddress
import re

from altostratus.services.object_store.s3.errors import S3Error

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_OF_PROJECT = re.compile(r"([0-9a-f]{32})_(.*)|(.*):([^:]*)", re.DOTALL)


def project_and_bucket(name: str) -> tuple[str, str]:
    """Others' buckets are called PROJECT_ID:BUCKET, as by Ceph, or PROJECT_ID_BUCKET, which boto3 lets through.

    The project is empty for a name without one.
    """
    found = _OF_PROJECT.fullmatch(name)
    if found is None:
        return "", name
    return found[1] or found[3] or "", found[2] or found[4] or ""


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
