# SPDX-License-Identifier: Apache-2.0
"""Tests that are killed leave no processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import guardian

PROGRAM = """
import os, subprocess, sys
from tests.guardian import RUN, Guardian
guarded = Guardian()
guest = subprocess.Popen(["sleep", "300"], stdout=subprocess.DEVNULL, start_new_session=True)
print(os.environ[RUN], guest.pid, flush=True)
if sys.stdin.readline() == "end\\n":
    guarded.release()
else:
    os.kill(os.getpid(), 9)
"""


def is_there(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("killed", [True, False])
def test_what_is_left(killed):
    environment = {name: value for name, value in os.environ.items() if name != guardian.RUN}
    root = Path(__file__).parents[1]
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root,
        env=environment | {"PYTHONPATH": str(root)},
    )  # fmt: skip
    assert program.stdout is not None
    run, guest = program.stdout.readline().split()
    try:
        program.communicate("die\n" if killed else "end\n", timeout=20)
        until = time.monotonic() + (20 if killed else 1)
        while is_there(guest) and time.monotonic() < until:
            time.sleep(0.05)
        assert is_there(guest) is not killed
    finally:
        if is_there(guest):
            os.kill(int(guest), signal.SIGKILL)
    assert run != os.environ.get(guardian.RUN)
