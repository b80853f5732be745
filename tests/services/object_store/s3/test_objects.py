# SPDX-License-Identifier: Apache-2.0
"""Ranges, conditions, copies, checksums, tags, and what is refused."""

import pytest

from altostratus.services.object_store.s3 import xml
from tests.services.object_store.s3.test_basics import keys, refused

pytestmark = pytest.mark.usefixtures("nothing_left")
KEY = {"Bucket": "shop", "Key": "o"}


@pytest.fixture(autouse=True)
def bucket(s3):
    s3.create_bucket(Bucket="shop")
    s3.put_object(**KEY, Body=b"0123456789", Metadata={"a": "1"}, ContentType="text/x-a", Tagging="t=1&u=%26")


@pytest.mark.parametrize(
    ("asked", "data"), [("bytes=0-2", b"012"), ("bytes=8-", b"89"), ("bytes=-3", b"789"), ("bytes=0-1,4-5", None)]
)
def test_ranges(s3, asked, data):
    got = s3.get_object(**KEY, Range=asked)
    assert got["Body"].read() == (data or b"0123456789")
    assert ("ContentRange" in got) == (data is not None)
    assert refused(s3.get_object, **KEY, Range="bytes=10-") == ("InvalidRange", 416)


def test_conditions(s3):
    etag = s3.head_object(**KEY)["ETag"]
    assert refused(s3.get_object, **KEY, IfNoneMatch=etag) == ("304", 304)
    assert refused(s3.get_object, **KEY, IfMatch='"x"') == ("PreconditionFailed", 412)
    assert refused(s3.put_object, **KEY, Body=b"x", IfNoneMatch="*") == ("PreconditionFailed", 412)
    assert refused(s3.put_object, **KEY, Body=b"x", IfMatch='"x"') == ("PreconditionFailed", 412)
    assert refused(s3.put_object, Bucket="shop", Key="none", Body=b"x", IfMatch=etag) == ("NoSuchKey", 404)
    s3.put_object(**KEY, Body=b"new", IfMatch=etag)
    assert s3.get_object(**KEY, IfMatch=s3.head_object(**KEY)["ETag"])["Body"].read() == b"new"


def test_copies(s3):
    copy = {"Bucket": "shop", "Key": "a copy/é"}
    made = s3.copy_object(**copy, CopySource=KEY)
    assert made["CopyObjectResult"]["ETag"] == s3.head_object(**KEY)["ETag"]
    got = s3.get_object(**copy)
    assert (got["Body"].read(), got["Metadata"], got["ContentType"]) == (b"0123456789", {"a": "1"}, "text/x-a")
    assert got["TagCount"] == 2
    s3.copy_object(**KEY, CopySource=copy, Metadata={"b": "2"}, MetadataDirective="REPLACE", TaggingDirective="REPLACE")
    got = s3.get_object(**KEY)
    assert (got["Metadata"], got["ContentType"], "TagCount" in got) == ({"b": "2"}, "binary/octet-stream", False)
    assert refused(s3.copy_object, **KEY, CopySource=KEY) == ("InvalidRequest", 400)
    assert refused(s3.copy_object, **KEY, CopySource="shop/none") == ("NoSuchKey", 404)
    assert refused(s3.copy_object, **KEY, CopySource="none-there/o") == ("NoSuchBucket", 404)
    assert refused(s3.copy_object, **copy, CopySource=KEY, CopySourceIfMatch='"x"') == ("PreconditionFailed", 412)
    assert refused(s3.copy_object, **copy, CopySource="shop") == ("InvalidArgument", 400)


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_checksums(s3, algorithm):
    made = s3.put_object(**KEY, Body=b"data", ChecksumAlgorithm=algorithm)[f"Checksum{algorithm}"]
    assert s3.get_object(**KEY, ChecksumMode="ENABLED")[f"Checksum{algorithm}"] == made
    wrong = {f"Checksum{algorithm}": made[::-1].lstrip("=") + "=" * made.count("=")}
    assert refused(s3.put_object, **KEY, Body=b"data", **wrong) == ("BadDigest", 400)
    upload = {**KEY, "UploadId": s3.create_multipart_upload(**KEY, ChecksumAlgorithm=algorithm)["UploadId"]}
    part = s3.upload_part(**upload, PartNumber=1, Body=b"data", ChecksumAlgorithm=algorithm)
    parts = [{"PartNumber": 1, "ETag": part["ETag"], f"Checksum{algorithm}": part[f"Checksum{algorithm}"]}]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert s3.get_object(**KEY, ChecksumMode="ENABLED")["Body"].read() == b"data"


