# SPDX-License-Identifier: Apache-2.0
"""Uploads in parts by Amazon's own client."""

import hashlib
import io
import os

import pytest

from altostratus.services.object_store.logic import multipart
from altostratus.services.object_store.reconcilers.waste import settle_leftovers
from tests.services.object_store.s3.test_basics import refused

pytestmark = pytest.mark.usefixtures("nothing_left")
KEY = {"Bucket": "big", "Key": "file"}


@pytest.fixture(autouse=True)
def bucket(s3, monkeypatch):
    monkeypatch.setattr(multipart, "LEAST_PART_BYTES", 5)
    s3.create_bucket(Bucket="big")


@pytest.fixture
def upload(s3):
    return {**KEY, "UploadId": s3.create_multipart_upload(**KEY, ContentType="text/x-a")["UploadId"]}


def put(s3, upload, number, data, **more):
    made = s3.upload_part(**upload, PartNumber=number, Body=data, **more)
    return {"PartNumber": number, "ETag": made["ETag"]}


def complete(s3, upload, *parts):
    return s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": list(parts)})


def test_from_parts_to_an_object(s3, upload, owner):
    second, first = put(s3, upload, 7, b"world"), put(s3, upload, 2, b"hello ")
    put(s3, upload, 9, b"not wanted")
    digests = b"".join(hashlib.md5(data).digest() for data in (b"hello ", b"world"))
    etag = f"{hashlib.md5(digests).hexdigest()}-2"
    assert complete(s3, upload, first, second)["ETag"] == complete(s3, upload, first, second)["ETag"] == f'"{etag}"'
    got = s3.get_object(**KEY)
    assert (got["Body"].read(), got["ETag"], got["ContentType"]) == (b"hello world", f'"{etag}"', "text/x-a")
    assert s3.get_object(**KEY, Range="bytes=4-7")["Body"].read() == b"o wo"
    swift = f"/object-store/v1/AUTH_{owner.project_id}/big"
    answer = owner.get(f"{swift}/file")
    assert (answer.content, answer.headers["etag"]) == (b"hello world", etag)
    assert owner.get(swift).headers["x-container-bytes-used"] == "11"
    s3.copy_object(Bucket="big", Key="copy", CopySource=KEY)
    s3.put_object(**KEY, Body=b"another")
    assert s3.get_object(Bucket="big", Key="copy")["Body"].read() == b"hello world"
    assert refused(complete, s3, upload, first, second) == ("NoSuchUpload", 404)


def test_what_is_uploaded_is_listed_and_counts(s3, upload, owner):
    put(s3, upload, 1, b"hello ")
    put(s3, upload, 1, b"hello, ")
    put(s3, upload, 2, b"x")
    assert owner.get(f"/object-store/v1/AUTH_{owner.project_id}/big").headers["x-container-bytes-used"] == "8"
    listed = s3.list_parts(**upload)["Parts"]
    assert [(part["PartNumber"], part["Size"]) for part in listed] == [(1, 7), (2, 1)]
    page = s3.list_parts(**upload, MaxParts=1)
    assert page["IsTruncated"] and page["NextPartNumberMarker"] == 1
    other = s3.create_multipart_upload(Bucket="big", Key="file")["UploadId"]
    pages = s3.get_paginator("list_multipart_uploads").paginate(Bucket="big", PaginationConfig={"PageSize": 1})
    found = [item["UploadId"] for page in pages for item in page["Uploads"]]
    assert found == sorted([upload["UploadId"], other])
    s3.abort_multipart_upload(**upload)
    assert refused(s3.abort_multipart_upload, **upload) == ("NoSuchUpload", 404)
    assert refused(s3.upload_part, **upload, PartNumber=1, Body=b"late") == ("NoSuchUpload", 404)
    assert owner.get(f"/object-store/v1/AUTH_{owner.project_id}/big").headers["x-container-bytes-used"] == "0"


def test_a_bucket_takes_its_uploads_along(s3, upload):
    put(s3, upload, 1, b"hello")
    s3.delete_bucket(Bucket="big")


def test_wrong_lists_of_parts(s3, upload):
    one, two = put(s3, upload, 1, b"tiny"), put(s3, upload, 2, b"hello")
    assert refused(complete, s3, upload, two, one) == ("InvalidPartOrder", 400)
    assert refused(complete, s3, upload, one, two) == ("EntityTooSmall", 400)
    assert refused(complete, s3, upload, {**one, "ETag": two["ETag"]}) == ("InvalidPart", 400)
    assert refused(complete, s3, upload, {**one, "PartNumber": 3}) == ("InvalidPart", 400)
    assert refused(complete, s3, upload, {**one, "ChecksumSHA256": "AAAA"}) == ("InvalidPart", 400)
    assert refused(complete, s3, {**upload, "Key": "other"}, one) == ("NoSuchUpload", 404)
    assert refused(complete, s3, upload)[1] == 400
    assert refused(s3.upload_part, **upload, PartNumber=10_001, Body=b"") == ("InvalidArgument", 400)


def test_parts_that_are_copied(s3, upload):
    s3.put_object(Bucket="big", Key="source", Body=b"0123456789")
    source = {"Bucket": "big", "Key": "source"}
    parts = []
    for number, span in enumerate(("bytes=0-4", "bytes=8-9"), 1):
        made = s3.upload_part_copy(**upload, PartNumber=number, CopySource=source, CopySourceRange=span)
        parts.append({"PartNumber": number, "ETag": made["CopyPartResult"]["ETag"]})
    complete(s3, upload, *parts)
    assert s3.get_object(**KEY)["Body"].read() == b"0123489"
    wrong = refused(s3.upload_part_copy, **KEY, UploadId="none", PartNumber=1, CopySource=source)
    assert wrong == ("NoSuchUpload", 404)


def test_a_crash_between_the_part_and_its_end(cloud, s3, upload, monkeypatch):
    with monkeypatch.context() as crashing:
        crashing.setattr(cloud.store, "settle", lambda _blob_id: None)
        part = put(s3, upload, 1, b"hello")
    cloud.store.write(io.BytesIO(b"of an upload that was cut off before its row"))
    assert len(list(cloud.store.pending())) == 2
    assert settle_leftovers(cloud.cloud) == 1 and list(cloud.store.pending()) == []
    complete(s3, upload, part)
    assert s3.get_object(**KEY)["Body"].read() == b"hello"


def test_a_part_that_cannot_be_kept_leaves_nothing(cloud, s3, upload):
    cloud.store.fail_next = True
    assert refused(s3.upload_part, **upload, PartNumber=1, Body=b"x") == ("ServiceUnavailable", 503)
    wrong = {"ContentMD5": "CY9rzUYh03PK3k6DJie09g=="}
    assert refused(s3.upload_part, **upload, PartNumber=1, Body=b"x", **wrong) == ("BadDigest", 400)
    assert "Parts" not in s3.list_parts(**upload)


def test_big_files_by_the_usual_way(s3, tmp_path):
    data = os.urandom(17 * 1024 * 1024)
    s3.upload_fileobj(io.BytesIO(data), "big", "file")
    assert s3.head_object(**KEY)["ETag"].endswith('-3"')
    s3.download_file("big", "file", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == data
