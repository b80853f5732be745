# SPDX-License-Identifier: Apache-2.0
"""Disks that are full, wiped, dead or damaged under the embedded store."""

import errno
import io
import os
import shutil
from types import SimpleNamespace

import pytest

from altostratus.contracts.object_store import ObjectStoreError
from altostratus.drivers.object_store.embedded import quarantine, ring, upkeep
from altostratus.drivers.object_store.embedded.disk import Disk
from altostratus.drivers.object_store.embedded.upkeep import audit, replicate
from tests.drivers.object_store.disks import copy_on, flip, holders_of, make_disks


@pytest.fixture
def disks(tmp_path):
    return make_disks(tmp_path, 4)


def put(store, data):
    blob = store.write(io.BytesIO(data))
    store.settle(blob.id)
    return blob.id


def read(store, blob_id):
    return b"".join(store.read(blob_id))


def test_copies_are_where_the_ring_wants_them(store, disks):
    for number in range(50):
        blob_id = put(store, b"%d" % number * (1 + number % 2 * 50_000))
        holders, _ = store.disks(blob_id)
        assert set(holders_of(disks, blob_id)) == {disk.path for disk in holders}
        assert len(holders) == 3


@pytest.mark.parametrize(("size", "place"), [(400_000, place) for place in (0, 300_000, -1, -20, -30)] + [
    (9000, place) for place in (0, 5000, -1, -20, -30, -48)
])  # fmt: skip
def test_a_flipped_bit_is_found_on_reading_and_another_copy_read(store, disks, size, place):
    data = os.urandom(size)
    blob_id = put(store, data)
    first = store.disks(blob_id)[0][0]
    flip(first.path, blob_id, place)
    assert read(store, blob_id) == data
    assert not copy_on(first.path, blob_id) and (first.path / "quarantine" / blob_id).exists()
    assert replicate(store).copied == 1
    assert len(holders_of(disks, blob_id)) == 3


@pytest.mark.parametrize("length", [0, 10, 399_999])
def test_a_cut_off_file_is_found(store, disks, length):
    data = os.urandom(400_000)
    blob_id = put(store, data)
    for disk in holders_of(disks, blob_id)[:2]:
        os.truncate(copy_on(disk, blob_id).path, length)
    assert read(store, blob_id) == data


@pytest.mark.parametrize("replica", [0, 1, 2])
def test_a_flipped_bit_in_any_replica_is_mended(store, disks, replica):
    data = os.urandom(700_000)
    blob_id = put(store, data)
    holder = store.disks(blob_id)[0][replica]
    flip(holder.path, blob_id, 500_000)
    assert read(store, blob_id) == data
    assert audit(store).damaged == (0 if replica == 0 else 1), "a reader has found the first one"
    assert replicate(store).failed == 0
    assert len(holders_of(disks, blob_id)) == 3 and audit(store).damaged == 0
    (aside,) = quarantine.set_aside(store)
    assert (aside.disk, aside.blob_id, aside.elsewhere) == (holder, blob_id, True)
    assert quarantine.purge(store, lambda copy: copy.age_s < 60) == 0
    assert quarantine.purge(store, lambda copy: not copy.elsewhere) == 1
    assert holder.quarantined() == [] and read(store, blob_id) == data


def test_damage_everywhere_is_told(store, disks):
    blob_id = put(store, b"data")
    for disk in disks:
        if copy_on(disk, blob_id):
            flip(disk, blob_id)
    with pytest.raises(ObjectStoreError) as refused:
        store.read(blob_id)
    assert refused.value.reason == "damaged"


def test_the_auditor_finds_and_repairs(store, disks):
    kept = {put(store, data): data for data in (os.urandom(size) for size in (0, 5000, 1, 300_000))}
    for blob_id in kept:
        flip(holders_of(disks, blob_id)[1], blob_id, -2)
    seen = []
    tally = audit(store, lambda done, whole: seen.append((done, whole)))
    assert (tally.damaged, tally.copied, tally.failed) == (4, 4, 0)
    assert seen[0][0] == 0 and seen[-1][0] == seen[-1][1]
    assert all(len(holders_of(disks, blob_id)) == 3 for blob_id in kept)
    assert audit(store).damaged == 0


