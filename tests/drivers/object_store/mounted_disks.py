# SPDX-License-Identifier: Apache-2.0
"""Real mounts under a store; run in a namespace of mounts of its own: `python mounted_disks.py DIRECTORY`."""

import io
import subprocess
import sys
from pathlib import Path

from altostratus.contracts.object_store import ObjectStoreError
from altostratus.drivers.object_store.embedded import EmbeddedStore, marks, ring
from altostratus.drivers.object_store.embedded.upkeep import replicate
from tests.drivers.object_store.disks import holders_of

ROOM = 4 * 1024 * 1024


def mount(path):
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "objects", path], check=True)


def fill(put):
    """Why it ended."""
    try:
        while True:
            put()
    except ObjectStoreError as error:
        return error.reason


def main(root):
    store, made = EmbeddedStore(root / "store"), ring.create(4, 3)
    disks = [root / f"mount{number}" / "disk" for number in range(3)]
    for number, disk in enumerate(disks):
        disk.parent.mkdir()
        mount(disk.parent)
        disk.mkdir()
        made = ring.add(made, str(disk), number, 100.0, mark=disk.parent.name, mount=marks.mount_of(str(disk)))
    store.change_ring(ring.rebalance(made)[0])

    def put(data):
        blob = store.write(io.BytesIO(data))
        store.settle(blob.id)
        return blob.id

    def copies(blob_id):
        return len(holders_of(disks, blob_id))

    first = put(b"first")
    subprocess.run(["umount", disks[0].parent], check=True)
    disks[0].mkdir()  # somebody thinks that this will help
    second = put(b"second")
    assert list(disks[0].iterdir()) == [] and copies(second) == 2
    assert replicate(store).failed == 1 and list(disks[0].iterdir()) == []
    mount(disks[0].parent)  # a new one in its place
    assert copies(put(b"third")) == 2, "its directory is not there yet"
    disks[0].mkdir()
    assert replicate(store).failed == 0 and copies(first) == copies(second) == 3

    kept = [first, second]
    assert fill(lambda: kept.append(put(b"x" * 300_000))) == "full"
    assert 10 < len(kept) < ROOM // 300_000 + 3
    assert list(store.pending()) == [] and {first, second} < set(store.blob_ids())
    assert b"".join(store.read(kept[-1])) == b"x" * 300_000
    store.delete(kept.pop())
    kept.append(put(b"x" * 200_000))
    assert all(store.exists(blob_id) for blob_id in kept)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
