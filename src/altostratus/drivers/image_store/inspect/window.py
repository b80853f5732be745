# SPDX-License-Identifier: Apache-2.0
"""Bounded views of an image's bytes: a file, or what a stream has shown so far."""

import os
from typing import Protocol

HEAD_BYTES = (1 << 20) + (64 << 10)
"""Enough for every header below, the 1 MiB descriptor of VMDK included."""

VHDX_HEAD_BYTES = 5 << 20
"""VHDX keeps its metadata at an offset of its own choice; writers put it below 4 MiB."""

TAIL_BYTES = 4096


class Window(Protocol):
    """Random reads of few bytes. `size` is the length of the whole file in bytes."""

    size: int

    def read_at(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`; fewer, or none, where the window does not reach."""


class FileWindow:
    """The bytes of an open file."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size

    def read_at(self, offset: int, length: int) -> bytes:
        if offset < 0 or length <= 0 or offset >= self.size:
            return b""
        parts: list[bytes] = []
        while length > 0:
            part = os.pread(self._descriptor, length, offset)
            if not part:
                break
            parts.append(part)
            offset += len(part)
            length -= len(part)
        return b"".join(parts)


class StreamWindow:
    """The first and the last bytes of a stream; at most 5 MiB are kept, however long it is."""

    def __init__(self) -> None:
        self.size = 0
        self._head = bytearray()
        self._tail = b""
        self._head_limit = HEAD_BYTES

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the stream."""
        if not chunk:
            return
        if len(self._head) < 8 and (bytes(self._head) + chunk[:8]).startswith(b"vhdxfile"):
            self._head_limit = VHDX_HEAD_BYTES
        room = self._head_limit - len(self._head)
        if room > 0:
            self._head += chunk[:room]
        self._tail = chunk[-TAIL_BYTES:] if len(chunk) >= TAIL_BYTES else (self._tail + chunk)[-TAIL_BYTES:]
        self.size += len(chunk)

    def read_at(self, offset: int, length: int) -> bytes:
        if offset < 0 or length <= 0:
            return b""
        if offset < len(self._head):
            return bytes(self._head[offset : offset + length])
        tail_start = self.size - len(self._tail)
        if offset < tail_start:
            return b""
        return self._tail[offset - tail_start : offset - tail_start + length]
