# SPDX-License-Identifier: Apache-2.0
"""docs/identity.md and its translation: the same commands, and they work as typed (IDN-01 to 13, 19 to 23, 26, 28)."""

import os
import re

import pytest

from altostratus.testing.private_cloud import PrivateCloud
from tests.system import typed_pages
from tests.system.typed_pages import DOCS


def test_both_languages_type_the_same():
    english, chinese = (typed_pages.commands(DOCS / name) for name in ("identity.md", "zh/identity.md"))
    assert len(english) > 50
    assert chinese == english


@pytest.mark.skipif(os.geteuid() != 0, reason="a cloud is started by root")
def test_the_commands_work_as_typed(tmp_path):
    """In one shell; each line that is refused must be, and no other may."""
    with PrivateCloud() as cloud:
        said = typed_pages.run(typed_pages.commands(DOCS / "identity.md"), tmp_path, cloud.environment)
    assert re.search(r"^\| [0-9a-f]{32} \| apollo +\| True +\|$", said, re.MULTILINE), "IDN-27: keystone tenant-list"
    for what in ("1 token issued", "2 request", "3 token verified", "4 quota", "5 work handed"):
        assert what in said
