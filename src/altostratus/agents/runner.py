# SPDX-License-Identifier: Apache-2.0
"""Drives the agents of one host: fetches what is wanted, has it applied, sends what was observed.

A thread for each agent, one that sends reports (again until they are acknowledged) and one for the
heartbeat. Losing the control process costs time only: afterwards everything is fetched and reported anew.
"""

import random
import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from altostratus.contracts.host_api import Agent, CallHandler, Changes, HostApi, Key, Report, Wanted
from altostratus.kernel import clock, log
from altostratus.kernel.errors import ApiError

_log = log.get("agent")
_WATCH_S = 30.0
_MOST_REPORTS_AT_ONCE = 200
_QUICKEST_RETRY_S = 0.2
_SLOWEST_RETRY_S = 10.0


class AgentRunner:
    """`agents` maps names ("compute") to agents; their calls are served as "compute.console_log"."""

    def __init__(
        self,
        host: str,
        api: HostApi,
        agents: Mapping[str, Agent],
        *,
        heartbeat_s: float = 10.0,
        resync_s: float = 60.0,
    ) -> None:
        self._host, self._api, self._agents = host, api, dict(agents)
        self._heartbeat_s = heartbeat_s
        self._stopping = threading.Event()
        self._outbox = _Outbox()
        shared = _Shared(host, api, self._outbox, resync_s, self._stopping)
        self._loops = [_AgentLoop(name, agent, shared) for name, agent in self._agents.items()]
        self._threads = [
            threading.Thread(target=loop.run, name=f"agent-{loop.name}", daemon=True) for loop in self._loops
        ]
        self._threads.append(threading.Thread(target=self._send, name="agent-reports", daemon=True))
        self._threads.append(threading.Thread(target=self._beat, name="agent-heartbeat", daemon=True))

    def start(self) -> None:
        self._api.serve(self._host, self._calls())
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """End the threads, then the agents; what is not acknowledged is reported anew after the next start."""
        self._stopping.set()
        self._outbox.close()
        self._api.close()
        deadline = clock.monotonic() + timeout_s
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - clock.monotonic()))
        for agent in self._agents.values():
            agent.close()

    def _calls(self) -> dict[str, CallHandler]:
        return {
            f"{name}.{question}": handler
            for name, agent in self._agents.items()
            for question, handler in agent.calls().items()
        }

    def _send(self) -> None:
        pause = _Pause()
        while (batch := self._outbox.take(_MOST_REPORTS_AT_ONCE)) is not None:
            try:
                self._api.report(self._host, batch)
            except (ConnectionError, ApiError) as error:
                self._outbox.put_back(batch)
                pause.tell("reports cannot be sent", error)
                pause.wait(self._stopping)
                continue
            pause.reset()
            for loop in self._loops:
                loop.acknowledged(batch)

    def _beat(self) -> None:
        kinds = sorted({kind for agent in self._agents.values() for kind in agent.kinds})
        pause = _Pause()
        while not self._stopping.is_set():
            try:
                self._api.hello(self._host, kinds, {name: _facts(name, agent) for name, agent in self._agents.items()})
            except (ConnectionError, ApiError) as error:
                pause.tell("the control process cannot be greeted", error)
                pause.wait(self._stopping)
                continue
            pause.reset()
            self._stopping.wait(self._heartbeat_s)


def _facts(name: str, agent: Agent) -> dict[str, Any]:
    try:
        return agent.facts()
    except Exception as error:  # noqa: BLE001  (boundary: a host stays alive although one agent cannot describe it)
        _log.exception("the facts of agent %s cannot be told", name)
        return {"error": f"{type(error).__name__}: {error}"}


