# SPDX-License-Identifier: Apache-2.0
"""A wrong signature was refused without what the client should have signed, so its author had to guess.

Amazon's answers tell it, and so do ours.
"""

import hashlib
import hmac
import re
from datetime import UTC, datetime
from html import unescape
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest


def refusal_of(address, **headers):
    with pytest.raises(HTTPError) as raised:
        urlopen(Request(address, headers={name.replace("_", "-"): value for name, value in headers.items()}))
    with raised.value as answer:
        text = answer.read().decode()
    assert answer.code == 403 and "<Code>SignatureDoesNotMatch</Code>" in text
    return dict(re.findall(r"<(StringToSign|CanonicalRequest)>(.*?)</", unescape(text), re.DOTALL))


def test_of_version_4(cloud, pair):
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{moment[:8]}/us-east-1/s3/aws4_request"
    address, names = f"{cloud.address}/object-store/s3/shop/a%20b?tagging", "host;x-amz-content-sha256;x-amz-date"
    stated = {"X_Amz_Date": moment, "X_Amz_Content_Sha256": "UNSIGNED-PAYLOAD"}

    def signed(signature):
        return f"AWS4-HMAC-SHA256 Credential={pair[0]}/{scope}, SignedHeaders={names}, Signature={signature}"

    told = refusal_of(address, **stated, Authorization=signed("0" * 64))
    host = cloud.address.removeprefix("http://")
    assert told["CanonicalRequest"].splitlines() == [
        "GET", "/object-store/s3/shop/a%20b", "tagging=", f"host:{host}", "x-amz-content-sha256:UNSIGNED-PAYLOAD",
        f"x-amz-date:{moment}", "", names, "UNSIGNED-PAYLOAD",
    ]  # fmt: skip
    digest = hashlib.sha256(told["CanonicalRequest"].encode()).hexdigest()
    assert told["StringToSign"] == f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}"
    key = f"AWS4{pair[1]}".encode()
    for part in (*scope.split("/"), told["StringToSign"]):
        key = hmac.digest(key, part.encode(), "sha256")
    with pytest.raises(HTTPError) as raised:
        urlopen(Request(address, headers={
            "X-Amz-Date": moment, "X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD", "Authorization": signed(key.hex()),
        }))  # fmt: skip
    with raised.value as answer:
        assert b"NoSuchBucket" in answer.read(), "what is told is what is wanted"


def test_of_version_2(cloud, pair):
    address = f"{cloud.address}/object-store/s3/shop/k?Expires=9999999999&AWSAccessKeyId={pair[0]}&Signature=x"
    assert refusal_of(address) == {"StringToSign": "GET\n\n\n9999999999\n/object-store/s3/shop/k"}
