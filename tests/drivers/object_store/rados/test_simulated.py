# SPDX-License-Identifier: Apache-2.0
"""The driver over a pool in memory: crashes at every request, clusters that refuse, damage."""

import errno
import io
import os
import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from altostratus.contracts.object_store import ObjectStoreError
from altostratus.drivers.object_store.rados import Connection, RadosOptions, RadosStore, layout, librados
from altostratus.drivers.object_store.rados.connection import Pools
from altostratus.drivers.object_store.rados.index import LOT, NAME
from altostratus.testing.object_store_conformance import ObjectStoreConformance
from altostratus.testing.power_cut import PowerCut, Tripper

from .simulated import SimulatedConnection, SimulatedPool


@pytest.fixture
def pool():
    return SimulatedPool()


@pytest.fixture
def store(pool):
    return RadosStore(SimulatedConnection(pool))


@pytest.fixture
def small_pieces(monkeypatch):
    """As of 4 MiB, a hundred thousand times smaller."""
    for name, size in (("PIECE_BYTES", 40), ("SPAN_BYTES", 20), ("BLOCK_BYTES", 10)):
        monkeypatch.setattr(layout, name, size)


class TestSimulated(ObjectStoreConformance):
    """The fixture `store` is above."""


def refused(action, *arguments, **options):
    with pytest.raises(ObjectStoreError) as error:
        action(*arguments, **options)
    return error.value.reason


def read(store, blob_id, *where):
    return b"".join(store.read(blob_id, *where))


@pytest.mark.usefixtures("small_pieces")
def test_every_range_of_every_size(store):
    for size in (0, 1, 9, 10, 11, 39, 40, 41, 79, 80, 81, 125):
        data = os.urandom(size)
        blob = store.write(io.BytesIO(data), expected_size=size)
        for offset in range(size):
            for length in (0, 1, 9, 10, 21, 40, size, None):
                end = None if length is None else offset + length
                assert read(store, blob.id, offset, length) == data[offset:end]


@pytest.mark.usefixtures("small_pieces")
def test_only_the_pieces_of_a_range_are_read(store, pool):
    blob = store.write(io.BytesIO(os.urandom(4000)))
    before = pool.requests
    read(store, blob.id, 2005, 3)
    assert pool.requests - before == 2, "the head, which says how large it is, and one piece"


def test_a_small_blob_is_one_request(store, pool):
    store.settle(store.write(io.BytesIO(b"the first of a lot")).id)
    before = pool.requests
    for _ in range(LOT):
        blob = store.write(io.BytesIO(b"data"))
        read(store, blob.id)
        store.settle(blob.id)
    assert pool.requests - before == 2 * LOT + 2, "a write and a read each; one lot was taken and one given up"


class Rows:
    """What the service would have committed."""

    def __init__(self):
        self.kept, self.waste = {}, set()

    def live(self, store):
        for size in (125, 500, 30, 0, 330):
            data = os.urandom(size)
            blob = store.write(io.BytesIO(data))
            self.kept[blob.id] = data
            store.settle(blob.id)
        replaced, swept = list(self.kept)[:2]
        reader = store.read(replaced)
        self.waste.add(replaced)
        del self.kept[replaced]
        store.delete(replaced)
        self.waste.discard(replaced)
        reader.close()
        # of a blob that no row names, settled long ago, nothing but its head tells
        assert list(store.pending()) == []
        del self.kept[swept]
        store.delete(swept)

    def recover(self, store):
        """What the service does at a start."""
        for blob_id in list(store.pending()):
            (store.settle if blob_id in self.kept else store.delete)(blob_id)
        for blob_id in [*self.waste, *set(store.blob_ids()) - set(self.kept)]:
            store.delete(blob_id)

    def demand_sound(self, pool):
        store = RadosStore(SimulatedConnection(pool))
        self.recover(store)
        assert list(store.pending()) == []
        for blob_id, data in self.kept.items():
            assert read(store, blob_id) == data
        assert set(store.blob_ids()) == set(self.kept)
        count = sum(1 + max(0, len(data) - 1) // layout.PIECE_BYTES for data in self.kept.values())
        assert len(pool.objects) == count, "nothing leaks"


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("fortune", ["all", "none", "some"])
def test_killed_at_every_request(fortune):
    dice = random.Random(7)
    luck = {"all": lambda: True, "none": lambda: False, "some": lambda: dice.random() < 0.5}[fortune]
    at, ended = 1, False
    while not ended:
        pool, rows = SimulatedPool(), Rows()
        pool.tripper = Tripper(at)
        try:
            rows.live(RadosStore(SimulatedConnection(pool)))
            ended = True
        except PowerCut:
            pool.crash(luck)
        pool.tripper = Tripper(dice.randrange(1, 60))  # and once more while it recovers
        with suppress(PowerCut):
            rows.recover(RadosStore(SimulatedConnection(pool)))
        pool.crash(luck)
        rows.demand_sound(pool)
        at += 1
    assert at > 100


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize(("number", "reason"), [(errno.ENOSPC, "full"), (errno.EDQUOT, "full"), (errno.EIO, "damaged")])
@pytest.mark.parametrize("after", [0, 2, 5])
def test_a_refused_write_leaves_nothing(store, pool, number, reason, after):
    pool.fail("put", number, after)
    assert refused(store.write, io.BytesIO(os.urandom(300))) == reason
    pool.mend()
    store.settle(store.write(io.BytesIO(b"it works again")).id)
    assert len(pool.objects) == 1 and list(store.pending()) == []


def test_a_silent_cluster_is_asked_once_and_cleaned_later(store, pool):
    store.settle(store.write(io.BytesIO(b"before")).id)
    pool.fail("put", errno.ETIMEDOUT)
    before = pool.requests
    assert refused(store.write, io.BytesIO(b"data")) == "broken"
    assert pool.requests - before == 1
    pool.mend()
    assert len(list(store.pending())) == 1
    store.settle(store.write(io.BytesIO(b"after")).id)
    assert list(store.pending()) == []


def test_a_delete_that_fails_is_told_for_it_must_be_repeated(store, pool):
    kept, unused = store.write(io.BytesIO(b"data")), store.write(io.BytesIO(b"data"))
    store.settle(kept.id)
    pool.fail("remove", errno.ETIMEDOUT)
    assert refused(store.delete, kept.id) == "broken"
    store.delete(unused.id)  # the index has it
    pool.mend()
    store.delete(kept.id)
    store.settle(store.write(io.BytesIO(b"more")).id)
    assert len(pool.objects) == 1


def test_an_index_that_cannot_be_written_harms_nobody(store, pool):
    written = [store.write(io.BytesIO(b"data")).id for _ in range(LOT)]
    pool.fail("keys", errno.ETIMEDOUT)
    for blob_id in written:
        store.settle(blob_id)
    assert refused(store.write, io.BytesIO(b"no id left")) == "broken"
    pool.mend()
    assert list(store.pending()) == []
    assert len(pool.sets[NAME]) == 0


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("name", ["", ".0", ".2"])
def test_damage_is_found(store, pool, name):
    data = os.urandom(150)
    blob = store.write(io.BytesIO(data))
    where = blob.id + name
    whole, note = pool.objects[where], pool.attributes[where]
    for harm in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1]), b""):
        pool.objects[where] = harm
        assert refused(read, store, blob.id) == "damaged"
    pool.objects[where] = whole
    for harm in (b"", note[:-1], b"x" + note[1:], pool.attributes[blob.id + ".1"]):
        pool.attributes[where] = harm
        assert refused(read, store, blob.id) == "damaged"
    pool.attributes[where] = note
    assert read(store, blob.id) == data
    del pool.objects[where]
    assert refused(read, store, blob.id) == ("damaged" if name else "missing")
    store.delete(blob.id)
    assert not pool.objects


