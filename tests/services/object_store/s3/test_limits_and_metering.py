# SPDX-License-Identifier: Apache-2.0
"""What is measured and limited for Swift is for S3 as well."""

from altostratus.services.object_store.api.metering import Meter
from altostratus.services.object_store.config import RateLimitOptions

from .test_basics import refused


def test_requests_are_counted(s3, cloud):
    cloud.cloud.part(Meter).take()
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="key", Body=b"12345")
    assert s3.get_object(Bucket="bucket", Key="key")["Body"].read() == b"12345"
    assert refused(s3.get_object, Bucket="bucket", Key="none") == ("NoSuchKey", 404)
    found = {line.method: (sums.requests, sums.sent_bytes) for line, sums in cloud.cloud.part(Meter).take().items()}
    assert found["PUT"][0] == 2 and found["GET"][0] == 2 and found["GET"][1] >= 5


def test_too_fast(s3, cloud, monkeypatch):
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="key", Body=b"1")
    slow = RateLimitOptions(
        container_ratelimits=((1, 0.001),), account_ratelimit=0.001, rate_buffer_seconds=0.0, max_sleep_time_seconds=0.0
    )
    monkeypatch.setitem(cloud.cloud.settings._sections, RateLimitOptions, slow)
    s3.put_object(Bucket="bucket", Key="key", Body=b"2")
    assert refused(s3.put_object, Bucket="bucket", Key="key", Body=b"3") == ("SlowDown", 503)
    s3.create_bucket(Bucket="another")
    assert refused(s3.create_bucket, Bucket="third") == ("SlowDown", 503)
