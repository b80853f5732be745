# SPDX-License-Identifier: Apache-2.0
"""A disk that is not mounted, or another one in its place, must not be written to. A ring that is lost is told."""

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from altostratus.contracts.object_store import ObjectStoreError
from altostratus.drivers.object_store.embedded import EmbeddedStore, marks, packing, ring
from altostratus.drivers.object_store.embedded.ring import RingError
from altostratus.drivers.object_store.embedded.upkeep import replicate
from tests.drivers.object_store.disks import holders_of

MOUNTED = Path(__file__).with_name("mounted_disks.py")


def put(store, data=b"data"):
    blob = store.write(io.BytesIO(data))
    store.settle(blob.id)
    return blob.id


def again(tmp_path):
    """As a process that begins."""
    return EmbeddedStore(tmp_path / "objects")


def test_a_missing_directory_is_not_made(tmp_path, store, disks):
    """It lies on a disk that is not mounted, perhaps."""
    shutil.rmtree(disks[0])
    assert holders_of(disks, put(store)) == disks[1:]
    assert not disks[0].exists()
    assert replicate(store).failed == 1


def test_disks_that_changed_places_are_not_written_to(tmp_path, store, disks):
    kept = put(store)
    disks[0].rename(tmp_path / "away")
    disks[1].rename(disks[0])
    (tmp_path / "away").rename(disks[1])
    store = again(tmp_path)
    with pytest.raises(ObjectStoreError) as refused:
        put(store)
    assert refused.value.reason == "broken"
    assert b"".join(store.read(kept)) == b"data", "reading is no harm"


def test_another_disk_is_noticed_while_the_store_runs(tmp_path, store, disks):
    put(store)
    shutil.rmtree(disks[0])
    shutil.copytree(disks[1], disks[0])
    assert replicate(store).failed == 1
    assert holders_of(disks, put(store)) == disks[1:]


def test_a_disk_without_a_mark_is_taken_and_filled(tmp_path, store, disks):
    kept = put(store)
    shutil.rmtree(disks[0])
    disks[0].mkdir()
    assert replicate(again(tmp_path)).copied == 1
    assert holders_of(disks, kept) == disks and marks.read(str(disks[0])) == disks[0].name


def test_nothing_is_written_below_a_mount_point_without_its_disk(tmp_path, store, disks, monkeypatch):
    store.change_ring(ring.accept(store.ring, str(disks[0]), "", str(tmp_path)))
    assert holders_of(disks, put(store)) == disks[1:]
    assert list(disks[0].iterdir()) == []
    monkeypatch.setattr(os.path, "ismount", lambda path: path == str(tmp_path))
    monkeypatch.setattr(packing, "_INCOMPLETE_S", 0)  # time goes by
    assert marks.mount_of(str(disks[0])) == str(tmp_path)
    assert holders_of(disks, put(store)) == disks


def test_mounts_for_real(tmp_path):
    """In a namespace of mounts of its own: disks are unmounted, filled up and mounted again under a store."""
    alone = ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() else [])]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine gives no namespaces of mounts")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    argv = [*alone, sys.executable, str(MOUNTED), str(tmp_path)]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


# the ring's file


@pytest.mark.parametrize("content", [b"", b"{}", b"\0" * 500, b'{"part_power": 4, "replicas": 1, "assignment": [[0]]}'])
def test_a_ring_that_cannot_be_read(tmp_path, store, content):
    kept, file = put(store), tmp_path / "objects" / "ring.json"
    store.change_ring(ring.set_weight(store.ring, str(tmp_path / "disk0"), 7))
    assert store.ring.devices[0].weight == 7
    file.write_bytes(content)
    assert b"".join(store.read(kept)) == b"data", "the one that was read last is in force"
    assert store.ring.devices[0].weight == 7
    with pytest.raises(RingError, match=r"ring\.json\.before"):
        put(again(tmp_path))
    shutil.copy(tmp_path / "objects" / "ring.json.before", file)
    assert b"".join(again(tmp_path).read(kept)) == b"data"
    assert again(tmp_path).ring.devices[0].weight == 100


def test_a_lost_ring_is_not_begun_anew(tmp_path, store):
    put(store)
    (tmp_path / "objects" / "ring.json").unlink()
    with pytest.raises(RingError, match=r"ring\.json\.before"):
        put(again(tmp_path))


def test_the_first_ring_is_made_again_for_its_disk(tmp_path):
    kept = put(again(tmp_path))
    (tmp_path / "objects" / "ring.json").unlink()
    assert b"".join(again(tmp_path).read(kept)) == b"data"
    put(again(tmp_path))
