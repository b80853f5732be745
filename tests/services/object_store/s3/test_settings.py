# SPDX-License-Identifier: Apache-2.0
"""What a bucket's owner sets: rules for scripts of other sites, tags. And refusals before any operation."""

from http.client import HTTPConnection
from urllib.parse import urlsplit
from xml.etree.ElementTree import fromstring

import pytest

from altostratus.services.object_store.s3 import resources
from tests.services.object_store.s3.test_basics import refused

pytestmark = pytest.mark.usefixtures("nothing_left")
SITE = "https://site.example"
RULES = [
    {"AllowedMethods": ["GET"], "AllowedOrigins": ["https://*.example"], "AllowedHeaders": ["x-amz-*"],
     "MaxAgeSeconds": 9},
    {"ID": "second", "AllowedMethods": ["PUT", "POST"], "AllowedOrigins": ["*"], "ExposeHeaders": ["ETag", "x-mine"]},
]  # fmt: skip


@pytest.fixture(autouse=True)
def bucket(s3):
    s3.create_bucket(Bucket="shop")
    s3.put_object(Bucket="shop", Key="o", Body=b"data")


@pytest.fixture
def ask(cloud, owner):
    """ask(method, path, headers) -> (status, headers, text); the path behind the bucket's"""

    def send(method, path="", headers=None, base=None):
        connection = HTTPConnection(urlsplit(cloud.address).netloc)
        base = f"/object-store/s3/{owner.project_id}:shop" if base is None else base
        connection.request(method, base + path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode()

    return send


@pytest.fixture
def rules(s3):
    s3.put_bucket_cors(Bucket="shop", CORSConfiguration={"CORSRules": RULES})


def preflight(method, origin=SITE, names=None):
    headers = {"Origin": origin, "Access-Control-Request-Method": method}
    return headers | ({"Access-Control-Request-Headers": names} if names else {})


def test_rules_are_kept(s3, rules):
    assert s3.get_bucket_cors(Bucket="shop")["CORSRules"] == RULES
    s3.delete_bucket_cors(Bucket="shop")
    assert refused(s3.get_bucket_cors, Bucket="shop") == ("NoSuchCORSConfiguration", 404)


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ({"AllowedMethods": ["PATCH"], "AllowedOrigins": ["*"]}, "InvalidRequest"),
        ({"AllowedMethods": ["GET"], "AllowedOrigins": ["*a*"]}, "InvalidRequest"),
        ({"AllowedMethods": ["GET"], "AllowedOrigins": ["*"], "AllowedHeaders": ["*-*"]}, "InvalidRequest"),
        ({"AllowedMethods": ["GET"], "AllowedOrigins": []}, "MalformedXML"),
        ({"AllowedMethods": ["GET"], "AllowedOrigins": ["*"], "MaxAgeSeconds": -1}, "InvalidArgument"),
    ],
)
def test_rules_that_cannot_be(s3, rule, code):
    assert refused(s3.put_bucket_cors, Bucket="shop", CORSConfiguration={"CORSRules": [rule]})[0] == code


def test_a_browser_asks_beforehand(ask, rules):
    status, told, _ = ask("OPTIONS", "/o", preflight("GET", names="X-Amz-Date, x-amz-acl"))
    assert (status, told["access-control-allow-origin"], told["access-control-allow-methods"]) == (200, SITE, "GET")
    assert told["access-control-allow-headers"] == "x-amz-date, x-amz-acl" and told["access-control-max-age"] == "9"
    assert told["access-control-allow-credentials"] == "true" and "Origin" in told["vary"]
    status, told, _ = ask("OPTIONS", "", preflight("PUT", "https://elsewhere"))
    assert (status, told["access-control-allow-origin"]) == (200, "*")
    assert told["access-control-expose-headers"] == "ETag, x-mine" and "access-control-allow-credentials" not in told
    for headers in (
        preflight("GET", "https://site.else"),
        preflight("DELETE"),
        preflight("GET", names="authorization"),
    ):
        status, told, page = ask("OPTIONS", "/o", headers)
        assert status == 403 and "<Code>AccessForbidden</Code>" in page and "access-control-allow-origin" not in told
    for headers in ({}, {"Origin": SITE}, preflight("TRACE")):
        assert ask("OPTIONS", "/o", headers)[0] == 400


