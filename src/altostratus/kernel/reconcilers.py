# SPDX-License-Identifier: Apache-2.0
"""Loops without input: expiry, sweeps, resync. Each pass compares everything and may be run at any time."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from altostratus.kernel import clock, log

if TYPE_CHECKING:
    from altostratus.kernel.cloud import Cloud

# wake-ups that come together are worth one pass
_GATHER_S = 0.05
_log = log.get("reconcilers")


@dataclass(frozen=True, slots=True)
class Reconciler:
    """`run(cloud)` at the start, every `every_s` seconds, and soon after `wake_topic` is woken.

    at_end   once more when the process ends in peace: it keeps something in memory
    """

    name: str
    every_s: float
    run: Callable[["Cloud"], None]
    wake_topic: str | None = None
    at_end: bool = False


@dataclass(slots=True)
class Passes:
    """How a reconciler has been doing."""

    done: int = 0
    failed: int = 0
    last_error: str | None = None
    last_s: float = 0.0


class ReconcilerPool:
    """A thread for each, so a slow one holds up nobody; a pass that fails is tried again at its next turn."""

    def __init__(self, cloud: "Cloud", reconcilers: Iterable[Reconciler]) -> None:
        self._cloud = cloud
        self._reconcilers = {one.name: one for one in reconcilers}
        self.passes = {name: Passes() for name in self._reconcilers}
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        for reconciler in self._reconcilers.values():
            name = f"reconcile-{reconciler.name}"
            thread = threading.Thread(target=self._loop, args=(reconciler,), name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        self._stopping.set()
        for reconciler in self._reconcilers.values():
            if reconciler.wake_topic is not None:
                self._cloud.bus.wake(reconciler.wake_topic)
        deadline = clock.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - clock.monotonic()))

    def run_last(self) -> None:
        """What must not be lost when the process ends."""
        for reconciler in self._reconcilers.values():
            if reconciler.at_end:
                self._pass(reconciler)

    def run_once(self, name: str | None = None) -> None:
        """Run one reconciler, or all, now, in this thread. Raises KeyError for an unknown name."""
        for reconciler in [self._reconcilers[name]] if name is not None else list(self._reconcilers.values()):
            self._pass(reconciler)

    def _pass(self, reconciler: Reconciler) -> None:
        passes, started = self.passes[reconciler.name], clock.monotonic()
        try:
            reconciler.run(self._cloud)
            passes.done += 1
            passes.last_error = None
        except Exception as error:  # noqa: BLE001  (boundary: one pass that fails is tried again)
            _log.exception("reconciler %s failed", reconciler.name)
            passes.failed += 1
            passes.last_error = f"{type(error).__name__}: {error}"
        passes.last_s = clock.monotonic() - started

    def _loop(self, reconciler: Reconciler) -> None:
        bus, topic = self._cloud.bus, reconciler.wake_topic
        while not self._stopping.is_set():
            seen = bus.count(topic) if topic is not None else 0
            self._pass(reconciler)
            if topic is None:
                self._stopping.wait(reconciler.every_s)
            elif bus.wait(topic, seen, reconciler.every_s) != seen:
                self._stopping.wait(_GATHER_S)
