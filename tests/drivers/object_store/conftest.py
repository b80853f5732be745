# SPDX-License-Identifier: Apache-2.0
"""Three disks, and the store that they make."""

import pytest

from tests.drivers.object_store.disks import make_disks, make_store


@pytest.fixture
def disks(tmp_path):
    return make_disks(tmp_path, 3)


@pytest.fixture
def store(tmp_path, disks):
    return make_store(tmp_path / "objects", disks)