def test_a_signed_address_tells_whose_bucket_it_is(s3, ask, rules):
    address = urlsplit(s3.generate_presigned_url("get_object", {"Bucket": "shop", "Key": "o"}))
    path = f"{address.path}?{address.query}"
    assert ask("OPTIONS", path, preflight("GET"), base="")[0] == 200
    assert ask("OPTIONS", address.path, preflight("GET"), base="")[0] == 403
    status, told, text = ask("GET", path, {"Origin": SITE}, base="")
    assert (status, told["access-control-allow-origin"], text) == (200, SITE, "data")


def test_answers_and_refusals_are_readable(s3, ask, rules):
    status, told, _ = ask("GET", "/o", {"Origin": SITE})
    assert (status, told["access-control-allow-origin"]) == (403, SITE)
    assert "access-control-allow-origin" not in ask("GET", "/o", {"Origin": "https://site.else"})[1]
    assert "access-control-allow-origin" not in ask("GET", "/o")[1]
    s3.delete_bucket_cors(Bucket="shop")
    assert "access-control-allow-origin" not in ask("GET", "/o", {"Origin": SITE})[1]


def test_tags_of_a_bucket(s3):
    assert refused(s3.get_bucket_tagging, Bucket="shop") == ("NoSuchTagSet", 404)
    tags = [{"Key": f"k{number}", "Value": "<&>"} for number in range(50)]
    s3.put_bucket_tagging(Bucket="shop", Tagging={"TagSet": tags})
    assert s3.get_bucket_tagging(Bucket="shop")["TagSet"] == tags
    more = {"TagSet": [*tags, {"Key": "one", "Value": "more"}]}
    assert refused(s3.put_bucket_tagging, Bucket="shop", Tagging=more) == ("InvalidTag", 400)
    s3.delete_bucket_tagging(Bucket="shop")
    assert refused(s3.get_bucket_tagging, Bucket="shop") == ("NoSuchTagSet", 404)
    assert refused(s3.put_bucket_tagging, Bucket="none-there", Tagging={"TagSet": []}) == ("NoSuchBucket", 404)


def test_only_the_owner_sees_and_sets_them(cloud, owner, s3):
    s3.put_bucket_acl(Bucket="shop", ACL="public-read")
    stranger, name = cloud.s3(cloud.new_pair(cloud.log_in("admin"))), f"{owner.project_id}_shop"
    assert stranger.get_object(Bucket=name, Key="o")["Body"].read() == b"data"
    for call in (stranger.get_bucket_cors, stranger.get_bucket_tagging, stranger.delete_bucket_cors):
        assert refused(call, Bucket=name) == ("AccessDenied", 403)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("PATCH", "/o", 405, "MethodNotAllowed"),
        ("DELETE", None, 405, "MethodNotAllowed"),
        ("GET", "/o?" + "a=1&" * 1001, 400, "InvalidRequest"),
        ("POST", "/o", 405, "MethodNotAllowed"),
    ],
)
def test_refusals_before_any_operation_are_xml(ask, method, path, status, code):
    given, told, page = ask(method, path) if path else ask(method, base="/object-store/s3")
    assert (given, told["content-type"]) == (status, "application/xml")
    assert fromstring(page).findtext("Code") == code and fromstring(page).findtext("Message")


def test_a_bug_is_told_in_xml(ask, cloud, monkeypatch):
    monkeypatch.setattr(resources.Bucket.head, "handler", lambda _call: 1 / 0)
    monkeypatch.setattr(resources.Bucket.show, "handler", lambda _call: 1 / 0)
    status, told, page = ask("GET")
    assert (status, told["content-type"], fromstring(page).findtext("Code")) == (
        500,
        "application/xml",
        "InternalError",
    )
    assert "ZeroDivisionError" in page and "Traceback" not in page