@pytest.mark.usefixtures("small_pieces")
def test_a_deleted_blob_stays_for_those_who_read_it(store, pool):
    data = os.urandom(1000)
    blob = store.write(io.BytesIO(data))
    store.settle(blob.id)
    first, second = store.read(blob.id), store.read(blob.id)
    store.delete(blob.id)
    assert not store.exists(blob.id) and store.age_s(blob.id) is None
    assert refused(store.read, blob.id) == "missing"
    assert list(store.pending()) == [blob.id], "it goes even if the process is killed now"
    assert b"".join(first) == data
    del second  # a client that went away
    assert not pool.objects
    assert list(store.pending()) == []


class SlowClient:
    """Hours pass between its pieces; in the end it is gone. `look(blob_id)` is asked meanwhile."""

    def __init__(self, pool, look):
        self.pool, self.look, self.seen = pool, look, []

    def read(self, size):
        for name in self.pool.times:
            self.pool.times[name] -= 9000
        if self.pool.times:
            self.seen.append(self.look(next(iter(self.pool.times)).partition(".")[0]))
        if len(self.seen) > 10:
            raise ConnectionError
        return b"x" * size


@pytest.mark.usefixtures("small_pieces")
def test_the_age_of_an_upload(store, pool):
    """One that is under way is young, however slow its client; one that was cut off is as old as its last piece."""
    pool.fail("remove", errno.ETIMEDOUT)
    client = SlowClient(pool, lambda blob_id: (store.age_s(blob_id), store.exists(blob_id)))
    with pytest.raises(ConnectionError):
        store.write(client)
    assert set(client.seen) == {(0.0, False)}
    pool.mend()
    (blob_id,) = store.pending()
    assert store.age_s(blob_id) < 60 and not store.exists(blob_id)
    for name in pool.times:
        pool.times[name] -= 9000
    assert 9000 <= store.age_s(blob_id) < 9060
    store.delete(blob_id)
    assert store.age_s(blob_id) is None and not pool.objects


def test_a_machine_without_the_library_says_what_to_install(monkeypatch):
    monkeypatch.setattr(librados, "_NAME", "libnothing.so.2")
    store = RadosStore(Connection(RadosOptions()))
    with pytest.raises(ObjectStoreError, match="apt-get install librados2") as error:
        store.write(io.BytesIO(b"data"))
    assert error.value.reason == "broken"


def test_after_a_failure_requests_are_refused_at_once(monkeypatch):
    loads = []

    def load():
        loads.append(1)
        raise librados.MissingLibrary("missing")

    monkeypatch.setattr(librados, "load", load)
    store = RadosStore(Connection(RadosOptions()))
    for _ in range(5):
        assert refused(store.write, io.BytesIO(b"data")) == "broken"
    assert len(loads) == 1


def test_a_silent_cluster_is_asked_by_one_at_a_time(pool):
    connection = Connection(RadosOptions(timeout_s=1))
    connection._pools = Pools(pool, pool)
    assert connection.pool() is pool
    pool.timed_out_at = pool.answered_at + 2
    store = RadosStore(connection)
    store.write(io.BytesIO(b"the one that tries"))
    with ThreadPoolExecutor(1) as another:
        assert another.submit(refused, store.write, io.BytesIO(b"data")).result() == "broken"
        pool.answered_at = pool.timed_out_at
        another.submit(store.write, io.BytesIO(b"data")).result()
