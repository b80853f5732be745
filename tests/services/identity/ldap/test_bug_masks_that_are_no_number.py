# SPDX-License-Identifier: Apache-2.0
"""Bug: a directory whose attribute for "enabled" held `²` was answered with 500: a digit, and no number."""

import pytest

from altostratus.services.identity.directory.settings import Enabled


@pytest.mark.parametrize(
    ("text", "number"), [("514", 514), ("-2", -2), ("²", 512), ("--1", 512), ("TRUE", 512), ("", 512), (None, 512)]
)
def test_the_default_stands_for_them(text, number):
    enabled = Enabled(mask=2, default="512", invert=False, group_dn=None, group_member_attribute="member")
    assert enabled.number(text) == number