def test_a_checksum_ends_with_its_object(s3, owner):
    owner.put(f"/object-store/v1/AUTH_{owner.project_id}/shop/o", b"by swift")
    got = s3.get_object(**KEY, ChecksumMode="ENABLED")
    assert got["Body"].read() == b"by swift" and "ChecksumCRC32" not in got and "TagCount" not in got


def test_tags(s3):
    tags = [{"Key": "t", "Value": "1"}, {"Key": "u", "Value": "&"}]
    assert s3.get_object_tagging(**KEY)["TagSet"] == tags
    s3.put_object_tagging(**KEY, Tagging={"TagSet": tags[1:]})
    assert s3.get_object_tagging(**KEY)["TagSet"] == tags[1:]
    s3.delete_object_tagging(**KEY)
    assert s3.get_object_tagging(**KEY)["TagSet"] == []
    assert refused(s3.put_object_tagging, **KEY, Tagging={"TagSet": tags * 6}) == ("InvalidTag", 400)
    assert refused(s3.get_object_tagging, Bucket="shop", Key="none") == ("NoSuchKey", 404)
    assert s3.get_object(**KEY)["Body"].read() == b"0123456789"


def test_one_of_many_that_cannot_go(s3, owner):
    s3.create_bucket(Bucket="older")
    owner.post(f"/object-store/v1/AUTH_{owner.project_id}/shop", headers={"X-History-Location": "older"})
    s3.delete_bucket(Bucket="older")
    done = s3.delete_objects(Bucket="shop", Delete={"Objects": [{"Key": "none"}, {"Key": "o"}]})
    assert [item["Key"] for item in done["Deleted"]] == ["none"]
    assert [(item["Key"], item["Code"]) for item in done["Errors"]] == [("o", "PreconditionFailed")]
    assert keys(s3.list_objects_v2(Bucket="shop")) == ["o"]


def test_deleting_many(s3):
    for number in range(5):
        s3.put_object(Bucket="shop", Key=f"<{number}>&", Body=b"x")
    objects = [{"Key": f"<{number}>&"} for number in range(4)] + [{"Key": "none"}]
    done = s3.delete_objects(Bucket="shop", Delete={"Objects": objects})
    assert len(done["Deleted"]) == 5 and "Errors" not in done
    assert keys(s3.list_objects_v2(Bucket="shop")) == ["<4>&", "o"]
    assert "Deleted" not in s3.delete_objects(Bucket="shop", Delete={"Objects": objects, "Quiet": True})
    many = [{"Key": str(number)} for number in range(1001)]
    assert refused(s3.delete_objects, Bucket="shop", Delete={"Objects": many}) == ("MalformedXML", 400)


@pytest.mark.parametrize(
    "more",
    [
        {"ServerSideEncryption": "AES256"},
        {"WebsiteRedirectLocation": "/x"},
        {"ObjectLockLegalHoldStatus": "ON", "ContentMD5": "CY9rzUYh03PK3k6DJie09g=="},
        {"IfNoneMatch": '"x"'},
    ],
)
def test_wishes_that_would_not_come_true(s3, more):
    assert refused(s3.put_object, Bucket="shop", Key="x", Body=b"test", **more) == ("NotImplemented", 501)
    assert keys(s3.list_objects_v2(Bucket="shop")) == ["o"]


@pytest.mark.parametrize("more", [{"ACL": "public-read"}, {"GrantRead": "id=x"}])
def test_lists_that_objects_do_not_have(s3, more):
    wrong = refused(s3.put_object, Bucket="shop", Key="x", Body=b"test", **more)
    assert wrong == ("AccessControlListNotSupported", 400)
    assert keys(s3.list_objects_v2(Bucket="shop")) == ["o"]


