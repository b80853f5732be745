# SPDX-License-Identifier: Apache-2.0
"""The language of buckets' policies: conditions, patterns, and what is not understood."""

import pytest

from altostratus.kernel.errors import BadRequest
from altostratus.services.object_store.logic import bucket_policies
from altostratus.services.object_store.logic.access import Visitor
from altostratus.services.object_store.logic.bucket_policies import Wish, parsed, verdict
from tests.services.object_store.policy_texts import BUCKET, policy, statement


def demand_malformed(text):
    with pytest.raises(BadRequest) as caught:
        parsed(text, "open")
    assert caught.value.kind == "MalformedPolicy"


@pytest.mark.parametrize(
    ("condition", "fits"),
    [
        ({"Bool": {"aws:SecureTransport": "false"}}, True),
        ({"Bool": {"aws:SecureTransport": True}}, False),
        ({"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}, True),
        ({"IpAddress": {"aws:sourceip": ["198.51.100.1", "192.0.2.7"]}}, True),
        ({"NotIpAddress": {"aws:SourceIp": "192.0.2.0/24"}}, False),
        ({"NotIpAddress": {"aws:SourceIp": "198.51.100.0/24"}}, True),
        ({"StringLike": {"aws:Referer": "https://site.example/*"}}, True),
        ({"StringNotLike": {"aws:Referer": ["https://site.example/*", "x"]}}, False),
        ({"StringEquals": {"aws:UserAgent": "robot"}}, True),
        ({"StringEquals": {"aws:UserAgent": "robo*"}}, False),
        ({"StringNotEquals": {"aws:UserAgent": "robot"}}, False),
        ({"StringEquals": {"s3:prefix": ""}}, False),
        ({"StringNotEquals": {"s3:prefix": "x"}}, True),
        ({"StringLike": {"aws:Referer": "https://*"}, "Bool": {"aws:SecureTransport": "true"}}, False),
    ],
)
def test_conditions(condition, fits):
    visitor = Visitor(None, "https://site.example/page", "robot", "192.0.2.7")
    said = verdict(policy(statement(Condition=condition)), "open", visitor, Wish("GetObject", "o"))
    assert said == ("allow" if fits else "")


@pytest.mark.parametrize(
    ("pattern", "key", "fits"),
    [
        ("*", "a/b", True),
        ("a/*", "a/", True),
        ("a/*", "b/a/", False),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("[ab]", "a", False),
        ("[ab]", "[ab]", True),
        ("A", "a", False),
        ("*", None, True),
        ("a*", None, False),
    ],
)
def test_patterns(pattern, key, fits):
    text = policy(statement(resource=f"arn:aws:s3:::open/{pattern}"))
    assert (verdict(text, "open", Visitor(None), Wish("GetObject", key)) == "allow") == fits


def test_a_deny_of_some_keys_holds_where_the_key_is_not_known():
    text = policy(statement(), statement("Deny", resource="arn:aws:s3:::open/secret*"))
    assert verdict(text, "open", Visitor(None), Wish("GetObject", None)) == "deny"
    assert verdict(text, "open", Visitor(None), Wish("GetObject", "public")) == "allow"


@pytest.mark.parametrize(
    "wrong",
    [
        {"Principal": "nobody"},
        {"Principal": {"Service": "logging"}},
        {"Principal": {"AWS": "arn:aws:sts::1:assumed-role/x"}},
        {"Principal": None},
        {"NotPrincipal": {"AWS": "*"}},
        {"NotAction": "s3:GetObject"},
        {"Action": "s3:PutLifecycleConfiguration"},
        {"Action": "ec2:*"},
        {"Action": []},
        {"Action": "s3:ListBucket"},
        {"Resource": "arn:aws:s3:::other/*"},
        {"Resource": "arn:aws:s3:::*"},
        {"Resource": "arn:aws:s3:::open/${aws:username}/*"},
        {"Resource": BUCKET},
        {"Effect": "allow"},
        {"Condition": {"StringEquals": {"s3:x-amz-acl": "private"}}},
        {"Condition": {"StringLikeIfExists": {"aws:Referer": "x"}}},
        {"Condition": {"IpAddress": {"aws:SourceIp": "somewhere"}}},
        {"Condition": {"Bool": {"aws:SecureTransport": "maybe"}}},
        {"Condition": {"Bool": "aws:SecureTransport"}},
        {"Condition": {"StringEquals": {"aws:UserAgent": 7}}},
    ],
)
def test_what_is_not_understood_is_refused(wrong):
    demand_malformed(policy(statement() | wrong))


@pytest.mark.parametrize(
    "text",
    ["", "no", "[]", "{}", '{"Statement": []}', '{"Version": "2020-01-01", "Statement": [{}]}', '{"Statement": [7]}',
     '{"Statement": [{}], "More": 1}', policy(statement(Sid="x" * bucket_policies.MOST_BYTES))],
)  # fmt: skip
def test_what_is_no_policy(text):
    demand_malformed(text)
