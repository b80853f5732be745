# SPDX-License-Identifier: Apache-2.0
"""The control process's end of `HostApi`: by function call, over a Unix socket, over TLS.

Two ways over one link: agents announce, watch, report and ask; the control process asks agents with
`call`, for looking only. Losing a connection costs time, never work.
"""

import itertools
import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from altostratus.agents.link.messages import (
    Answer,
    Ask,
    Call,
    CallAnswer,
    Hello,
    Reports,
    Request,
    Serve,
    Watch,
    answer_with,
    encode,
    value_of,
)
from altostratus.agents.link.stream import LinkDown, Stream
from altostratus.agents.link.tls import HostCertificate
from altostratus.contracts.host_api import CallHandler, Changes, Report
from altostratus.kernel import log
from altostratus.kernel.desired import Desired
from altostratus.kernel.errors import NotFound, Unavailable
from altostratus.kernel.host_calls import HostCalls
from altostratus.kernel.turns import release_turn

_log = log.get("link")
_HANDSHAKE_S = 10.0
_LONGEST_WATCH_S = 60.0
_SLICE_S = 1.0

_requests = msgspec.json.Decoder(Request)
_call_answers = msgspec.json.Decoder(CallAnswer)

Question = Callable[[dict[str, Any]], dict[str, Any]]


class _Pending:
    """A question on its way."""

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self.answer: Answer | None = None


class _Channel:
    """A connection on which a host answers questions."""

    def __init__(self, stream: Stream, questions: frozenset[str]) -> None:
        self.stream, self.questions = stream, questions
        self._numbers = itertools.count(1)
        self._pending: dict[int, _Pending] = {}

    def ask(self, question: str, params: dict[str, Any], timeout_s: float) -> Answer | None:
        """None if no answer came in time. Raises LinkDown."""
        number, pending = next(self._numbers), _Pending()
        self._pending[number] = pending
        try:
            release_turn()
            self.stream.send(encode(Call(number, question, params)), timeout_s)
            pending.arrived.wait(timeout_s)
        finally:
            self._pending.pop(number, None)
        return pending.answer

    def pump(self) -> None:
        """Hand answers to those who wait, until the connection ends."""
        try:
            while (frame := self.stream.receive()) is not None:
                found = _call_answers.decode(frame)
                pending = self._pending.get(found.id)
                if pending is not None:
                    pending.answer = found.answer
                    pending.arrived.set()
        finally:
            gone = Answer(error="The connection to the host broke while it was asked.", status=503)
            for pending in list(self._pending.values()):
                pending.answer = pending.answer or gone
                pending.arrived.set()


class _Listener(NamedTuple):
    socket: socket.socket
    thread: threading.Thread