def test_what_is_not_offered_says_so(s3):
    assert refused(s3.get_bucket_policy, Bucket="shop") == ("NoSuchBucketPolicy", 404)
    assert refused(s3.get_bucket_cors, Bucket="shop")[0] == "NoSuchCORSConfiguration"
    assert refused(s3.get_object, **KEY, VersionId="abc") == ("NoSuchVersion", 404)
    assert refused(s3.put_object, **KEY, Body=b"", StorageClass="GLACIER") == ("InvalidStorageClass", 400)
    assert refused(s3.put_object, **KEY, Body=b"", Metadata={"a": "x" * 2049}) == ("MetadataTooLarge", 400)
    assert refused(s3.put_object, Bucket="shop", Key="x" * 1025, Body=b"") == ("KeyTooLongError", 400)


def test_quotas(s3, owner):
    owner.post(f"/object-store/v1/AUTH_{owner.project_id}/shop", headers={"X-Container-Meta-Quota-Bytes": "12"})
    assert refused(s3.put_object, Bucket="shop", Key="x", Body=b"123") == ("QuotaExceeded", 403)
    s3.put_object(Bucket="shop", Key="x", Body=b"12")
    upload = s3.create_multipart_upload(**KEY)["UploadId"]
    assert refused(s3.upload_part, **KEY, UploadId=upload, PartNumber=1, Body=b"x") == ("QuotaExceeded", 403)


def test_a_full_store(cloud, s3):
    cloud.store.capacity_bytes = 10
    assert refused(s3.put_object, Bucket="shop", Key="x", Body=b"123") == ("InsufficientStorage", 507)


def test_versions_kept_by_swift_have_their_parts(s3, owner):
    base = f"/object-store/v1/AUTH_{owner.project_id}"
    s3.create_bucket(Bucket="older")
    owner.post(f"{base}/shop", headers={"X-Versions-Location": "older"})
    upload = {**KEY, "UploadId": s3.create_multipart_upload(**KEY)["UploadId"]}
    etag = s3.upload_part(**upload, PartNumber=1, Body=b"in parts")["ETag"]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    s3.put_object(**KEY, Body=b"newest")
    s3.delete_object(**KEY)
    assert s3.get_object(**KEY)["Body"].read() == b"in parts"
    s3.delete_object(**KEY)
    s3.delete_object(**KEY)
    assert keys(s3.list_objects_v2(Bucket="shop")) == keys(s3.list_objects_v2(Bucket="older")) == []


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<Delete>",
        b"<Other/>",
        b"\xff\xfe<\x00D\x00",
        b'<!DOCTYPE D [<!ENTITY a "x">]><Delete><Object><Key>&a;</Key></Object></Delete>',
        b"<Delete>&b;</Delete>",
    ],
)
def test_xml_that_is_none(text):
    with pytest.raises(ValueError):
        xml.parse(text, "Delete")


def test_links_of_swift_are_followed(s3, owner):
    base = f"/object-store/v1/AUTH_{owner.project_id}"
    empty = {"Content-Length": "0"}
    for name, target in (("far", "shop/near"), ("near", "shop/o"), ("lost", "shop/none"), ("loop", "shop/loop2")):
        owner.put(f"{base}/shop/{name}", b"", headers=empty | {"X-Symlink-Target": target})
    owner.put(f"{base}/shop/loop2", b"", headers=empty | {"X-Symlink-Target": "shop/loop"})
    got = s3.get_object(Bucket="shop", Key="far")
    assert (got["Body"].read(), got["ETag"], got["Metadata"]) == (
        b"0123456789",
        s3.head_object(**KEY)["ETag"],
        {"a": "1"},
    )
    assert s3.get_object(Bucket="shop", Key="far", Range="bytes=1-2")["Body"].read() == b"12"
    s3.copy_object(Bucket="shop", Key="copy", CopySource="shop/near")
    assert s3.get_object(Bucket="shop", Key="copy")["Body"].read() == b"0123456789"
    assert refused(s3.get_object, Bucket="shop", Key="lost") == ("NoSuchKey", 404)
    assert refused(s3.get_object, Bucket="shop", Key="loop") == ("OperationAborted", 409)
    s3.delete_object(Bucket="shop", Key="near")
    assert refused(s3.get_object, Bucket="shop", Key="far") == ("NoSuchKey", 404)
    assert s3.get_object(**KEY)["Body"].read() == b"0123456789"
