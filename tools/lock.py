#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write requirements/*.lock: every dependency with its version and the hashes of its files, and nothing else.

`tools/lock.py` keeps locked versions that still fit, `tools/lock.py --upgrade` takes the newest ones,
`tools/lock.py --check` only compares the locks with pyproject.toml (offline, for `./dev check`).
The locks name no index: where packages come from is the business of the machine that installs them.
"""

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST_PYTHON = "3.11"
# What each lock holds: extras of the package, and dependency groups.
LOCKS: dict[str, tuple[list[str], list[str]]] = {
    "dev": (["postgres", "rabbitmq", "client"], ["dev"]),
    "runtime": ([], ["build"]),
}
HEADER = """\
# SPDX-License-Identifier: Apache-2.0
# Written by `./dev lock` from pyproject.toml. Do not edit.
# inputs: {digest}
"""


def inputs_digest(pyproject: Path) -> str:
    """Digest of everything in `pyproject` that decides about the locks."""
    data = tomllib.loads(pyproject.read_text())
    project = data["project"]
    inputs = [
        project["requires-python"],
        project["dependencies"],
        project.get("optional-dependencies", {}),
        data.get("dependency-groups", {}),
        data.get("tool", {}).get("uv", {}),
        LOCKS,
    ]
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:32]


def stale_locks(root: Path) -> list[str]:
    """Sentences about locks that are not those of pyproject.toml, or hold what they must not."""
    digest = inputs_digest(root / "pyproject.toml")
    wrong = []
    for name in LOCKS:
        lock = root / "requirements" / f"{name}.lock"
        text = lock.read_text() if lock.exists() else ""
        if f"# inputs: {digest}\n" not in text:
            wrong.append(f"requirements/{name}.lock is not that of pyproject.toml: run ./dev lock and commit it")
        if re.search(r"://|--(extra-)?index-url|--find-links", text):
            wrong.append(f"requirements/{name}.lock names a place: remove the line, a lock names packages only")
    return wrong


def find_uv(scratch: Path) -> str:
    """Path of the `uv` command: the machine's, else one installed into `scratch`."""
    if found := shutil.which("uv"):
        return found
    venv.create(scratch / "uv", with_pip=True)
    subprocess.run([scratch / "uv/bin/python", "-m", "pip", "install", "--quiet", "uv"], check=True)
    return str(scratch / "uv/bin/uv")


def write_lock(uv: str, name: str, constraint: Path | None, *, upgrade: bool) -> Path:
    """Resolve the lock `name` for every supported Python. `constraint` holds versions that must be kept."""
    lock = ROOT / "requirements" / f"{name}.lock"
    extras, groups = LOCKS[name]
    command = [uv, "pip", "compile", "--quiet", "--universal", "--python-version", OLDEST_PYTHON, "--generate-hashes"]
    command += [
        "--no-emit-index-url",
        "--no-emit-find-links",
        "--no-header",
        "--no-annotate",
        "--output-file",
        str(lock),
    ]
    command += [f"--extra={extra}" for extra in extras] + [f"--group={group}" for group in groups]
    command += ["--upgrade"] if upgrade else []
    command += ["--constraint", str(constraint)] if constraint else []
    subprocess.run([*command, "pyproject.toml"], cwd=ROOT, check=True)
    body = "".join(line for line in lock.read_text().splitlines(keepends=True) if not line.startswith("#"))
    lock.write_text(HEADER.format(digest=inputs_digest(ROOT / "pyproject.toml")) + body)
    return lock


def main() -> int:
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(description="Write or check the lock files in requirements/.")
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a lock is not up to date")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions")
    options = parser.parse_args()
    if not options.check:
        with tempfile.TemporaryDirectory() as scratch:
            uv = find_uv(Path(scratch))
            # The developers' lock first: the users' one is a part of it, so that both agree on every version.
            dev = write_lock(uv, "dev", None, upgrade=options.upgrade)
            write_lock(uv, "runtime", dev, upgrade=options.upgrade)
    wrong = stale_locks(ROOT)
    for sentence in wrong:
        print(sentence)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
