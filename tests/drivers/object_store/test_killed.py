# SPDX-License-Identifier: Apache-2.0
"""The embedded store in a process of its own that is killed, loses a disk, or has no room."""

import hashlib
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

from altostratus.drivers.object_store.embedded.upkeep import audit, replicate

WRITER = Path(__file__).with_name("killed_writer.py")
ROUND_S = 1.0
FULL = """
import io, pathlib, resource, sys
from altostratus.contracts.object_store import ObjectStoreError
from altostratus.drivers.object_store.embedded import EmbeddedStore
store = EmbeddedStore(pathlib.Path(sys.argv[1]))
before = store.write(io.BytesIO(b"before"))
store.settle(before.id)
resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
for size in (499_999, 500_001, 5_000_000):
    try:
        store.write(io.BytesIO(b"x" * size))
        print("kept", size)
    except ObjectStoreError as error:
        print(error.reason)
print(set(store.blob_ids()) == {before.id}, list(store.pending()), b"".join(store.read(before.id)))
"""


class Rows:
    """What a writer said before it was killed, as the database would have it."""

    def __init__(self):
        self.sums, self.complaints = {}, []

    def run_writer(self, store_directory, seed, meanwhile=lambda: None):
        argv = [sys.executable, str(WRITER), str(store_directory), str(seed)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        said = store_directory.with_name(f"said{seed}")
        with said.open("wb") as handle:
            writer = subprocess.Popen(argv, stdout=handle, env=environment)
            try:
                deadline = time.monotonic() + 15
                while not said.stat().st_size and time.monotonic() < deadline:
                    time.sleep(0.01)
                meanwhile()
                time.sleep(ROUND_S * random.Random(seed).random())
            finally:
                writer.kill()
                writer.wait()
        self._take(said.read_text())

    def _take(self, text):
        # an unfinished line is a transaction that was not committed
        for line in text.splitlines(keepends=True):
            if line.startswith("+") and line.endswith("\n"):
                blob_id, self.sums[blob_id] = line[1:].split()
            elif line.startswith("-"):
                self.sums.pop(line[1:33], None)
            elif line.startswith("!"):
                self.complaints.append(line)

    def demand_kept(self, store):
        assert self.complaints == []
        for blob_id in list(store.pending()):
            (store.settle if blob_id in self.sums else store.delete)(blob_id)
        for blob_id in set(store.blob_ids()) - set(self.sums):
            store.delete(blob_id)  # deletion was under way
        for blob_id, expected in self.sums.items():
            assert hashlib.sha256(b"".join(store.read(blob_id))).hexdigest() == expected
        assert set(store.blob_ids()) == set(self.sums) and list(store.pending()) == []


def test_killed_again_and_again(tmp_path, store):
    rows = Rows()
    for seed in range(4):
        rows.run_writer(tmp_path / "objects", seed)
        rows.demand_kept(store)
    assert len(rows.sums) > 20


def test_a_disk_is_wiped_and_bits_flip_while_clients_write(tmp_path, store, disks):
    def harm():
        time.sleep(0.3)
        for _ in range(3):  # the writer makes new files meanwhile
            shutil.rmtree(disks[1], ignore_errors=True)
        disks[1].mkdir(exist_ok=True)
        time.sleep(0.3)
        for path in list(disks[0].glob("objects/*/*"))[::5]:
            flip_a_bit(path)
        time.sleep(0.3)

    rows = Rows()
    rows.run_writer(tmp_path / "objects", 9, harm)
    rows.demand_kept(store)
    audit(store)
    replicate(store)
    tally = audit(store)
    assert (tally.damaged, tally.failed, tally.looked_at) == (0, 0, 3 * len(rows.sums))
    rows.demand_kept(store)


def flip_a_bit(path):
    try:
        with path.open("r+b") as handle:
            first = handle.read(1)
            handle.seek(0)
            handle.write(bytes([first[0] ^ 4]))
    except FileNotFoundError:
        return  # deleted meanwhile


def test_no_room(tmp_path):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    argv = [sys.executable, "-c", FULL, str(tmp_path / "objects")]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == ["full", "full", "full", "True [] b'before'"], done.stderr
