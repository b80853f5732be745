# SPDX-License-Identifier: Apache-2.0
"""A store on several directories, each a disk: three copies in three zones. What is on them, and how it is harmed."""

import os

from altostratus.drivers.object_store.embedded import EmbeddedStore, packs, ring
from altostratus.drivers.object_store.embedded.disk import Disk


def make_disks(root, count):
    made = [root / f"disk{number}" for number in range(count)]
    for directory in made:
        directory.mkdir()
    return made


def make_store(directory, disks):
    """Every disk's mark is its name."""
    store = EmbeddedStore(directory)
    made = ring.create(4, 3)
    for number, path in enumerate(disks):
        made = ring.add(made, str(path), number % 3, 100.0, mark=path.name)
    store.change_ring(ring.rebalance(made)[0])
    return store


def copy_on(directory, blob_id):
    """None: the disk has none."""
    disk, own_id = Disk(0, str(directory)), blob_id.split(":")[-1]
    copies = [disk.copy_of(own_id, partition) for partition in disk.partitions()]
    return next((copy for copy in copies if copy.exists()), None)


def holders_of(disks, blob_id):
    return [disk for disk in disks if copy_on(disk, blob_id)]


def blobs_on(directory):
    disk = Disk(0, str(directory))
    return sorted(blob_id for partition in disk.partitions() for blob_id in disk.blobs_in(partition))


def flip(directory, blob_id, place=0):
    """A bit of the copy's byte at `place`; -1 is the last of the file, of a small one the last of its data.

    Of a small one -10 and less lie in what comes before the data.
    """
    copy = copy_on(directory, blob_id)
    descriptor = os.open(copy.path, os.O_RDWR)
    try:
        if packs.is_packed(blob_id):
            place += copy.open().size if -10 < place < 0 else 0
        elif place < 0:
            place += os.fstat(descriptor).st_size
        (before,) = os.pread(descriptor, 1, copy.data_at + place)
        os.pwrite(descriptor, bytes([before ^ 1]), copy.data_at + place)
    finally:
        os.close(descriptor)
