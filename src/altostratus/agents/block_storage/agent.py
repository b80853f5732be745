# SPDX-License-Identifier: Apache-2.0
"""The agent of a storage host: kinds `volume` and `snapshot`, over one or more back ends."""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from altostratus.agents.block_storage.queue import DEFAULT_RETRY_DELAYS_S, RetryQueue
from altostratus.contracts.host_api import CallHandler, Key, Report, ReportSink, Wanted
from altostratus.contracts.volume import (
    SnapshotSpec,
    SnapshotState,
    VolumeDriver,
    VolumeError,
    VolumeSpec,
    VolumeState,
)

VOLUME, SNAPSHOT = "volume", "snapshot"
_SWEEP = Key("sweep", "")

logger = logging.getLogger(__name__)


class VolumeAgent:
    """`contracts.host_api.Agent` over `backends`, of which the first is the default one.

    Volumes are worked on side by side, each by one thread at a time. What no row names is removed at a
    resync, if it was so already `orphan_grace_s` earlier, and never while no volume at all is wanted:
    an empty control database must not empty the disks.
    """

    kinds: tuple[str, ...] = (VOLUME, SNAPSHOT)

    def __init__(
        self,
        backends: Sequence[VolumeDriver],
        *,
        workers: int = 4,
        retry_delays_s: Sequence[float] = DEFAULT_RETRY_DELAYS_S,
        orphan_grace_s: float = 600.0,
    ) -> None:
        if not backends:
            raise ValueError("a storage agent needs at least one back end")
        self._backends = {backend.info().name: backend for backend in backends}
        self._default = next(iter(self._backends.values()))
        self._orphan_grace_s = orphan_grace_s
        self._orphans: dict[Key, float] = {}
        self._wanted: dict[Key, Wanted] = {}
        self._report: ReportSink | None = None
        self._lock = threading.Lock()
        self._queue: RetryQueue[Key] = RetryQueue(self._work, workers=workers, retry_delays_s=retry_delays_s)

    def apply(self, wanted: Mapping[Key, Wanted], changed: frozenset[Key], report: ReportSink, *, resync: bool) -> None:
        """See the contract. Returns at once; reports come later, from other threads."""
        with self._lock:
            self._wanted = dict(wanted)
            self._report = report
        for key in sorted(changed):
            self._queue.ask(key)
        if resync:
            self._queue.ask(_SWEEP)

    def calls(self) -> Mapping[str, CallHandler]:
        """`backends`: the newest capacities."""
        return {"backends": lambda _: self.facts()}

    def facts(self) -> dict[str, Any]:
        """`{"backends": [BackendInfo, ...]}`; a back end that cannot be read says so under `error`."""
        return {"backends": [_facts_of(name, backend) for name, backend in self._backends.items()]}

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until every wanted row was worked on; False after `timeout_s`. For tests and orderly ends."""
        return self._queue.wait_idle(timeout_s)

    def close(self) -> None:
        """Ends copies that run; the next start begins them anew."""
        for backend in self._backends.values():
            backend.close()
        self._queue.close()

    def _work(self, key: Key) -> bool:
        """One pass over one row. Returns whether it is done (or hopeless), else it is tried again."""
        if key == _SWEEP:
            self._sweep()
            return True
        with self._lock:
            wanted, report = self._wanted.get(key), self._report
        if wanted is None or report is None:
            return True
        try:
            state = self._ensure(wanted) if wanted.spec is not None else self._remove(key)
        except VolumeError as error:
            report(_report_of(wanted, error=str(error), final=error.final))
            return error.final
        except msgspec.ValidationError as error:
            report(_report_of(wanted, error=f"The wanted {key.kind} cannot be understood: {error}.", final=True))
            return True
        report(_report_of(wanted, state=state))
        return True

    def _ensure(self, wanted: Wanted) -> VolumeState | SnapshotState:
        if wanted.kind == VOLUME:
            volume = msgspec.convert(wanted.spec, VolumeSpec)
            return self._backend(volume.backend).ensure_volume(volume)
        snapshot = msgspec.convert(wanted.spec, SnapshotSpec)
        self._backend(snapshot.backend).ensure_snapshot(snapshot)
        return SnapshotState(id=wanted.id, present=True)

    def _remove(self, key: Key) -> VolumeState | SnapshotState:
        """The row of an absent thing no longer says where it was, so every back end is asked."""
        for backend in self._backends.values():
            if key.kind == VOLUME:
                backend.remove_volume(key.id)
            else:
                backend.remove_snapshot(key.id)
        if key.kind == VOLUME:
            return VolumeState(id=key.id, present=False)
        return SnapshotState(id=key.id, present=False)

    def _backend(self, name: str | None) -> VolumeDriver:
        if name is None:
            return self._default
        backend = self._backends.get(name)
        if backend is None:
            known = ", ".join(self._backends)
            raise VolumeError(f"This host has no back end '{name}'; it has {known}.", final=True)
        return backend

    def _sweep(self) -> None:
        """Remove what no row names and named already a grace time ago."""
        found = self._found()
        with self._lock:
            wanted = set(self._wanted)
        orphans = [key for key in found if key not in wanted and not self._queue.is_busy(key)]
        now = time.monotonic()
        self._orphans = {key: self._orphans.get(key, now) for key in orphans}
        ripe = [key for key, since in self._orphans.items() if now - since >= self._orphan_grace_s]
        if ripe and not any(key.kind == VOLUME for key in wanted):
            logger.warning("%d volumes and snapshots are kept though no volume at all is wanted here", len(ripe))
            return
        for key in ripe:
            logger.warning("removing %s %s, which no row names", key.kind, key.id)
            try:
                self._remove(key)
            except VolumeError as error:
                logger.warning("%s %s could not be removed: %s", key.kind, key.id, error)

    def _found(self) -> list[Key]:
        found: list[Key] = []
        for name, backend in self._backends.items():
            try:
                found += [Key(VOLUME, state.id) for state in backend.list_volumes()]
                found += [Key(SNAPSHOT, snapshot_id) for snapshot_id in backend.list_snapshots()]
            except (VolumeError, OSError) as error:
                logger.warning("back end %s cannot be listed: %s", name, error)
        return found


def _report_of(
    wanted: Wanted, *, state: VolumeState | SnapshotState | None = None, error: str | None = None, final: bool = False
) -> Report:
    return Report(
        kind=wanted.kind,
        id=wanted.id,
        generation=wanted.generation,
        state={} if state is None else msgspec.to_builtins(state),
        error=error,
        final=final,
    )


def _facts_of(name: str, backend: VolumeDriver) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = msgspec.to_builtins(backend.info())
    except (VolumeError, OSError) as error:
        return {"name": name, "error": str(error)}
    return facts
