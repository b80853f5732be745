# SPDX-License-Identifier: Apache-2.0
"""What the tests of the kernel share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.toy_jobs import ToyCloud


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[ToyCloud]:
    """The small world for jobs; other test files have a `cloud` of their own."""
    made = ToyCloud(tmp_path)
    yield made
    made.jobs.stop()
    made.db.close()
