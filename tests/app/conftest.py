# SPDX-License-Identifier: Apache-2.0
"""The whole cloud, with real tokens."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from altostratus.app import object_disks
from altostratus.services.identity.tokens import passwords

from .whole_cloud import WholeCloud


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WholeCloud]:
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    with WholeCloud(tmp_path) as made:
        yield made


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """Commands that run in this process make files for the cloud's user only; what runs after them must not."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """For `alto ring` in this process: a state directory, and four directories that may become disks."""
    monkeypatch.setenv("ALTO_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(object_disks, "drop_privileges", lambda identity: None)
    for name in "abcd":
        (tmp_path / name).mkdir()
    return tmp_path
