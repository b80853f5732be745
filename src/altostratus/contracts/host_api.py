# SPDX-License-Identifier: Apache-2.0
"""How an agent speaks with the control process, and what the control process may ask of an agent.

An agent holds no database credentials. It watches the wanted rows of its host, makes the machine
match them and reports what it observed. Every message is idempotent: losing or repeating one costs
time, never work.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from altostratus.kernel.wanted import Changes, Key, Report, Wanted

__all__ = [
    "Agent",
    "CallHandler",
    "Changes",
    "HostApi",
    "Key",
    "Report",
    "ReportSink",
    "Wanted",
]


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

    def serve(self, host: str, calls: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]]) -> None:
        """Answer these questions of the control process from now on, from threads of the transport."""

    def close(self) -> None:
        """End every wait of this object: they raise ConnectionError."""


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
