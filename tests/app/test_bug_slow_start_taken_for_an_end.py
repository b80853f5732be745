# SPDX-License-Identifier: Apache-2.0
"""Bug: `alto up` said that the cloud had ended if its supervisor took three seconds to get as far as its lock.

A fresh installation compiles every module then, and does on a slow machine.
"""

import itertools
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from altostratus.app.options import CloudOptions, Paths
from altostratus.cli import lifecycle
from altostratus.kernel import clock


@pytest.fixture(autouse=True)
def ready_at_the_fourth_look(monkeypatch: pytest.MonkeyPatch) -> None:
    looks, seconds = itertools.count(), itertools.count(step=2)
    monkeypatch.setattr(lifecycle, "_answers", lambda _options: next(looks) >= 4)
    monkeypatch.setattr(lifecycle, "_has_host", lambda _options, _token: True)
    monkeypatch.setattr(lifecycle, "log_in", lambda _paths, _options: ("token", "project"))
    monkeypatch.setattr(clock, "monotonic", lambda: float(next(seconds)))


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    found = Paths(tmp_path)
    found.run.mkdir()
    return found


def test_a_supervisor_without_its_lock_is_waited_for(paths: Paths) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as supervisor:
        lifecycle._wait_until_ready(paths, CloudOptions(), supervisor)
        assert supervisor.poll() is None


def test_one_that_ended_is_not(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as supervisor:
        supervisor.wait()
        with pytest.raises((typer.Exit, SystemExit)):
            lifecycle._wait_until_ready(paths, CloudOptions(), supervisor)
    assert "ended while starting" in capsys.readouterr().err
