# SPDX-License-Identifier: Apache-2.0
"""Access lists of buckets as S3 writes them, on Swift's lists."""

import pytest

from altostratus.services.object_store.s3.acls import AUTHENTICATED, EVERYBODY
from tests.services.object_store.s3.test_basics import refused

pytestmark = pytest.mark.usefixtures("nothing_left")
KEY = {"Bucket": "shop", "Key": "o"}
NO_LISTS = ("AccessControlListNotSupported", 400)


@pytest.fixture(autouse=True)
def bucket(s3):
    s3.create_bucket(Bucket="shop")
    s3.put_object(**KEY, Body=b"data")


@pytest.fixture
def lists(owner):
    """(readers, writers) as Swift has them"""

    def told():
        headers = owner.request("HEAD", f"/object-store/v1/AUTH_{owner.project_id}/shop").headers
        return headers.get("x-container-read", ""), headers.get("x-container-write", "")

    return told


@pytest.fixture
def other(cloud):
    client = cloud.log_in("admin")
    return cloud.s3(cloud.new_pair(client)), client.project_id


def granted(s3, call="get_bucket_acl", **what):
    grants = getattr(s3, call)(**(what or {"Bucket": "shop"}))["Grants"]
    return [(one["Grantee"].get("URI") or one["Grantee"]["ID"], one["Permission"]) for one in grants][1:]


def test_canned_ones(s3, lists):
    for name, readers in (("public-read", ".r:*,.rlistings"), ("authenticated-read", "*:*"), ("private", "")):
        s3.put_bucket_acl(Bucket="shop", ACL=name)
        assert lists() == (readers, "")
    s3.create_bucket(Bucket="made-public", ACL="public-read")
    assert granted(s3, Bucket="made-public") == [(EVERYBODY, "READ")]
    assert refused(s3.put_bucket_acl, Bucket="shop", ACL="public-read-write") == ("NotImplemented", 501)


def test_grants_to_a_project(s3, owner, other, lists):
    stranger, project_id = other
    theirs = {"Bucket": f"{owner.project_id}_shop", "Key": "o"}
    s3.put_bucket_acl(Bucket="shop", GrantRead=f'id="{project_id}",uri="{AUTHENTICATED}"')
    assert lists() == (f"{project_id}:*,*:*", "")
    assert granted(s3) == [(project_id, "READ"), (AUTHENTICATED, "READ")]
    assert stranger.get_object(**theirs)["Body"].read() == b"data"
    assert refused(stranger.put_object, **theirs, Body=b"") == ("AccessDenied", 403)
    s3.put_bucket_acl(Bucket="shop", GrantWrite=f"id={project_id}", GrantFullControl=f"id={owner.project_id}")
    assert lists() == ("", f"{project_id}:*") and granted(s3) == [(project_id, "WRITE")]
    assert granted(s3, "get_object_acl", **KEY) == []
    stranger.put_object(**theirs, Body=b"theirs")
    assert refused(stranger.get_object, **theirs) == ("AccessDenied", 403)
    assert s3.get_object(**KEY)["Body"].read() == b"theirs"


def test_what_is_shown_can_be_set(s3, lists):
    s3.put_bucket_acl(Bucket="shop", GrantRead=f"uri={EVERYBODY}", GrantWrite=f"uri={AUTHENTICATED}")
    shown, before = s3.get_bucket_acl(Bucket="shop"), lists()
    s3.put_bucket_acl(Bucket="shop", ACL="private")
    assert lists() == ("", "")
    s3.put_bucket_acl(Bucket="shop", AccessControlPolicy={"Owner": shown["Owner"], "Grants": shown["Grants"]})
    assert lists() == before == (".r:*,.rlistings", "*:*")


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"GrantWrite": f"uri={EVERYBODY}"}, "NotImplemented"),
        ({"GrantReadACP": "id=someone"}, "NotImplemented"),
        ({"GrantFullControl": "id=someone"}, "NotImplemented"),
        ({"GrantRead": "emailAddress=a@b.example"}, "InvalidArgument"),
        ({"GrantRead": "someone"}, "InvalidArgument"),
        ({"GrantRead": "uri=http://elsewhere.example/group"}, "InvalidArgument"),
        ({"GrantRead": "id=x:y"}, "InvalidArgument"),
        ({"GrantRead": "id=x", "ACL": "private"}, "InvalidRequest"),
    ],
)
def test_what_cannot_be_granted(s3, lists, wrong, code):
    assert refused(s3.put_bucket_acl, Bucket="shop", **wrong)[0] == code
    assert lists() == ("", "")


def test_an_upload_may_ask_for_what_its_bucket_has(s3):
    wanted = {**KEY, "Body": b"x", "ACL": "public-read"}
    assert refused(s3.put_object, **wanted) == NO_LISTS
    s3.put_object(**wanted | {"ACL": "private"})
    s3.put_bucket_acl(Bucket="shop", ACL="public-read")
    s3.put_object(**wanted)
    assert refused(s3.put_object, **wanted | {"ACL": "authenticated-read"}) == NO_LISTS


def test_an_objects_list_is_its_buckets(s3):
    assert refused(s3.put_object_acl, **KEY, ACL="public-read") == NO_LISTS
    s3.put_object_acl(**KEY, ACL="private")
    s3.put_bucket_acl(Bucket="shop", ACL="public-read")
    s3.put_object_acl(**KEY, ACL="public-read")
    shown = s3.get_object_acl(**KEY)
    s3.put_object_acl(**KEY, AccessControlPolicy={"Owner": shown["Owner"], "Grants": shown["Grants"]})
    assert refused(s3.put_object_acl, Bucket="shop", Key="none", ACL="private") == ("NoSuchKey", 404)


def test_an_owner_who_is_not_the_expected_one(s3, owner):
    wrong = {"ExpectedBucketOwner": "f" * 32}
    assert refused(s3.get_object, **KEY, **wrong) == ("AccessDenied", 403)
    assert refused(s3.put_object, **KEY, Body=b"x", **wrong) == ("AccessDenied", 403)
    copy = {"Bucket": "shop", "Key": "copy", "CopySource": KEY}
    assert refused(s3.copy_object, **copy, ExpectedSourceBucketOwner="f" * 32) == ("AccessDenied", 403)
    right = owner.project_id
    s3.copy_object(**copy, ExpectedBucketOwner=right, ExpectedSourceBucketOwner=right)
    assert s3.get_object(**KEY, ExpectedBucketOwner=right)["Body"].read() == b"data"


def test_who_may_write_deletes_no_versions_for_good(s3, owner, other):
    stranger, project_id = other
    theirs = f"{owner.project_id}_shop"
    s3.put_bucket_acl(Bucket="shop", GrantWrite=f"id={project_id}")
    s3.put_bucket_versioning(Bucket="shop", VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(**KEY, Body=b"newer")["VersionId"]
    wanted = [{"Key": "o", "VersionId": version}]
    failed = stranger.delete_objects(Bucket=theirs, Delete={"Objects": wanted})["Errors"]
    assert [(one["Key"], one["VersionId"], one["Code"]) for one in failed] == [("o", version, "AccessDenied")]
    assert refused(stranger.delete_object, Bucket=theirs, Key="o", VersionId=version) == ("AccessDenied", 403)
    assert s3.get_object(**KEY)["Body"].read() == b"newer"
    stranger.delete_objects(Bucket=theirs, Delete={"Objects": [{"Key": "o"}]})
    assert s3.get_object(**KEY, VersionId=version)["Body"].read() == b"newer"
