# SPDX-License-Identifier: Apache-2.0
"""Versions of objects by Amazon's own client, and the same versions by Swift."""

import pytest
from botocore.exceptions import ClientError
from botocore.handlers import validate_bucket_name

from altostratus.services.object_store.logic import multipart
from tests.services.object_store.s3.test_basics import keys, refused

pytestmark = pytest.mark.usefixtures("nothing_left")
KEY = {"Bucket": "kept", "Key": "o"}


def switch(s3, status, bucket="kept"):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})


@pytest.fixture(autouse=True)
def bucket(s3):
    s3.create_bucket(Bucket="kept")


@pytest.fixture
def kept(s3):
    switch(s3, "Enabled")
    return s3


def put(s3, data, **more):
    return s3.put_object(**{**KEY, **more}, Body=data).get("VersionId")


def content(s3, version=None, **more):
    named = {"VersionId": version} if version else {}
    return s3.get_object(**{**KEY, **more}, **named)["Body"].read()


def listed(s3, **asked):
    """[(key, version, is it the latest?)], markers behind the versions."""
    page = s3.list_object_versions(Bucket="kept", **asked)
    found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
    return [(item["Key"], item["VersionId"], item["IsLatest"]) for item in found]


def headers_of_refusal(call, **asked):
    with pytest.raises(ClientError) as caught:
        call(**asked)
    answer = caught.value.response["ResponseMetadata"]
    return answer["HTTPStatusCode"], answer["HTTPHeaders"]


def test_the_switch(s3):
    assert "Status" not in s3.get_bucket_versioning(Bucket="kept")
    for status in ("Enabled", "Suspended"):
        switch(s3, status)
        assert s3.get_bucket_versioning(Bucket="kept")["Status"] == status
    assert refused(switch, s3, "Perhaps")[0] == "IllegalVersioningConfigurationException"
    both = {"Status": "Enabled", "MFADelete": "Enabled"}
    wrong = refused(s3.put_bucket_versioning, Bucket="kept", VersioningConfiguration=both)
    assert wrong == ("NotImplemented", 501)
    assert refused(switch, s3, "Enabled", "none") == ("NoSuchBucket", 404)


def test_not_together_with_the_older_ways_of_swift(s3, owner):
    owner.post(f"/object-store/v1/AUTH_{owner.project_id}/kept", headers={"X-Versions-Location": "older"})
    assert refused(switch, s3, "Enabled") == ("InvalidBucketState", 409)


def test_others_may_not(s3, cloud, owner):
    other = cloud.s3(cloud.new_pair(cloud.log_in("admin")))
    other.meta.events.unregister("before-parameter-build.s3", validate_bucket_name)
    wrong = refused(switch, other, "Enabled", f"{owner.project_id}:kept")
    assert wrong == ("AccessDenied", 403)


def test_what_is_replaced_stays(kept):
    first, second = put(kept, b"1", Metadata={"a": "1"}), put(kept, b"22")
    assert listed(kept) == [("o", second, True), ("o", first, False)]
    got = kept.get_object(**KEY)
    assert (got["Body"].read(), got["VersionId"]) == (b"22", second)
    got = kept.head_object(**KEY, VersionId=first)
    assert (got["Metadata"], got["ContentLength"], got["VersionId"]) == ({"a": "1"}, 1, first)
    assert kept.get_object(**KEY, VersionId=first, Range="bytes=0-0")["ContentRange"] == "bytes 0-0/1"
    assert refused(kept.get_object, **KEY, VersionId="1234567890.12345") == ("NoSuchVersion", 404)
    assert refused(kept.get_object, **KEY, VersionId="abc") == ("NoSuchVersion", 404)
    assert refused(kept.get_object, **KEY, VersionId="null") == ("NoSuchVersion", 404)
    assert keys(kept.list_objects_v2(Bucket="kept")) == ["o"]


