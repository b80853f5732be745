# SPDX-License-Identifier: Apache-2.0
"""A real Ceph whose daemons die, fall silent or have no room, and a cloud that is killed while it writes."""

import hashlib
import io
import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from altostratus.contracts.object_store import ObjectStoreError
from altostratus.drivers.object_store.rados import Connection, RadosStore, layout
from altostratus.kernel import ids
from altostratus.testing.private_ceph import environment

pytestmark = pytest.mark.system
WRITER = Path(__file__).with_name("killed_writer.py")
MIB = 1 << 20


def put(store, data):
    blob = store.write(io.BytesIO(data))
    store.settle(blob.id)
    return blob.id


def read(store, blob_id):
    return b"".join(store.read(blob_id))


def refusal(action, *arguments):
    with pytest.raises(ObjectStoreError) as error:
        action(*arguments)
    return error.value


def store_with(options, **changes):
    return RadosStore(Connection(msgspec.structs.replace(options, **changes)))


class Writer:
    """A process that writes, and the rows that it said were committed."""

    def __init__(self, options, directory, seed, timeout_s):
        self.options, self.said = options, directory / f"said{seed}"
        argv = [sys.executable, str(WRITER), options.conf, options.namespace, str(seed), str(timeout_s)]
        paths = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        with self.said.open("wb") as handle:
            self.process = subprocess.Popen(argv, stdout=handle, env=environment() | paths)

    def wait_for_lines(self, count):
        deadline = time.monotonic() + 30
        while self.said.read_bytes().count(b"\n") < count:
            assert time.monotonic() < deadline and self.process.poll() is None, self.said.read_text()
            time.sleep(0.02)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def rows(self):
        """Of blob ids; an unfinished line is a transaction that was not committed."""
        sums = {}
        for line in self.said.read_text().splitlines(keepends=True):
            assert not line.startswith("!"), line
            if line.startswith("+") and line.endswith("\n"):
                blob_id, sums[blob_id] = line[1:].split()
            elif line.startswith("-"):
                sums.pop(line[1:33], None)
        return sums


def demand_kept(options, rows):
    """As the service does at a start; then everything is there, and nothing else."""
    store = store_with(options)
    for blob_id in list(store.pending()):
        (store.settle if blob_id in rows else store.delete)(blob_id)
    for blob_id in set(store.blob_ids()) - set(rows):
        store.delete(blob_id)  # deletion was under way
    pieces = 0
    for blob_id, expected in rows.items():
        data = read(store, blob_id)
        assert hashlib.sha256(data).hexdigest() == expected
        pieces += 1 + max(0, len(data) - 1) // layout.PIECE_BYTES
    assert list(store.pending()) == []
    assert len(list(Connection(options).pool().names())) == pieces + 1, "and the index"


def test_the_cloud_is_killed_while_it_writes(options, tmp_path):
    rows: dict[str, str] = {}
    for seed in range(3):
        writer = Writer(options, tmp_path, seed, timeout_s=10)
        writer.wait_for_lines(20 + 7 * seed)
        writer.kill()
        rows |= writer.rows()
        demand_kept(options, rows)
    assert len(rows) > 15


def test_a_disk_is_killed_while_the_cloud_writes(ceph, options, tmp_path):
    """One copy: until the disk is back, requests wait; whatever was acknowledged is there then."""
    writer = Writer(options, tmp_path, 9, timeout_s=60)
    writer.wait_for_lines(20)
    ceph.kill("osd.0")
    before = writer.said.read_bytes().count(b"\n")
    time.sleep(1)
    ceph.start("osd.0")
    writer.wait_for_lines(before + 30)
    writer.kill()
    demand_kept(options, writer.rows())


def test_a_silent_disk_is_told_in_time_and_leaves_nothing(ceph, options):
    store = store_with(options, timeout_s=2)
    kept = put(store, b"before")
    ceph.freeze("osd.0")
    try:
        started = time.monotonic()
        assert refusal(put, store, os.urandom(20 * MIB)).reason == "broken"
        assert refusal(read, store, kept).reason == "broken"
        assert refusal(store.exists, kept).reason == "broken"
        assert time.monotonic() - started < 3 * 2 + 3
        started = time.monotonic()
        assert "does not answer" in str(refusal(put, store, b"at once"))
        assert time.monotonic() - started < 1
    finally:
        ceph.thaw("osd.0")
    wait_until(lambda: store.exists(kept))
    more = put(store, b"after")
    assert read(store, kept) == b"before" and list(store.pending()) == []
    assert set(store.blob_ids()) == {kept, more}


def wait_until(works):
    deadline = time.monotonic() + 40
    while True:
        try:
            return works()
        except ObjectStoreError:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_without_a_monitor_those_who_are_connected_go_on(ceph, options):
    store = store_with(options)
    kept = put(store, b"before")
    ceph.kill("mon.a")
    try:
        assert read(store, kept) == b"before"
        put(store, b"more")
        newcomer = store_with(options, timeout_s=2)
        started = time.monotonic()
        error = refusal(put, newcomer, b"data")
        assert error.reason == "broken" and "monitor" in str(error)
        assert refusal(put, newcomer, b"data").reason == "broken"
        assert time.monotonic() - started < 6, "the second one is refused at once"
    finally:
        ceph.start("mon.a")
    wait_until(lambda: put(store_with(options), b"data"))


