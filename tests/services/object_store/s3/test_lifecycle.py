# SPDX-License-Identifier: Apache-2.0
"""Lifecycles: how rules are set and told by Amazon's own client, and what they do when days go by."""

from datetime import UTC, datetime

import pytest

from altostratus.kernel import clock
from altostratus.kernel.db import table_of
from altostratus.services.object_store.models import LifecyclePass
from altostratus.services.object_store.reconcilers import lifecycle
from tests.services.object_store.s3.test_basics import keys, refused

pytestmark = pytest.mark.usefixtures("nothing_left")
BUCKET = "old"


@pytest.fixture(autouse=True)
def bucket(s3):
    s3.create_bucket(Bucket=BUCKET)


def rule(status="Enabled", **said):
    return {"ID": "r", "Status": status, "Filter": {"Prefix": ""}, **said}


def set_rules(s3, *rules):
    s3.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration={"Rules": list(rules)})


def put(s3, key, data=b"x", **more):
    return s3.put_object(Bucket=BUCKET, Key=key, Body=data, **more).get("VersionId")


def days_later(cloud, days):
    """What was done today is so many days old, and the midnight after them is over."""
    with clock.frozen((clock.unix() // 86_400 + days + 1) * 86_400 + 60):
        lifecycle.carry_out(cloud.cloud)


def versions(s3):
    page = s3.list_object_versions(Bucket=BUCKET)
    return [(item["Key"], item["VersionId"]) for item in page.get("Versions", [])]


def markers(s3):
    page = s3.list_object_versions(Bucket=BUCKET)
    return [(item["Key"], item["IsLatest"]) for item in page.get("DeleteMarkers", [])]


def test_rules_come_back_as_they_were_set(s3):
    tags = [{"Key": "t", "Value": "1"}, {"Key": "u", "Value": ""}]
    rules = [
        {"ID": "plain", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 3}},
        {
            "ID": "old",
            "Status": "Disabled",
            "Prefix": "é/",
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
        },
        {
            "ID": "and",
            "Status": "Enabled",
            "Filter": {"And": {"Prefix": "a", "Tags": tags, "ObjectSizeGreaterThan": 0, "ObjectSizeLessThan": 99}},
            "Expiration": {"Date": datetime(2100, 1, 31, tzinfo=UTC)},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 2, "NewerNoncurrentVersions": 3},
        },
        {"ID": "tag", "Status": "Enabled", "Filter": {"Tag": tags[0]}, "Expiration": {"Days": 1}},
        {"ID": "size", "Status": "Enabled", "Filter": {"ObjectSizeLessThan": 5}, "Expiration": {"Days": 1}},
        {
            "ID": "ceph",
            "Status": "Enabled",
            "Filter": {"Prefix": "a", "Tag": tags[0], "ObjectSizeGreaterThan": 0},
            "Expiration": {"Days": 1},
        },
        {
            "ID": "mark",
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "Expiration": {"ExpiredObjectDeleteMarker": True},
        },
    ]
    set_rules(s3, *rules)
    assert s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"] == rules
    s3.delete_bucket_lifecycle(Bucket=BUCKET)
    s3.delete_bucket_lifecycle(Bucket=BUCKET)
    wrong = refused(s3.get_bucket_lifecycle_configuration, Bucket=BUCKET)
    assert wrong == ("NoSuchLifecycleConfiguration", 404)


