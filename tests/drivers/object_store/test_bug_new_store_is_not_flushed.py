# SPDX-License-Identifier: Apache-2.0
"""The directory of a new store was not flushed in the one above it: a power cut took it away with all that was in."""

import io

from altostratus.drivers.object_store.embedded import EmbeddedStore
from altostratus.testing.lossy_disk import LossyDisk
from altostratus.testing.power_cut import Tripper


def test_what_was_written_to_a_new_store(tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    disk = LossyDisk(state, Tripper())
    with disk.installed():
        store = EmbeddedStore(state / "objects")
        blob = store.write(io.BytesIO(b"data"))
    disk.crash(lambda: False, lambda: False)
    assert b"".join(EmbeddedStore(state / "objects").read(blob.id)) == b"data"
