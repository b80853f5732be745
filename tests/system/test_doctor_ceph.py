# SPDX-License-Identifier: Apache-2.0
"""`alto doctor` of a cloud whose objects are to be in Ceph, on a machine that cannot reach it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system_smoke
CONFIG = '[cloud]\nobjects = "rados"\n[rados]\n'


def doctor_says(state: Path, rados: str) -> str:
    state.mkdir()
    (state / "altostratus.toml").write_text(CONFIG + rados)
    environment = os.environ | {"ALTO_STATE": str(state), "COLUMNS": "400"}
    argv = [sys.executable, "-m", "altostratus.cli.main", "doctor"]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False).stdout


def test_it_says_what_is_missing(tmp_path: Path) -> None:
    row = next(
        line for line in doctor_says(tmp_path / "a", 'conf = "/nowhere/ceph.conf"').splitlines() if "objects" in line
    )
    assert "--" in row and "docs/object-store-ceph.md" in row
    assert "apt-get install librados2" in row or "/nowhere/ceph.conf" in row


def test_it_says_which_option_is_wrong(tmp_path: Path) -> None:
    assert "Did you mean 'conf'" in doctor_says(tmp_path / "b", 'config = "/nowhere/ceph.conf"')
