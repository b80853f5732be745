# SPDX-License-Identifier: Apache-2.0
"""Blobs that no row names go, but only when nobody can be about to name them."""

import io

from altostratus.services.object_store.reconcilers.orphans import remove_orphans


def test_young_orphans_stay(cloud, store):
    blob = store.write(io.BytesIO(b"an upload whose row is being written"))
    assert remove_orphans(cloud.cloud) == 0
    assert store.exists(blob.id)


def test_old_orphans_go_and_objects_stay(cloud, store, swift, monkeypatch):
    swift("PUT", "c")
    swift.put("c/o", b"data")
    orphans = [store.write(io.BytesIO(b"nobody's")).id for _ in range(3)]
    monkeypatch.setattr(store, "age_s", lambda blob_id: 3601.0)
    assert remove_orphans(cloud.cloud) == 3
    assert not any(store.exists(blob_id) for blob_id in orphans)
    assert swift("GET", "c/o").content == b"data"


def test_more_than_a_batch(cloud, store):
    for _ in range(1001):
        store.write(io.BytesIO(b""))
    assert remove_orphans(cloud.cloud, older_than_s=0) == 1001
    assert list(store.blob_ids()) == []
