# SPDX-License-Identifier: Apache-2.0
"""Loops without input: expiry, sweeps, resync. Each pass compares everything and may be run at any time."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from altostratus.kernel import clock, log

if TYPE_CHECKING:
    from altostratus.kernel.cloud import Cloud

_log = log.get("reconcilers")


@dataclass(frozen=True, slots=True)
class Reconciler:
    """`run(cloud)` every `every_s` seconds, and at once when `wake_topic` is woken."""

    name: str
    every_s: float
    run: Callable[["Cloud"], None]
    wake_topic: str | None = None


@dataclass(slots=True)
class Passes:
    """How a reconciler has been doing."""

    done: int = 0
    failed: int = 0
    last_error: str | None = None
    next_at: float = field(default=0.0)
    seen: int = 0


class ReconcilerPool:
    """One thread for all of them: passes are short, and none hides behind another for long."""

    def __init__(self, cloud: "Cloud", reconcilers: Iterable[Reconciler]) -> None:
        self._cloud = cloud
        self._reconcilers = list(reconcilers)
        self.passes = {one.name: Passes() for one in self._reconcilers}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reconcilers", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def run_once(self, name: str | None = None) -> None:
        """Run one reconciler, or all, now."""
        for reconciler in self._reconcilers:
            if name in (None, reconciler.name):
                self._pass(reconciler)

    def _pass(self, reconciler: Reconciler) -> None:
        passes = self.passes[reconciler.name]
        try:
            reconciler.run(self._cloud)
            passes.done += 1
        except Exception as error:  # noqa: BLE001  (boundary: one pass that fails is tried again)
            _log.exception("reconciler %s failed", reconciler.name)
            passes.failed += 1
            passes.last_error = f"{type(error).__name__}: {error}"
        passes.next_at = clock.monotonic() + reconciler.every_s

    def _run(self) -> None:
        while not self._stopping.wait(0.5):
            for reconciler in self._reconcilers:
                passes = self.passes[reconciler.name]
                count = self._cloud.bus.count(reconciler.wake_topic) if reconciler.wake_topic else 0
                if clock.monotonic() >= passes.next_at or count != passes.seen:
                    passes.seen = count
                    self._pass(reconciler)
