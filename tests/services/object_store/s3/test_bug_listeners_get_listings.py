# SPDX-License-Identifier: Apache-2.0
"""MinIO's client listens to a bucket by `?events`. It was answered with a listing, and asked again for ever."""

import boto3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.httpsession import URLLib3Session


def test_it_is_told_that_there_are_no_events(cloud, pair, s3):
    s3.create_bucket(Bucket="shop")
    request = AWSRequest("GET", f"{cloud.address}/object-store/s3/shop", params={"events": "s3:ObjectCreated:*"})
    S3SigV4Auth(boto3.Session(*pair).get_credentials(), "s3", "us-east-1").add_auth(request)
    answer = URLLib3Session().send(request.prepare())
    assert answer.status_code == 501 and b"<Code>NotImplemented</Code>" in answer.content
