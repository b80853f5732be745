# SPDX-License-Identifier: Apache-2.0
"""Trouble after the commit deleted the bytes that the new row names; those of the object before were waste already."""

import pytest

from altostratus.contracts.object_store import ObjectStoreError
from altostratus.services.object_store.reconcilers.orphans import REMOVE_ORPHANS
from altostratus.services.object_store.reconcilers.waste import remove_waste


@pytest.fixture
def trouble(store, monkeypatch):
    def settle(blob_id):
        raise ObjectStoreError("broken", "The disk went away.")

    with monkeypatch.context() as changed:
        changed.setattr(store, "settle", settle)
        yield changed


def test_the_bytes_stay_and_are_settled_by_the_sweep(cloud, store, swift, trouble, nothing_left):
    swift("PUT", "c")
    assert swift("PUT", "c/o", b"one").status == 500
    assert swift("PUT", "c/o", b"two").status == 500
    remove_waste(cloud.cloud)
    assert swift("GET", "c/o").content == b"two"
    trouble.undo()
    assert len(list(store.pending())) == 1
    REMOVE_ORPHANS.run(cloud.cloud)
    assert swift("GET", "c/o").content == b"two"


def test_what_nobody_named_goes_when_it_is_old(cloud, store, swift, monkeypatch, nothing_left):
    def write():
        raise OSError("a trouble nobody expected")

    swift("PUT", "c")
    with monkeypatch.context() as changed:
        changed.setattr(cloud.cloud.db, "write", write)
        assert swift("PUT", "c/o", b"one").status == 500
    REMOVE_ORPHANS.run(cloud.cloud)
    (blob_id,) = store.pending()
    assert store.exists(blob_id), "its row may be written yet"
    monkeypatch.setattr(store, "age_s", lambda blob_id: 3601.0)
    REMOVE_ORPHANS.run(cloud.cloud)
    assert not store.exists(blob_id)
