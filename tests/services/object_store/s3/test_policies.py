# SPDX-License-Identifier: Apache-2.0
"""Policies of buckets: who may and who must not, by S3 and by Swift."""

import pytest

from tests.services.object_store.policy_texts import BUCKET, OBJECTS, policy, statement
from tests.services.object_store.s3.test_basics import keys, refused
from tests.services.object_store.s3.test_signatures import fetch

pytestmark = pytest.mark.usefixtures("nothing_left")
KEY = {"Bucket": "open", "Key": "a/o"}


@pytest.fixture(autouse=True)
def bucket(s3):
    s3.create_bucket(Bucket="open")
    s3.put_object(**KEY, Body=b"data")


@pytest.fixture
def put(s3):
    return lambda *statements: s3.put_bucket_policy(Bucket="open", Policy=policy(*statements))


@pytest.fixture
def other(cloud):
    """(Amazon's client of another project, its project's id)"""
    client = cloud.log_in("admin")
    # its roles would not matter: it is no member of the bucket's project
    return cloud.s3(cloud.new_pair(client)), client.project_id


@pytest.fixture
def anybody(cloud, owner):
    """fetch(path, ...) without a signature or token, by S3 and by Swift"""
    by_s3 = f"{cloud.address}/object-store/s3/{owner.project_id}:open"
    by_swift = f"{cloud.address}/object-store/v1/AUTH_{owner.project_id}/open"

    def both(path, method="GET", data=None, **headers):
        found = {fetch(base + path, method, data, **headers)[0] // 100 for base in (by_s3, by_swift)}
        assert len(found) == 1, found  # both say the same
        return found == {2}

    return both


def test_set_shown_and_gone(s3, put):
    assert refused(s3.get_bucket_policy, Bucket="open") == ("NoSuchBucketPolicy", 404)
    assert refused(s3.get_bucket_policy_status, Bucket="open") == ("NoSuchBucketPolicy", 404)
    put(statement())
    assert s3.get_bucket_policy(Bucket="open")["Policy"] == policy(statement())
    assert s3.get_bucket_policy_status(Bucket="open")["PolicyStatus"] == {"IsPublic": True}
    put(statement(Condition={"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}))
    assert s3.get_bucket_policy_status(Bucket="open")["PolicyStatus"] == {"IsPublic": False}
    s3.delete_bucket_policy(Bucket="open")
    s3.delete_bucket_policy(Bucket="open")
    assert refused(s3.get_bucket_policy, Bucket="open") == ("NoSuchBucketPolicy", 404)
    assert refused(s3.get_bucket_policy, Bucket="none-there") == ("NoSuchBucket", 404)


def test_everybody_may_read(put, anybody):
    assert not anybody("/a/o")
    put(statement(resource="arn:aws:s3:::open/a/*"))
    assert anybody("/a/o") and anybody("/a/o", "HEAD")
    assert not anybody("/a/o", "PUT", b"x") and not anybody("/a/o", "DELETE") and not anybody("")
    put(statement(resource="arn:aws:s3:::open/b/*"))
    assert not anybody("/a/o")


def test_everybody_may_write_and_list(s3, put, anybody):
    put(statement(action=["s3:PutObject", "s3:DeleteObject"]), statement(action="s3:ListBucket", resource=BUCKET))
    assert anybody("/new", "PUT", b"x") and anybody("") and not anybody("/new")
    assert s3.get_object(Bucket="open", Key="new")["Body"].read() == b"x"
    s3.put_object(Bucket="open", Key="new2", Body=b"")
    assert anybody("?prefix=new2")
    put(statement(action="s3:ListBucket", resource=BUCKET, Condition={"StringLike": {"s3:prefix": "a/*"}}))
    assert anybody("?prefix=a/") and not anybody("") and not anybody("?prefix=b")


def test_projects_and_users(cloud, owner, put, other):
    stranger, project_id = other
    theirs = {"Bucket": f"{owner.project_id}_open", "Key": "a/o"}
    user_id = cloud.user_ids[project_id]
    assert refused(stranger.get_object, **theirs) == ("AccessDenied", 403)
    for who in (
        {"AWS": project_id},
        {"AWS": f"arn:aws:iam::{project_id}:root"},
        {"AWS": ["nobody", f"arn:aws:iam::{project_id}:user/{user_id}"]},
        {"AWS": f"arn:aws:iam::{project_id}:user/admin"},
        {"CanonicalUser": project_id},
    ):
        put(statement(principal=who, action=["s3:Get*", "s3:ListBucket"], resource=[BUCKET, OBJECTS]))
        assert stranger.get_object(**theirs)["Body"].read() == b"data"
        assert keys(stranger.list_objects_v2(Bucket=theirs["Bucket"])) == ["a/o"]
        assert refused(stranger.put_object, **theirs, Body=b"x") == ("AccessDenied", 403)
    for who in ({"AWS": owner.project_id}, {"AWS": f"arn:aws:iam::{project_id}:user/none"}):
        put(statement(principal=who))
        assert refused(stranger.get_object, **theirs) == ("AccessDenied", 403)


def test_deny_counts_against_everybody(s3, owner, put, anybody):
    swift = f"/object-store/v1/AUTH_{owner.project_id}/open"
    s3.put_bucket_acl(Bucket="open", ACL="public-read")
    put(statement(action="*"), statement("Deny", action="s3:DeleteObject", resource="arn:aws:s3:::open/a/*"))
    assert anybody("/a/o") and not anybody("/a/o", "DELETE")
    assert refused(s3.delete_object, **KEY) == ("AccessDenied", 403)
    assert owner.delete(f"{swift}/a/o").status == 403
    assert owner.get(f"{swift}/a/o").status == 200
    assert owner.delete(f"{swift}/b").status == 404
    put(statement("Deny", action="s3:GetObject"))
    assert not anybody("/a/o") and refused(s3.get_object, **KEY) == ("AccessDenied", 403)
    assert refused(s3.copy_object, Bucket="open", Key="copy", CopySource=KEY) == ("AccessDenied", 403)
    assert owner.get(f"{swift}/a/o").status == 403
    # the owner can always take it back
    s3.delete_bucket_policy(Bucket="open")
    assert anybody("/a/o")


def test_a_bucket_that_must_not_go(s3, owner, put):
    s3.delete_object(**KEY)
    put(statement("Deny", action="s3:DeleteBucket", resource=BUCKET))
    assert refused(s3.delete_bucket, Bucket="open") == ("AccessDenied", 403)
    assert owner.delete(f"/object-store/v1/AUTH_{owner.project_id}/open").status == 403
    s3.delete_bucket_policy(Bucket="open")
    s3.delete_bucket(Bucket="open")


def test_deleting_many_asks_for_each(s3, owner, put):
    s3.put_object(Bucket="open", Key="b/o", Body=b"")
    put(statement("Deny", action="s3:DeleteObject", resource="arn:aws:s3:::open/a/*"))
    done = s3.delete_objects(Bucket="open", Delete={"Objects": [{"Key": "a/o"}, {"Key": "b/o"}]})
    assert [item["Key"] for item in done["Deleted"]] == ["b/o"]
    assert [(item["Key"], item["Code"]) for item in done["Errors"]] == [("a/o", "AccessDenied")]
    answer = owner.post(
        f"/object-store/v1/AUTH_{owner.project_id}?bulk-delete", "/open/a/o\n", headers={"Accept": "application/json"}
    )
    assert answer.json["Errors"] == [["/open/a/o", "403 Forbidden"]]


def test_what_leads_there_is_denied_too(s3, owner, put):
    """Segments of large objects, symbolic links, temporary addresses."""
    base = f"/object-store/v1/AUTH_{owner.project_id}"
    owner.put(f"{base}/front", b"", headers={"Content-Length": "0"})
    owner.put(f"{base}/front/dlo", b"", headers={"Content-Length": "0", "X-Object-Manifest": "open/a/"})
    owner.put(f"{base}/front/link", b"", headers={"Content-Length": "0", "X-Symlink-Target": "open/a/o"})
    paths = [f"{base}/front/dlo", f"{base}/front/link"]
    assert [owner.get(path).content for path in paths] == [b"data", b"data"]
    put(statement("Deny", resource="arn:aws:s3:::open/a/*"))
    assert [owner.get(path).status for path in paths] == [403, 403]
    assert refused(s3.get_object, Bucket="front", Key="dlo") == ("AccessDenied", 403)


def test_secure_transport_ends_at_a_proxy_of_this_machine(put, anybody):
    put(statement(), statement("Deny", action="s3:*", Condition={"Bool": {"aws:SecureTransport": "false"}}))
    assert not anybody("/a/o")
    assert anybody("/a/o", X_Forwarded_Proto="https")


def test_what_is_not_understood_is_refused(s3):
    text = policy(statement(Condition={"StringEquals": {"s3:x-amz-acl": "private"}}))
    assert refused(s3.put_bucket_policy, Bucket="open", Policy=text) == ("MalformedPolicy", 400)
    assert refused(s3.get_bucket_policy, Bucket="open")[0] == "NoSuchBucketPolicy"


def test_only_the_owner_sets_it(owner, put, other):
    stranger, project_id = other
    name = f"{owner.project_id}_open"
    put(statement(principal={"AWS": project_id}, action="*", resource=[BUCKET, OBJECTS]))
    assert refused(stranger.get_bucket_policy, Bucket=name) == ("AccessDenied", 403)
    assert refused(stranger.put_bucket_policy, Bucket=name, Policy=policy(statement())) == ("AccessDenied", 403)
    assert refused(stranger.delete_bucket_policy, Bucket=name) == ("AccessDenied", 403)