def test_a_marker(kept):
    first = put(kept, b"1")
    deleted = kept.delete_object(**KEY)
    marker = deleted["VersionId"]
    assert deleted["DeleteMarker"] is True
    status, headers = headers_of_refusal(kept.get_object, **KEY)
    assert (status, headers["x-amz-delete-marker"], headers["x-amz-version-id"]) == (404, "true", marker)
    status, headers = headers_of_refusal(kept.get_object, **KEY, VersionId=marker)
    assert (status, headers["x-amz-delete-marker"], headers["allow"]) == (405, "true", "DELETE")
    assert headers_of_refusal(kept.head_object, **KEY, VersionId=marker)[0] == 405
    assert refused(kept.get_object_tagging, **KEY, VersionId=marker) == ("MethodNotAllowed", 405)
    status, headers = headers_of_refusal(kept.get_object, Bucket="kept", Key="none")
    assert status == 404 and "x-amz-delete-marker" not in headers
    assert listed(kept) == [("o", first, False), ("o", marker, True)]
    assert refused(kept.delete_bucket, Bucket="kept") == ("BucketNotEmpty", 409)
    gone = kept.delete_object(**KEY, VersionId=marker)
    assert (gone["DeleteMarker"], gone["VersionId"]) == (True, marker)
    assert content(kept) == b"1"


def test_deleting_the_newest_brings_the_one_before_back(kept):
    first, second, third = (put(kept, data) for data in (b"1", b"22", b"333"))
    assert kept.delete_object(**KEY, VersionId=third)["VersionId"] == third
    assert content(kept) == b"22"
    kept.delete_object(**KEY, VersionId=first)
    assert content(kept) == b"22"
    kept.delete_object(**KEY)
    kept.delete_object(**KEY)
    markers = [version for _, version, _ in listed(kept)[1:]]
    kept.delete_object(**KEY, VersionId=markers[0])
    assert refused(kept.get_object, **KEY)[0] == "NoSuchKey"
    assert listed(kept)[-1] == ("o", markers[1], True)
    kept.delete_object(**KEY, VersionId=markers[1])
    assert content(kept) == b"22"
    kept.delete_object(**KEY, VersionId=second)
    assert listed(kept) == []
    assert kept.delete_object(**KEY, VersionId=second)["VersionId"] == second
    kept.delete_bucket(Bucket="kept")


def test_what_was_there_before_is_null(s3):
    assert "VersionId" not in s3.put_object(**KEY, Body=b"1")
    assert "VersionId" not in s3.get_object(**KEY)
    assert content(s3, "null") == b"1"
    switch(s3, "Enabled")
    assert s3.get_object(**KEY)["VersionId"] == "null"
    second = put(s3, b"22")
    assert listed(s3) == [("o", second, True), ("o", "null", False)]
    s3.delete_object(**KEY, VersionId=second)
    assert content(s3) == content(s3, "null") == b"1"
    s3.delete_object(**KEY, VersionId="null")
    assert listed(s3) == []


def test_suspended(kept):
    first = put(kept, b"1")
    switch(kept, "Suspended")
    assert put(kept, b"22") is put(kept, b"333") is None
    assert kept.head_object(**KEY)["VersionId"] == "null"
    assert listed(kept) == [("o", "null", True), ("o", first, False)]
    deleted = kept.delete_object(**KEY)
    assert (deleted["DeleteMarker"], deleted["VersionId"]) == (True, "null")
    assert kept.delete_object(**KEY)["VersionId"] == "null"
    assert listed(kept) == [("o", first, False), ("o", "null", True)]
    assert refused(kept.get_object, **KEY)[0] == "NoSuchKey"
    assert put(kept, b"4444") is None
    assert listed(kept) == [("o", "null", True), ("o", first, False)]
    switch(kept, "Enabled")
    second = put(kept, b"5")
    assert content(kept, "null") == b"4444"
    switch(kept, "Suspended")
    assert kept.delete_object(**KEY)["VersionId"] == "null"
    assert listed(kept) == [("o", second, False), ("o", first, False), ("o", "null", True)]


