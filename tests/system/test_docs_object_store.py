# SPDX-License-Identifier: Apache-2.0
"""Lab 7 of the course and the guide, and all pages about objects in both languages: the same commands, and they work as
typed (OBJ-01 to 04, 07).

The lab makes a cloud of its own at a fixed place and port: here in namespaces, where both are always free.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from altostratus.testing.private_cloud import PrivateCloud
from tests.system import typed_pages
from tests.system.typed_pages import DOCS

LAB, GUIDE = "labs/07-object-store.md", "object-store.md"
S3, CEPH = "object-store-s3.md", "object-store-ceph.md"
# a place that the cloud's own user can reach, gone with the namespace
PLACE = "mount -t tmpfs -o mode=755 lab /srv && ip link set lo up"
NAMESPACES = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
AMAZONS = "aws "


def can_unshare() -> bool:
    return os.geteuid() == 0 and subprocess.run([*NAMESPACES, "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("page, least", [(LAB, 20), (GUIDE, 20), (S3, 20), (CEPH, 10)])
def test_both_languages_type_and_show_the_same(page: str, least: int):
    english, chinese = DOCS / page, DOCS / "zh" / page
    assert len(typed_pages.commands(english)) > least
    assert typed_pages.commands(chinese) == typed_pages.commands(english)
    assert typed_pages.shown(chinese) == typed_pages.shown(english)


@pytest.mark.system_smoke
@pytest.mark.skipif(not can_unshare(), reason="a cloud in namespaces is started by root")
def test_the_lab_works_as_typed(tmp_path: Path):
    lines = typed_pages.commands(DOCS / LAB)
    if shutil.which("aws") is None:
        lines = [line for line in lines if not line.startswith(AMAZONS)]
    said = typed_pages.run(lines, tmp_path, os.environ, within=NAMESPACES, before=PLACE)
    printed = {typed_pages.alike(line) for line in said.splitlines()}
    missing = [line for line in typed_pages.shown(DOCS / LAB) if typed_pages.alike(line) not in printed]
    assert not missing, "\n".join([*missing, "", said])


@pytest.mark.system_smoke
@pytest.mark.skipif(shutil.which("aws") is not None, reason="they were typed")
def test_commands_of_amazon_were_left_out():
    left_out = [line for line in typed_pages.commands(DOCS / LAB) if line.startswith(AMAZONS)]
    pytest.skip(f"aws is not installed: {len(left_out)} commands of the lab were not typed")


@pytest.mark.system
@pytest.mark.skipif(os.geteuid() != 0, reason="a cloud is started by root")
def test_the_guide_works_as_typed(tmp_path: Path):
    with PrivateCloud() as cloud:
        typed_pages.run(typed_pages.commands(DOCS / GUIDE), tmp_path, cloud.environment)
