# SPDX-License-Identifier: Apache-2.0
"""A pool of a Ceph cluster: objects, their attribute and keys, by librados. No request waits for ever.

Requests are begun at once and waited for later, so that several are under way.
"""

import ctypes
import errno
import time
from collections.abc import Callable, Iterator
from typing import Generic, NamedTuple, TypeVar

from altostratus.kernel.turns import release_turn

from . import librados
from .librados import Library

T = TypeVar("T")
_KEYS_AT_ONCE = 1000


class RadosError(Exception):
    """A request failed. `errno` is Ceph's; 0 if the pool itself cannot be used."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.errno = number


class Found(NamedTuple):
    """What was read of an object: the data asked for, and its attribute."""

    data: bytes
    attribute: bytes


class Request(Generic[T]):
    """Under way. It must be waited for: until then its buffers are in use."""

    def __init__(
        self, pool: "Pool", completion: ctypes.c_void_p, finish: Callable[[], T], release: Callable[[], None]
    ) -> None:
        self._pool, self._completion, self._finish, self._release = pool, completion, finish, release

    def wait(self) -> T:
        """Once. Raises RadosError."""
        library = self._pool.library
        release_turn()
        library.slow.rados_aio_wait_for_complete(self._completion)
        result = library.quick.rados_aio_get_return_value(self._completion)
        library.quick.rados_aio_release(self._completion)
        try:
            self._pool.take_answer(result)
            return self._finish()
        finally:
            self._release()


def _nothing() -> None:
    return None


class Pool:
    """The namespace of this cloud in a pool. Thread-safe."""

    def __init__(self, library: Library, cluster: ctypes.c_void_p, context: ctypes.c_void_p, name: str) -> None:
        self.library, self.name = library, name
        self._cluster, self._context = cluster, context
        self._id = library.quick.rados_ioctx_get_id(context)
        # it cannot be used any longer: another connection may
        self.gone = False
        # of the clock `time.monotonic`
        self.answered_at, self.timed_out_at = time.monotonic(), 0.0

    def put(self, name: str, data: bytes | bytearray, attribute: tuple[str, bytes]) -> Request[None]:
        """An object with this data and attribute, whole or not at all. The data may be changed at once after."""
        quick, (key, value) = self.library.quick, attribute
        operation = quick.rados_create_write_op()
        view = (ctypes.c_char * len(data)).from_buffer(data) if isinstance(data, bytearray) else data
        self.library.slow.rados_write_op_write_full(operation, view, len(data))
        quick.rados_write_op_setxattr(operation, key.encode(), value, len(value))
        return self._write(name, operation)

    def remove(self, name: str) -> Request[None]:
        operation = self.library.quick.rados_create_write_op()
        self.library.quick.rados_write_op_remove(operation)
        return self._write(name, operation)

    def add_keys(self, name: str, keys: list[str]) -> Request[None]:
        """Keys of an object, which is made if it is not there."""
        quick, count = self.library.quick, len(keys)
        operation = quick.rados_create_write_op()
        quick.rados_write_op_create(operation, 0, None)
        values, lengths = (ctypes.c_char_p * count)(*[b""] * count), (ctypes.c_size_t * count)()
        quick.rados_write_op_omap_set(operation, _strings(keys), values, lengths, count)
        return self._write(name, operation)

    def remove_keys(self, name: str, keys: list[str]) -> Request[None]:
        operation = self.library.quick.rados_create_write_op()
        self.library.quick.rados_write_op_omap_rm_keys(operation, _strings(keys), len(keys))
        return self._write(name, operation)

    def get(self, name: str, start: int, length: int) -> Request[Found]:
        """A part of an object, shorter where the object ends, and its attribute."""
        quick = self.library.quick
        operation = quick.rados_create_read_op()
        buffer, got, attributes = _fresh_bytes(None, length), ctypes.c_size_t(), ctypes.c_void_p()
        quick.rados_read_op_read(operation, start, length, buffer, got, None)
        quick.rados_read_op_getxattrs(operation, attributes, None)

        def finish() -> Found:
            data = buffer if got.value == length else buffer[: got.value]
            return Found(data, self._first_attribute(attributes))

        return self._read(name, operation, finish, lambda: quick.rados_getxattrs_end(attributes))

    def keys(self, name: str) -> Iterator[str]:
        """Of an object that may not be there."""
        after, more = "", True
        while more:
            try:
                found, more = self._keys_after(name, after).wait()
            except RadosError as error:
                if error.errno == errno.ENOENT:
                    return
                raise
            yield from found
            after = found[-1] if found else after

    def written_at(self, name: str) -> int:
        """Unix time, the second. Raises RadosError (ENOENT)."""
        size, when = ctypes.c_uint64(), ctypes.c_long()
        self.take_answer(self.library.slow.rados_stat(self._context, name.encode(), size, when))
        return when.value

    def names(self) -> Iterator[str]:
        """Every object of the namespace."""
        slow, listing, entry = self.library.slow, ctypes.c_void_p(), ctypes.c_char_p()
        self._demand(slow.rados_nobjects_list_open(self._context, listing))
        try:
            while (result := slow.rados_nobjects_list_next(listing, entry, None, None)) == 0:
                yield (entry.value or b"").decode()
            if result != -errno.ENOENT:
                self.take_answer(result)
        finally:
            slow.rados_nobjects_list_close(listing)

    def room(self) -> tuple[int, int]:
        """(free, whole) bytes of the cluster's disks."""
        found = librados.ClusterStat()
        self.take_answer(self.library.slow.rados_cluster_stat(self._cluster, found))
        return found.free_kib * 1024, found.whole_kib * 1024

    def take_answer(self, result: int) -> None:
        """Of the cluster. Raises RadosError if it says so."""
        if result == -errno.ETIMEDOUT:
            self.timed_out_at = time.monotonic()
        else:
            self.answered_at = time.monotonic()
        self._demand(result)

    def _keys_after(self, name: str, after: str) -> Request[tuple[list[str], bool]]:
        quick = self.library.quick
        operation = quick.rados_create_read_op()
        keys, more = ctypes.c_void_p(), ctypes.c_ubyte()
        quick.rados_read_op_omap_get_keys2(operation, after.encode(), _KEYS_AT_ONCE, keys, more, None)
        key, value, length = ctypes.c_char_p(), ctypes.c_void_p(), ctypes.c_size_t()

        def finish() -> tuple[list[str], bool]:
            found = []
            while quick.rados_omap_get_next(keys, key, value, length) == 0 and key.value is not None:
                found.append(key.value.decode())
            return found, bool(more.value)

        return self._read(name, operation, finish, lambda: quick.rados_omap_get_end(keys))

    def _first_attribute(self, attributes: ctypes.c_void_p) -> bytes:
        name, value, length = ctypes.c_char_p(), ctypes.c_void_p(), ctypes.c_size_t()
        result = self.library.quick.rados_getxattrs_next(attributes, name, value, length)
        return ctypes.string_at(value, length.value) if result == 0 and value.value else b""

    def _demand(self, result: int) -> None:
        """In a pool that is gone, every object is missing."""
        if result >= 0:
            return
        if result == -errno.ENOENT:
            present = self.library.slow.rados_pool_lookup(self._cluster, self.name.encode())
            if present != self._id:
                self.gone = True
                raise RadosError(0, f"The pool {self.name} is gone from the Ceph cluster.")
        if result == -errno.ESHUTDOWN:
            self.gone = True
        raise RadosError(-result, sentence(-result))

    def _write(self, name: str, operation: int) -> Request[None]:
        completion = self._completion()
        result = self.library.slow.rados_aio_write_op_operate(
            operation, self._context, completion, name.encode(), None, librados.FULL_TRY
        )
        self.library.quick.rados_release_write_op(operation)
        return self._begun(result, Request(self, completion, _nothing, _nothing))

    def _read(self, name: str, operation: int, finish: Callable[[], T], release: Callable[[], None]) -> Request[T]:
        completion = self._completion()
        result = self.library.slow.rados_aio_read_op_operate(operation, self._context, completion, name.encode(), 0)
        self.library.quick.rados_release_read_op(operation)
        return self._begun(result, Request(self, completion, finish, release))

    def _completion(self) -> ctypes.c_void_p:
        made = ctypes.c_void_p()
        self._demand(self.library.quick.rados_aio_create_completion2(None, None, made))
        return made

    def _begun(self, result: int, request: Request[T]) -> Request[T]:
        self._demand(result)
        return request


