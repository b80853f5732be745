# SPDX-License-Identifier: Apache-2.0
"""What was deleted while the replicator copied it was left on the disk that got the copy, until the sweep of orphans.

It happened after every kill: the waste and the replicator begin together, and find what was deleted on some disks.
"""

import io

import pytest

from altostratus.drivers.object_store.embedded.disk import Disk
from altostratus.drivers.object_store.embedded.upkeep import replicate
from tests.drivers.object_store.disks import copy_on


@pytest.fixture(params=[4, 100_000], ids=["small", "large"])
def blob_id(request, store, disks):
    """On two disks of three."""
    blob = store.write(io.BytesIO(b"x" * request.param))
    store.settle(blob.id)
    copy_on(disks[0], blob.id).remove()
    return blob.id


@pytest.mark.parametrize("deleted_on", [0, 1, 2, 3], ids=["none", "one", "two", "all"])
def test_deleted_meanwhile(store, blob_id, monkeypatch, deleted_on):
    """The delete has come to so many disks when the copy is made."""
    take_copy, remove = Disk.take_copy, Disk.remove
    removed: list[object] = []

    def stopping(disk, *words):
        if len(removed) == deleted_on and "copying" not in removed:
            replicate(store)
        removed.append(disk)
        remove(disk, *words)

    def copying(disk, *words):
        removed.append("copying")
        take_copy(disk, *words)

    monkeypatch.setattr(Disk, "remove", stopping)
    monkeypatch.setattr(Disk, "take_copy", copying)
    store.delete(blob_id)
    if deleted_on == 3:
        replicate(store)
    assert list(store.blob_ids()) == []


def test_deleted_while_it_is_copied(store, blob_id, monkeypatch):
    take_copy = Disk.take_copy

    def copying(disk, source, *words):
        store.delete(blob_id)  # the source is open and can be read
        take_copy(disk, source, *words)

    monkeypatch.setattr(Disk, "take_copy", copying)
    replicate(store)
    assert list(store.blob_ids()) == []
