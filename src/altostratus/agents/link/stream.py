# SPDX-License-Identifier: Apache-2.0
"""One connection that carries frames: four bytes of length (big endian), then that many bytes of JSON.

Sending and receiving may happen in two threads at once. TLS connections of Python cannot do that by
themselves, so the socket never blocks: threads wait for it with `poll` and touch it under a lock.
"""

import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from typing import TypeVar

MOST_BYTES = 256 * 1024 * 1024
_HEAD = struct.Struct(">I")
_CHUNK = 256 * 1024

T = TypeVar("T")


class LinkDown(ConnectionError):
    """The other side cannot be reached, has gone, or did not answer in time."""


class Stream:
    """A connected socket, owned by this object from now on."""

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        self._socket = connected
        self._buffer = bytearray()
        self._touching = threading.Lock()
        self._sending = threading.Lock()
        self._closed = False

    def send(self, frame: bytes, timeout_s: float = 30.0) -> None:
        """Raises LinkDown."""
        if len(frame) > MOST_BYTES:
            raise ValueError(f"A message of {len(frame)} bytes is larger than the link's limit of {MOST_BYTES}.")
        deadline = time.monotonic() + timeout_s
        with self._sending:
            left = memoryview(_HEAD.pack(len(frame)) + frame)
            while left:
                sent = self._try(lambda left=left: self._socket.send(left[:_CHUNK]), select.POLLOUT, deadline)  # type: ignore[misc]
                left = left[sent:]

    def receive(self, timeout_s: float | None = None) -> bytes | None:
        """The next frame; None when the other side has closed the connection. Raises LinkDown."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while (frame := self._take_frame()) is None:
            more = self._try(lambda: self._socket.recv(_CHUNK), select.POLLIN, deadline)
            if not more:
                if self._buffer:
                    raise LinkDown("The other side closed the connection in the middle of a message.")
                return None
            self._buffer += more
        return frame

    def _take_frame(self) -> bytes | None:
        if len(self._buffer) < _HEAD.size:
            return None
        (size,) = _HEAD.unpack_from(self._buffer)
        if size > MOST_BYTES:
            raise LinkDown(f"The other side announced a message of {size} bytes; the limit is {MOST_BYTES}.")
        end = _HEAD.size + size
        if len(self._buffer) < end:
            return None
        frame = bytes(self._buffer[_HEAD.size : end])
        del self._buffer[:end]
        return frame

    def _try(self, action: Callable[[], T], wish: int, deadline: float | None) -> T:
        while True:
            wanted = wish
            try:
                with self._touching:
                    if self._closed:
                        raise LinkDown("The connection was closed.")
                    return action()
            except (BlockingIOError, InterruptedError):
                pass
            except ssl.SSLWantReadError:
                wanted = select.POLLIN
            except ssl.SSLWantWriteError:
                wanted = select.POLLOUT
            except LinkDown:
                raise
            except (OSError, ValueError) as error:
                raise LinkDown(f"The connection broke: {error}.") from error
            self._wait(wanted, deadline)

    def _wait(self, wish: int, deadline: float | None) -> None:
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            raise LinkDown("The other side did not answer in time.")
        waiter = select.poll()
        try:
            waiter.register(self._socket, wish)
        except (OSError, ValueError) as error:
            raise LinkDown("The connection was closed.") from error
        waiter.poll(None if left is None else left * 1000)

    def close(self) -> None:
        """From any thread; whoever waits here gets LinkDown."""
        with self._touching:
            if self._closed:
                return
            self._closed = True
            try:
                # wakes the waiting threads; closing alone would leave them asleep
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self._socket.close()
