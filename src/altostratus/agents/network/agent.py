# SPDX-License-Identifier: Apache-2.0
"""`NetworkAgent`: wanted networks, ports, groups and routers in, one driver pass and reports out."""

import threading
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec

from altostratus.agents.network.world import KINDS, WorldKeeper
from altostratus.contracts.host_api import CallHandler, Key, Report, ReportSink, Wanted
from altostratus.contracts.network import NetworkDriver, PassResult
from altostratus.kernel import clock, log

_log = log.get("agent.network")
AskControl = Callable[[str, dict[str, Any]], dict[str, Any]]

_QUICKEST_RETRY_S = 1.0
_SLOWEST_RETRY_S = 30.0


class NetworkAgent:
    """The contract `host_api.Agent`. It owns the driver and closes it.

    All rows that changed since the last pass go into one pass. What went wrong is tried again by the
    agent itself, with growing pauses, and a look every few seconds finds what died in the meantime.
    `ask` puts a question to the control process: guests' metadata requests go through it.
    """

    kinds: tuple[str, ...] = KINDS

    def __init__(self, driver: NetworkDriver, ask: AskControl, *, check_interval_s: float = 3.0) -> None:
        self._driver = driver
        self._keeper = WorldKeeper()
        self._guard = threading.Lock()
        self._report: ReportSink | None = None
        # what was last said about each row: generation and error
        self._said: dict[Key, tuple[int, str | None]] = {}
        self._generations: dict[Key, int] = {}
        self._retry_at_s: float | None = None
        self._retry_pause_s = _QUICKEST_RETRY_S
        self._closed = threading.Event()
        driver.serve_metadata(lambda request: ask("metadata", request))
        self._checker = threading.Thread(
            target=self._check_forever, args=(check_interval_s,), name="network-check", daemon=True
        )
        self._checker.start()

    def apply(self, wanted: Mapping[Key, Wanted], changed: frozenset[Key], report: ReportSink, *, resync: bool) -> None:
        with self._guard:
            self._report = report
            refused = self._keeper.take(wanted, changed, resync=resync)
            if resync:
                self._generations = {key: row.generation for key, row in wanted.items()}
            else:
                self._generations |= {key: wanted[key].generation for key in changed if key in wanted}
            self._pass(changed, refused, resync=resync)

    def calls(self) -> Mapping[str, CallHandler]:
        """`leases {network_id}`, `world {}` (how to run a command outside the cloud), `problems {}`."""
        return {
            "leases": lambda params: {"leases": self._driver.leases(str(params["network_id"]))},
            "world": lambda params: {"argv_prefix": self._driver.world_command([])},
            "problems": lambda params: {"problems": self._driver.problems()},
        }

    def facts(self) -> dict[str, Any]:
        """`NetworkInfo`, how many rows there are and how many are in error."""
        world = self._keeper.world
        facts: dict[str, Any] = msgspec.to_builtins(self._driver.info())
        facts["counts"] = {
            "networks": len(world.networks),
            "ports": len(world.ports),
            "routers": len(world.routers),
            "security_groups": len(world.security_groups),
        }
        facts["errors"] = sum(error is not None for _, error in list(self._said.values()))
        return facts

    def close(self) -> None:
        """Guests keep their network; only metadata pauses until the next agent."""
        self._closed.set()
        self._checker.join()
        with self._guard:
            self._driver.close()

    def _pass(self, changed: frozenset[Key], refused: Mapping[Key, str], *, resync: bool) -> None:
        """One pass, and a report for every row that changed or fares otherwise than last said."""
        try:
            result = self._driver.apply(self._keeper.world, resync=resync)
        except Exception as failure:  # noqa: BLE001 - whatever it is, rows must not wait without a word
            _log.exception("the network could not be brought about")
            sentence = f"This host's network could not be set up: {failure}"
            result = PassResult(errors=dict.fromkeys(self._generations, sentence))
        errors = {Key(*row): sentence for row, sentence in result.errors.items()}
        failed_before = {key for key, (_, said) in self._said.items() if said is not None}
        for key in changed | errors.keys() | failed_before:
            generation = self._generations.get(key)
            if generation is None:
                self._said.pop(key, None)
                continue
            final = refused.get(key)
            error = final or errors.get(key)
            if key in changed or self._said.get(key) != (generation, error):
                state = {} if error else dict(result.states.get((key.kind, key.id), {}))
                self._tell(
                    Report(
                        kind=key.kind,
                        id=key.id,
                        generation=generation,
                        state=state,
                        error=error,
                        final=final is not None,
                    )
                )
            self._said[key] = (generation, error)
        self._forget_absent(changed, errors)
        self._plan_retry(errors.keys(), new=errors.keys() != failed_before)

    def _tell(self, report: Report) -> None:
        if self._report is not None:
            self._report(report)

    def _forget_absent(self, changed: frozenset[Key], errors: Mapping[Key, str]) -> None:
        for key in changed:
            if not self._keeper.has(key) and key not in errors:
                self._said.pop(key, None)
                self._generations.pop(key, None)

    def _plan_retry(self, failed: AbstractSet[Key], *, new: bool) -> None:
        """Soon when something else fails than before, then ever more rarely."""
        if not failed:
            self._retry_at_s = None
            return
        self._retry_pause_s = _QUICKEST_RETRY_S if new else min(self._retry_pause_s * 2, _SLOWEST_RETRY_S)
        self._retry_at_s = clock.monotonic() + self._retry_pause_s

    def _check_forever(self, interval_s: float) -> None:
        while not self._closed.wait(min(interval_s, _QUICKEST_RETRY_S)):
            with self._guard:
                self._check()

    def _check(self) -> None:
        try:
            problems = self._driver.problems()
        except OSError as error:
            problems = [f"The network cannot be looked at: {error}"]
        for problem in problems:
            _log.warning("%s Repairing.", problem)
        due = self._retry_at_s is not None and clock.monotonic() >= self._retry_at_s
        if problems or due:
            self._pass(frozenset(), {}, resync=True)
