# SPDX-License-Identifier: Apache-2.0
"""A store on several directories, each a disk: three copies in three zones."""

from altostratus.drivers.object_store.embedded import EmbeddedStore, ring


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
