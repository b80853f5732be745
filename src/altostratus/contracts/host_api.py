# SPDX-License-Identifier: Apache-2.0
"""How an agent speaks with the control process, and what the control process may ask of an agent.

An agent holds no database credentials. It watches the wanted rows of its host, makes the machine
match them and reports what it observed. Every message is idempotent: losing or repeating one costs
time, never work.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import msgspec


class Key(NamedTuple):
    """Name of one wanted row: the kind (`server`, `port`, ...) and the id of the resource."""

    kind: str
    id: str


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """One wanted row. `spec` is None when the thing must be absent."""

    kind: str
    id: str
    generation: int
    spec: dict[str, Any] | None

    @property
    def key(self) -> Key:
        return Key(self.kind, self.id)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent observed of one wanted row.

    `generation` is the newest generation that the observation answers. `error` is None when the
    machine matches that generation; otherwise a sentence for people (what failed, what to do).
    `final` says that trying again cannot help (bad image, no such device), so a waiting job gives up
    at once; a non-final error is retried by the agent until the job's own deadline.
    """

    kind: str
    id: str
    generation: int
    state: dict[str, Any] = {}
    error: str | None = None
    final: bool = False


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of `watch`: all rows whose revision is above `since`, and the newest revision."""

    revision: int
    rows: list[Wanted]


class HostApi(Protocol):
    """The control process as an agent sees it."""

    def hello(self, host: str, kinds: list[str], facts: dict[str, Any]) -> None:
        """Announce this host (and, at every heartbeat, that it is alive) with its facts."""

    def watch(self, host: str, kinds: list[str], since: int, timeout_s: float) -> Changes:
        """Wait until a row of `kinds` has a revision above `since`; `since=0` returns all rows.

        Returns with no rows after `timeout_s`.
        """

    def report(self, host: str, reports: list[Report]) -> None:
        """Record observations. A report for an older generation than already known is ignored."""

    def ask(self, host: str, question: str, params: dict[str, Any]) -> dict[str, Any]:
        """A read-only question, such as `metadata`: may fail, changes nothing."""


ReportSink = Callable[[Report], None]
CallHandler = Callable[[dict[str, Any]], dict[str, Any]]


class Agent(Protocol):
    """One kind of worker beside the hardware, driven by `agents.runner`.

    `apply` is never called twice at once. It is given every wanted row of the agent's kinds and the
    keys that changed since the last call (all keys at start and at the periodic resync). For every
    changed key the agent calls `report` once it is observed, then or later, from any thread. Rows
    that are absent (`spec is None`) must be reported too, once nothing of them is left; the runner
    forgets them afterwards. Things on the machine that no row names are removed when `resync` is set.
    """

    kinds: tuple[str, ...]

    def apply(
        self, wanted: Mapping[Key, Wanted], changed: frozenset[Key], report: ReportSink, *, resync: bool
    ) -> None: ...

    def calls(self) -> Mapping[str, CallHandler]:
        """Questions that the control process may ask with a deadline; they change nothing."""

    def facts(self) -> dict[str, Any]:
        """What this host offers, for scheduling and for people (JSON-able)."""

    def close(self) -> None:
        """Stop threads and helper processes that need not outlive the agent. Guests stay."""
