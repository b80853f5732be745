# SPDX-License-Identifier: Apache-2.0
"""The control process's side of HostApi: what agents call, and questions put to agents.

The Unix socket accepts root and this process's own user only.
"""

import os
import queue
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from altostratus.contracts.frames import receive_frame, send_frame
from altostratus.contracts.host_api import Changes, Report
from altostratus.kernel import clock, log
from altostratus.kernel.desired import Desired
from altostratus.kernel.errors import ApiError, Unavailable
from altostratus.kernel.host_calls import HostCalls

_log = log.get("host_link")
_LONGEST_WATCH_S = 60.0
_CALL_CONNECTIONS = 2

Question = Callable[[dict[str, Any]], dict[str, Any]]


class HostLink(HostCalls):
    """All hosts that are connected. Itself a HostApi for agents in the same process (tests)."""

    def __init__(self, desired: Desired, questions: Mapping[str, Question]) -> None:
        self._desired, self._questions = desired, questions
        self._idle: dict[str, queue.Queue[socket.socket]] = {}
        self._lock = threading.Lock()

    # what agents call

    def hello(self, host: str, kinds: list[str], facts: dict[str, Any]) -> None:
        self._desired.hello(host, kinds, facts)

    def watch(self, host: str, kinds: list[str], since: int, timeout_s: float) -> Changes:
        return self._desired.watch(host, kinds, since, min(timeout_s, _LONGEST_WATCH_S))

    def report(self, host: str, reports: list[Report]) -> None:
        self._desired.report(host, reports)

    def ask(self, host: str, question: str, params: dict[str, Any]) -> dict[str, Any]:
        if question not in self._questions:
            raise Unavailable(f"there is no question {question}")
        return self._questions[question](params)

    # questions to agents

    def call(self, host: str, name: str, params: dict[str, Any], timeout_s: float = 10.0) -> dict[str, Any]:
        """Ask the agent of `host`; raises Unavailable with a sentence when it cannot answer in time."""
        deadline = clock.monotonic() + timeout_s
        idle = self._idle_of(host)
        while True:
            try:
                connection = idle.get(timeout=max(0.0, deadline - clock.monotonic()))
            except queue.Empty:
                raise Unavailable(f"Host {host} is not connected or too busy to answer. Look at: alto status") from None
            try:
                connection.settimeout(max(0.1, deadline - clock.monotonic()))
                send_frame(connection, {"call": name, "params": params})
                reply = receive_frame(connection)
            except TimeoutError:
                connection.close()
                raise Unavailable(f"Host {host} did not answer {name} within {timeout_s:.0f} s.") from None
            except OSError:
                connection.close()  # a dead connection from before: try the next one
                continue
            idle.put(connection)
            if "error" in reply:
                raise Unavailable(f"Host {host} could not answer {name}: {reply['error']}")
            result: dict[str, Any] = reply["result"]
            return result

    def _idle_of(self, host: str) -> "queue.Queue[socket.socket]":
        with self._lock:
            return self._idle.setdefault(host, queue.Queue())

    # the socket

    def listen_unix(self, path: Path) -> None:
        """Serve in threads; an old socket file of a dead process is replaced."""
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(64)
        threading.Thread(target=self._accept, args=(listener,), name="host-link", daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            if not _trusted(connection):
                connection.close()
                continue
            threading.Thread(target=self._serve, args=(connection,), name="host-link-peer", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            first = receive_frame(connection)
            if first.get("role") == "calls":
                self._idle_of(first["host"]).put(connection)
                return
            while True:
                send_frame(connection, self._reply(receive_frame(connection)))
        except OSError:
            connection.close()

    def _reply(self, frame: Any) -> dict[str, Any]:
        params = frame.get("params", {})
        try:
            match frame.get("method"):
                case "hello":
                    self.hello(params["host"], params["kinds"], params["facts"])
                    return {"result": None}
                case "watch":
                    changes = self.watch(params["host"], params["kinds"], params["since"], params["timeout_s"])
                    return {"result": msgspec.to_builtins(changes)}
                case "report":
                    reports = msgspec.convert(params["reports"], list[Report])
                    self.report(params["host"], reports)
                    return {"result": None}
                case "ask":
                    return {"result": self.ask(params["host"], params["question"], params["params"])}
            return {"error": f"there is no method {frame.get('method')}"}
        except ApiError as error:
            return {"error": error.message}
        except Exception as error:  # noqa: BLE001  (boundary: an agent's request ends here)
            _log.exception("%s of an agent failed", frame.get("method"))
            return {"error": f"{type(error).__name__}: {error}"}


def _trusted(connection: socket.socket) -> bool:
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _pid, uid, _gid = struct.unpack("3i", raw)
    return uid in (0, os.geteuid())
