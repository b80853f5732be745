# SPDX-License-Identifier: Apache-2.0
"""Threads that drive jobs: one that goes through what is due, some that run remote steps, one for leases.

Local steps of a database with one writer gain nothing from more threads; remote steps do.
"""

import queue
import threading
from typing import TYPE_CHECKING

from altostratus.kernel import log
from altostratus.kernel.bus import Bus

if TYPE_CHECKING:
    from altostratus.kernel.jobs.engine import Errand, Jobs

_POLL_S = 2.0
# starts come in bursts: one pass for several of them leaves the writer's lock to requests
_GATHER_S = 0.005
_TEND_S = 60.0
_log = log.get("jobs")


class Workers:
    """`remote_workers` is how many remote steps run at once."""

    def __init__(self, jobs: "Jobs", bus: Bus, remote_workers: int) -> None:
        self._jobs, self._bus, self._count = jobs, bus, remote_workers
        self._stopping = threading.Event()
        self._errands: queue.SimpleQueue[Errand | None] = queue.SimpleQueue()
        self._under_way: dict[int, Errand] = {}
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        functions = [self._dispatch, self._keep_leases, *[self._run_errands] * self._count]
        for number, function in enumerate(functions):
            thread = threading.Thread(target=function, name=f"jobs-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        self._stopping.set()
        self._bus.wake("jobs")
        for _ in range(self._count):
            self._errands.put(None)
        for thread in self._threads:
            thread.join(timeout_s)

    def _dispatch(self) -> None:
        while not self._stopping.is_set():
            seen = self._bus.count("jobs")
            try:
                worked, errands = self._jobs.run_pass()
                for errand in errands:
                    self._under_way[errand.turn.row.sequence] = errand
                    self._errands.put(errand)
                if worked:
                    self._stopping.wait(_GATHER_S)
                    continue
                due_s = self._jobs.seconds_until_due()
            except Exception:  # noqa: BLE001  (boundary: the driver of all jobs outlives any trouble of the database)
                _log.exception("jobs cannot be driven at the moment; trying again")
                self._stopping.wait(1.0)
                continue
            self._bus.wait("jobs", seen, _POLL_S if due_s is None else min(due_s + 0.001, _POLL_S))
            self._stopping.wait(_GATHER_S)

    def _run_errands(self) -> None:
        while (errand := self._errands.get()) is not None and not self._stopping.is_set():
            try:
                self._jobs.run_errand(errand)
            except Exception:  # noqa: BLE001  (boundary: the step is repeated when its lease has run out)
                _log.exception("what a remote step of job %s gave could not be recorded", errand.turn.row.id)
            finally:
                self._under_way.pop(errand.turn.row.sequence, None)

    def _keep_leases(self) -> None:
        ticks = 0
        pause_s = self._jobs.lease_s / 3
        while not self._stopping.wait(pause_s):
            ticks += 1
            try:
                under_way = list(self._under_way.values())
                if under_way:
                    self._jobs.extend_leases(under_way)
                if ticks * pause_s >= _TEND_S:
                    ticks = 0
                    self._jobs.tend()
            except Exception:  # noqa: BLE001  (boundary: a lease that is not renewed only repeats a step)
                _log.exception("the leases of jobs cannot be renewed at the moment; trying again")