class _AgentLoop:
    """Watch, apply, again."""

    def __init__(self, name: str, agent: Agent, shared: "_Shared") -> None:
        self.name, self._agent = name, agent
        self._host, self._api, self._outbox, self._resync_s, self._stopping = shared
        self._guard = threading.Lock()
        self._wanted: dict[Key, Wanted] = {}
        self._pending: set[Key] = set()
        self._revision = 0
        self._resync_at = 0.0
        self._pending_resync = False

    def run(self) -> None:
        watching, applying = _Pause(), _Pause()
        while not self._stopping.is_set():
            try:
                self._merge(self._fetch())
            except (ConnectionError, ApiError) as error:
                # the other side may have restarted, even from a backup: compare everything once it is back
                self._resync_at = 0.0
                watching.tell(f"agent {self.name} cannot watch", error)
                watching.wait(self._stopping)
                continue
            watching.reset()
            if not self._pending and not self._pending_resync:
                continue
            if self._apply():
                applying.reset()
            else:
                applying.wait(self._stopping)

    def _fetch(self) -> tuple[Changes, bool]:
        """What is new and whether it is everything; only looks if something waits to be applied again."""
        left = self._resync_at - clock.monotonic()
        kinds = list(self._agent.kinds)
        if left <= 0:
            return self._api.watch(self._host, kinds, 0, 0.0), True
        timeout_s = 0.0 if self._pending else min(left, _WATCH_S)
        return self._api.watch(self._host, kinds, self._revision, timeout_s), False

    def _merge(self, fetched: tuple[Changes, bool]) -> None:
        changes, everything = fetched
        self._revision = changes.revision
        with self._guard:
            if everything:
                self._resync_at = clock.monotonic() + self._resync_s * random.uniform(0.9, 1.1)
                self._pending_resync = True
                self._wanted.clear()
            for row in changes.rows:
                self._wanted[row.key] = row
            self._pending |= {row.key for row in changes.rows}
            self._pending &= self._wanted.keys()

    def _apply(self) -> bool:
        with self._guard:
            wanted, changed = MappingProxyType(dict(self._wanted)), frozenset(self._pending)
        try:
            self._agent.apply(wanted, changed, self._outbox.put, resync=self._pending_resync)
        except Exception:  # noqa: BLE001  (boundary: a defect for one row must not end the agent)
            _log.exception("agent %s could not apply %d rows; trying again", self.name, len(changed))
            return False
        with self._guard:
            self._pending -= changed
        self._pending_resync = False
        return True

    def acknowledged(self, reports: list[Report]) -> None:
        """The control process has these reports: absent rows of which nothing is left may be forgotten."""
        with self._guard:
            for report in reports:
                row = self._wanted.get(Key(report.kind, report.id))
                done = row is not None and row.spec is None and report.error is None
                if done and row is not None and report.generation >= row.generation:
                    del self._wanted[row.key]
                    self._pending.discard(row.key)


class _Outbox:
    """Reports on their way; the newest of each row replaces older ones."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._reports: dict[Key, Report] = {}
        self._closed = False

    def put(self, report: Report) -> None:
        with self._changed:
            self._reports.pop(Key(report.kind, report.id), None)
            self._reports[Key(report.kind, report.id)] = report
            self._changed.notify()

    def put_back(self, reports: list[Report]) -> None:
        with self._changed:
            newer = self._reports
            self._reports = {Key(report.kind, report.id): report for report in reports} | newer

    def take(self, most: int) -> list[Report] | None:
        """Waits for reports; None when closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._reports or self._closed)
            if self._closed:
                return None
            keys = list(self._reports)[:most]
            return [self._reports.pop(key) for key in keys]

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class _Shared(NamedTuple):
    """What the loops of one host have in common."""

    host: str
    api: HostApi
    outbox: _Outbox
    resync_s: float
    stopping: threading.Event


class _Pause:
    """Growing waits between tries, told once in the log."""

    def __init__(self) -> None:
        self._next_s = _QUICKEST_RETRY_S
        self._told = False

    def tell(self, what: str, error: Exception) -> None:
        if not self._told:
            _log.warning("%s: %s Trying again until it works.", what, error)
            self._told = True

    def wait(self, stopping: threading.Event) -> None:
        stopping.wait(self._next_s * random.uniform(0.7, 1.3))
        self._next_s = min(self._next_s * 2, _SLOWEST_RETRY_S)

    def reset(self) -> None:
        if self._told:
            _log.info("the control process answers again")
        self._next_s, self._told = _QUICKEST_RETRY_S, False
