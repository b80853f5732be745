# SPDX-License-Identifier: Apache-2.0
"""The contract, over every driver."""

import io

import pytest

from altostratus.contracts.object_store import ObjectStoreError
from altostratus.drivers.object_store.embedded import EmbeddedStore, ring
from altostratus.drivers.object_store.fake import FakeObjectStore
from altostratus.testing.object_store_conformance import ObjectStoreConformance


class TestFake(ObjectStoreConformance):
    @pytest.fixture
    def store(self):
        return FakeObjectStore()

    def test_full(self, store):
        store.capacity_bytes = 5
        with pytest.raises(ObjectStoreError) as refused:
            store.write(io.BytesIO(b"123456"))
        assert refused.value.reason == "full"


class TestEmbeddedOnOneDisk(ObjectStoreConformance):
    @pytest.fixture
    def store(self, tmp_path):
        return EmbeddedStore(tmp_path / "objects")


class TestEmbeddedOnThreeDisks(ObjectStoreConformance):
    @pytest.fixture
    def store(self, tmp_path):
        store = EmbeddedStore(tmp_path / "objects")
        made = ring.create(4, 3)
        for number in range(3):
            (tmp_path / f"disk{number}").mkdir()
            made = ring.add(made, str(tmp_path / f"disk{number}"), number, 100.0)
        store.change_ring(ring.rebalance(made)[0])
        return store