def test_versions_of_one_are_read_by_the_other(kept, owner):
    swift = f"/object-store/v1/AUTH_{owner.project_id}/kept"
    first = put(kept, b"1", Metadata={"a": "1"})
    second = owner.put(f"{swift}/o", b"22").headers["x-object-version-id"]
    owner.delete(f"{swift}/o")
    items = owner.get(f"{swift}?versions&format=json").json
    assert [item["version_id"] for item in items][1:] == [second, first]
    assert [version for _, version, _ in listed(kept)] == [second, first, items[0]["version_id"]]
    got = owner.get(f"{swift}/o?version-id={first}")
    assert (got.content, got.headers["x-object-meta-a"]) == (b"1", "1")
    assert content(kept, second) == b"22"
    assert owner.get(swift).headers["x-versions-enabled"] == "True"
    owner.post(swift, headers={"X-Versions-Enabled": "false"})
    assert kept.get_bucket_versioning(Bucket="kept")["Status"] == "Suspended"


def test_many_at_once(kept):
    first, second = put(kept, b"1"), put(kept, b"22")
    put(kept, b"x", Key="p")
    wanted = [{"Key": "o", "VersionId": second}, {"Key": "p"}, {"Key": "o", "VersionId": "1234567890.12345"}]
    done = kept.delete_objects(Bucket="kept", Delete={"Objects": wanted})["Deleted"]
    assert done[0] == {"Key": "o", "VersionId": second}
    assert (done[1]["Key"], done[1]["DeleteMarker"]) == ("p", True)
    assert done[2] == {"Key": "o", "VersionId": "1234567890.12345"}
    assert content(kept) == b"1"
    marker = done[1]["DeleteMarkerVersionId"]
    wanted = [{"Key": "p", "VersionId": marker}, {"Key": "o", "VersionId": "nonsense"}]
    done = kept.delete_objects(Bucket="kept", Delete={"Objects": wanted})
    assert done["Deleted"] == [{"Key": "p", "VersionId": marker, "DeleteMarker": True, "DeleteMarkerVersionId": marker}]
    assert [(item["Code"], item["VersionId"]) for item in done["Errors"]] == [("NoSuchVersion", "nonsense")]
    assert content(kept, Key="p") == b"x" and content(kept, first) == b"1"


def test_pages_of_versions(kept):
    for name in ("a/1", "a/2", "b", "c"):
        for data in (b"1", b"22", b"333"):
            put(kept, data, Key=name)
    everything = listed(kept)
    assert len(everything) == 12
    for size in (1, 2, 5):
        pages = kept.get_paginator("list_object_versions").paginate(Bucket="kept", PaginationConfig={"PageSize": size})
        found = [(item["Key"], item["VersionId"], item["IsLatest"]) for page in pages for item in page["Versions"]]
        assert found == everything
    page = kept.list_object_versions(Bucket="kept", Delimiter="/", MaxKeys=1)
    assert page["CommonPrefixes"] == [{"Prefix": "a/"}] and "NextVersionIdMarker" not in page
    page = kept.list_object_versions(Bucket="kept", Delimiter="/", KeyMarker=page["NextKeyMarker"])
    assert len(page["Versions"]) == 6 and "CommonPrefixes" not in page
    assert listed(kept, Prefix="a/", MaxKeys=0) == []
    assert refused(listed, kept, VersionIdMarker="null") == ("InvalidArgument", 400)
    assert refused(listed, kept, KeyMarker="b", VersionIdMarker="nonsense") == ("InvalidArgument", 400)


def test_the_moment_of_a_change_is_the_same_everywhere(kept):
    first = put(kept, b"1")
    (item,) = kept.list_object_versions(Bucket="kept")["Versions"]
    told = kept.list_objects_v2(Bucket="kept")["Contents"][0]["LastModified"]
    assert item["LastModified"] == told == kept.head_object(**KEY, VersionId=first)["LastModified"]


