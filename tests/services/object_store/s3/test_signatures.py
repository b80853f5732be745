# SPDX-License-Identifier: Apache-2.0
"""Who is let in: all kinds of signatures, wrong ones, and what changes after they were made."""

import base64
import zlib
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from botocore import UNSIGNED

from altostratus.kernel import clock
from tests.services.object_store.s3.signing import Sender
from tests.services.object_store.s3.test_basics import refused

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture(autouse=True)
def bucket(s3):
    s3.create_bucket(Bucket="shop")
    s3.put_object(Bucket="shop", Key="a b/c", Body=b"data")


def fetch(address, method="GET", data=None, **headers):
    """(status, body)"""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urlopen(Request(address, data, named, method=method)) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_versions_4_and_2(cloud, pair, version):
    s3 = cloud.s3(pair, signature_version=version)
    s3.put_object(Bucket="shop", Key="x y/z+", Body=b"more", Metadata={"a": "1"})
    assert s3.get_object(Bucket="shop", Key="x y/z+")["Body"].read() == b"more"
    assert len(s3.list_objects_v2(Bucket="shop", Prefix="x y")["Contents"]) == 1
    s3.delete_objects(Bucket="shop", Delete={"Objects": [{"Key": "x y/z+"}]})
    wrong = cloud.s3((pair[0], "wrong"), signature_version=version)
    assert refused(wrong.list_buckets) == ("SignatureDoesNotMatch", 403)
    assert refused(cloud.s3(("none", "x"), signature_version=version).list_buckets) == ("InvalidAccessKeyId", 403)


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_presigned_addresses(cloud, pair, version, monkeypatch):
    s3 = cloud.s3(pair, signature_version=version)
    what = {"Bucket": "shop", "Key": "a b/c"}
    address = s3.generate_presigned_url("get_object", what | {"ResponseContentType": "text/x"}, ExpiresIn=60)
    assert fetch(address) == (200, b"data")
    assert fetch(address.replace("text%2Fx", "text%2Fy"))[0] == 403
    assert fetch(address, "DELETE")[0] == 403
    upload = s3.generate_presigned_url("put_object", {"Bucket": "shop", "Key": "new"}, ExpiresIn=60)
    assert fetch(upload, "PUT", b"sent", Content_Type="")[0] == 200
    assert s3.get_object(Bucket="shop", Key="new")["Body"].read() == b"sent"
    later = clock.unix() + 100
    monkeypatch.setattr("altostratus.kernel.clock.unix", lambda: later)
    status, body = fetch(address)
    assert status == 403 and b"Request has expired" in body


def test_clocks_that_are_wrong(s3, monkeypatch):
    later = clock.unix() + 16 * 60
    monkeypatch.setattr("altostratus.kernel.clock.unix", lambda: later)
    assert refused(s3.list_buckets) == ("RequestTimeTooSkewed", 403)


def test_headers_that_are_not_signed(s3):
    address = s3.generate_presigned_url("put_object", {"Bucket": "shop", "Key": "new"})
    status, body = fetch(address, "PUT", b"x", x_amz_meta_evil="1", Content_Type="")
    assert status == 403 and b"x-amz-meta-evil" in body


def test_a_deleted_pair_is_void_at_once(cloud, owner, pair, s3):
    s3.list_buckets()
    path = f"/identity/v3/users/{cloud.user_ids[owner.project_id]}/credentials/OS-EC2/{pair[0]}"
    assert owner.delete(path).status == 204
    assert refused(s3.list_buckets) == ("InvalidAccessKeyId", 403)


def test_a_disabled_user_is_out_at_once(cloud, owner, s3):
    s3.list_buckets()
    admin = cloud.log_in("admin")
    user = f"/identity/v3/users/{cloud.user_ids[owner.project_id]}"
    assert admin.patch(user, {"user": {"enabled": False}}).status == 200
    assert refused(s3.list_buckets) == ("AccessDenied", 403)


