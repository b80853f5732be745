# SPDX-License-Identifier: Apache-2.0
"""Drives the agents of one host: watches their wanted rows, lets them apply, sends their reports.

Every agent has a thread of its own, so a slow one holds up nobody. Reports are sent until the control
process has taken them. After a lost connection everything is looked at again from the start.
"""

import threading
from collections.abc import Mapping
from typing import Any, Protocol

from altostratus.contracts.host_api import Agent, CallHandler, Changes, HostApi, Key, Report, Wanted
from altostratus.kernel import clock, log

_log = log.get("agent")
_PAUSE_S = 1.0


class ServesCalls(HostApi, Protocol):
    """A transport that also brings the control process's questions."""

    def serve_calls(self, host: str, handlers: Mapping[str, CallHandler], stopping: threading.Event) -> None: ...


class AgentLoop:
    """One agent with its wanted rows."""

    def __init__(self, host: str, api: HostApi, name: str, agent: Agent, resync_s: float) -> None:
        self._host, self._api, self.name, self.agent, self._resync_s = host, api, name, agent, resync_s
        self._wanted: dict[Key, Wanted] = {}
        self._unsent: dict[Key, Report] = {}
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._watch, name=f"watch-{name}", daemon=True),
            threading.Thread(target=self._send, name=f"report-{name}", daemon=True),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()
        self.agent.close()

    def _watch(self) -> None:
        since, fresh, next_resync = 0, True, 0.0
        while not self._stopping.is_set():
            try:
                wait = 0.0 if fresh else max(0.0, min(20.0, next_resync - clock.monotonic()))
                changes = self._api.watch(self._host, list(self.agent.kinds), since, wait)
            except (ConnectionError, RuntimeError) as error:
                _log.info("%s: %s", self.name, error)
                since, fresh = 0, True
                self._stopping.wait(_PAUSE_S)
                continue
            resync = fresh or clock.monotonic() >= next_resync
            changed = self._take(changes, everything=fresh)
            since, fresh = changes.revision, False
            if not changed and not resync:
                continue
            if resync:
                next_resync = clock.monotonic() + self._resync_s
            if not self._apply(frozenset(self._wanted) if resync else changed, resync):
                since, fresh = 0, True
                self._stopping.wait(_PAUSE_S)

    def _take(self, changes: Changes, *, everything: bool) -> frozenset[Key]:
        if everything:
            self._wanted = {}
        for row in changes.rows:
            self._wanted[row.key] = row
        return frozenset(row.key for row in changes.rows)

    def _apply(self, changed: frozenset[Key], resync: bool) -> bool:
        try:
            self.agent.apply(dict(self._wanted), changed, self._report, resync=resync)
        except Exception:  # noqa: BLE001  (boundary: an agent's bug is told and tried again)
            _log.exception("agent %s failed; trying again", self.name)
            return False
        return True

    def _report(self, report: Report) -> None:
        key = Key(report.kind, report.id)
        with self._changed:
            wanted = self._wanted.get(key)
            gone = wanted is not None and wanted.spec is None and report.error is None
            if gone and wanted is not None and report.generation >= wanted.generation:
                self._wanted.pop(key, None)
            self._unsent[key] = report
            self._changed.notify_all()

    def _send(self) -> None:
        while not self._stopping.is_set():
            with self._changed:
                self._changed.wait_for(lambda: self._unsent or self._stopping.is_set(), 5.0)
                batch, self._unsent = self._unsent, {}
            if not batch:
                continue
            try:
                self._api.report(self._host, list(batch.values()))
            except (ConnectionError, RuntimeError) as error:
                _log.info("%s: reports wait: %s", self.name, error)
                with self._changed:
                    self._unsent = batch | self._unsent
                self._stopping.wait(_PAUSE_S)


class AgentRunner:
    """All agents of a host, its heartbeat and its answers."""

    def __init__(
        self, host: str, api: ServesCalls, agents: dict[str, Agent], *, heartbeat_s: float = 10, resync_s: float = 60
    ) -> None:
        self._host, self._api, self._heartbeat_s = host, api, heartbeat_s
        self.loops = [AgentLoop(host, api, name, agent, resync_s) for name, agent in agents.items()]
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._beat, name="heartbeat", daemon=True)]
        handlers = {
            f"{name}.{call}": handler for name, agent in agents.items() for call, handler in agent.calls().items()
        }
        for number in range(3):
            serve = threading.Thread(
                target=api.serve_calls, args=(host, handlers, self._stopping), name=f"calls-{number}", daemon=True
            )
            self._threads.append(serve)

    def start(self) -> None:
        for loop in self.loops:
            loop.start()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop watching; guests and devices stay as they are."""
        self._stopping.set()
        for loop in self.loops:
            loop.stop()

    def facts(self) -> dict[str, Any]:
        return {loop.name: loop.agent.facts() for loop in self.loops}

    def _beat(self) -> None:
        kinds = [kind for loop in self.loops for kind in loop.agent.kinds]
        while not self._stopping.is_set():
            try:
                self._api.hello(self._host, kinds, self.facts())
                pause = self._heartbeat_s
            except (ConnectionError, RuntimeError) as error:
                _log.info("heartbeat: %s", error)
                pause = _PAUSE_S
            except Exception:  # noqa: BLE001  (boundary: a driver that cannot tell its facts must not stop the heart)
                _log.exception("facts of this host could not be collected")
                pause = self._heartbeat_s
            self._stopping.wait(pause)