def test_a_rule_without_a_name_gets_one(s3):
    set_rules(s3, {"Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}})
    assert s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"][0]["ID"]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"Expiration": {"Days": 0}}, "InvalidArgument"),
        ({"Expiration": {"Days": 10_000_000}}, "InvalidArgument"),
        ({"Expiration": {"Date": "2100-01-31T12:00:00Z"}}, "InvalidArgument"),
        ({"Expiration": {"Days": 1, "ExpiredObjectDeleteMarker": True}}, "MalformedXML"),
        ({"Expiration": {}}, "MalformedXML"),
        ({}, "InvalidRequest"),
        ({"ID": "x" * 256, "Expiration": {"Days": 1}}, "InvalidArgument"),
        ({"Status": "enabled", "Expiration": {"Days": 1}}, "MalformedXML"),
        ({"Prefix": "", "Expiration": {"Days": 1}}, "MalformedXML"),
        ({"Filter": {"Prefix": "a", "And": {"Prefix": "a"}}, "Expiration": {"Days": 1}}, "MalformedXML"),
        ({"Transitions": [{"Days": 1, "StorageClass": "GLACIER"}]}, "NotImplemented"),
        ({"NoncurrentVersionTransitions": [{"NoncurrentDays": 1, "StorageClass": "GLACIER"}]}, "NotImplemented"),
        ({"NoncurrentVersionExpiration": {"NewerNoncurrentVersions": 2}}, "MalformedXML"),
        ({"NoncurrentVersionExpiration": {"NoncurrentDays": 1, "NewerNoncurrentVersions": 101}}, "InvalidArgument"),
        ({"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 0}}, "InvalidArgument"),
        (
            {"Filter": {"ObjectSizeGreaterThan": 1}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}},
            "InvalidRequest",
        ),
        (
            {"Filter": {"Tag": {"Key": "t", "Value": "1"}}, "Expiration": {"ExpiredObjectDeleteMarker": True}},
            "InvalidRequest",
        ),
    ],
)
def test_rules_that_cannot_be(s3, said, code):
    assert refused(set_rules, s3, rule(**said))[0] == code
    assert refused(s3.get_bucket_lifecycle_configuration, Bucket=BUCKET)[0] == "NoSuchLifecycleConfiguration"


def test_the_same_name_twice(s3):
    assert refused(set_rules, s3, *[rule(Expiration={"Days": 1})] * 2) == ("InvalidArgument", 400)


def test_days(s3, cloud):
    set_rules(s3, rule(Filter={"Prefix": "logs/"}, Expiration={"Days": 2}))
    for key in ("logs/1", "logs/2", "log", "other"):
        put(s3, key)
    days_later(cloud, 1)
    assert len(keys(s3.list_objects_v2(Bucket=BUCKET))) == 4
    days_later(cloud, 2)
    assert keys(s3.list_objects_v2(Bucket=BUCKET)) == ["log", "other"]


def test_a_rule_that_is_off(s3, cloud):
    set_rules(s3, rule("Disabled", Expiration={"Days": 1}))
    put(s3, "o")
    days_later(cloud, 5)
    assert keys(s3.list_objects_v2(Bucket=BUCKET)) == ["o"]


def test_a_date(s3, cloud):
    put(s3, "o")
    set_rules(s3, rule(Expiration={"Date": datetime(2100, 1, 1, tzinfo=UTC)}))
    days_later(cloud, 5)
    assert keys(s3.list_objects_v2(Bucket=BUCKET)) == ["o"]
    set_rules(s3, rule(Expiration={"Date": datetime(2020, 1, 1, tzinfo=UTC)}))
    lifecycle.carry_out(cloud.cloud)
    assert keys(s3.list_objects_v2(Bucket=BUCKET)) == []


def test_tags_and_sizes(s3, cloud):
    several = {"And": {"Tags": [{"Key": "t", "Value": "1"}], "ObjectSizeGreaterThan": 1, "ObjectSizeLessThan": 4}}
    set_rules(s3, rule(Filter=several, Expiration={"Days": 1}))
    put(s3, "small", b"1", Tagging="t=1")
    put(s3, "big", b"1234", Tagging="t=1")
    put(s3, "other", b"12", Tagging="t=2")
    put(s3, "over", b"12", Tagging="t=1&u=2")
    days_later(cloud, 1)
    assert keys(s3.list_objects_v2(Bucket=BUCKET)) == ["big", "other", "small"]


def test_an_object_that_ends_leaves_a_marker_where_versions_are_kept(s3, cloud):
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    version = put(s3, "o")
    set_rules(s3, rule(Expiration={"Days": 1}))
    days_later(cloud, 1)
    assert keys(s3.list_objects_v2(Bucket=BUCKET)) == []
    assert (versions(s3), markers(s3)) == ([("o", version)], [("o", True)])


def test_versions_that_are_not_the_current_one(s3, cloud):
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    made = [put(s3, "o") for _ in range(5)]
    set_rules(s3, rule(NoncurrentVersionExpiration={"NoncurrentDays": 2, "NewerNoncurrentVersions": 2}))
    days_later(cloud, 1)
    assert len(versions(s3)) == 5
    days_later(cloud, 2)
    assert versions(s3) == [("o", version) for version in made[:1:-1]]
    set_rules(s3, rule(NoncurrentVersionExpiration={"NoncurrentDays": 1}))
    days_later(cloud, 1)
    assert versions(s3) == [("o", made[-1])]


def test_markers_that_hide_nothing(s3, cloud):
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    s3.delete_object(Bucket=BUCKET, Key="alone")
    put(s3, "hidden")
    s3.delete_object(Bucket=BUCKET, Key="hidden")
    set_rules(s3, rule(Expiration={"ExpiredObjectDeleteMarker": True}))
    lifecycle.carry_out(cloud.cloud)
    assert markers(s3) == [("hidden", True)]
    set_rules(s3, rule(NoncurrentVersionExpiration={"NoncurrentDays": 1}, Expiration={"Days": 1}))
    days_later(cloud, 1)
    days_later(cloud, 2)
    assert (versions(s3), markers(s3)) == ([], [])


def test_uploads_that_nobody_completes(s3, cloud):
    upload = {"Bucket": BUCKET, "Key": "a/o"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    s3.upload_part(**upload, PartNumber=1, Body=b"1")
    other = s3.create_multipart_upload(Bucket=BUCKET, Key="b")["UploadId"]
    set_rules(s3, rule(Filter={"Prefix": "a/"}, AbortIncompleteMultipartUpload={"DaysAfterInitiation": 3}))
    days_later(cloud, 2)
    assert len(s3.list_multipart_uploads(Bucket=BUCKET)["Uploads"]) == 2
    days_later(cloud, 3)
    assert [item["UploadId"] for item in s3.list_multipart_uploads(Bucket=BUCKET)["Uploads"]] == [other]
    told = s3.create_multipart_upload(Bucket=BUCKET, Key="a/p")
    assert told["AbortRuleId"] == "r" and (told["AbortDate"] - datetime.now(UTC)).days == 3


def test_it_is_told_when(s3):
    set_rules(s3, rule(Filter={"Prefix": "logs/"}, Expiration={"Days": 2}, ID="a rule"))
    told = s3.put_object(Bucket=BUCKET, Key="logs/1", Body=b"x")["Expiration"]
    expected = datetime.fromtimestamp((clock.unix() // 86_400 + 3) * 86_400, UTC)
    assert told == f'expiry-date="{expected:%a, %d %b %Y} 00:00:00 GMT", rule-id="a%20rule"'
    assert s3.head_object(Bucket=BUCKET, Key="logs/1")["Expiration"] == told
    put(s3, "other")
    assert "Expiration" not in s3.get_object(Bucket=BUCKET, Key="other")


def test_a_pass_goes_on_where_it_was(s3, cloud, monkeypatch):
    set_rules(s3, rule(Expiration={"Days": 1}))
    for number in range(7):
        put(s3, str(number))
    monkeypatch.setattr(lifecycle, "_ROWS_A_PAGE", 2)
    monkeypatch.setattr(lifecycle, "_ROWS_A_RUN", 100)
    left = []
    for _ in range(4):
        days_later(cloud, 1)
        left.append(len(keys(s3.list_objects_v2(Bucket=BUCKET))))
    assert left[0] == 3 and left[-1] == 0
    with cloud.cloud.db.read() as tx:
        row = tx.first(table_of(LifecyclePass).select())
    assert row.stage == "objects" and row.done_day == int(clock.unix()) // 86_400 + 2


def test_a_day_is_looked_at_once(s3, cloud):
    nothing = cloud.count_queries(lambda: days_later(cloud, 1))
    set_rules(s3, rule(Expiration={"Days": 1}))
    assert cloud.count_queries(lambda: days_later(cloud, 1)) > nothing
    assert cloud.count_queries(lambda: days_later(cloud, 1)) == nothing


def test_a_deleted_bucket_takes_its_rules_along(s3, cloud):
    set_rules(s3, rule(Expiration={"Days": 1}))
    s3.delete_bucket(Bucket=BUCKET)
    with cloud.cloud.db.read() as tx:
        assert tx.rows(table_of(LifecyclePass).select()) == []


def test_others_may_not(s3, cloud, owner):
    owner.post(
        f"/object-store/v1/AUTH_{owner.project_id}/{BUCKET}",
        headers={"X-Container-Read": ".r:*,.rlistings", "X-Container-Write": "*:*"},
    )
    answer = cloud.client(None).get(f"/object-store/s3/{owner.project_id}:{BUCKET}?lifecycle")
    assert answer.status == 403 and "AccessDenied" in answer.text
