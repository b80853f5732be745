# SPDX-License-Identifier: Apache-2.0
"""Checksums of all kinds: of objects, of parts, and of what parts become; reading part by part."""

import base64
import hashlib
import zlib
from collections.abc import Callable
from functools import partial

import anycrc
import pytest

from altostratus.services.object_store.logic import checksums, multipart
from tests.services.object_store.s3.signing import Sender
from tests.services.object_store.s3.test_basics import refused

pytestmark = pytest.mark.usefixtures("nothing_left")
KEY = {"Bucket": "sums", "Key": "o"}
ONE, TWO = b"hello ", b"world"


def digest_of(name, data):
    return hashlib.new(name, data).digest()


MADE_BY: dict[str, Callable[[bytes], bytes]] = {
    "crc32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "crc32c": lambda data: anycrc.Model("CRC32C").calc(data).to_bytes(4, "big"),
    "crc64nvme": lambda data: anycrc.Model("CRC64-NVME").calc(data).to_bytes(8, "big"),
    **{name: partial(digest_of, name) for name in ("sha1", "sha256", "sha512", "md5")},
}
FULL, COMPOSITE = "FULL_OBJECT", "COMPOSITE"


def text(algorithm, data):
    return base64.b64encode(MADE_BY[algorithm](data)).decode()


def member(algorithm):
    return f"Checksum{algorithm.upper()}"


@pytest.fixture(autouse=True)
def bucket(s3, monkeypatch):
    monkeypatch.setattr(multipart, "LEAST_PART_BYTES", 5)
    s3.create_bucket(Bucket="sums")


def test_the_usual_test_vectors():
    known = {"crc32": "cbf43926", "crc32c": "e3069283", "crc64nvme": "ae8b14860a799888"}
    for algorithm, value in known.items():
        one = checksums.new_hash(algorithm)
        one.update(b"1234")
        one.update(b"56789")
        assert one.digest().hex() == value


@pytest.mark.parametrize("algorithm", MADE_BY)
def test_of_an_object(s3, algorithm):
    name, value = member(algorithm), text(algorithm, b"data")
    made = s3.put_object(**KEY, Body=b"data", **{name: value})
    assert (made[name], made["ChecksumType"]) == (value, FULL)
    assert name not in s3.head_object(**KEY)
    told = s3.head_object(**KEY, ChecksumMode="ENABLED")
    assert (told[name], told["ChecksumType"]) == (value, FULL)
    assert name not in s3.get_object(**KEY, ChecksumMode="ENABLED", Range="bytes=0-1")
    wrong = {name: text(algorithm, b"other")}
    assert refused(s3.put_object, **KEY, Body=b"data", **wrong) == ("BadDigest", 400)
    copied = s3.copy_object(Bucket="sums", Key="copy", CopySource=KEY)["CopyObjectResult"]
    assert copied[name] == value


@pytest.mark.parametrize("algorithm", ["crc32c", "crc64nvme", "sha512"])
@pytest.mark.parametrize("signed", [True, False])
def test_behind_the_body(cloud, pair, s3, algorithm, signed):
    sender = Sender(cloud.address, pair, "sums")
    trailer = (f"x-amz-checksum-{algorithm}", text(algorithm, ONE + TWO))
    status, answer = sender.put("o", [ONE, TWO], trailer=trailer, signed=signed)
    assert status == 200, answer
    assert s3.head_object(**KEY, ChecksumMode="ENABLED")[member(algorithm)] == trailer[1]
    trailer = (trailer[0], text(algorithm, b"other"))
    assert "BadDigest" in sender.put("o", [ONE, TWO], trailer=trailer, signed=signed)[1]


def test_an_algorithm_that_is_not_known(cloud, pair):
    sender = Sender(cloud.address, pair, "sums")
    status, answer = sender.put("o", [ONE], trailer=("x-amz-checksum-xxhash3", "AAAAAAAAAAA="))
    assert status == 501 and "CRC64NVME" in answer


