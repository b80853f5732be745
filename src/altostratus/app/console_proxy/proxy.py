# SPDX-License-Identifier: Apache-2.0
"""Sessions: a WebSocket on one side, the console socket of a guest on the other, bytes in between."""

import asyncio
import logging
import socket
import struct
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from weakref import WeakKeyDictionary

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from altostratus.agents.link.stream import LinkDown
from altostratus.app.console_proxy.access import is_own_page, token_of
from altostratus.app.console_proxy.pages import find_pages, page, response
from altostratus.kernel import log
from altostratus.kernel.errors import ApiError

_log = log.get("console")
_BINARY = Subprotocol("binary")
_CHUNK_BYTES = 64 * 1024
_MOST_FRAME_BYTES = 1024 * 1024
_CONNECT_S = 5.0

# {"token"} -> {"server_id", "host", "socket"}; raises ApiError for a token that is not good, LinkDown
AskConsole = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class ProxyOptions:
    """`guest_uid`: user that guests run as; None: any. `idle_s`: a session in which nothing moves ends then."""

    host: str
    base_url: str = ""
    guest_uid: int | None = None
    most_sessions: int = 200
    most_sessions_each: int = 10
    idle_s: float = 3600.0


@dataclass(frozen=True)
class Target:
    server_id: str
    socket: str


class ConsoleProxy:
    """A WebSocket server: `answer` is called before the upgrade, `carry` after it."""

    def __init__(self, options: ProxyOptions, ask: AskConsole) -> None:
        self._options, self._ask = options, ask
        self._admitted: WeakKeyDictionary[ServerConnection, Target] = WeakKeyDictionary()
        self._sessions: Counter[str] = Counter()

    def serving(self, listening: socket.socket) -> AbstractAsyncContextManager[Server]:
        """The server, to be entered with `async with`."""
        return serve(
            self.carry,
            sock=listening,
            process_request=self.answer,
            select_subprotocol=choose_subprotocol,
            # pictures are compressed already, and a compressor costs memory for every session
            compression=None,
            max_size=_MOST_FRAME_BYTES,
            server_header="altostratus-console",
            logger=quiet_logger(),
        )

    async def answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """None lets the upgrade happen; files are answered here, and so are refusals.

        Refusals of an upgrade have no body: there are clients that would take it for the console's first bytes.
        """
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return await asyncio.to_thread(lambda: page(request.path, find_pages()))
        hosts, origins = request.headers.get_all("Host"), request.headers.get_all("Origin")
        origin = origins[0] if origins else None
        if len(origins) > 1 or not is_own_page(origin, hosts[0] if hosts else None, self._options.base_url):
            return response(HTTPStatus.FORBIDDEN, why="This page is of another origin and may not open consoles")
        token = token_of(request.path)
        if token is None:
            return response(HTTPStatus.FORBIDDEN, why="No console token; ask for a console URL and use it whole")
        try:
            found = await asyncio.to_thread(self._ask, {"token": token})
        except ApiError as error:
            status = HTTPStatus(error.status) if error.status in (409, 503) else HTTPStatus.FORBIDDEN
            _log.info("a console was refused: %s", error.message)
            return response(status, why=error.message)
        except LinkDown as error:
            _log.warning("a console token cannot be checked: %s", error)
            return response(HTTPStatus.SERVICE_UNAVAILABLE, why="The cloud does not answer now; try again soon")
        return self._admit(connection, found)

    def _admit(self, connection: ServerConnection, found: dict[str, Any]) -> Response | None:
        target = Target(str(found["server_id"]), str(found["socket"]))
        if found["host"] != self._options.host:
            return response(HTTPStatus.CONFLICT, why=f"The server runs on host {found['host']}; open its console there")
        full = self._sessions.total() >= self._options.most_sessions
        if full or self._sessions[target.server_id] >= self._options.most_sessions_each:
            return response(HTTPStatus.SERVICE_UNAVAILABLE, why="Too many consoles are open; close one and try again")
        self._admitted[connection] = target
        return None

    async def carry(self, connection: ServerConnection) -> None:
        """One session, until either side ends it or nothing has moved for too long."""
        target = self._admitted.pop(connection)
        self._sessions[target.server_id] += 1
        try:
            connected = await asyncio.wait_for(self._connect(target.socket), _CONNECT_S)
        except (OSError, TimeoutError) as error:
            _log.warning("the console of server %s cannot be reached: %s", target.server_id, error)
            await connection.close(CloseCode.TRY_AGAIN_LATER, "The server's console is gone. Is the server running?")
        else:
            _log.info("console of server %s opened", target.server_id)
            await _Session(connection, connected, self._options.idle_s).run()
            _log.info("console of server %s closed", target.server_id)
        finally:
            self._sessions[target.server_id] -= 1
            self._sessions += Counter()

    async def _connect(self, path: str) -> socket.socket:
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connected.setblocking(False)
            await asyncio.get_running_loop().sock_connect(connected, path)
            # The guest's user owns the directory: a link laid there must not lead us to anybody else's socket.
            raw = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            uid = struct.unpack("3i", raw)[1]
            if self._options.guest_uid not in (None, uid):
                raise PermissionError(f"user {uid} answers, not the guests' user {self._options.guest_uid}")
        except BaseException:
            connected.close()
            raise
        return connected


class _Session:
    """Bytes both ways."""

    def __init__(self, browser: ServerConnection, guest: socket.socket, idle_s: float) -> None:
        self._browser, self._guest, self._idle_s = browser, guest, idle_s
        self._moved_at = 0.0

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        self._moved_at = loop.time()
        reader, writer = await asyncio.open_unix_connection(sock=self._guest, limit=_CHUNK_BYTES)
        tasks = [asyncio.create_task(self._to_browser(reader)), asyncio.create_task(self._to_guest(writer))]
        try:
            reason = await self._first_end(tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            writer.close()
        await self._browser.close(CloseCode.NORMAL_CLOSURE, reason)

    async def _first_end(self, tasks: list[asyncio.Task[str]]) -> str:
        """Why the session is over."""
        loop = asyncio.get_running_loop()
        while (left_s := self._moved_at + self._idle_s - loop.time()) > 0:
            done, _ = await asyncio.wait(tasks, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            if done:
                return done.pop().result()
        return "Nothing has moved for a long time."

    async def _to_browser(self, reader: asyncio.StreamReader) -> str:
        try:
            while data := await reader.read(_CHUNK_BYTES):
                self._moved_at = asyncio.get_running_loop().time()
                await self._browser.send(data)
        except (ConnectionClosed, OSError):
            pass
        return "The server has closed its console."

    async def _to_guest(self, writer: asyncio.StreamWriter) -> str:
        try:
            async for message in self._browser:
                self._moved_at = asyncio.get_running_loop().time()
                writer.write(message.encode() if isinstance(message, str) else message)
                await writer.drain()
        except (ConnectionClosed, OSError):
            pass
        return "Good bye."


def choose_subprotocol(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """`binary` if it is offered; programs that offer none get none and work as well."""
    return _BINARY if _BINARY in offered else None


def quiet_logger() -> logging.Logger:
    """For the WebSocket library, which writes requests, and so tokens, into its more talkative levels."""
    quiet = log.get("console.websocket")
    quiet.setLevel(logging.CRITICAL)
    return quiet
