# SPDX-License-Identifier: Apache-2.0
"""The replicator wrote its copy under the name of an upload's pending file, so that one took the other's for its own.

An upload that was slow on one disk could then be acknowledged with half a copy there.
"""

import os

from altostratus.drivers.object_store.embedded.blob_file import Checksums
from altostratus.drivers.object_store.embedded.disk import Disk, write_all
from tests.drivers.object_store.disks import make_disks

BLOB = "00" * 16
DATA = b"data" * 1000


def ending_of(data):
    sums = Checksums()
    sums.add(data)
    return sums.ending()


def test_both_write_the_same_copy(tmp_path):
    disks = [Disk(number, str(path)) for number, path in enumerate(make_disks(tmp_path, 2))]
    uploads = [disk.begin(BLOB) for disk in disks]
    for upload in uploads:
        write_all(upload, DATA)
    write_all(uploads[0], ending_of(DATA))
    disks[0].finish(uploads[0], BLOB, 0)
    disks[1].take_copy(disks[0].open(BLOB, 0), BLOB, 0)
    assert list(disks[1].pending()) == [BLOB], "the upload's file is still there"
    write_all(uploads[1], ending_of(DATA))
    disks[1].finish(uploads[1], BLOB, 0)
    assert b"".join(disks[1].open(BLOB, 0).blocks()) == DATA
    assert os.listdir(tmp_path / "disk1" / "copying") == []
