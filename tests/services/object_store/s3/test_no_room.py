# SPDX-License-Identifier: Apache-2.0
"""No room on the disks: a clear refusal, nothing is lost, and it works when there is room."""

import pytest

from tests.services.object_store.s3.test_basics import refused

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_no_room(cloud, s3):
    s3.create_bucket(Bucket="full")
    s3.put_object(Bucket="full", Key="before", Body=b"before")
    upload = {"Bucket": "full", "Key": "parts"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    cloud.store.capacity_bytes = 10
    assert refused(s3.put_object, Bucket="full", Key="before", Body=b"another") == ("InsufficientStorage", 507)
    assert refused(s3.upload_part, **upload, PartNumber=1, Body=b"a part of it") == ("InsufficientStorage", 507)
    assert s3.get_object(Bucket="full", Key="before")["Body"].read() == b"before"
    cloud.store.capacity_bytes = None
    s3.upload_part(**upload, PartNumber=1, Body=b"a part of it")
    s3.put_object(Bucket="full", Key="before", Body=b"another")
