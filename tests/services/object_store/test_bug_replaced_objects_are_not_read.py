# SPDX-License-Identifier: Apache-2.0
"""Who read an object in the moment of its replacement had its row, but not its bytes any longer: 503."""

import pytest

from altostratus.services.object_store.reconcilers.waste import remove_waste

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_the_new_one_is_read(cloud, store, swift, monkeypatch):
    swift("PUT", "c")
    swift.put("c/o", b"before")
    read = store.read
    turns: list[object] = []

    def replaced(*words):
        if not turns:
            turns.append(swift.put("c/o", b"after", X_Object_Meta_Which="second"))
            remove_waste(cloud.cloud)
        return read(*words)

    monkeypatch.setattr(store, "read", replaced)
    answer = swift("GET", "c/o")
    assert (answer.status, answer.content, answer.headers["x-object-meta-which"]) == (200, b"after", "second")


def test_bytes_that_are_away_are_not_waited_for(store, swift, monkeypatch):
    swift("PUT", "c")
    swift.put("c/o", b"data")
    blobs, store._blobs = store._blobs, {}
    assert swift("GET", "c/o").status == 503
    store._blobs = blobs
    assert swift("GET", "c/o").content == b"data"
