# SPDX-License-Identifier: Apache-2.0
"""A copy that one disk had not taken stayed there as pending when the others failed as well."""

import errno
import io
import os

import pytest

from altostratus.contracts.object_store import ObjectStoreError


@pytest.mark.parametrize("good_writes", range(10))
def test_disks_that_fill_up_one_after_the_other(store, monkeypatch, good_writes):
    real, seen = os.write, []

    def write(descriptor, data):
        seen.append(len(data))
        if len(seen) > good_writes:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(ObjectStoreError) as refused:
        store.write(io.BytesIO(bytes(8 << 20)), expected_size=8 << 20)
    assert refused.value.reason == "full"
    assert list(store.pending()) == [] and list(store.blob_ids()) == []
