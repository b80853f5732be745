# SPDX-License-Identifier: Apache-2.0
"""Patterns of access rules: what they match, what not, and that nobody can make them slow."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from altostratus.kernel.access_rules import AccessRule, AccessRules, Asked, matches, pieces_of


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/v2/servers", "/v2/servers"),
        ("/v2/servers/{server_id}", "/v2/servers/123"),
        ("/v2/servers/*", "/v2/servers/123"),
        ("/v2/servers/**", "/v2/servers/123"),
        ("/v2/servers/**", "/v2/servers/123/456"),
        ("/v2/servers/**", "/v2/servers/"),
        ("**", "/v2/servers/123/volume/456"),
        ("/v2/*/*/*", "/v2/servers/123/456"),
        ("/v2/{project_id}/servers/{server_id}", "/v2/123/servers/466"),
        ("/**/x*y/z", "/a/xb/xay/z"),
        ("/a{b", "/a{b"),
        ("/", "/"),
    ],
)
def test_matches(pattern, path):
    assert matches(pieces_of(pattern), path)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/v2/servers", "/v2/servers/someuuid"),
        ("/v2/servers", "/v2/server"),
        ("/v2/servers/{server_id}", "/v2/servers//"),
        ("/v2/servers/{server_id}", "/v2/servers/"),
        ("/v2/servers/{server_id}", "/v2/servers"),
        ("/v2/servers/{server_id}", "/v2/servers/123/456"),
        ("/v2/servers/*", "/v2/servers/123/456"),
        ("v2/servers", "/v2/servers"),
        ("/v2/*/*/*", "/v2/servers/123/456/789"),
        ("/v2.1", "/v2x1"),  # a dot is a dot
        ("/v2/servers", "/v2/servers\n"),
    ],
)
def test_does_not_match(pattern, path):
    assert not matches(pieces_of(pattern), path)


@settings(deadline=None)
@given(st.text("/ab*{}", max_size=12), st.text("/ab", max_size=12))
def test_same_as_the_regular_expression_that_the_words_describe(pattern, path):
    pieces = pieces_of(pattern)
    meaning = "".join({"*": "[^/]+", "**": ".*"}.get(piece, re.escape(piece)) for piece in pieces)
    assert matches(pieces, path) == bool(re.fullmatch(meaning, path, re.DOTALL))


def test_no_pattern_takes_long():
    path = "/" + "a" * 4000
    started = time.thread_time()
    for pattern in ("/" + "**a" * 74 + "b", "/" + "*a" * 112 + "b"):
        assert not matches(pieces_of(pattern), path)
    assert time.thread_time() - started < 10  # of work; the regular expressions would outlast the sun


def test_service_and_method_must_be_right_too():
    asked = Asked(("compute",), "/compute", "GET", "/compute/v2.1/servers")
    for path in ("/v2.1/servers", "/compute/v2.1/servers"):
        rules = AccessRules([AccessRule("compute", "GET", path)])
        assert rules.allow(asked)
        assert not rules.allow(asked._replace(method="HEAD"))
        assert not rules.allow(asked._replace(service_types=("image",)))
        assert not rules.allow(asked._replace(path="/computev2.1/servers"))
    assert not AccessRules([]).allow(asked)


def test_a_slash_at_the_end_counts_in_names_only():
    rules = AccessRules([AccessRule("object-store", "PUT", "/v1/{account}/photos/dir/")])
    asked = Asked(("object-store",), "/object-store", "PUT", "/object-store/v1/AUTH_x/photos/dir")
    assert rules.allow(asked)
    name = asked._replace(slash_counts=True)
    assert not rules.allow(name) and rules.allow(name._replace(path=f"{name.path}/"))
