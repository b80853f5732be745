# SPDX-License-Identifier: Apache-2.0
"""Metadata for guests: 169.254.169.254 inside every router and every DHCP namespace.

One thread accepts for all namespaces, a few threads answer. Where a connection came in tells the
network or router, its source address (that guests cannot forge) tells the port; the lookup knows the
rest. Sizes, times and the number of connections (of all and of each guest) are bounded.
"""

import base64
import binascii
import contextlib
import logging
import selectors
import socket
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple

from altostratus.contracts.network import MetadataLookup
from altostratus.drivers.network.linuxbridge.execute import CommandFailure
from altostratus.drivers.network.linuxbridge.model import Listener
from altostratus.drivers.network.linuxbridge.names import METADATA_ADDRESS
from altostratus.drivers.network.linuxbridge.netns import call_in_netns, netns_inode

_log = logging.getLogger(__name__)
PORT = 80
MAX_BODY_BYTES = 65536
MAX_PER_GUEST = 8
IDLE_TIMEOUT_S = 10.0
DEADLINE_S = 30.0
_TICK_S = 1.0
# what a guest must not be able to say about itself
_STRIPPED = ("x-forwarded-for", "x-instance-id", "x-tenant-id", "x-project-id", "x-router-id", "x-network-id")


class _Door(NamedTuple):
    """A listening socket of a namespace."""

    listener: Listener
    inode: int | None
    socket: socket.socket


class _Visit(NamedTuple):
    """What a request handler knows of where it is."""

    place: dict[str, str]
    lookup: MetadataLookup | None


class _Caller(NamedTuple):
    """An open connection: whose it is and when it is hung up."""

    netns: str
    ip: str
    deadline: float


class _Request(BaseHTTPRequestHandler):
    """One request of one guest."""

    timeout = IDLE_TIMEOUT_S
    protocol_version = "HTTP/1.1"
    server_version = "metadata"
    sys_version = ""
    server: Any

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:
        _log.debug("metadata %s %s", self.client_address[0], format % args)

    def _answer(self) -> None:
        self.close_connection = True
        visit: _Visit = self.server
        length = self.headers.get("content-length") or "0"
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES or "transfer-encoding" in self.headers:
            self._send(413, {"content-type": "text/plain"}, b"The request body is too large.\n")
            return
        request = {
            **visit.place,
            "ip": self.client_address[0],
            "method": self.command,
            "path": self.path,
            "headers": {k.lower(): v for k, v in self.headers.items() if k.lower() not in _STRIPPED},
            "body_base64": base64.b64encode(self.rfile.read(int(length))).decode("ascii"),
        }
        self._send(*_look_up(visit.lookup, request))

    def _send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.send_header("connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _look_up(lookup: MetadataLookup | None, request: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    unavailable = (503, {"content-type": "text/plain"}, b"Metadata is not available right now; try again.\n")
    if lookup is None:
        return unavailable
    try:
        answer = lookup(request)
        body = base64.b64decode(answer.get("body_base64", ""))
        return int(answer["status"]), dict(answer.get("headers", {})), body
    except (binascii.Error, KeyError, TypeError, ValueError) as error:
        _log.error("metadata for %s was malformed: %s", request["ip"], error)
    except Exception as error:  # noqa: BLE001 - whatever fails behind the lookup, a guest gets 503 and may ask again
        _log.warning("metadata for %s failed: %s", request["ip"], error)
    return unavailable


class MetadataProxy:
    """Listens in many namespaces at once. Threads start with the first listener."""

    def __init__(self, *, workers: int, max_connections: int) -> None:
        self._lookup: MetadataLookup | None = None
        self._doors: dict[str, _Door] = {}
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._open: dict[socket.socket, _Caller] = {}
        self._max_connections = max_connections
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="metadata")
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def serve(self, lookup: MetadataLookup) -> None:
        self._lookup = lookup

    def apply(self, wanted: Mapping[str, Listener], *, resync: bool) -> list[CommandFailure]:
        """Open and close doors so that exactly the wanted namespaces have one."""
        for netns, door in list(self._doors.items()):
            if netns not in wanted or door.listener != wanted[netns] or (resync and door.inode != netns_inode(netns)):
                self.close_in(netns)
        failures = []
        for netns, listener in wanted.items():
            if netns in self._doors:
                continue
            try:
                door = _Door(listener, netns_inode(netns), call_in_netns(netns, _listen))
            except OSError as error:
                failures.append(CommandFailure(listener.owner, f"Metadata cannot listen in {netns}: {error}."))
                continue
            with self._lock:
                self._doors[netns] = door
                self._selector.register(door.socket, selectors.EVENT_READ, door)
        if self._doors and self._thread is None:
            self._thread = threading.Thread(target=self._accept_forever, name="metadata-accept", daemon=True)
            self._thread.start()
        return failures

    def close_in(self, netns: str) -> None:
        """Close the door of a namespace: an open socket would keep the namespace alive."""
        with self._lock:
            door = self._doors.pop(netns, None)
            if door is not None:
                self._selector.unregister(door.socket)
                door.socket.close()

    def close(self) -> None:
        """Stop listening and answering."""
        self._closed.set()
        for netns in list(self._doors):
            self.close_in(netns)
        if self._thread is not None:
            self._thread.join(timeout=2 * _TICK_S)
        self._hang_up(float("inf"))
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._selector.close()

    def _accept_forever(self) -> None:
        while not self._closed.is_set():
            try:
                events = self._selector.select(_TICK_S)
            except OSError:
                continue
            for key, _ in events:
                self._accept(key.data)
            self._hang_up(time.monotonic())

    def _accept(self, door: _Door) -> None:
        try:
            connection, address = door.socket.accept()
        except OSError:
            return
        with self._lock:
            caller = _Caller(door.listener.netns, address[0], time.monotonic() + DEADLINE_S)
            mine = sum(other[:2] == caller[:2] for other in self._open.values())
            if mine >= MAX_PER_GUEST or len(self._open) >= self._max_connections or self._closed.is_set():
                connection.close()
                return
            self._open[connection] = caller
        kind, identifier = door.listener.owner
        self._pool.submit(self._handle, connection, address, _Visit({f"{kind}_id": identifier}, self._lookup))

    def _handle(self, connection: socket.socket, address: tuple[str, int], visit: _Visit) -> None:
        try:
            _Request(connection, address, visit)  # type: ignore[arg-type]  # our visit stands in for a server
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
        except OSError as error:
            _log.debug("metadata connection from %s broke: %s", address[0], error)
        finally:
            with self._lock:
                self._open.pop(connection, None)
            connection.close()

    def _hang_up(self, now: float) -> None:
        """End connections that are over their deadline; their thread notices by itself."""
        with self._lock:
            late = [connection for connection, caller in self._open.items() if caller.deadline < now]
        for connection in late:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def _listen() -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setblocking(False)
        listening.bind((METADATA_ADDRESS, PORT))
        listening.listen(64)
    except OSError:
        listening.close()
        raise
    return listening
