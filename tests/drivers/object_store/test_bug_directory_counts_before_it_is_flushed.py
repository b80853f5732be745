# SPDX-License-Identifier: Apache-2.0
"""Who found a partition's directory there did not flush the name of it: its maker, or a process killed, had not yet.

After a power cut the directory was gone, and acknowledged blobs with it.
"""

import io

from altostratus.drivers.object_store.embedded import EmbeddedStore
from altostratus.testing.lossy_disk import LossyDisk
from altostratus.testing.power_cut import Tripper


def test_a_directory_that_another_process_made(tmp_path):
    root = tmp_path / "disks"
    root.mkdir()
    EmbeddedStore(root)
    disk = LossyDisk(root, Tripper())
    with disk.installed():
        store = EmbeddedStore(root)
        store.settle(store.write(io.BytesIO(b"it makes the directories of the disk")).id)
        # a process that is killed before its first flush
        for partition in range(256):
            path = root / "disk-1" / "objects" / f"{partition:05x}"
            if not path.exists():
                path.mkdir()
        blob = store.write(io.BytesIO(b"data"))
    disk.crash(lambda: False, lambda: False)
    assert b"".join(EmbeddedStore(root).read(blob.id)) == b"data"
