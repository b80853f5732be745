# SPDX-License-Identifier: Apache-2.0
"""The whole cloud, with real tokens."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from altostratus.services.identity.tokens import passwords

from .whole_cloud import WholeCloud


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WholeCloud]:
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    with WholeCloud(tmp_path) as made:
        yield made