def upload_of(s3, algorithm, kind="", **said):
    """Two parts and their completion; kind: asked for."""
    more = {"ChecksumType": kind} if kind else {}
    began = s3.create_multipart_upload(**KEY, ChecksumAlgorithm=algorithm.upper(), **more)
    upload = {**KEY, "UploadId": began["UploadId"]}
    parts = []
    for number, data in enumerate((ONE, TWO), 1):
        value = {member(algorithm): text(algorithm, data)}
        made = s3.upload_part(**upload, PartNumber=number, Body=data, **value)
        parts.append({"PartNumber": number, "ETag": made["ETag"], **value})
    listed = s3.list_parts(**upload)
    assert [part[member(algorithm)] for part in listed["Parts"]] == [part[member(algorithm)] for part in parts]
    assert (listed["ChecksumAlgorithm"], listed["ChecksumType"]) == (algorithm.upper(), began["ChecksumType"])
    return lambda **more: s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, **said, **more)


@pytest.mark.parametrize(
    ("algorithm", "asked", "kind"),
    [
        ("crc32", "", COMPOSITE),
        ("crc32", FULL, FULL),
        ("crc32c", COMPOSITE, COMPOSITE),
        ("crc32c", FULL, FULL),
        ("crc64nvme", "", FULL),
        ("sha1", "", COMPOSITE),
        ("sha256", COMPOSITE, COMPOSITE),
    ],
)
def test_of_parts(s3, algorithm, asked, kind):
    complete, name = upload_of(s3, algorithm, asked), member(algorithm)
    value = text(algorithm, ONE + TWO)
    if kind == COMPOSITE:
        value = text(algorithm, MADE_BY[algorithm](ONE) + MADE_BY[algorithm](TWO)) + "-2"
    assert refused(complete, **{name: text(algorithm, ONE)}) == ("BadDigest", 400)
    assert refused(complete, MpuObjectSize=12) == ("InvalidRequest", 400)
    assert refused(complete, ChecksumType=FULL if kind == COMPOSITE else COMPOSITE) == ("InvalidRequest", 400)
    done = complete(**{name: value}, ChecksumType=kind, MpuObjectSize=11)
    again = complete(**{name: value}, ChecksumType=kind)
    assert (done[name], done["ChecksumType"]) == (again[name], again["ChecksumType"]) == (value, kind)
    told = s3.head_object(**KEY, ChecksumMode="ENABLED")
    assert (told[name], told["ChecksumType"]) == (value, kind)
    listed = s3.list_objects_v2(Bucket="sums")["Contents"][0]
    assert (listed["ChecksumAlgorithm"], listed["ChecksumType"]) == ([algorithm.upper()], kind)
    assert s3.get_object(**KEY, ChecksumMode="ENABLED")["Body"].read() == ONE + TWO
    assert s3.copy_object(Bucket="sums", Key="c", CopySource=KEY)["CopyObjectResult"][name] == text(
        algorithm, ONE + TWO
    )


@pytest.mark.parametrize(
    ("algorithm", "kind", "code"),
    [
        ("CRC64NVME", COMPOSITE, "InvalidRequest"),
        ("SHA256", FULL, "InvalidRequest"),
        ("CRC32", "HALF", "InvalidRequest"),
        ("XXHASH3", COMPOSITE, "NotImplemented"),
    ],
)
def test_uploads_that_cannot_be(s3, algorithm, kind, code):
    wanted = {"ChecksumAlgorithm": algorithm, "ChecksumType": kind}
    assert refused(s3.create_multipart_upload, **KEY, **wanted)[0] == code


