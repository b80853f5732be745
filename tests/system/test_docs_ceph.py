# SPDX-License-Identifier: Apache-2.0
"""The commands of docs/object-store-ceph.md, typed beside a real Ceph."""

import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from altostratus.testing.private_ceph import PrivateCeph, load_library, why_not
from altostratus.testing.private_cloud import PrivateCloud
from tests.system import typed_pages

pytestmark = [pytest.mark.system, pytest.mark.skipif(why_not() is not None, reason=why_not() or "")]
PAGE = typed_pages.DOCS / "object-store-ceph.md"
CONFIG = """
objects = "rados"
[rados]
conf = "{conf}"
"""


def test_the_page_works_as_typed(tmp_path: Path) -> None:
    settings, give, tell, use = ("\n".join(typed_pages.typed_in(block)) for block in typed_pages.blocks(PAGE))
    assert settings.startswith("ETC=") and "alto up" in tell
    load_library()
    # the control process has an id of its own, which may not look into tmp_path
    with TemporaryDirectory() as place, PrivateCeph(Path(place), prepared=False) as ceph:
        shell(f"umask 022\nETC={place}\n{give}\nchmod 755 {place}\nchmod 644 {place}/*keyring", ceph.environment())
        cloud = PrivateCloud(config=CONFIG.format(conf=ceph.conf))
        cloud.environment |= ceph.environment()
        cloud.environment["PATH"] = f"{Path(sys.executable).parent}:{cloud.environment['PATH']}"
        with cloud:
            said = shell(f"cd {tmp_path}\nexport COLUMNS=300\n{tell}\n{use}", cloud.environment)
    assert "the pool altostratus of Ceph answers" in said
    assert "the same" in said
    pieces = set(re.findall(r"^([0-9a-f]{32})(?:\.\d)?$", said, re.MULTILINE))
    assert len(pieces) == 1 and f"{pieces.pop()}.1" in said and "pending.index" in said


def shell(script: str, environment: dict[str, str]) -> str:
    argv = ["bash", "-c", f"set -eu\n{script}"]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