_SENTENCES = {
    errno.ETIMEDOUT: "The Ceph cluster does not answer. See: ceph status",
    errno.EPERM: "The Ceph user may not do this. Give it: ceph auth caps",
    errno.EACCES: "The Ceph user may not do this. Give it: ceph auth caps",
    errno.ENOSPC: "The Ceph cluster is full.",
    errno.EDQUOT: "The quota of the pool is used up.",
    errno.EOPNOTSUPP: "The pool is erasure-coded. Name a replicated one beside it in [rados] index_pool.",
    errno.ESHUTDOWN: "The Ceph cluster has shut this client out. See: ceph osd blocklist ls",
    errno.ENOENT: "There is no such object.",
    errno.EIO: "Ceph cannot read an object: no copy of it is intact.",
}


# Bytes that are not filled yet: two passes over every byte that is read less than with a buffer of ctypes.
_fresh_bytes = ctypes.pythonapi.PyBytes_FromStringAndSize
_fresh_bytes.restype, _fresh_bytes.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_ssize_t]


def sentence(number: int) -> str:
    """Of an error number of Ceph."""
    return _SENTENCES.get(number, f"Ceph says: {errno.errorcode.get(number, number)}.")


def _strings(words: list[str]) -> "ctypes.Array[ctypes.c_char_p]":
    return (ctypes.c_char_p * len(words))(*[word.encode() for word in words])
