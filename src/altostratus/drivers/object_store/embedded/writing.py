# SPDX-License-Identifier: Apache-2.0
"""What was received is written while the next bytes are received and hashed: two things that need no interpreter.

Much at once, from memory that a disk can fetch it from: a large file need not pass through the kernel's cache then,
which would take more of the processor's time than everything else but the hashing.
"""

import errno
import fcntl
import mmap
import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, wait
from types import TracebackType
from typing import Self

from .disk import write_all

# asked of a client at once
PIECE_BYTES = 256 * 1024
# written at once; an upload holds no more than twice this
BATCH_BYTES = 1024 * 1024
# of these, that is; each of all the others, which mostly are slow, does with less
_LARGE_AT_ONCE, _SMALL_BATCH_BYTES = 32, 256 * 1024
_KEPT_FOR_LATER = 8
# what disks want places in memory and in files to be multiples of
_PAGE = mmap.PAGESIZE


class Buffers:
    """Memory for batches of all uploads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.taken = 0
        self._free: list[mmap.mmap] = []

    def take(self) -> mmap.mmap:
        """Of one batch; with anything inside."""
        with self._lock:
            self.taken += 1
            size = BATCH_BYTES if self.taken <= _LARGE_AT_ONCE else _SMALL_BATCH_BYTES
            if self._free and size == BATCH_BYTES:
                return self._free.pop()
        return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE)

    @property
    def kept_bytes(self) -> int:
        """For the next uploads."""
        return sum(map(len, self._free))

    def give_back(self, buffer: mmap.mmap) -> None:
        with self._lock:
            self.taken -= 1
            if len(buffer) == BATCH_BYTES and len(self._free) < _KEPT_FOR_LATER:
                self._free.append(buffer)


class WritingBehind:
    """`with WritingBehind(threads, buffers, write) as writing: writing.add(piece)`; at its end everything is written.

    `write(data)` is called by one thread at a time, in order; what it raises is raised by a later `add` or at the
    end. All batches but the last have whole pages. The last, or only, one is written by the thread that added it.
    """

    def __init__(self, threads: Executor, buffers: Buffers, write: Callable[[memoryview], None]) -> None:
        self._threads, self._buffers, self._write = threads, buffers, write
        self._filled = 0
        self._behind: Future[None] | None = None

    def __enter__(self) -> Self:
        self._batch = self._buffers.take()
        return self

    def add(self, piece: bytes) -> None:
        rest = memoryview(piece)
        while len(rest) > (room := len(self._batch) - self._filled):
            self._fill(rest[:room])
            rest = rest[room:]
            self._hand_over()
        self._fill(rest)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._join()
                self._write(memoryview(self._batch)[: self._filled])
            elif self._behind is not None:
                wait([self._behind])  # the files must not be closed under its hands
        finally:
            self._buffers.give_back(self._batch)

    def _fill(self, data: memoryview) -> None:
        self._batch[self._filled : self._filled + len(data)] = data
        self._filled += len(data)

    def _hand_over(self) -> None:
        self._join()
        batch, self._batch, self._filled = self._batch, self._buffers.take(), 0
        self._behind = self._threads.submit(self._write_and_give_back, batch)

    def _write_and_give_back(self, batch: mmap.mmap) -> None:
        try:
            self._write(memoryview(batch))
        finally:
            self._buffers.give_back(batch)

    def _join(self) -> None:
        if self._behind is not None:
            behind, self._behind = self._behind, None
            behind.result()


class GrowingFile:
    """Writes to a file's end. With `passing` set, whole pages pass the kernel's cache by where the file system can."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._is_passing = False
        self.can_pass = True

    def write(self, data: memoryview, passing: bool) -> None:
        """`data` begins at a page of memory and of the file."""
        done = self._write_pages(data[: len(data) // _PAGE * _PAGE]) if passing and self._pass_by(True) else 0
        if done < len(data):
            self._pass_by(False)
            write_all(self._descriptor, data[done:])

    def _write_pages(self, data: memoryview) -> int:
        """How many bytes were written: not all of them if the file system turns out to want something else."""
        done = 0
        try:
            while done < len(data):
                done += os.write(self._descriptor, data[done:])
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            self.can_pass = False
        return done

    def _pass_by(self, wanted: bool) -> bool:
        """Is it so now?"""
        if wanted != self._is_passing and (self.can_pass or not wanted):
            flags = fcntl.fcntl(self._descriptor, fcntl.F_GETFL)
            changed = flags | os.O_DIRECT if wanted else flags & ~os.O_DIRECT
            try:
                fcntl.fcntl(self._descriptor, fcntl.F_SETFL, changed)
                self._is_passing = wanted
            except OSError:
                self.can_pass = False
        return self._is_passing