def test_copies_of_versions(kept):
    first = put(kept, b"1", Metadata={"a": "1"})
    put(kept, b"22")
    made = kept.copy_object(Bucket="kept", Key="copy", CopySource={**KEY, "VersionId": first})
    assert made["CopySourceVersionId"] == first and made["VersionId"] != first
    assert content(kept, Key="copy") == b"1"
    again = kept.copy_object(**KEY, CopySource={**KEY, "VersionId": first})
    assert content(kept) == b"1" and kept.head_object(**KEY)["Metadata"] == {"a": "1"}
    assert listed(kept)[1] == ("o", again["VersionId"], True)
    wrong = {**KEY, "VersionId": "1234567890.12345"}
    assert refused(kept.copy_object, **KEY, CopySource=wrong) == ("NoSuchVersion", 404)
    marker = kept.delete_object(**KEY)["VersionId"]
    assert refused(kept.copy_object, **KEY, CopySource={**KEY, "VersionId": marker})[1] in (400, 405)
    assert refused(kept.copy_object, **KEY, CopySource=KEY)[0] == "NoSuchKey"


def test_tags_of_versions(kept):
    first = put(kept, b"1", Tagging="t=1")
    second = put(kept, b"22")
    kept.put_object_tagging(**KEY, VersionId=first, Tagging={"TagSet": [{"Key": "u", "Value": "2"}]})
    got = kept.get_object_tagging(**KEY, VersionId=first)
    assert (got["TagSet"], got["VersionId"]) == ([{"Key": "u", "Value": "2"}], first)
    got = kept.get_object_tagging(**KEY)
    assert (got["TagSet"], got["VersionId"]) == ([], second)
    assert kept.delete_object_tagging(**KEY, VersionId=first)["VersionId"] == first
    assert kept.get_object_tagging(**KEY, VersionId=first)["TagSet"] == []
    assert refused(kept.delete_object_tagging, **KEY, VersionId="null") == ("NoSuchVersion", 404)


def test_uploads_in_parts(kept, monkeypatch):
    monkeypatch.setattr(multipart, "LEAST_PART_BYTES", 1)
    first = put(kept, b"1")
    upload = {**KEY, "UploadId": kept.create_multipart_upload(**KEY)["UploadId"]}
    parts = []
    for number, data in enumerate((b"in ", b"parts"), 1):
        parts.append({"PartNumber": number, "ETag": kept.upload_part(**upload, PartNumber=number, Body=data)["ETag"]})
    source = {**KEY, "VersionId": first}
    copied = kept.upload_part_copy(**upload, PartNumber=3, CopySource=source)
    assert copied["CopySourceVersionId"] == first
    parts.append({"PartNumber": 3, "ETag": copied["CopyPartResult"]["ETag"]})
    made = kept.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})["VersionId"]
    assert kept.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})["VersionId"] == made
    put(kept, b"22")
    assert content(kept, made) == b"in parts1"
    kept.delete_object(**KEY, VersionId=made)
    assert listed(kept)[1:] == [("o", first, False)]


def test_uploads_in_parts_while_suspended(kept):
    first = put(kept, b"1")
    switch(kept, "Suspended")
    upload = {**KEY, "UploadId": kept.create_multipart_upload(**KEY)["UploadId"]}
    part = {"PartNumber": 1, "ETag": kept.upload_part(**upload, PartNumber=1, Body=b"part")["ETag"]}
    assert "VersionId" not in kept.complete_multipart_upload(**upload, MultipartUpload={"Parts": [part]})
    assert listed(kept) == [("o", "null", True), ("o", first, False)]
    assert content(kept, "null") == b"part"


def test_requests_that_take_no_version(kept):
    first = put(kept, b"1")

    def add_version(request, **_):
        request.url += f"?versionId={first}"

    kept.meta.events.register("before-sign.s3.PutObject", add_version)
    assert refused(kept.put_object, **KEY, Body=b"2") == ("InvalidArgument", 400)
    assert content(kept) == b"1"


def test_two_buckets_do_not_mix(kept):
    kept.create_bucket(Bucket="plain")
    put(kept, b"1")
    kept.put_object(Bucket="plain", Key="o", Body=b"plain")
    assert "VersionId" not in kept.delete_object(Bucket="plain", Key="o")
    assert "Versions" not in kept.list_object_versions(Bucket="plain")
    assert "VersionId" in kept.delete_object(**KEY)
