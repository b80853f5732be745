# SPDX-License-Identifier: Apache-2.0
"""A download of an object of several parts broke off where the object was replaced or deleted meanwhile."""

import time

import pytest

from altostratus.kernel.resource.call import Call
from altostratus.services.object_store.api.readers import BlobReaders, lasting_bytes_of
from altostratus.services.object_store.logic import multipart
from altostratus.services.object_store.logic.contents import Span
from altostratus.services.object_store.reconcilers.orphans import remove_orphans
from altostratus.services.object_store.reconcilers.waste import remove_waste
from altostratus.services.object_store.service import SERVICE

pytestmark = pytest.mark.usefixtures("nothing_left")
KEY = {"Bucket": "big", "Key": "file"}
PARTS = [b"first ", b"second ", b"third"]
WHOLE = b"".join(PARTS)


@pytest.fixture(autouse=True)
def file(s3, monkeypatch):
    monkeypatch.setattr(multipart, "LEAST_PART_BYTES", 5)
    s3.create_bucket(Bucket="big")
    upload = {**KEY, "UploadId": s3.create_multipart_upload(**KEY)["UploadId"]}
    sent = [(number, s3.upload_part(**upload, PartNumber=number, Body=data)) for number, data in enumerate(PARTS, 1)]
    parts = [{"PartNumber": number, "ETag": made["ETag"]} for number, made in sent]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})


def meanwhile(cloud, monkeypatch, at, work):
    """`work` is done before the blob that is read as number `at`, and waste goes."""
    read = cloud.store.read
    reads: list[object] = []

    def interrupted(*words):
        reads.append(words)
        if len(reads) == at:
            work()
            remove_waste(cloud.cloud)
            remove_orphans(cloud.cloud, older_than_s=0.0)
        return read(*words)

    monkeypatch.setattr(cloud.store, "read", interrupted)


def wait_for_the_end_of_readers(cloud):
    """The client has its last byte a moment before the server is done."""
    blob_ids = list(cloud.store.blob_ids())
    deadline = time.monotonic() + 10
    while cloud.cloud.part(BlobReaders).unread(blob_ids) != blob_ids:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("at", [2, 3])
@pytest.mark.parametrize("by", ["put_object", "delete_object"])
def test_the_reader_gets_all_of_it(cloud, s3, monkeypatch, at, by):
    meanwhile(cloud, monkeypatch, at, lambda: getattr(s3, by)(**KEY))
    assert s3.get_object(**KEY)["Body"].read() == WHOLE
    wait_for_the_end_of_readers(cloud)


def test_a_copy_gets_all_of_it(cloud, s3, monkeypatch):
    meanwhile(cloud, monkeypatch, 2, lambda: s3.delete_object(**KEY))
    s3.copy_object(Bucket="big", Key="copy", CopySource=KEY)
    assert s3.get_object(Bucket="big", Key="copy")["Body"].read() == WHOLE


def test_who_comes_too_late_gets_the_new_one(cloud, s3, monkeypatch):
    meanwhile(cloud, monkeypatch, 1, lambda: s3.put_object(**KEY, Body=b"new"))
    assert s3.get_object(**KEY)["Body"].read() == b"new"


def test_what_goes_between_row_and_first_bytes_is_looked_up_again(cloud, s3, monkeypatch):
    """The first blob is open, the others are gone before it is known that somebody reads them."""
    read = cloud.store.read
    turns: list[object] = []

    def overtaken(*words):
        data = read(*words)
        if not turns:
            turns.append(s3.put_object(**KEY, Body=b"new"))
            remove_waste(cloud.cloud)
        return data

    monkeypatch.setattr(cloud.store, "read", overtaken)
    assert s3.get_object(**KEY)["Body"].read() == b"new"


@pytest.mark.parametrize("taken", [0, 1])
def test_who_goes_away_keeps_nothing(cloud, taken):
    blob_ids = list(cloud.store.blob_ids())
    spans = tuple(Span(blob_id, 0, 3) for blob_id in blob_ids)
    data = lasting_bytes_of(Call(cloud.cloud, SERVICE, next(SERVICE.operations())), spans, 0, 9)
    assert cloud.cloud.part(BlobReaders).unread(blob_ids) == []
    for _ in range(taken):
        assert len(next(iter(data))) == 3
    del data
    assert cloud.cloud.part(BlobReaders).unread(blob_ids) == blob_ids
