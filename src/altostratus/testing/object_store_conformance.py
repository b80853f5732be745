# SPDX-License-Identifier: Apache-2.0
"""What every driver of the object store must do. A driver's test file subclasses it and gives `store`."""

import io
import os
from urllib.parse import urlsplit

import pytest

from altostratus.contracts.object_store import ObjectStore, ObjectStoreError

MIB = 1 << 20


class _Dripping:
    """Gives a few bytes at a time, then what `end` does."""

    def __init__(self, data: bytes, step: int, error: Exception | None = None) -> None:
        self._data, self._step, self._error = io.BytesIO(data), step, error

    def read(self, size: int, /) -> bytes:
        piece = self._data.read(min(size, self._step))
        if not piece and self._error is not None:
            raise self._error
        return piece


class ObjectStoreConformance:
    """Tests of the contract. The subclass has a fixture `store`."""

    @pytest.mark.parametrize("size", [0, 1, 4096, 256 * 1024, 256 * 1024 + 1, 3 * MIB + 17])
    def test_what_was_written_is_read(self, store: ObjectStore, size: int) -> None:
        data = os.urandom(size)
        blob = store.write(io.BytesIO(data), expected_size=size)
        assert blob.size == size
        assert b"".join(store.read(blob.id)) == data
        assert store.exists(blob.id)

    def test_pieces_of_any_size(self, store: ObjectStore) -> None:
        data = os.urandom(700_001)
        blob = store.write(_Dripping(data, 999))
        assert b"".join(store.read(blob.id)) == data

    @pytest.mark.parametrize(
        ("offset", "length"),
        [(0, 1), (5, 0), (MIB - 1, 2), (256 * 1024, 256 * 1024), (0, None), (MIB, None), (MIB + 76, 1), (0, MIB + 77)],
    )
    def test_ranges(self, store: ObjectStore, offset: int, length: int | None) -> None:
        data = os.urandom(MIB + 77)
        blob = store.write(io.BytesIO(data))
        end = None if length is None else offset + length
        assert b"".join(store.read(blob.id, offset, length)) == data[offset:end]

    def test_two_blobs_are_two(self, store: ObjectStore) -> None:
        first, second = store.write(io.BytesIO(b"one")), store.write(io.BytesIO(b"one"))
        assert first.id != second.id
        store.delete(first.id)
        assert b"".join(store.read(second.id)) == b"one"

    def test_refused_data_leaves_nothing(self, store: ObjectStore) -> None:
        for data, reason, limits in (
            (io.BytesIO(b"x" * 10), "short", {"expected_size": 11}),
            (io.BytesIO(b"x" * 10), "short", {"expected_size": 9}),
            (io.BytesIO(b"x" * MIB), "too_large", {"max_bytes": MIB - 1}),
        ):
            with pytest.raises(ObjectStoreError) as refused:
                store.write(data, **limits)
            assert refused.value.reason == reason
        with pytest.raises(ConnectionError):
            store.write(_Dripping(b"x" * MIB, 1000, ConnectionError("gone")))
        assert list(store.pending()) == [] and list(store.blob_ids()) == []

    def test_locations_go_with_the_blob(self, store: ObjectStore) -> None:
        first, second = store.write(io.BytesIO(b"1")), store.write(io.BytesIO(b"2"))
        before = store.locations(second.id)
        assert all(urlsplit(url).scheme and urlsplit(url).path and second.id.split(":")[-1] in url for url in before)
        store.delete(first.id)
        assert store.locations(first.id) == [] and store.locations(second.id) == before

    def test_pending_until_settled(self, store: ObjectStore) -> None:
        first, second = store.write(io.BytesIO(b"1")), store.write(io.BytesIO(b"2"))
        assert set(store.pending()) == {first.id, second.id}
        store.settle(first.id)
        store.settle(first.id)
        assert set(store.pending()) == {second.id}
        store.delete(second.id)
        assert set(store.pending()) == set()
        assert set(store.blob_ids()) == {first.id}

    def test_delete_is_for_good_and_may_be_repeated(self, store: ObjectStore) -> None:
        blob = store.write(io.BytesIO(b"data"))
        store.delete(blob.id)
        store.delete(blob.id)
        assert not store.exists(blob.id)
        with pytest.raises(ObjectStoreError) as refused:
            store.read(blob.id)
        assert refused.value.reason == "missing"

    def test_age(self, store: ObjectStore) -> None:
        blob = store.write(io.BytesIO(b"data"))
        age = store.age_s(blob.id)
        assert age is not None and 0 <= age < 60
        store.delete(blob.id)
        assert store.age_s(blob.id) is None
