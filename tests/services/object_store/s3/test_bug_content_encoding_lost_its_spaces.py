# SPDX-License-Identifier: Apache-2.0
"""`Content-Encoding: deflate, gzip` came back as `deflate,gzip`, though only `aws-chunked` had to be taken out."""

import pytest


@pytest.mark.parametrize(
    ("sent", "kept"), [("deflate, gzip", "deflate, gzip"), ("a,b", "a,b"), ("aws-chunked,a, b", "a, b")]
)
def test_content_encoding(s3, sent, kept):
    s3.create_bucket(Bucket="shop")
    s3.meta.events.register("before-sign.s3.PutObject", lambda request, **_: set_encoding(request, sent))
    s3.put_object(Bucket="shop", Key="o", Body=b"data")
    assert s3.head_object(Bucket="shop", Key="o")["ContentEncoding"] == kept


def set_encoding(request, text):
    del request.headers["Content-Encoding"]
    request.headers["Content-Encoding"] = text
