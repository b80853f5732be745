# SPDX-License-Identifier: Apache-2.0
"""Slow clients: they wait in threads of their own, and are sent away when nothing comes from them any longer.

While a request waits for its client, for the next bytes of an upload or for room for those of a download, it has no
turn (`kernel/turns.py`): a thousand slow clients hold up nobody. The server tells nothing about what happens below
HTTP; the kernel does (`TCP_INFO`), and two things are done with it:

- A connection that nothing came or went on for `client_timeout_s` is closed, as Swift does (its `client_timeout`): one
  that is idle, an upload that stands, a download that its client does not take.
- A chunked upload must come to its end. The server takes a connection that broke off for the end of the body; so a
  body is whole only if no connection of the client's address is closing just then.
"""

import contextlib
import os
import resource
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from altostratus.app.options import CloudOptions
from altostratus.kernel import log
from altostratus.kernel.turns import Turns

_log = log.get("clients")
App = Callable[..., Iterable[bytes]]
# of `struct tcp_info`: state; milliseconds since data was sent, and since some came (linux/tcp.h)
_STATE, _TIMES, _INFO_BYTES = struct.Struct("B"), struct.Struct("44xI4xI"), 104
_ESTABLISHED, _LISTENING = 1, 10
_LOOK_EVERY_S = 10.0
_LONGEST_LENGTH = 20
# a connection that its client closed is gone within this time, if no request is worked on for it
_CLOSING_LOOKS, _CLOSING_PAUSE_S = 20, 0.05


class _Connection(NamedTuple):
    """A connection as the kernel sees it."""

    handle: socket.socket
    state: int
    silent_s: float
    peer: str


class Clients:
    """The application, for clients of any speed."""

    def __init__(self, app: App, options: CloudOptions) -> None:
        self._app = app
        self._port, self._timeout_s = options.port, options.client_timeout_s
        self._turns = Turns(options.api_threads)
        # since when (monotonic) clients wait for each thread
        self._working: dict[int, float] = {}

    def start(self) -> None:
        """Look for silent clients from now on. Each needs a file descriptor: as many are allowed as may be."""
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        threading.Thread(target=self._look_for_ever, name="silent-clients", daemon=True).start()

    def __call__(self, env: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        env["wsgi.input"] = _Body(env["wsgi.input"], self, env)
        self.begin_work()
        try:
            reply = self._app(env, start_response)
        finally:
            self.end_work()
        return reply if isinstance(reply, list) else _Reply(reply, self)

    # turns

    def begin_work(self) -> None:
        self._working[threading.get_ident()] = time.monotonic()
        self._turns.begin()

    def end_work(self) -> None:
        self._working.pop(threading.get_ident(), None)
        self._turns.end()

    def wait_for_client(self, read: Callable[[int], bytes], size: int) -> bytes:
        """`read(size)` without a turn."""
        self.end_work()
        try:
            return read(size)
        finally:
            self.begin_work()

    # connections

    def _look_for_ever(self) -> None:
        while True:
            time.sleep(min(_LOOK_EVERY_S, self._timeout_s / 4))
            try:
                self.set_timeouts()
                self.end_silent()
            except OSError as error:
                _log.warning("silent clients cannot be looked for: %s", error)

    def set_timeouts(self) -> None:
        """On the sockets that listen: connections that are accepted from now on inherit it."""
        for one in self._connections():
            if one.state == _LISTENING:
                timeout_ms = int(self._timeout_s * 1000)
                one.handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout_ms)
                one.handle.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def end_silent(self) -> int:
        """Close connections that nothing came or went on for so long; how many.

        Which of them a request is being worked on for nobody can tell: while one takes so long, none is closed.
        """
        long_ago = time.monotonic() - self._timeout_s
        if any(since < long_ago for since in list(self._working.values())):
            return 0
        ended = 0
        for one in self._connections():
            if one.state == _ESTABLISHED and one.silent_s > self._timeout_s:
                one.handle.shutdown(socket.SHUT_RDWR)
                ended += 1
        if ended:
            _log.info("%d clients were sent away: nothing came for %g s", ended, self._timeout_s)
        return ended

    def is_leaving(self, peer: str) -> bool:
        """Is a connection of this address closing, and does it stay so? Those that nobody works for go at once."""
        closing = self._closing(peer)
        for _ in range(_CLOSING_LOOKS):
            if not closing:
                return False
            time.sleep(_CLOSING_PAUSE_S)
            closing &= self._closing(peer)
        return bool(closing)

    def _closing(self, peer: str) -> set[int]:
        """Inodes of the sockets."""
        found = (one for one in self._connections() if one.peer == peer and one.state != _ESTABLISHED)
        return {os.fstat(one.handle.fileno()).st_ino for one in found}

    def _connections(self) -> Iterator[_Connection]:
        """Those of the API's port, and the sockets that listen there, which have no peer.

        A handle is good until the next one is asked for.
        """
        for name in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                if not os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                    continue
                with socket.socket(fileno=os.dup(int(name))) as handle:
                    if handle.family not in (socket.AF_INET, socket.AF_INET6) or handle.type != socket.SOCK_STREAM:
                        continue
                    found = handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
                    state = _STATE.unpack_from(found)[0]
                    if handle.getsockname()[1] != self._port:
                        continue
                    peer = ""
                    silent_s = min(_TIMES.unpack_from(found)) / 1000
                    with contextlib.suppress(OSError):
                        peer = handle.getpeername()[0]
                    yield _Connection(handle, state, silent_s, peer)


class _Body:
    """A request's body."""

    def __init__(self, body: Any, clients: Clients, env: dict[str, Any]) -> None:
        self._body, self._clients = body, clients
        chunked = env.get("HTTP_TRANSFER_ENCODING", "").lower() == "chunked"
        self._peer = env.get("REMOTE_ADDR", "") if chunked else ""
        length = env.get("CONTENT_LENGTH", "")
        # bytes that are still to come, where that is known
        self._left = int(length) if length.isdecimal() and len(length) < _LONGEST_LENGTH and not chunked else -1

    def read(self, size: int = -1) -> bytes:
        """Raises OSError for a chunked body that does not come to its end."""
        if size < 0:
            return b"".join(iter(lambda: self.read(1 << 16), b""))
        if self._left == 0:
            return b""
        data = self._clients.wait_for_client(self._read, size)
        if self._left > 0:
            self._left = max(0, self._left - len(data))
        return data

    def _read(self, size: int) -> bytes:
        data: bytes = self._body.read(size)
        if len(data) < size and self._peer:
            if self._clients.is_leaving(self._peer):
                raise ConnectionError("the connection is closing")
            self._peer = ""
        return data


class _Reply:
    """Pieces of a reply, each made in a turn."""

    def __init__(self, reply: Iterable[bytes], clients: Clients) -> None:
        self._reply, self._pieces, self._clients = reply, iter(reply), clients

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self._clients.begin_work()
        try:
            return next(self._pieces)
        finally:
            self._clients.end_work()

    def close(self) -> None:
        close = getattr(self._reply, "close", None)
        if close is not None:
            close()
