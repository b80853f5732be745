# SPDX-License-Identifier: Apache-2.0
"""HostApi over a Unix socket: for the agent on the host of the control process.

Every thread has a connection of its own, so a long watch holds up no report. A lost connection is made
again at the next call; callers see ConnectionError and try again.
"""

import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from altostratus.contracts.frames import receive_frame, send_frame
from altostratus.contracts.host_api import CallHandler, Changes, Report
from altostratus.kernel import log

_log = log.get("agent.link")
_ANSWER_S = 30.0


class UnixHostApi:
    """Client of `app.host_link`. Errors of the control process arrive as RuntimeError with its sentence."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._own = threading.local()

    def hello(self, host: str, kinds: list[str], facts: dict[str, Any]) -> None:
        self._ask("hello", {"host": host, "kinds": kinds, "facts": facts})

    def watch(self, host: str, kinds: list[str], since: int, timeout_s: float) -> Changes:
        params = {"host": host, "kinds": kinds, "since": since, "timeout_s": timeout_s}
        return msgspec.convert(self._ask("watch", params, timeout_s + _ANSWER_S), Changes)

    def report(self, host: str, reports: list[Report]) -> None:
        self._ask("report", {"host": host, "reports": msgspec.to_builtins(reports)})

    def ask(self, host: str, question: str, params: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self._ask("ask", {"host": host, "question": question, "params": params})
        return found

    def _ask(self, method: str, params: dict[str, Any], timeout_s: float = _ANSWER_S) -> Any:
        try:
            connection = self._connection()
            connection.settimeout(timeout_s)
            send_frame(connection, {"method": method, "params": params})
            reply = receive_frame(connection)
        except OSError as error:
            self._drop()
            raise ConnectionError(f"the control process does not answer on {self._path}: {error}") from error
        if "error" in reply:
            raise RuntimeError(reply["error"])
        return reply["result"]

    def _connection(self) -> socket.socket:
        existing: socket.socket | None = getattr(self._own, "connection", None)
        if existing is not None:
            return existing
        connection = connect(self._path)
        send_frame(connection, {"role": "requests"})
        self._own.connection = connection
        return connection

    def _drop(self) -> None:
        connection: socket.socket | None = getattr(self._own, "connection", None)
        self._own.connection = None
        if connection is not None:
            connection.close()

    def serve_calls(self, host: str, handlers: Mapping[str, CallHandler], stopping: threading.Event) -> None:
        """Answer the control process's questions until `stopping`; connects again whenever needed."""
        while not stopping.is_set():
            try:
                with connect(self._path) as connection:
                    send_frame(connection, {"role": "calls", "host": host})
                    connection.settimeout(None)
                    while not stopping.is_set():
                        send_frame(connection, answer(receive_frame(connection), handlers))
            except OSError:
                stopping.wait(1.0)


def connect(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(5)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        raise
    return connection


def answer(frame: Any, handlers: Mapping[str, CallHandler]) -> dict[str, Any]:
    """The reply to one call."""
    handler = handlers.get(frame.get("call", ""))
    if handler is None:
        return {"error": f"this host has no {frame.get('call')}"}
    try:
        return {"result": handler(frame.get("params", {}))}
    except Exception as error:  # noqa: BLE001  (boundary: a failed question is an answer)
        _log.info("call %s failed: %s", frame.get("call"), error)
        return {"error": str(error) or type(error).__name__}
