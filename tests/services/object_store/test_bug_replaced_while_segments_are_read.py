# SPDX-License-Identifier: Apache-2.0
"""A download of several segments or ranges broke off where an object was replaced or deleted meanwhile."""

import pytest

from altostratus.services.object_store.reconcilers.waste import remove_waste

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture(autouse=True)
def film(swift):
    swift("PUT", "c")
    swift.put("c/film/1", b"hello ")
    swift.put("c/film/2", b"world")
    swift.put("c/film", b"", X_Object_Manifest="c/film/")
    swift.put("c/plain", b"0123456789")


def meanwhile(cloud, store, monkeypatch, work):
    """`work` is done before the second read, and waste goes."""
    read = store.read
    reads: list[object] = []

    def interrupted(*words):
        reads.append(words)
        if len(reads) == 2:
            work()
            remove_waste(cloud.cloud)
        return read(*words)

    monkeypatch.setattr(store, "read", interrupted)


def test_segments(cloud, store, swift, monkeypatch):
    meanwhile(cloud, store, monkeypatch, lambda: swift.put("c/film/2", b"there"))
    assert swift("GET", "c/film").content == b"hello world"


def test_ranges_of_segments(cloud, store, swift, monkeypatch):
    meanwhile(cloud, store, monkeypatch, lambda: swift("DELETE", "c/film/2"))
    assert swift("GET", "c/film", Range="bytes=4-7").content == b"o wo"


def test_several_ranges(cloud, store, swift, monkeypatch):
    meanwhile(cloud, store, monkeypatch, lambda: swift("DELETE", "c/plain"))
    answer = swift("GET", "c/plain", Range="bytes=0-1,4-5")
    assert answer.status == 206
    assert b"01" in answer.content and b"45" in answer.content
