# SPDX-License-Identifier: Apache-2.0
"""What was meant for a part of an object that is not offered (`?annotation` ...) replaced the object itself."""

import boto3
import pytest
from botocore.exceptions import ClientError

MODEL = boto3.client("s3", "us-east-1", aws_access_key_id="a", aws_secret_access_key="s").meta.service_model


def sub_resources(method):
    """The fixed parameters by which Amazon's library tells operations of an object and `method` apart."""
    found = set()
    for name in MODEL.operation_names:
        http = MODEL.operation_model(name).http
        path, _, query = http["requestUri"].partition("?")
        if http["method"] == method and "{Key+}" in path and query:
            found.add(query.split("&")[0].split("=")[0])
    return sorted(found)


def test_there_are_such_parts():
    assert {"annotation", "retention", "tagging"} <= set(sub_resources("PUT"))


@pytest.mark.parametrize("name", sub_resources("PUT"))
def test_the_object_stays_what_it_was(cloud, s3, owner, name):
    s3.create_bucket(Bucket="pictures")
    s3.put_object(Bucket="pictures", Key="hills", Body=b"hills")

    def ask(request, **_):
        request.url += f"?{name}"

    s3.meta.events.register("before-sign.s3.PutObject", ask)
    with pytest.raises(ClientError):
        s3.put_object(Bucket="pictures", Key="hills", Body=b"not a picture")
    s3.meta.events.unregister("before-sign.s3.PutObject", ask)
    assert s3.get_object(Bucket="pictures", Key="hills")["Body"].read() == b"hills"
