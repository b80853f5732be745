# SPDX-License-Identifier: Apache-2.0
"""`HostApi` over connections that are opened as needed and kept for the next request."""

import random
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from altostratus.agents.link.messages import (
    Answer,
    Ask,
    Call,
    CallAnswer,
    Hello,
    Operation,
    Reports,
    Request,
    Serve,
    Watch,
    answer_with,
    encode,
    raw,
    value_of,
)
from altostratus.agents.link.stream import LinkDown, Stream
from altostratus.contracts.host_api import CallHandler, Changes, Report
from altostratus.kernel import log
from altostratus.kernel.errors import ApiError, NotFound

_log = log.get("link")
_ANSWER_S = 30.0
_QUICKEST_RETRY_S = 0.2
_SLOWEST_RETRY_S = 10.0
_CALLS_AT_ONCE = 4

_answers = msgspec.json.Decoder(Answer)
_calls = msgspec.json.Decoder(Call)


class LinkHostApi:
    """Every request has a connection for itself, so a long watch never holds up a report.

    `connect` opens one and raises OSError. Requests raise LinkDown (a ConnectionError) when the control
    process cannot be reached, and ApiError when it refuses.
    """

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self._open = connect
        self._guard = threading.Lock()
        self._idle: list[Stream] = []
        self._busy: set[Stream] = set()
        self._closed = threading.Event()
        self._threads: list[threading.Thread] = []

    def hello(self, host: str, kinds: list[str], facts: dict[str, Any]) -> None:
        self._request("hello", host, Hello(kinds, facts))

    def watch(self, host: str, kinds: list[str], since: int, timeout_s: float) -> Changes:
        answer = self._request("watch", host, Watch(kinds, since, timeout_s), timeout_s + _ANSWER_S)
        value_of_error(answer)
        return msgspec.json.decode(answer.body, type=Changes)

    def report(self, host: str, reports: list[Report]) -> None:
        self._request("report", host, Reports(reports))

    def ask(self, host: str, question: str, params: dict[str, Any]) -> dict[str, Any]:
        answered: dict[str, Any] = value_of(self._request("ask", host, Ask(question, params)))
        return answered

    def serve(self, host: str, calls: Mapping[str, CallHandler]) -> None:
        """Answer the control process's questions in threads of this object, reconnecting for ever."""
        thread = threading.Thread(target=self._serve, args=(host, dict(calls)), name="link-serve", daemon=True)
        self._threads.append(thread)
        thread.start()

    def close(self) -> None:
        """End every request and wait of this object with LinkDown."""
        self._closed.set()
        with self._guard:
            streams = [*self._idle, *self._busy]
            self._idle.clear()
        for stream in streams:
            stream.close()
        for thread in self._threads:
            thread.join(5)

    # connections

    def _request(self, op: Operation, host: str, body: msgspec.Struct, timeout_s: float = _ANSWER_S) -> Answer:
        frame = encode(Request(op, host, raw(body)))
        while True:
            stream = self._kept()
            # a kept connection may have died while it was idle: every message may be repeated, so try a new one
            used_before = stream is not None
            stream = stream or self._connect()
            try:
                stream.send(frame)
                answered = stream.receive(timeout_s)
                if answered is None:
                    raise LinkDown("The control process closed the connection.")
            except LinkDown:
                self._drop(stream)
                if used_before and not self._closed.is_set():
                    continue
                raise
            except BaseException:
                self._drop(stream)
                raise
            self._keep(stream)
            answer = _answers.decode(answered)
            value_of_error(answer)
            return answer

    def _connect(self) -> Stream:
        if self._closed.is_set():
            raise LinkDown("This link was closed.")
        try:
            stream = Stream(self._open())
        except OSError as error:
            raise LinkDown(f"The control process cannot be reached: {error}.") from error
        with self._guard:
            self._busy.add(stream)
        return stream

    def _kept(self) -> Stream | None:
        with self._guard:
            if not self._idle:
                return None
            stream = self._idle.pop()
            self._busy.add(stream)
            return stream

    def _keep(self, stream: Stream) -> None:
        with self._guard:
            self._busy.discard(stream)
            if not self._closed.is_set():
                self._idle.append(stream)
                return
        stream.close()

    def _drop(self, stream: Stream) -> None:
        with self._guard:
            self._busy.discard(stream)
        stream.close()

    # questions of the control process

    def _serve(self, host: str, calls: dict[str, CallHandler]) -> None:
        pause = _QUICKEST_RETRY_S
        with ThreadPoolExecutor(_CALLS_AT_ONCE, thread_name_prefix="link-call") as threads:
            while not self._closed.is_set():
                try:
                    stream = self._connect()
                    pause = _QUICKEST_RETRY_S
                    self._serve_on(stream, host, calls, threads)
                except (LinkDown, ApiError, msgspec.MsgspecError) as error:
                    if not self._closed.is_set():
                        _log.warning("the control process cannot ask this host anything now: %s", error)
                self._closed.wait(pause * random.uniform(0.7, 1.3))
                pause = min(pause * 2, _SLOWEST_RETRY_S)

    def _serve_on(self, stream: Stream, host: str, calls: dict[str, CallHandler], threads: ThreadPoolExecutor) -> None:
        try:
            stream.send(encode(Request("serve", host, raw(Serve(sorted(calls))))))
            accepted = stream.receive(_ANSWER_S)
            value_of(_answers.decode(accepted or b'{"error":"The control process closed the connection."}'))
            while (frame := stream.receive()) is not None:
                threads.submit(self._answer, stream, _calls.decode(frame), calls)
        finally:
            self._drop(stream)

    @staticmethod
    def _answer(stream: Stream, call: Call, calls: dict[str, CallHandler]) -> None:
        def ask() -> dict[str, Any]:
            handler = calls.get(call.question)
            if handler is None:
                raise NotFound(f"This host does not answer {call.question}.")
            return handler(call.params)

        try:
            stream.send(encode(CallAnswer(call.id, answer_with(call.question, ask))))
        except LinkDown as error:
            _log.warning("the answer to %s could not be sent: %s", call.question, error)


def value_of_error(answer: Answer) -> None:
    if answer.error is not None:
        raise ApiError(answer.error, status=answer.status)