class HostLink(HostCalls):
    """All agents' connections. `questions` maps what agents may ask to fn(params) -> dict."""

    def __init__(self, desired: Desired, questions: Mapping[str, Question]) -> None:
        self.desired, self._questions = desired, dict(questions)
        self._guard = threading.Lock()
        self._channels: dict[str, list[_Channel]] = {}
        self._local: dict[str, dict[str, CallHandler]] = {}
        self._listeners: list[_Listener] = []
        self._streams: set[Stream] = set()
        self.closed = threading.Event()

    # asking agents

    def call(self, host: str, name: str, params: dict[str, Any], timeout_s: float = 10.0) -> dict[str, Any]:
        """Ask the agents of a host; `name` is "<agent>.<call>". Changes nothing and may fail.

        Raises Unavailable if the host is not connected or too slow, and the agent's own refusal as ApiError.
        """
        local = self._local.get(host, {}).get(name)
        if local is not None:
            return dict(value_of(answer_with(name, lambda: local(params))))
        with self._guard:
            channels = [one for one in reversed(self._channels.get(host, ())) if name in one.questions]
            connected = host in self._channels
        if not channels:
            why = f"does not answer {name}" if connected else "is not connected"
            raise Unavailable(f"Host {host} {why} at the moment. Check that its agent runs, then try again.")
        try:
            answer = channels[0].ask(name, params, timeout_s)
        except LinkDown as error:
            raise Unavailable(f"Host {host} cannot be asked: {error} Try again.") from error
        if answer is None:
            raise Unavailable(f"Host {host} did not answer {name} within {timeout_s:g} s. Try again.")
        answered: dict[str, Any] = value_of(answer)
        return answered

    def connected_hosts(self) -> list[str]:
        """Hosts that can be asked now."""
        with self._guard:
            return sorted({*self._channels, *self._local})

    # being asked

    def ask(self, question: str, params: dict[str, Any]) -> dict[str, Any]:
        """What an agent asked. Raises NotFound for an unknown question."""
        handler = self._questions.get(question)
        if handler is None:
            raise NotFound(f"The control process does not answer {question}.")
        return handler(params)

    def local(self) -> "LocalHostApi":
        """The link of an agent inside this process."""
        return LocalHostApi(self)

    def serve_locally(self, host: str, calls: Mapping[str, CallHandler]) -> None:
        self._local[host] = self._local.get(host, {}) | dict(calls)

    def listen_unix(self, path: Path) -> None:
        """Serve agents of this machine: root, and the user this process runs as."""
        path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.bind(str(path))
        path.chmod(0o600)
        self._listen(listening, _check_unix_peer)

    def listen_tls(self, address: str, port: int, certificate: HostCertificate) -> int:
        """Serve agents of other hosts, each with a certificate that names it; the port (for `port=0`)."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificate.authority)
        context.load_cert_chain(certificate.certificate, certificate.key)
        listening = socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
        self._listen(listening, lambda accepted: _check_tls_peer(context, accepted))
        bound: int = listening.getsockname()[1]
        return bound

    def close(self) -> None:
        """Stop listening and end every connection."""
        self.closed.set()
        for listener in self._listeners:
            _shut(listener.socket)
            listener.thread.join(5)
        with self._guard:
            streams = list(self._streams)
        for stream in streams:
            stream.close()

    # connections

    def _listen(self, listening: socket.socket, admit: "Callable[[socket.socket], _Peer]") -> None:
        listening.listen(128)
        thread = threading.Thread(target=self._accept, args=(listening, admit), name="host-link", daemon=True)
        self._listeners.append(_Listener(listening, thread))
        thread.start()

    def _accept(self, listening: socket.socket, admit: "Callable[[socket.socket], _Peer]") -> None:
        while not self.closed.is_set():
            try:
                accepted, _ = listening.accept()
            except OSError as error:
                if not self.closed.wait(0.2):
                    _log.warning("accepting an agent failed: %s", error)
                continue
            threading.Thread(target=self._converse, args=(accepted, admit), name="host", daemon=True).start()

    def _converse(self, accepted: socket.socket, admit: "Callable[[socket.socket], _Peer]") -> None:
        """The life of one connection."""
        try:
            peer = admit(accepted)
        except (OSError, PermissionError) as error:
            _log.warning("an agent was turned away: %s", error)
            accepted.close()
            return
        stream = Stream(peer.socket)
        with self._guard:
            self._streams.add(stream)
        try:
            while not self.closed.is_set() and (frame := stream.receive()) is not None:
                if not self._answer(stream, _requests.decode(frame), peer.hosts):
                    return
        except (LinkDown, msgspec.MsgspecError) as error:
            if not self.closed.is_set():
                _log.info("an agent's connection ended: %s", error)
        finally:
            with self._guard:
                self._streams.discard(stream)
            stream.close()

    def _answer(self, stream: Stream, request: Request, hosts: frozenset[str] | None) -> bool:
        """Answer one request. False when the connection has been used up by `serve`."""
        if hosts is not None and request.host not in hosts:
            stream.send(
                encode(Answer(error=f"The certificate of this agent is not for host {request.host}.", status=403))
            )
            return False
        if request.op == "serve":
            stream.send(encode(Answer()))
            self._ask_over(stream, request.host, msgspec.json.decode(request.body, type=Serve))
            return False
        stream.send(encode(answer_with(f"{request.op} of {request.host}", lambda: self._do(request))))
        return True

    def _do(self, request: Request) -> Any:
        host, body = request.host, request.body
        if request.op == "hello":
            hello = msgspec.json.decode(body, type=Hello)
            return self.desired.hello(host, hello.kinds, hello.facts)
        if request.op == "watch":
            watch = msgspec.json.decode(body, type=Watch)
            return self.watch(host, watch.kinds, watch.since, watch.timeout_s, self.closed)
        if request.op == "report":
            return self.desired.report(host, msgspec.json.decode(body, type=Reports).reports)
        asked = msgspec.json.decode(body, type=Ask)
        return self.ask(asked.question, asked.params)

    def watch(self, host: str, kinds: list[str], since: int, timeout_s: float, stopped: threading.Event) -> Changes:
        """`Desired.watch` in slices, so that closing does not have to wait for it."""
        left = min(timeout_s, _LONGEST_WATCH_S)
        while True:
            changes = self.desired.watch(host, kinds, since, min(left, _SLICE_S))
            left -= _SLICE_S
            if changes.rows or since == 0 or left <= 0 or stopped.is_set():
                return changes

    def _ask_over(self, stream: Stream, host: str, serve: Serve) -> None:
        channel = _Channel(stream, frozenset(serve.questions))
        with self._guard:
            self._channels.setdefault(host, []).append(channel)
        try:
            channel.pump()
        finally:
            with self._guard:
                left = [one for one in self._channels[host] if one is not channel]
                if left:
                    self._channels[host] = left
                else:
                    del self._channels[host]


class _Peer(NamedTuple):
    """Who connected; `hosts` are the names it may use (None: any)."""

    socket: socket.socket
    hosts: frozenset[str] | None


def _check_unix_peer(accepted: socket.socket) -> _Peer:
    _, uid, _ = struct.unpack("3i", accepted.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    if uid not in (0, os.geteuid()):
        raise PermissionError(f"user {uid} connected; only root and user {os.geteuid()} may be agents")
    return _Peer(accepted, None)


def _check_tls_peer(context: ssl.SSLContext, accepted: socket.socket) -> _Peer:
    accepted.settimeout(_HANDSHAKE_S)
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    secured = context.wrap_socket(accepted, server_side=True)
    certificate: Any = secured.getpeercert() or {}
    names = frozenset(value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS")
    return _Peer(secured, names)


def _shut(listening: socket.socket) -> None:
    try:
        listening.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    listening.close()


class LocalHostApi:
    """`HostApi` by function call, for agents inside the control process (tests, simulated hosts)."""

    def __init__(self, link: HostLink) -> None:
        self._link, self._closed = link, threading.Event()

    def hello(self, host: str, kinds: list[str], facts: dict[str, Any]) -> None:
        self._link.desired.hello(host, kinds, facts)

    def watch(self, host: str, kinds: list[str], since: int, timeout_s: float) -> Changes:
        if self._closed.is_set():
            raise LinkDown("This link was closed.")
        return self._link.watch(host, kinds, since, timeout_s, self._closed)

    def report(self, host: str, reports: list[Report]) -> None:
        self._link.desired.report(host, reports)

    def ask(self, _host: str, question: str, params: dict[str, Any]) -> dict[str, Any]:
        return self._link.ask(question, params)

    def serve(self, host: str, calls: Mapping[str, CallHandler]) -> None:
        self._link.serve_locally(host, calls)

    def close(self) -> None:
        self._closed.set()


__all__ = ["HostLink", "LocalHostApi", "Question"]
