# SPDX-License-Identifier: Apache-2.0
"""The contract, over a real Ceph."""

import pytest

from altostratus.testing.object_store_conformance import ObjectStoreConformance

pytestmark = pytest.mark.system_smoke


class TestRados(ObjectStoreConformance):
    """The fixture `store` is in conftest.py."""
