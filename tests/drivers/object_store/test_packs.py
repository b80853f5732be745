# SPDX-License-Identifier: Apache-2.0
"""Small blobs lie together in packs: what they share, what is left of them, what a crash or a disk does to them."""

import ctypes
import errno
import fcntl
import io
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from altostratus.contracts.object_store import ObjectStoreError
from altostratus.drivers.object_store.embedded import EmbeddedStore, packing, packs, ring
from altostratus.drivers.object_store.embedded.packs import Pack
from altostratus.drivers.object_store.embedded.upkeep import audit, replicate
from tests.drivers.object_store.disks import blobs_on, copy_on, flip, holders_of, make_disks, make_store


@pytest.fixture
def alone(tmp_path):
    """A store on one disk."""
    return EmbeddedStore(tmp_path / "alone")


@pytest.fixture
def disk(tmp_path):
    return tmp_path / "alone" / "disk-1"


def put(store, data):
    blob = store.write(io.BytesIO(data), expected_size=len(data))
    store.settle(blob.id)
    return blob.id


def read(store, blob_id, *place):
    return b"".join(store.read(blob_id, *place))


def files(disk):
    return list(disk.glob("objects/*/*"))


def room(path):
    return path.stat().st_blocks * 512


@pytest.mark.parametrize("size", [1, 4048, 4049, 16_384, packs.SMALL_BYTES - 1, packs.SMALL_BYTES])
def test_small_ones_share_a_file(alone, disk, size):
    kept = {put(alone, data): data for data in (os.urandom(size) for _ in range(5))}
    assert len(files(disk)) == 1 and all(packs.is_packed(blob_id) for blob_id in kept)
    for blob_id, data in kept.items():
        assert read(alone, blob_id) == data
        assert read(alone, blob_id, 1, 0) == b""
        assert read(alone, blob_id, size // 2, None) == data[size // 2 :]
        assert read(alone, blob_id, size // 3, size // 2) == data[size // 3 : size // 3 + size // 2]
    assert sorted(kept) == sorted(alone.blob_ids())


@pytest.mark.parametrize("expected", [True, False])
def test_larger_ones_have_their_own(alone, disk, expected):
    data = os.urandom(packs.SMALL_BYTES + 1)
    blob = alone.write(io.BytesIO(data), expected_size=len(data) if expected else None)
    assert not packs.is_packed(blob.id) and files(disk)[0].name == blob.id and read(alone, blob.id) == data


def test_deleted_ones_give_their_room_back(alone, disk):
    kept = [put(alone, os.urandom(60_000)) for _ in range(20)]
    (path,) = files(disk)
    before = room(path)
    for blob_id in kept[::2]:
        alone.delete(blob_id)
    assert room(path) <= before * 0.55
    assert sorted(alone.blob_ids()) == sorted(kept[1::2])
    for blob_id in kept[1::2]:
        alone.delete(blob_id)
    assert files(disk) == [] and list(alone.pending()) == []
    assert read(alone, put(alone, b"after")) == b"after"


def test_a_file_system_without_holes(alone, disk, monkeypatch):
    """Deleted ones leave zeros; the file goes with the last one."""

    def refuses(*_words):
        ctypes.set_errno(errno.EOPNOTSUPP)
        return -1

    first, second = put(alone, b"first" * 2000), put(alone, b"second")
    monkeypatch.setattr(packs, "_fallocate", refuses)
    alone.delete(first)
    assert list(alone.blob_ids()) == [second] and not alone.exists(first)
    assert b"first" not in files(disk)[0].read_bytes()
    alone.delete(second)
    assert files(disk) == []


def test_a_full_pack_is_followed_by_another(alone, disk, monkeypatch):
    monkeypatch.setattr(packs, "FULL_BYTES", 10 * packs.UNIT_BYTES)
    kept = {put(alone, data): data for data in (b"%d" % number for number in range(25))}
    assert len(files(disk)) == 3
    assert all(read(alone, blob_id) == data for blob_id, data in kept.items())


def test_another_ring_begins_another_pack(tmp_path, store, disks):
    first = put(store, b"first")
    (tmp_path / "disk9").mkdir()
    added = ring.add(store.ring, str(tmp_path / "disk9"), 9, 100.0, mark="disk9")
    store.change_ring(ring.rebalance(ring.set_weight(added, str(disks[0]), 0))[0])
    second = put(store, b"second")
    assert packs.pack_of(first) != packs.pack_of(second)
    assert set(holders_of([*disks, tmp_path / "disk9"], second)) == {*disks[1:], tmp_path / "disk9"}
    assert replicate(store).failed == 0 and blobs_on(disks[0]) == [] and read(store, first) == b"first"


def test_those_that_come_together_are_flushed_together(alone, monkeypatch):
    flushed, begun, gate = [], threading.Event(), threading.Event()
    real = os.fdatasync

    def slow(descriptor):
        flushed.append(descriptor)
        begun.set()
        assert gate.wait(10)
        real(descriptor)

    put(alone, b"a pack is there")
    monkeypatch.setattr(os, "fdatasync", slow)
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(put, alone, b"first")
        assert begun.wait(10)
        rest = {pool.submit(put, alone, data): data for data in (b"%d" % number * 1000 for number in range(8))}
        while len(alone._packer._together._waiting) < 8:
            pass
        gate.set()
        assert read(alone, first.result()) == b"first"
        assert all(read(alone, one.result()) == data for one, data in rest.items())
    assert len(flushed) == 2


def test_nothing_is_open_or_pending_in_quiet_times(store, disks):
    """A disk can be unmounted, and another process sees which blobs are whole."""
    before = set(os.listdir("/proc/self/fd"))
    blob = store.write(io.BytesIO(b"data"))
    assert [list((disk / "pending").iterdir()) for disk in disks] != [[]] * 3
    store.settle(blob.id)
    assert set(os.listdir("/proc/self/fd")) == before
    assert [list((disk / "pending").iterdir()) for disk in disks] == [[]] * 3
    again = store.write(io.BytesIO(b"again"))
    assert packs.pack_of(again.id) == packs.pack_of(blob.id)


# crashes


def test_a_process_that_begins_finds_what_is_in_between(tmp_path, store, disks):
    kept, doubtful, nobodys = put(store, b"kept"), store.write(io.BytesIO(b"doubtful")), store.write(io.BytesIO(b"no"))
    later = make_again(tmp_path)
    assert {doubtful.id, nobodys.id} <= set(later.pending()) <= {kept, doubtful.id, nobodys.id}
    later.settle(kept)
    later.delete(nobodys.id)
    assert doubtful.id in set(later.pending())
    later.settle(doubtful.id)
    assert list(later.pending()) == [] and set(later.blob_ids()) == {kept, doubtful.id}
    assert [list((disk / "pending").iterdir()) for disk in disks] == [[]] * 3


def make_again(tmp_path):
    return EmbeddedStore(tmp_path / "objects")


def test_a_pack_without_blobs_goes_when_its_writer_is_gone(tmp_path, store, disks):
    """Cut off between the file and its first bytes; not while somebody may be about to write."""
    view, name = store._view(), packs.new_pack()
    pack = packing._Pack(view, name, view.ring.partition_of(name))
    pack.begin(100)
    assert list(make_again(tmp_path).pending()) == [] and len(files(disks[0])) == 1, "it is held"
    pack.close()
    assert list(make_again(tmp_path).pending()) == []
    assert [(files(disk), list(disk.glob("pending/*"))) for disk in disks] == [([], [])] * 3


@pytest.mark.parametrize("cut", [1, 100, 3000, 5000, 8192, 9000])
def test_what_was_torn_is_removed_like_any_other(alone, disk, cut):
    """The bytes of the last one came to the disk in part."""
    kept = put(alone, b"kept" * 1000)
    torn = put(alone, os.urandom(10_000))
    copy = copy_on(disk, torn)
    with open(copy.path, "r+b") as handle:
        start = handle.seek(copy.data_at - packs.HEADER_BYTES)
        whole = handle.read()
        handle.seek(start)
        handle.write(bytes(cut) + whole[cut:])
    with pytest.raises(ObjectStoreError) as refused:
        read(alone, torn)
    assert refused.value.reason in ("damaged", "missing")
    for blob_id in set(alone.blob_ids()) - {kept}:
        alone.delete(blob_id)
    assert list(alone.blob_ids()) == [kept] and read(alone, kept) == b"kept" * 1000
    alone.delete(kept)
    assert files(disk) == [], "nothing of it is left in the pack"


def test_two_damaged_neighbours(store, disks):
    kept = {put(store, data): data for data in (os.urandom(9000) for _ in range(4))}
    ids = list(kept)
    for blob_id in ids[1:3]:
        flip(disks[0], blob_id, -48)
    assert all(read(store, blob_id) == data for blob_id, data in kept.items())
    audit(store)
    replicate(store)
    assert audit(store).damaged == 0 and blobs_on(disks[0]) == sorted(ids)


def test_a_client_cannot_write_what_looks_like_a_record(alone, disk):
    """It does not know the pack. Here one does, but is wrong by a bit; the blob around it is damaged."""
    outside = packs.record(packs.blob_in("p" + "0" * 26, 1), b"forged" * 20_000)
    blob_id = put(alone, bytes(packs.UNIT_BYTES - packs.HEADER_BYTES) + outside[:20_000])
    after = put(alone, b"after")
    flip(disk, blob_id, -48)
    assert set(alone.blob_ids()) == {blob_id, after}
    alone.delete(blob_id)
    assert list(alone.blob_ids()) == [after] and read(alone, after) == b"after"


# disks


def test_a_disk_is_wiped_while_it_is_written_to(store, disks):
    held = store.write(io.BytesIO(b"held"))
    shutil.rmtree(disks[1])
    disks[1].mkdir()
    blob_id = put(store, b"data")
    assert len(holders_of(disks, blob_id)) >= 2
    after = put(store, b"after")
    assert packs.pack_of(after) != packs.pack_of(held.id) and len(holders_of(disks, after)) == 3
    store.settle(held.id)
    replicate(store)
    assert all(len(holders_of(disks, one)) == 3 for one in (held.id, blob_id, after))
    assert list(store.pending()) == []


def test_one_disk_cannot_flush(store, disks, monkeypatch):
    """What it has of the refused part is taken away, and the others are enough."""
    put(store, b"before")
    real, broken = os.fdatasync, disks[2]

    def fdatasync(descriptor):
        if os.readlink(f"/proc/self/fd/{descriptor}").startswith(str(broken)):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    blob_id = put(store, b"data")
    assert holders_of(disks, blob_id) == disks[:2]
    monkeypatch.setattr(os, "fdatasync", real)
    assert replicate(store).copied == 1 and audit(store).damaged == 0


def test_refused_by_all_leaves_nothing(store, disks, monkeypatch):
    kept, real = put(store, b"before"), os.fdatasync

    def fdatasync(_descriptor):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    with pytest.raises(ObjectStoreError) as refused:
        put(store, b"data")
    assert refused.value.reason == "broken"
    monkeypatch.setattr(os, "fdatasync", real)
    assert set(store.blob_ids()) == {kept} and list(store.pending()) == []
    assert read(store, put(store, b"again")) == b"again"


def test_the_last_one_is_deleted_and_another_comes(alone, disk):
    """The file that would be written to is gone."""
    for number in range(3):
        blob_id = put(alone, b"%d" % number)
        assert read(alone, blob_id) == b"%d" % number
        alone.delete(blob_id)
        assert files(disk) == []


def test_the_last_one_is_deleted_while_another_comes(alone, disk, monkeypatch):
    """The writer has opened the file, and does not hold it yet."""
    first, real = put(alone, b"first"), fcntl.flock

    def flock(descriptor, how):
        monkeypatch.setattr(fcntl, "flock", real)
        copy_on(disk, first).remove()
        real(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    second = put(alone, b"second")
    assert packs.pack_of(second) != packs.pack_of(first) and read(alone, second) == b"second"
    assert len(files(disk)) == 1 and list(disk.glob("pending/*")) == []


def test_copies_are_put_where_a_pack_is_being_removed(store, disks, monkeypatch):
    """The replicator opens the file of a pack just before its last record goes."""
    first, second = put(store, b"first"), put(store, b"second")
    copy_on(disks[0], second).remove()
    real = Pack.hold

    def held(pack):
        if copy_on(disks[0], first):
            copy_on(disks[0], first).remove()
        return real(pack)

    monkeypatch.setattr(Pack, "hold", held)
    assert replicate(store).failed == 0
    monkeypatch.undo()
    assert copy_on(disks[0], second).open().size == 6


def test_the_storm(tmp_path):
    """Many threads write, settle and delete; what is kept is whole, and nothing else is left."""
    disks = make_disks(tmp_path, 3)
    store = make_store(tmp_path / "objects", disks)
    kept, lock = {}, threading.Lock()

    def work(seed):
        for number in range(40):
            data = b"%d-%d" % (seed, number) * (1 + seed * number % 700)
            blob = store.write(io.BytesIO(data))
            if number % 3 == 0:
                store.delete(blob.id)
                continue
            store.settle(blob.id)
            assert read(store, blob.id) == data
            with lock:
                kept[blob.id] = data

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work, seed) for seed in range(8)]:
            done.result()
    assert sorted(set(store.blob_ids())) == sorted(kept) and list(store.pending()) == []
    assert all(read(store, blob_id) == data for blob_id, data in kept.items())
    assert [blobs_on(disk) for disk in disks] == [sorted(kept)] * 3
    for blob_id in kept:
        store.delete(blob_id)
    assert [files(disk) for disk in disks] == [[]] * 3
