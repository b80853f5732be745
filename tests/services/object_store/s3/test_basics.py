# SPDX-License-Identifier: Apache-2.0
"""Buckets and objects by Amazon's own client, and the same objects by Swift."""

import hashlib

import pytest
from botocore.exceptions import ClientError

pytestmark = pytest.mark.usefixtures("nothing_left")


def refused(call, *args, **kwargs):
    """(code, status) of the refusal."""
    with pytest.raises(ClientError) as caught:
        call(*args, **kwargs)
    answer = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def keys(answer):
    return [item["Key"] for item in answer.get("Contents", [])]


def test_up_list_down_delete(s3):
    s3.create_bucket(Bucket="first")
    made = s3.put_object(
        Bucket="first", Key="a/b c+é", Body=b"some data", ContentType="text/x-a", Metadata={"color": "red"}
    )
    assert made["ETag"] == f'"{hashlib.md5(b"some data").hexdigest()}"'
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["first"]
    assert keys(s3.list_objects_v2(Bucket="first")) == keys(s3.list_objects(Bucket="first")) == ["a/b c+é"]
    got = s3.get_object(Bucket="first", Key="a/b c+é")
    assert got["Body"].read() == b"some data"
    assert (got["ContentType"], got["Metadata"], got["ContentLength"]) == ("text/x-a", {"color": "red"}, 9)
    assert s3.head_object(Bucket="first", Key="a/b c+é")["ETag"] == made["ETag"]
    assert refused(s3.delete_bucket, Bucket="first") == ("BucketNotEmpty", 409)
    s3.delete_object(Bucket="first", Key="a/b c+é")
    s3.delete_object(Bucket="first", Key="a/b c+é")
    assert refused(s3.get_object, Bucket="first", Key="a/b c+é") == ("NoSuchKey", 404)
    s3.delete_bucket(Bucket="first")
    assert refused(s3.list_objects_v2, Bucket="first") == ("NoSuchBucket", 404)


def test_the_same_object_by_both(s3, owner):
    base = f"/object-store/v1/AUTH_{owner.project_id}"
    s3.create_bucket(Bucket="both")
    s3.put_object(Bucket="both", Key="by/s3", Body=b"of s3", Metadata={"color": "red"})
    got = owner.get(f"{base}/both/by/s3")
    assert (got.content, got.headers["x-object-meta-color"]) == (b"of s3", "red")
    owner.put(f"{base}/both/by/swift", b"of swift", headers={"X-Object-Meta-Size": "big"})
    got = s3.get_object(Bucket="both", Key="by/swift")
    assert (got["Body"].read(), got["Metadata"]) == (b"of swift", {"size": "big"})
    owner.put(f"{base}/Not_for_S3", headers={"Content-Length": "0"}, body=b"")
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["both"]


@pytest.mark.parametrize("name", ["dir/", "a//b", "%", "a&b=c?d", "~*'()!@:$,;", "你好", "x" * 1024])
def test_keys(s3, name):
    s3.create_bucket(Bucket="keys")
    s3.put_object(Bucket="keys", Key=name, Body=b"1")
    assert keys(s3.list_objects_v2(Bucket="keys")) == [name]
    assert s3.get_object(Bucket="keys", Key=name)["Body"].read() == b"1"
    s3.delete_objects(Bucket="keys", Delete={"Objects": [{"Key": name}]})
    assert keys(s3.list_objects(Bucket="keys")) == []


def test_listing_pages(s3):
    s3.create_bucket(Bucket="pages")
    names = [f"{folder}/{number}" for folder in "abc" for number in range(3)] + ["top"]
    for name in names:
        s3.put_object(Bucket="pages", Key=name, Body=b"")
    for kind in ("list_objects", "list_objects_v2", "list_object_versions"):
        pages = s3.get_paginator(kind).paginate(Bucket="pages", PaginationConfig={"PageSize": 2})
        member = "Versions" if kind.endswith("versions") else "Contents"
        assert [item["Key"] for page in pages for item in page[member]] == names
        pages = list(s3.get_paginator(kind).paginate(Bucket="pages", Delimiter="/", PaginationConfig={"PageSize": 2}))
        prefixes = [item["Prefix"] for page in pages for item in page.get("CommonPrefixes", [])]
        assert (prefixes, len(pages)) == (["a/", "b/", "c/"], 2)
    found = s3.list_objects_v2(Bucket="pages", Prefix="b/", StartAfter="b/0", FetchOwner=True)
    assert keys(found) == ["b/1", "b/2"] and found["KeyCount"] == 2 and "Owner" in found["Contents"][0]
    assert s3.list_objects_v2(Bucket="pages", MaxKeys=0)["IsTruncated"] is False
    wrong = refused(s3.list_objects_v2, Bucket="pages", ContinuationToken="%%%")
    assert wrong == ("InvalidArgument", 400)


def test_buckets_that_cannot_be(s3, cloud):
    assert refused(s3.create_bucket, Bucket="Upper_Case") == ("InvalidBucketName", 400)
    assert refused(s3.create_bucket, Bucket="10.0.0.1") == ("InvalidBucketName", 400)
    s3.create_bucket(Bucket="mine")
    assert refused(s3.create_bucket, Bucket="mine") == ("BucketAlreadyOwnedByYou", 409)
    other = cloud.s3(cloud.new_pair(cloud.log_in("admin")))
    other.create_bucket(Bucket="mine")
    assert refused(other.head_bucket, Bucket="nobodys") == ("404", 404)
    assert s3.get_bucket_location(Bucket="mine")["LocationConstraint"] is None
    assert refused(s3.delete_bucket, Bucket="none") == ("NoSuchBucket", 404)
