# SPDX-License-Identifier: Apache-2.0
"""What requests cost is counted in memory, to be told in sums (`reconcilers/metering.py`)."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, NamedTuple

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Tx
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Reply
from altostratus.services.object_store.logic import access
from altostratus.services.object_store.logic.access import Visitor


class Line(NamedTuple):
    """Whose requests are added up: of the account's project, by a user (None: nobody known) and a method."""

    project_id: str
    method: str
    user_id: str | None
    user_project_id: str | None


@dataclass(slots=True)
class Sums:
    requests: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0


class Meter:
    """Thread-safe. What is taken is told, or put back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sums: dict[Line, Sums] = {}

    def add(self, line: Line, requests: int, received_bytes: int, sent_bytes: int) -> None:
        with self._lock:
            sums = self._sums.get(line)
            if sums is None:
                sums = self._sums[line] = Sums()
            sums.requests += requests
            sums.received_bytes += received_bytes
            sums.sent_bytes += sent_bytes

    def take(self) -> Mapping[Line, Sums]:
        with self._lock:
            taken, self._sums = self._sums, {}
        return taken

    def put_back(self, taken: Mapping[Line, Sums]) -> None:
        for line, sums in taken.items():
            self.add(line, sums.requests, sums.received_bytes, sums.sent_bytes)


class _Counted:
    """A body whose length nobody knew before."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.bytes = 0

    def read(self, size: int = -1, /) -> bytes:
        data: bytes = self._stream.read(size)
        self.bytes += len(data)
        return data


def ensure_meter(_tx: Tx, cloud: Cloud) -> None:
    """At the start."""
    cloud.add_part(Meter, Meter())


def note(call: Call, account: str, visitor: Visitor | None) -> None:
    """Whom the request concerns, where its address does not say it."""
    call.extra["metered"] = account, visitor


def metered(handler: Callable[[Call], Reply]) -> Callable[[Call], Reply]:
    """The handler, whose requests and bytes are counted, refused ones too."""

    @wraps(handler)
    def run(call: Call) -> Reply:
        counted = None
        if call.stream is not None and call.headers.get("TRANSFER-ENCODING"):
            counted = call.stream = _Counted(call.stream)
        try:
            reply = handler(call)
        except BaseException:
            _count(call, 0 if counted is None else counted.bytes, 0)
            raise
        received = counted.bytes if counted is not None else _announced(call)
        at_hand = [reply.body] if isinstance(reply.body, bytes) else reply.stream
        _count(call, received, sum(map(len, at_hand)) if isinstance(at_hand, list) else 0)
        if not isinstance(at_hand, list) and reply.stream is not None and call.op.method != "HEAD":
            reply.stream = _told_at_the_end(call, reply.stream)
        return reply

    return run


def _announced(call: Call) -> int:
    text = call.headers.get("CONTENT-LENGTH", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def _count(call: Call, received_bytes: int, sent_bytes: int) -> None:
    line = _line_of(call)
    if line is not None:
        call.cloud.part(Meter).add(line, 1, received_bytes, sent_bytes)


def _told_at_the_end(call: Call, stream: Iterable[bytes]) -> Iterator[bytes]:
    """Only what was taken counts: clients go away."""
    sent = 0
    try:
        for piece in stream:
            yield piece
            sent += len(piece)
    finally:
        line = _line_of(call)
        if line is not None and sent:
            call.cloud.part(Meter).add(line, 0, 0, sent)


def _line_of(call: Call) -> Line | None:
    """None for names that are no account."""
    account, visitor = call.extra.get("metered") or (call.params.get("account", ""), call.extra.get("visitor"))
    project_id = access.project_of(account)
    if project_id is None:
        return None
    ctx = visitor.ctx if visitor is not None else None
    if ctx is None:
        return Line(project_id, call.op.method, None, None)
    return Line(project_id, call.op.method, ctx.user_id, ctx.project_id)
