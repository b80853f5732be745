# SPDX-License-Identifier: Apache-2.0
"""Uploads by forms: signed in both ways, by anybody, and every way in which a form can be wrong."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from tests.services.object_store.policy_texts import policy, statement
from tests.services.object_store.s3.test_basics import refused
from tests.services.object_store.s3.test_checksums import text

pytestmark = pytest.mark.usefixtures("nothing_left")
BOUNDARY = "----a-boundary"


@pytest.fixture(autouse=True)
def bucket(s3):
    s3.create_bucket(Bucket="open")


@pytest.fixture
def post(cloud, owner):
    """post(fields, file=..., bucket=...) -> (status, headers, text)"""

    def send(fields, file=("f.txt", b"hello"), bucket="open", body=None, kind="multipart/form-data; boundary="):
        connection = HTTPConnection(urlsplit(cloud.address).netloc)
        body = form(fields, file) if body is None else body
        path = f"/object-store/s3/{owner.project_id}:{bucket}"
        connection.request("POST", path, body, {"Content-Type": kind + BOUNDARY})
        answer = connection.getresponse()
        told = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, told, answer.read().decode()

    return send


def form(fields, file):
    lines = []
    for name, value in fields.items():
        lines += [f"--{BOUNDARY}", f'Content-Disposition: form-data; name="{name}"', "", value]
    if file is not None:
        lines += [f"--{BOUNDARY}", f'Content-Disposition: form-data; name="file"; filename="{file[0]}"']
        lines += ["Content-Type: text/plain", "", file[1].decode()]
    return "\r\n".join([*lines, f"--{BOUNDARY}--", ""]).encode()


def signed(pair, fields, conditions, *, seconds=60, document=None):
    """The fields with a policy and a signature of version 2."""
    until = (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    document = {"expiration": until, "conditions": conditions} if document is None else document
    encoded = base64.b64encode(json.dumps(document).encode()).decode()
    signature = base64.b64encode(hmac.digest(pair[1].encode(), encoded.encode(), "sha1")).decode()
    return {**fields, "AWSAccessKeyId": pair[0], "policy": encoded, "signature": signature}


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_signed_by_amazons_client(cloud, pair, post, version):
    s3 = cloud.s3(pair, signature_version=version)
    fields = {"Content-Type": "text/x-a", "x-amz-meta-color": "réd", "success_action_status": "201"}
    conditions = [{name: value} for name, value in fields.items()] + [["content-length-range", 1, 10]]
    made = s3.generate_presigned_post("open", "in/${filename}", fields, conditions)
    status, headers, page = post(made["fields"], ("C:\\dir\\a b.txt", b"data"))
    assert status == 201 and "<Key>in/a b.txt</Key>" in page and headers["location"].endswith("/in/a%20b.txt")
    got = s3.get_object(Bucket="open", Key="in/a b.txt")
    assert (got["Body"].read(), got["ContentType"]) == (b"data", "text/x-a")
    assert got["ETag"] == headers["etag"] == f'"{hashlib.md5(b"data").hexdigest()}"'
    assert post(made["fields"], ("b", b"x" * 11))[2].count("<Code>EntityTooLarge</Code>") == 1
    assert post(made["fields"], ("b", b""))[2].count("<Code>EntityTooSmall</Code>") == 1
    assert post(made["fields"] | {"x-amz-meta-color": "blue"})[0] == 403
    assert post(made["fields"] | {"policy": made["fields"]["policy"][:-4] + "AAAA"})[0] == 403
    assert [item["Key"] for item in s3.list_objects_v2(Bucket="open")["Contents"]] == ["in/a b.txt"]


def test_anybody_where_the_buckets_policy_allows_it(s3, post):
    fields = {"key": "drop/${filename}", "x-ignore-this": "1", "success_action_status": "404"}
    status, _, page = post(fields)
    assert status == 403 and "<Code>AccessDenied</Code>" in page
    s3.put_bucket_policy(
        Bucket="open", Policy=policy(statement(action="s3:PutObject", resource="arn:aws:s3:::open/drop/*"))
    )
    assert post(fields)[0] == 204
    assert s3.get_object(Bucket="open", Key="drop/f.txt")["Body"].read() == b"hello"
    assert post({"key": "other"})[0] == 403


def test_checksums_and_tags(s3, pair, post):
    tagging = "<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>"
    fields = {"key": "k", "tagging": tagging, "x-amz-checksum-crc64nvme": text("crc64nvme", b"hello")}
    conditions = [["starts-with", "$key", ""], ["starts-with", "$tagging", ""]]
    assert post(signed(pair, fields, conditions))[0] == 204
    assert s3.get_object_tagging(Bucket="open", Key="k")["TagSet"] == [{"Key": "a", "Value": "1"}]
    told = s3.head_object(Bucket="open", Key="k", ChecksumMode="ENABLED")
    assert told["ChecksumCRC64NVME"] == fields["x-amz-checksum-crc64nvme"]
    assert "BadDigest" in post(signed(pair, fields, conditions), ("f", b"other"))[2]
    assert "MalformedXML" in post(signed(pair, fields | {"tagging": "<"}, conditions))[2]


def test_back_to_the_page(pair, post):
    fields = {"key": "k", "success_action_redirect": "https://page.example/?a=b"}
    status, headers, _ = post(signed(pair, fields, [{"key": "k"}, ["starts-with", "$success_action_redirect", ""]]))
    etag = hashlib.md5(b"hello").hexdigest()
    assert status == 303
    assert headers["location"] == f"https://page.example/?a=b&bucket=open&key=k&etag=%22{etag}%22"
    fields["success_action_redirect"] = "javascript:alert(1)"
    answer = post(signed(pair, fields, [{"key": "k"}, ["starts-with", "$success_action_redirect", ""]]))
    assert answer[0] == 204 and "page" not in answer[1]["location"]


ANY_KEY = ["starts-with", "$key", ""]


@pytest.mark.parametrize(
    ("conditions", "code"),
    [
        ([{"key": "other"}], "AccessDenied"),
        ([["eq", "$key", "K"]], "AccessDenied"),
        ([["starts-with", "$key", "x"]], "AccessDenied"),
        ([], "AccessDenied"),
        ([ANY_KEY, {"bucket": "other"}], "AccessDenied"),
        ([ANY_KEY, {"acl": "private"}], "AccessDenied"),
        ([ANY_KEY, ["content-length-range", 0, 4]], "EntityTooLarge"),
        ([ANY_KEY, ["content-length-range", 6, 100]], "EntityTooSmall"),
        ([ANY_KEY, ["content-length-range", 6]], "InvalidPolicyDocument"),
        ([ANY_KEY, ["content-length-range", -1, 6]], "InvalidPolicyDocument"),
        ([ANY_KEY, {}], "InvalidPolicyDocument"),
        ([ANY_KEY, ["ends-with", "$key", ""]], "InvalidPolicyDocument"),
        ([ANY_KEY, ["eq", "key", ""]], "InvalidPolicyDocument"),
        ([ANY_KEY, {"key": 7}], "InvalidPolicyDocument"),
        (None, "InvalidPolicyDocument"),
    ],
)
def test_conditions(s3, pair, post, conditions, code):
    status, _, page = post(signed(pair, {"key": "k"}, conditions))
    assert f"<Code>{code}</Code>" in page and status == (403 if code == "AccessDenied" else 400)
    assert "Contents" not in s3.list_objects_v2(Bucket="open")


@pytest.mark.parametrize(
    "document",
    [{}, [], {"conditions": []}, {"Expiration": "2999-01-01T00:00:00Z", "conditions": []},
     {"expiration": "2999-01-01", "conditions": []}, {"expiration": "2999-01-01T00:00:00Z", "CONDITIONS": []}],
)  # fmt: skip
def test_documents(pair, post, document):
    assert "InvalidPolicyDocument" in post(signed(pair, {"key": "k"}, [], document=document))[2]


def test_signatures(cloud, pair, post):
    good = signed(pair, {"key": "k"}, [ANY_KEY])
    assert "Policy expired" in post(signed(pair, {"key": "k"}, [ANY_KEY], seconds=-1))[2]
    assert "SignatureDoesNotMatch" in post(good | {"signature": "x"})[2]
    assert "InvalidAccessKeyId" in post(good | {"AWSAccessKeyId": "none"})[2]
    for left_out in ("signature", "policy", "AWSAccessKeyId"):
        answer = post({name: value for name, value in good.items() if name != left_out})
        assert answer[0] == 400 and "InvalidArgument" in answer[2], left_out
    stranger = cloud.new_pair(cloud.log_in("admin"))
    assert "AccessDenied" in post(signed(stranger, {"key": "k"}, [ANY_KEY]))[2]
    v4 = {"x-amz-signature": "x", "x-amz-credential": "a/b", "x-amz-algorithm": "AWS4-HMAC-SHA256"}
    assert "InvalidArgument" in post({"key": "k", "policy": "x", **v4})[2]


def test_what_is_no_form(pair, post, s3):
    good = signed(pair, {"key": "k"}, [ANY_KEY])
    assert "IncorrectNumberOfFilesInPostRequest" in post(good, None)[2]
    assert "InvalidArgument" in post({"x": "y"})[2]
    assert "MaxPostPreDataLengthExceededError" in post({"x": "y" * 70_000})[2]
    assert "MalformedPOSTRequest" in post({}, body=b"nonsense")[2]
    assert post({}, kind="text/plain; boundary=")[0] == 412
    whole = form(good, ("f", b"hello"))
    assert "IncompleteBody" in post({}, body=whole[: whole.index(b"hello") + 3])[2]
    assert "NoSuchBucket" in post(good, bucket="none-there")[2]
    wished = {"key": "k", "x-amz-server-side-encryption": "AES256"}
    assert (
        "NotImplemented"
        in post(signed(pair, wished, [ANY_KEY, ["starts-with", "$x-amz-server-side-encryption", ""]]))[2]
    )
    assert refused(s3.get_object, Bucket="open", Key="k") == ("NoSuchKey", 404)
