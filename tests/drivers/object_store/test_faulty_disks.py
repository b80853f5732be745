# SPDX-License-Identifier: Apache-2.0
"""One disk begins to fail, at any call of anything: clients do not notice, and all is well when it is mended."""

import errno
import io
import os

import pytest

from altostratus.contracts.object_store import ObjectStoreError
from altostratus.drivers.object_store.embedded.upkeep import audit, replicate
from altostratus.testing.faulty_disk import FaultyDisk
from tests.drivers.object_store.disks import make_disks, make_store

TROUBLES = {"broken": errno.EIO, "read-only": errno.EROFS, "full": errno.ENOSPC}
trouble = pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
CALLS = (0, 1, 2, 3, 5, 8, 12)


class Life:
    """Blobs that are written, read and deleted."""

    def __init__(self, store):
        self.store, self.kept, self.deleted = store, {}, set()

    def put(self, data):
        blob = self.store.write(io.BytesIO(data))
        self.kept[blob.id] = data
        self.store.settle(blob.id)
        return blob.id

    def delete(self, blob_id):
        del self.kept[blob_id]
        self.deleted.add(blob_id)
        self.store.delete(blob_id)

    def demand_kept(self):
        for blob_id, data in self.kept.items():
            assert b"".join(self.store.read(blob_id)) == data

    def demand_order(self):
        """As after the start of a cloud, and the sweep."""
        for blob_id in {*self.store.pending(), *self.store.blob_ids()}:
            if blob_id in self.kept:
                self.store.settle(blob_id)
            else:
                self.store.delete(blob_id)
        assert set(self.store.blob_ids()) == set(self.kept) and list(self.store.pending()) == []
        self.demand_kept()


@trouble
def test_one_of_three(tmp_path, trouble):
    disks = make_disks(tmp_path, 3)
    life, faulty = Life(make_store(tmp_path / "objects", disks)), FaultyDisk(disks[1])
    failures = 0
    for after in CALLS:
        before = [life.put(os.urandom(size)) for size in (10, 300_000)]
        with faulty.installed():
            faulty.fail(trouble, after=after)
            life.put(os.urandom(600_000))
            life.put(b"small")
            life.demand_kept()
            life.delete(before[0])
            life.put(b"again")
            replicate(life.store)
            audit(life.store)
            life.demand_kept()
            faulty.mend()
        assert faulty.failures > failures, "it failed in every round"
        failures = faulty.failures
        life.demand_order()
        assert replicate(life.store).failed == 0
        tally = audit(life.store)
        assert (tally.damaged, tally.failed, tally.looked_at) == (0, 0, 3 * len(life.kept))


def put_or_reason(life, data):
    try:
        life.put(data)
    except ObjectStoreError as error:
        return error.reason
    return None


@trouble
def test_the_only_one(tmp_path, trouble):
    disks = make_disks(tmp_path, 1)
    life, faulty = Life(make_store(tmp_path / "objects", disks)), FaultyDisk(disks[0])
    first = life.put(b"first")
    for after in CALLS:
        with faulty.installed():
            faulty.fail(trouble, after=after)
            refused = put_or_reason(life, os.urandom(600_000))
            assert refused in (None, "full" if trouble == errno.ENOSPC else "broken")
            assert refused or after > 1
            faulty.mend()
        life.demand_order()
        life.put(b"again")
    assert life.kept[first] == b"first"