def test_others_and_nobody(cloud, owner, s3):
    other = cloud.s3(cloud.new_pair(cloud.log_in("admin")))
    assert refused(other.get_object, Bucket="shop", Key="a b/c") == ("NoSuchBucket", 404)
    address = f"{cloud.address}/object-store/s3/{owner.project_id}:shop"
    assert fetch(f"{address}/a%20b/c")[0] == fetch(address)[0] == 403
    assert fetch(f"{cloud.address}/object-store/s3")[0] == fetch(f"{cloud.address}/object-store/s3/shop")[0] == 403
    s3.put_bucket_acl(Bucket="shop", ACL="public-read")
    assert fetch(f"{address}/a%20b/c") == (200, b"data") and b"a b/c" in fetch(address)[1]
    assert fetch(f"{address}/new", "PUT", b"x")[0] == fetch(f"{address}/a%20b/c", "DELETE")[0] == 403
    assert fetch(f"{address}/a%20b/c?response-content-type=text/html")[0] == 400
    grants = s3.get_bucket_acl(Bucket="shop")["Grants"]
    assert [grant["Permission"] for grant in grants] == ["FULL_CONTROL", "READ"]
    policy = s3.get_bucket_acl(Bucket="shop")
    policy = {"Owner": policy["Owner"], "Grants": policy["Grants"]}
    s3.put_bucket_acl(Bucket="shop", ACL="private")
    s3.put_bucket_acl(Bucket="shop", AccessControlPolicy=policy)
    assert fetch(f"{address}/a%20b/c") == (200, b"data")
    policy["Grants"][1]["Permission"] = "WRITE"
    assert refused(s3.put_bucket_acl, Bucket="shop", AccessControlPolicy=policy) == ("NotImplemented", 501)
    assert refused(s3.get_object_acl, Bucket="shop", Key="none") == ("NoSuchKey", 404)
    s3.put_bucket_acl(Bucket="shop", ACL="private")
    assert fetch(f"{address}/a%20b/c")[0] == 403
    unsigned = cloud.s3(None, signature_version=UNSIGNED)
    assert refused(unsigned.list_buckets) == ("AccessDenied", 403)


def crc32(data):
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


@pytest.mark.parametrize(("signed", "trailed"), [(True, True), (True, False), (False, True)])
def test_bodies_in_pieces(cloud, pair, s3, signed, trailed):
    pieces = [b"x" * 70_000, b"y" * 9, b"z"]
    sender = Sender(cloud.address, pair, "shop")
    trailer = ("x-amz-checksum-crc32", crc32(b"".join(pieces))) if trailed else None
    status, text = sender.put("pieces", pieces, trailer=trailer, signed=signed)
    assert status == 200, text
    got = s3.get_object(Bucket="shop", Key="pieces")
    assert got["Body"].read() == b"".join(pieces)
    assert "ContentEncoding" not in got and got.get("ChecksumCRC32") == (trailer[1] if trailer else None)
    assert sender.put("empty", [], trailer=(trailer[0], crc32(b"")) if trailer else None, signed=signed)[0] == 200


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"spoil": True}, "SignatureDoesNotMatch"),
        ({"spoil": True, "signed": False, "trailer": ("x-amz-checksum-crc32", crc32(b"some data"))}, "BadDigest"),
        ({"trailer": ("x-amz-checksum-crc32", "AAAAAA==")}, "BadDigest"),
        ({"trailer": ("x-amz-checksum-crc64nvme", "AAAAAA==")}, "BadDigest"),
        ({"size": 8}, "IncompleteBody"),
        ({"size": 10}, "IncompleteBody"),
        ({"size": 10**15}, "EntityTooLarge"),
    ],
)
def test_wrong_bodies_leave_nothing(cloud, pair, s3, options, code):
    _, text = Sender(cloud.address, pair, "shop").put("wrong", [b"some data"], **options)
    assert f"<Code>{code}</Code>" in text
    assert refused(s3.get_object, Bucket="shop", Key="wrong") == ("NoSuchKey", 404)


def test_a_body_that_is_not_the_signed_one(s3):
    def change(request, **_kwargs):
        request.body = b"other"

    s3.meta.events.register("before-send.s3.PutObject", change)
    assert refused(s3.put_object, Bucket="shop", Key="x", Body=b"first")[0] == "XAmzContentSHA256Mismatch"
    s3.meta.events.unregister("before-send.s3.PutObject", change)
    assert refused(s3.put_object, Bucket="shop", Key="x", Body=b"x", ContentMD5="x" * 22 + "==")[0] == "BadDigest"
    assert refused(s3.put_object, Bucket="shop", Key="x", Body=b"x", ContentMD5="short")[0] == "InvalidDigest"


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_clients_that_know_no_path_behind_the_host(cloud, pair, s3, version):
    plain = cloud.s3(pair, base="", signature_version=version)
    assert [bucket["Name"] for bucket in plain.list_buckets()["Buckets"]] == ["shop"]
    plain.put_object(Bucket="shop", Key="x y/z+", Body=b"more")
    assert s3.get_object(Bucket="shop", Key="x y/z+")["Body"].read() == b"more"
    assert fetch(plain.generate_presigned_url("get_object", {"Bucket": "shop", "Key": "x y/z+"})) == (200, b"more")
    assert fetch(f"{cloud.address}/shop/x%20y/z%2B")[0] == 404