def test_a_full_cluster_refuses_and_gives_room_back(ceph, options):
    store = store_with(options)
    kept = put(store, os.urandom(5 * MIB))
    for ratio, kind in enumerate(("nearfull", "backfillfull", "full"), 1):
        ceph.tell(f"osd set-{kind}-ratio", ratio=ratio / 10000)
    try:
        wait_until_refused(store)
        assert refusal(put, store, os.urandom(9 * MIB)).reason == "full"
        assert len(read(store, kept)) == 5 * MIB
        store.delete(kept)
        assert list(store.blob_ids()) == [] and list(store.pending()) == []
    finally:
        for kind in ("full", "backfillfull", "nearfull"):
            ceph.tell(f"osd set-{kind}-ratio", ratio=0.9)
    wait_until(lambda: put(store, b"after"))


def wait_until_refused(store):
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        try:
            store.delete(put(store, b"data"))
        except ObjectStoreError:
            return
        time.sleep(0.2)
    raise AssertionError("the cluster does not notice that it is full")


def test_a_pool_that_is_gone_is_not_taken_for_empty(ceph, options):
    ceph.make_pool("other")
    ceph.tell("auth caps", entity="client.altostratus", caps=["mon", "allow r", "osd", "allow rwx"])
    store = store_with(options, pool="other")
    kept = put(store, b"data")
    ceph.tell("osd pool delete", pool="other", pool2="other", yes_i_really_really_mean_it=True)
    error = wait_until_gone(store, kept)
    assert error.reason == "broken" and "other" in str(error)
    assert refusal(store.delete, kept).reason == "broken"
    assert "ceph osd pool create other" in str(refusal(put, store, b"data"))
    ceph.make_pool("other")
    time.sleep(5)  # the driver's own rest after a failure
    wait_until(lambda: put(store, b"data"))


def wait_until_gone(store, kept):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            read(store, kept)
        except ObjectStoreError as error:
            return error
    raise AssertionError("the pool is still there")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pool": "nothing"}, "ceph osd pool create nothing"),
        ({"user": "nobody"}, "ceph auth get client.nobody"),
        ({"conf": "/nowhere/ceph.conf"}, "/nowhere/ceph.conf"),
    ],
)
def test_what_is_missing_is_said(options, changes, words):
    error = refusal(put, store_with(options, **changes), b"data")
    assert error.reason == "broken" and words in str(error)


def test_two_clouds_share_a_pool(options):
    one, other = store_with(options), store_with(options, namespace=ids.new_hex_id())
    blob = one.write(io.BytesIO(b"data"))
    assert list(other.blob_ids()) == [] and list(other.pending()) == [] and not other.exists(blob.id)
    other.delete(blob.id)
    assert read(one, blob.id) == b"data"


def test_a_long_index_is_read_in_pages(options):
    store = store_with(options)
    written = {store.write(io.BytesIO(b"")).id for _ in range(3)}
    pool = Connection(options).pool()
    many = [ids.new_hex_id() for _ in range(2500)]
    pool.add_keys("pending.index", many).wait()
    assert set(store.pending()) == written | set(many)


def test_damage_is_told(options):
    store = store_with(options)
    blob_id = put(store, os.urandom(9 * MIB))
    pool = Connection(options).pool()
    name = layout.piece_name(blob_id, 1)
    found = pool.get(name, 0, layout.PIECE_BYTES).wait()
    flipped = bytearray(found.data)
    flipped[3_000_000] ^= 4
    pool.put(name, flipped, (layout.NOTE, found.attribute)).wait()
    assert b"".join(store.read(blob_id, 0, layout.PIECE_BYTES))
    assert refusal(read, store, blob_id).reason == "damaged"
    assert refusal(store.read, blob_id, layout.PIECE_BYTES + 3_000_000, 1).reason == "damaged"


GROWTH = """
import io, resource, sys
from altostratus.drivers.object_store.rados import Connection, RadosOptions, RadosStore
store = RadosStore(Connection(RadosOptions(conf=sys.argv[1], namespace=sys.argv[2])))

class Zeros:
    def __init__(self, left):
        self.left = left
    def read(self, size):
        size = min(size, self.left)
        self.left -= size
        return bytes(size)

def way(size):
    blob = store.write(Zeros(size))
    assert sum(map(len, store.read(blob.id))) == size
    store.delete(blob.id)

way(1 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
way(600 << 20)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_large_blobs_take_little_memory(options):
    argv = [sys.executable, "-c", GROWTH, options.conf, options.namespace]
    paths = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(argv, env=environment() | paths, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 32, "MiB"
