# SPDX-License-Identifier: Apache-2.0
"""Uploads of many batches: past the kernel's cache where the file system can, otherwise as any other file."""

import errno
import fcntl
import os
import random
import threading

import pytest

from altostratus.contracts.object_store import ObjectStoreError
from altostratus.drivers.object_store.embedded.writing import BATCH_BYTES, Buffers

LARGE = 9 * BATCH_BYTES
DATA = random.Random(4).randbytes(LARGE + 12_345)


class Stream:
    """Gives pieces of any size, and tells how many of its bytes were asked for."""

    def __init__(self, data, most=1 << 30, ends_with=None):
        self._data, self._most, self._ends_with = data, most, ends_with
        self.given = 0

    def read(self, size, /):
        piece = self._data[self.given : self.given + min(size, self._most)]
        self.given += len(piece)
        if not piece and self._ends_with is not None:
            raise self._ends_with
        return piece


def read(store, blob):
    return b"".join(store.read(blob.id))


def passes(descriptor):
    return bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT)


def can_pass(directory):
    """Whether files here can be written past the kernel's cache."""
    descriptor = os.open(directory / "probe", os.O_CREAT | os.O_WRONLY)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_DIRECT)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


@pytest.fixture
def writes(monkeypatch):
    """(bytes, whether they passed the cache by) of each write."""
    seen, real = [], os.write

    def write(descriptor, data):
        seen.append((len(data), passes(descriptor)))
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", write)
    return seen


@pytest.mark.parametrize("size", [BATCH_BYTES, BATCH_BYTES + 1, 6 << 20, LARGE - 4096, LARGE, LARGE + 1, len(DATA)])
@pytest.mark.parametrize("most", [1 << 30, 100_003])
def test_what_came_is_read(store, size, most):
    blob = store.write(Stream(DATA[:size], most), expected_size=size)
    assert blob.size == size and read(store, blob) == DATA[:size]
    assert b"".join(store.read(blob.id, size - 70_000, 60_000)) == DATA[size - 70_000 : size - 10_000]


def test_large_ones_pass_the_cache_by(store, tmp_path, writes):
    if not can_pass(tmp_path):
        pytest.skip("this file system has no such way")
    store.write(Stream(DATA), expected_size=len(DATA))
    assert sum(size for size, passed in writes if passed) >= 3 * LARGE


def test_an_upload_that_does_not_say_its_size_passes_the_cache_by_later(store, tmp_path, writes):
    if not can_pass(tmp_path):
        pytest.skip("this file system has no such way")
    blob = store.write(Stream(DATA))
    assert [passed for _, passed in writes][:2] == [False, False]
    assert sum(passed for _, passed in writes) >= 6
    assert read(store, blob) == DATA


def test_small_ones_are_left_in_the_cache(store, writes):
    store.write(Stream(DATA[: 3 << 20]), expected_size=3 << 20)
    assert not any(passed for _, passed in writes)


@pytest.mark.parametrize("expected", [None, len(DATA)])
def test_a_file_system_that_has_no_way_past_its_cache(store, monkeypatch, expected):
    real = fcntl.fcntl

    def refusing(descriptor, what, value=0):
        if what == fcntl.F_SETFL and value & os.O_DIRECT:
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(descriptor, what, value)

    monkeypatch.setattr(fcntl, "fcntl", refusing)
    assert read(store, store.write(Stream(DATA), expected_size=expected)) == DATA


@pytest.mark.parametrize("after", [0, 1, 4])
def test_a_file_system_that_says_so_only_when_it_writes(store, monkeypatch, after):
    """Some bytes of a batch may be written before: they come once."""
    real, seen = os.write, []

    def write(descriptor, data):
        if passes(descriptor):
            seen.append(descriptor)
            if len(seen) > after:
                raise OSError(errno.EINVAL, "Invalid argument")
            return real(descriptor, data[: len(data) // 2])
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", write)
    assert read(store, store.write(Stream(DATA), expected_size=len(DATA))) == DATA


@pytest.mark.parametrize("ends_with", [None, ConnectionError("gone")])
def test_uploads_that_break_off_give_their_memory_back(store, ends_with):
    for _ in range(3):
        with pytest.raises((ObjectStoreError, ConnectionError)):
            store.write(Stream(DATA, ends_with=ends_with), expected_size=len(DATA) + 1)
    assert store._buffers.taken == 0
    assert list(store.pending()) == []


def test_many_uploads_at_once_hold_little():
    buffers = Buffers()
    held = [buffers.take() for _ in range(1000)]
    assert sum(map(len, held)) < 320 << 20
    for one in held:
        buffers.give_back(one)
    assert buffers.kept_bytes <= 8 << 20 and buffers.taken == 0


def test_uploads_at_the_same_time_are_not_mixed_up(store):
    texts = [random.Random(number).randbytes((2 << 20) + number) for number in range(12)]
    found = {}

    def upload(number):
        blob = store.write(Stream(texts[number], 50_001), expected_size=len(texts[number]))
        found[number] = read(store, blob)

    threads = [threading.Thread(target=upload, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[number] == texts[number] for number in range(12)] == [True] * 12
