# SPDX-License-Identifier: Apache-2.0
"""`./alto` and `./dev` prepare once, speak in sentences, and keep standard output for the command."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the bootstrap needs, with a prepared environment that is a sham: `alto` prints its arguments."""
    root = tmp_path / "check out"
    for name in ("requirements", "tools"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("alto", "dev", "pyproject.toml"):
        shutil.copy(ROOT / name, root / name)
    binaries = root / ".venv/bin"
    binaries.mkdir(parents=True)
    for name in ("alto", "python"):
        (binaries / name).write_text('#!/bin/sh\nprintf "%s|" "$@"\n')
        (binaries / name).chmod(0o755)
    (root / ".venv/.altostratus-stamp").write_text(stamp(root, "runtime"))
    return root


def bash(root: Path, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `script` with the functions of the bootstrap at hand."""
    command = ["bash", "-c", f'set -uo pipefail; root=$1; . "$root/tools/bootstrap.sh"; {script}', "alto", str(root)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ALTO_")}
    return subprocess.run(command, env=clean | environment, capture_output=True, text=True, check=False, timeout=60)


def stamp(root: Path, kind: str) -> str:
    return bash(root, f"stamp_of {kind}").stdout


def run(command: Path, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ALTO_")}
    argv = [str(command), *arguments]
    return subprocess.run(argv, env=environment, cwd=cwd, capture_output=True, text=True, check=False, timeout=60)


def test_prepared_means_straight_to_the_command(checkout: Path) -> None:
    result = run(checkout / "alto", "server", "a b")
    assert (result.returncode, result.stdout, result.stderr) == (0, "server|a b|", "")


def test_called_by_a_symbolic_link_from_elsewhere(checkout: Path, tmp_path: Path) -> None:
    link = tmp_path / "bin-alto"
    link.symlink_to(checkout / "alto")
    assert run(link, "x", cwd=Path("/")).stdout == "x|"


@pytest.mark.parametrize("changed", ["requirements/runtime.lock", "requirements/packages.txt", "pyproject.toml"])
def test_a_changed_input_asks_for_a_new_preparation(checkout: Path, changed: str) -> None:
    before = stamp(checkout, "runtime")
    with (checkout / changed).open("a") as file:
        file.write("# changed\n")
    assert stamp(checkout, "runtime") != before
    assert bash(checkout, 'is_prepared "$(stamp_of runtime)"').returncode == 1


def test_developers_and_users_have_stamps_of_their_own(checkout: Path) -> None:
    assert bash(checkout, 'is_prepared "$(stamp_of runtime)"').returncode == 0
    assert bash(checkout, 'is_prepared "$(stamp_of dev)"').returncode == 1


def test_missing_packages_are_listed_with_the_first_of_alternatives(checkout: Path, tmp_path: Path) -> None:
    (checkout / "requirements/packages.txt").write_text("# words\n\nthere\nother|there\nfirst|second\ngone\n")
    sham = tmp_path / "bin"
    sham.mkdir()
    (sham / "dpkg-query").write_text("#!/bin/sh\nprintf 'there/installed gone/config-files '\n")
    (sham / "dpkg-query").chmod(0o755)
    result = bash(checkout, "missing_packages", PATH=f"{sham}:{os.environ['PATH']}")
    assert result.stdout.split() == ["first", "gone"]


@pytest.mark.parametrize(
    ("function", "log", "part"),
    [
        ("why_packages_failed", "E: Could not get lock /var/lib/dpkg/lock-frontend.", "Wait for it to end"),
        ("why_packages_failed", "E: You don't have enough free space in /var/cache", "disk is full"),
        ("why_packages_failed", "Err: Temporary failure resolving 'somewhere'", "cannot be reached"),
        ("why_packages_failed", "E: Unable to locate package syslinux", "universe"),
        ("why_packages_failed", "E: strange", "Read the log"),
        ("why_python_failed", "OSError: [Errno 28] No space left on device", "disk is full"),
        ("why_python_failed", "THESE PACKAGES DO NOT MATCH THE HASHES", "not the one that was locked"),
        ("why_python_failed", "NewConnectionError: Failed to establish", "cannot be reached"),
        ("why_python_failed", "ERROR: No matching distribution found", "lacks a version"),
        ("why_python_failed", "strange", "makes a fresh start"),
    ],
)
def test_failures_are_sentences(checkout: Path, tmp_path: Path, function: str, log: str, part: str) -> None:
    (tmp_path / "log").write_text(log + "\n")
    assert part in bash(checkout, f"log_file={tmp_path / 'log'}; {function}").stdout


def test_another_distribution_is_told_what_to_do(checkout: Path, tmp_path: Path) -> None:
    sham = tmp_path / "bin"
    sham.mkdir()
    for name in ("bash", "cat", "grep", "tail"):
        (sham / name).symlink_to(shutil.which(name) or "")
    result = bash(checkout, "ensure_packages runtime", PATH=str(sham))
    assert result.returncode == 1
    assert "ALTO_SKIP_PACKAGES=1" in result.stderr
    # Developers can do without.
    assert bash(checkout, "ensure_packages dev", PATH=str(sham)).returncode == 0


def test_a_directory_that_is_no_environment_is_not_deleted(checkout: Path) -> None:
    (checkout / ".venv/precious").write_text("")
    result = bash(checkout, "ensure_venv")
    assert result.returncode == 1
    assert "no virtual environment" in result.stderr
    assert (checkout / ".venv/precious").exists()


def test_a_python_is_found_and_named_by_its_real_path(checkout: Path) -> None:
    path = Path(bash(checkout, "find_python").stdout.strip())
    assert path.is_file()
    assert not path.is_symlink()


def test_a_named_python_is_taken_or_refused(checkout: Path, tmp_path: Path) -> None:
    assert bash(checkout, "find_python", ALTO_PYTHON="/usr/bin/python3").stdout.startswith("/")
    assert bash(checkout, "find_python", ALTO_PYTHON="no-such-python").stdout == ""
    shutil.rmtree(checkout / ".venv")
    result = bash(checkout, f"log_file={tmp_path / 'log'}; ensure_venv", ALTO_PYTHON="no-such-python")
    assert "by the name no-such-python" in result.stderr


def test_developer_script_explains_itself(checkout: Path) -> None:
    assert "./dev COMMAND" in run(checkout / "dev", "help").stdout
    wrong = run(checkout / "dev", "frobnicate")
    assert wrong.returncode == 1
    assert "no command 'frobnicate'" in wrong.stderr