def test_parts_that_came_without_the_checksum_are_summed_up_here(s3):
    s3.put_object(Bucket="sums", Key="source", Body=b"the " + ONE)
    wanted = {"ChecksumAlgorithm": "CRC64NVME", "ChecksumType": FULL}
    upload = {**KEY, "UploadId": s3.create_multipart_upload(**KEY, **wanted)["UploadId"]}
    copied = s3.upload_part_copy(**upload, PartNumber=1, CopySource="sums/source", CopySourceRange="bytes=4-9")
    assert copied["CopyPartResult"]["ChecksumCRC64NVME"] == text("crc64nvme", ONE)
    sent = s3.upload_part(**upload, PartNumber=2, Body=TWO)
    parts = [{"PartNumber": 1, "ETag": copied["CopyPartResult"]["ETag"]}, {"PartNumber": 2, "ETag": sent["ETag"]}]
    done = s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert done["ChecksumCRC64NVME"] == text("crc64nvme", ONE + TWO)


def test_attributes(s3):
    etag = upload_of(s3, "crc64nvme")()["ETag"]
    names = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
    told = s3.get_object_attributes(**KEY, ObjectAttributes=names)
    assert (told["ETag"], told["StorageClass"], told["ObjectSize"]) == (etag.strip('"'), "STANDARD", 11)
    assert told["Checksum"] == {"ChecksumCRC64NVME": text("crc64nvme", ONE + TWO), "ChecksumType": FULL}
    parts = told["ObjectParts"]
    assert parts["TotalPartsCount"] == 2 and parts["IsTruncated"] is False
    assert [(part["PartNumber"], part["Size"]) for part in parts["Parts"]] == [(1, 6), (2, 5)]
    assert parts["Parts"][1]["ChecksumCRC64NVME"] == text("crc64nvme", TWO)
    page = s3.get_object_attributes(**KEY, ObjectAttributes=["ObjectParts"], MaxParts=1)
    assert page["ObjectParts"]["IsTruncated"] and page["ObjectParts"]["NextPartNumberMarker"] == 1
    assert "ETag" not in page and "ObjectSize" not in page
    page = s3.get_object_attributes(**KEY, ObjectAttributes=["ObjectParts"], PartNumberMarker=1)
    assert [part["PartNumber"] for part in page["ObjectParts"]["Parts"]] == [2]
    s3.put_object(**KEY, Body=b"in one piece")
    assert "ObjectParts" not in s3.get_object_attributes(**KEY, ObjectAttributes=names)
    assert refused(s3.get_object_attributes, **KEY, ObjectAttributes=["Color"]) == ("InvalidArgument", 400)
    assert refused(s3.get_object_attributes, Bucket="sums", Key="none", ObjectAttributes=names)[0] == "NoSuchKey"


def test_reading_part_by_part(s3):
    upload_of(s3, "sha256")()
    second = s3.get_object(**KEY, PartNumber=2, ChecksumMode="ENABLED")
    assert (second["Body"].read(), second["PartsCount"], second["ContentRange"]) == (TWO, 2, "bytes 6-10/11")
    assert (second["ChecksumSHA256"], second["ChecksumType"]) == (text("sha256", TWO), COMPOSITE)
    assert s3.head_object(**KEY, PartNumber=1)["ContentLength"] == 6
    assert refused(s3.get_object, **KEY, PartNumber=3) == ("InvalidPartNumber", 416)
    assert refused(s3.get_object, **KEY, PartNumber=0) == ("InvalidArgument", 400)
    assert refused(s3.get_object, **KEY, PartNumber=1, Range="bytes=0-1") == ("InvalidRequest", 400)
    s3.put_object(**KEY, Body=b"one")
    whole = s3.get_object(**KEY, PartNumber=1)
    assert (whole["Body"].read(), whole["ContentRange"], "PartsCount" in whole) == (b"one", "bytes 0-2/3", False)
    assert refused(s3.get_object, **KEY, PartNumber=2) == ("InvalidPartNumber", 416)
    s3.put_object(**KEY, Body=b"")
    assert s3.get_object(**KEY, PartNumber=1)["Body"].read() == b""
