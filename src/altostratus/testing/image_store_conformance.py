# SPDX-License-Identifier: Apache-2.0
"""What every image store must do. Subclass `ImageStoreConformance` in a test module and give it a store."""

import hashlib
import io
import os
from pathlib import Path

import pytest

from altostratus.contracts.image_store import ImageStore, ImageStoreError

IMAGE_ID = "6f0b0f2e-3a37-4d5f-9a4e-0a4f8d2d7a01"
MIB = 1 << 20


class BrokenStream:
    """Gives some bytes and then fails, as a client does that goes away."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def read(self, size: int, /) -> bytes:
        chunk = self._content.read(size)
        if not chunk:
            raise ConnectionResetError("the client went away")
        return chunk


class ImageStoreConformance:
    """Override `make_store`; every `test_` method then runs against it."""

    def make_store(self, directory: Path) -> ImageStore:
        raise AssertionError("override make_store")

    @pytest.fixture
    def store(self, tmp_path: Path) -> ImageStore:
        directory = tmp_path / "store"
        directory.mkdir()
        return self.make_store(directory)

    def put(self, store: ImageStore, content: bytes, image_id: str = IMAGE_ID) -> str:
        return store.write(image_id, io.BytesIO(content), expected_size=None, max_bytes=64 * MIB).location

    def test_write_then_read(self, store: ImageStore) -> None:
        content = os.urandom(MIB + 17) + bytes(3 * MIB) + b"end"
        stored = store.write(IMAGE_ID, io.BytesIO(content), expected_size=len(content), max_bytes=64 * MIB)
        assert stored.size_bytes == len(content)
        assert stored.checksum == hashlib.md5(content, usedforsecurity=False).hexdigest()
        assert (stored.os_hash_algo, stored.os_hash_value) == ("sha512", hashlib.sha512(content).hexdigest())
        assert b"".join(store.read(stored.location)) == content
        assert store.list_locations() == [stored.location]
        assert stored.facts is not None
        assert stored.facts == store.inspect(stored.location)

    @pytest.mark.parametrize("offset, length", [(0, 0), (0, 1), (5, None), (MIB - 1, 2), (3 * MIB, 99), (10 * MIB, 5)])
    def test_ranges(self, store: ImageStore, offset: int, length: int | None) -> None:
        content = os.urandom(3 * MIB + 5)
        location = self.put(store, content)
        end = None if length is None else offset + length
        assert b"".join(store.read(location, offset=offset, length=length)) == content[offset:end]

    @pytest.mark.parametrize("content", [b"", b"\0", bytes(2 * MIB), bytes(MIB) + b"x"])
    def test_empty_and_zeros(self, store: ImageStore, content: bytes) -> None:
        assert b"".join(store.read(self.put(store, content))) == content

    def test_chunks_are_bounded(self, store: ImageStore) -> None:
        assert max(map(len, store.read(self.put(store, os.urandom(5 * MIB))))) <= MIB

    def test_refused_uploads_leave_nothing(self, store: ImageStore) -> None:
        data = b"x" * 100
        for expected, allowed, code in ((101, 1000, "short"), (99, 1000, "too_large"), (None, 99, "too_large")):
            with pytest.raises(ImageStoreError) as caught:
                store.write(IMAGE_ID, io.BytesIO(data), expected_size=expected, max_bytes=allowed)
            assert caught.value.code == code
        assert store.list_locations() == []

    def test_broken_stream_leaves_nothing(self, store: ImageStore) -> None:
        with pytest.raises(ConnectionResetError):
            store.write(IMAGE_ID, BrokenStream(b"x" * 3 * MIB), expected_size=None, max_bytes=64 * MIB)
        assert store.list_locations() == []

    def test_second_upload_replaces_the_first(self, store: ImageStore) -> None:
        self.put(store, b"first, and longer")
        assert b"".join(store.read(self.put(store, b"second"))) == b"second"

    def test_missing(self, store: ImageStore) -> None:
        location = self.put(store, b"data")
        store.delete(location)
        store.delete(location)
        assert store.local_path(location) is None
        for call in (store.read, store.inspect):
            with pytest.raises(ImageStoreError) as caught:
                call(location)
            assert caught.value.code == "missing"

    @pytest.mark.parametrize("image_id", ["", "..", "a/b", "../x", ".hidden", "a\0b", "x" * 300, "a b"])
    def test_odd_ids_are_refused(self, store: ImageStore, image_id: str) -> None:
        with pytest.raises(ImageStoreError) as caught:
            self.put(store, b"data", image_id)
        assert caught.value.code == "invalid"

    def test_adopt(self, store: ImageStore, tmp_path: Path) -> None:
        content = os.urandom(MIB) + bytes(MIB)
        source = tmp_path / "snapshot"
        source.write_bytes(content)
        stored = store.adopt(IMAGE_ID, str(source))
        assert not source.exists()
        assert stored.checksum == hashlib.md5(content, usedforsecurity=False).hexdigest()
        assert b"".join(store.read(stored.location)) == content
        assert store.adopt(IMAGE_ID, str(source)) == stored

    def test_adopt_of_nothing(self, store: ImageStore, tmp_path: Path) -> None:
        with pytest.raises(ImageStoreError) as caught:
            store.adopt(IMAGE_ID, str(tmp_path / "nothing"))
        assert caught.value.code == "missing"

    def test_free_bytes(self, store: ImageStore) -> None:
        free = store.free_bytes()
        assert free is None or free > 0