def test_an_auditor_goes_on_where_it_was_ended(store, disks, monkeypatch):
    """And then reads what comes before, too."""
    monkeypatch.setattr(upkeep, "_BETWEEN_MARKS_S", 0)
    for number in range(30):
        put(store, b"%d" % number * 50_000)
    paths = []
    real = Disk.open

    def opened(disk, blob_id, partition):
        paths.append((disk.id, partition))
        return real(disk, blob_id, partition)

    monkeypatch.setattr(Disk, "open", opened)

    def ended(done, whole):
        if done == whole // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        audit(store, ended)
    first, reached = paths[0], paths[-1]
    paths.clear()
    audit(store)
    assert paths[0] == reached and first in paths and len(paths) == 90
    paths.clear()
    audit(store)
    assert paths[0] == first


def test_a_wiped_disk_is_filled_again(store, disks):
    kept = {put(store, data): data for data in (os.urandom(size) for size in (100, 100_000) * 20)}
    shutil.rmtree(disks[0])
    disks[0].mkdir()
    kept |= {put(store, data): data for data in (os.urandom(size) for size in (100, 100_000) * 20)}
    assert all(read(store, blob_id) == data for blob_id, data in kept.items())
    assert replicate(store).failed == 0
    assert all(len(holders_of(disks, blob_id)) == 3 for blob_id in kept)
    assert replicate(store).copied == 0


def test_a_dead_disk_is_stood_in_for_and_comes_back(store, disks):
    disks[1].rename(disks[1].with_name("away"))
    disks[1].write_text("not a directory")
    kept = {put(store, data): data for data in (os.urandom(size) for size in (100, 100_000) * 20)}
    assert all(len(holders_of([*disks[:1], *disks[2:]], blob_id)) == 3 for blob_id in kept)
    disks[1].unlink()
    disks[1].with_name("away").rename(disks[1])
    tally = replicate(store)
    assert tally.copied == tally.removed > 0
    for blob_id in kept:
        assert set(holders_of(disks, blob_id)) == {disk.path for disk in store.disks(blob_id)[0]}


def test_too_few_disks_refuse(store, disks):
    for disk in disks[:3]:
        shutil.rmtree(disk)
        disk.write_text("")
    with pytest.raises(ObjectStoreError) as refused:
        put(store, b"data")
    assert refused.value.reason == "broken"
    assert list((disks[3] / "pending").iterdir()) == []


def test_a_full_disk_loses_nothing(store, disks, monkeypatch):
    kept = put(store, b"before")
    whole = os.fdatasync

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", full)
    with pytest.raises(ObjectStoreError) as refused:
        put(store, b"data")
    assert refused.value.reason == "full"
    monkeypatch.setattr(os, "fdatasync", whole)
    assert set(store.blob_ids()) == {kept} and list(store.pending()) == []
    assert read(store, kept) == b"before"


def test_a_disk_is_never_filled_to_its_end(store, disks, monkeypatch):
    """Room is left for the database, so that something can be deleted."""
    free = [10**9]

    def statvfs(path):
        return SimpleNamespace(f_frsize=1, f_blocks=10**12, f_bavail=10**10 + free[0])

    kept = put(store, b"before")
    monkeypatch.setattr(os, "statvfs", statvfs)
    for size in (1000, 100_000) * 20:  # some of the large ones on each disk
        put(store, b"x" * size)
    for size, expected, left in ((1000, 1000, 999), (2_000_000, 2_000_000, 1_900_000), (300_000, None, 100_000)):
        free[0] = left
        with pytest.raises(ObjectStoreError) as refused:
            store.write(io.BytesIO(b"x" * size), expected_size=expected)
        assert refused.value.reason == "full"
    shutil.rmtree(disks[0])
    disks[0].mkdir()
    free[0] = -1
    assert replicate(store).failed, "the replicator does not fill it either"
    assert list(store.pending()) == [] and read(store, kept) == b"before"


def test_a_removed_disk_is_emptied_onto_the_others(store, disks):
    kept = {put(store, data): data for data in (os.urandom(size) for size in (100, 100_000) * 20)}
    drained, moved = ring.rebalance(ring.set_weight(store.ring, str(disks[0]), 0))
    assert moved
    store.change_ring(drained)
    replicate(store)
    assert list(disks[0].glob("objects/*/*")) == []
    store.change_ring(ring.remove(store.ring, str(disks[0])))
    assert all(read(store, blob_id) == data for blob_id, data in kept.items())


def test_a_copy_that_is_being_made_is_not_taken_for_one(tmp_path):
    disk = Disk(0, str(tmp_path))
    disk.prepare()
    os.close(disk.begin("00" * 16))
    assert list(disk.pending()) == ["00" * 16] and not disk.has("00" * 16, 0)
