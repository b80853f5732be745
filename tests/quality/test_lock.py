# SPDX-License-Identifier: Apache-2.0
"""The locks are those of pyproject.toml, name no place, and agree with each other."""

import re
import shutil
from pathlib import Path

from tools import lock

ROOT = Path(__file__).resolve().parents[2]
PIN = re.compile(r"^([a-z0-9._-]+)(?:\[[a-z,]+\])?==(\S+)", re.MULTILINE)


def pins(name: str) -> set[tuple[str, str]]:
    return set(PIN.findall((ROOT / "requirements" / f"{name}.lock").read_text()))


def test_locks_are_fresh() -> None:
    assert lock.stale_locks(ROOT) == []


def test_users_get_what_developers_test() -> None:
    assert pins("runtime") <= pins("dev")
    assert {"falcon", "hatchling", "editables"} <= {name for name, _ in pins("runtime")}


def test_every_pin_has_hashes() -> None:
    for name in lock.LOCKS:
        for line in (ROOT / "requirements" / f"{name}.lock").read_text().splitlines():
            assert line.startswith(("#", "    --hash=sha256:")) or line.endswith(" \\"), line


def test_stale_and_talkative_locks_are_told(tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    assert lock.stale_locks(tmp_path) == []
    (tmp_path / "requirements/dev.lock").unlink()
    runtime = tmp_path / "requirements/runtime.lock"
    runtime.write_text(runtime.read_text() + "--index-url https://example.org\n")
    pyproject = tmp_path / "pyproject.toml"
    told = lock.stale_locks(tmp_path)
    assert [sentence.split()[0] for sentence in told] == ["requirements/dev.lock", "requirements/runtime.lock"]
    pyproject.write_text(pyproject.read_text().replace('"falcon>=', '"falcon>=9'))
    assert len(lock.stale_locks(tmp_path)) == 3
