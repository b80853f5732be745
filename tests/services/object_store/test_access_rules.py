# SPDX-License-Identifier: Apache-2.0
"""Tokens with access rules: here operations ask for the token themselves, and the rules hold all the same."""

import pytest

from altostratus.kernel.access_rules import AccessRule
from tests.bound import BoundAuthenticator


@pytest.fixture
def bound(cloud, swift):
    """A container with two objects; from then on the member's token may do what the rules say."""
    swift.put("photos")
    swift.put("photos/a/one", b"1")
    swift.put("photos/b", b"2")
    cloud.cloud.authenticator = BoundAuthenticator()
    return cloud.cloud.authenticator


def rule(method, path):
    return AccessRule("object-store", method, path)


def test_without_a_rule_nothing(swift, bound):
    for method, path in (("GET", ""), ("HEAD", ""), ("GET", "photos"), ("PUT", "more"), ("GET", "photos/b")):
        assert swift(method, path).status == 401, (method, path)


def test_only_what_a_rule_names(swift, bound):
    bound.rules = [rule("GET", "/v1/{account}/photos/*")]
    assert swift("GET", "photos/b").content == b"2"
    for method, path in (
        ("GET", "photos"),
        ("GET", "photos/"),
        ("GET", "photos/a/one"),
        ("HEAD", "photos/b"),
        ("DELETE", "photos/b"),
        ("GET", "photos/../photos"),
        ("GET", "photos/%2e%2e/%2e%2e"),
    ):
        assert swift(method, path).status in (401, 404), (method, path)
    bound.rules = [rule("GET", "/object-store/v1/*/photos/**")]
    assert swift("GET", "photos/a/one").content == b"1"


def test_a_name_with_a_slash_at_its_end_is_another_name(swift, bound):
    bound.rules = [rule("PUT", "/v1/*/photos/dir")]
    assert swift("PUT", "photos/dir").status == 201
    assert swift("PUT", "photos/dir/").status == 401
    bound.rules = [rule("PUT", "/v1/*/photos/dir/")]
    assert swift("PUT", "photos/dir/").status == 201
    assert swift("PUT", "photos/dir").status == 401
