# SPDX-License-Identifier: Apache-2.0
"""Volumes in memory, for tests and simulated hosts."""

import threading
from collections import deque

from altostratus.contracts.volume import BackendInfo, SnapshotSpec, VolumeError, VolumeSpec, VolumeState


class FakeVolumeDriver:
    """`contracts.volume.VolumeDriver` in memory; says that it is simulated.

    `fail(method, error, times)` makes the next calls of a method raise. `contents` maps a volume or
    snapshot id to a word for what is in it (`empty`, `image:<id>`, or what its source had), so tests
    see what was copied from where. `exports` maps an export path to the word that was written there.
    """

    def __init__(self, name: str = "simulated", *, total_gib: float = 1000.0) -> None:
        self._name = name
        self._total_gib = total_gib
        self._volumes: dict[str, VolumeState] = {}
        self._snapshots: dict[str, SnapshotSpec] = {}
        self._faults: dict[str, deque[VolumeError]] = {}
        self._lock = threading.RLock()
        self.contents: dict[str, str] = {}
        self.exports: dict[str, str] = {}
        self.closed = False

    def fail(self, method: str, error: VolumeError, times: int = 1) -> None:
        """The next `times` calls of `method` raise `error` and change nothing."""
        self._faults.setdefault(method, deque()).extend([error] * times)

    def info(self) -> BackendInfo:
        with self._lock:
            used = sum(volume.size_gib for volume in self._volumes.values())
            return BackendInfo(
                name=self._name,
                driver="fake",
                protocol="simulated",
                total_gib=self._total_gib,
                free_gib=self._total_gib - used,
                capabilities={"thin_provisioning_support": False, "provisioned_capacity_gb": used, "multiattach": True},
                simulated=True,
            )

    def list_volumes(self) -> list[VolumeState]:
        with self._lock:
            self._fail_if_asked("list_volumes")
            return list(self._volumes.values())

    def ensure_volume(self, spec: VolumeSpec) -> VolumeState:
        with self._lock:
            self._fail_if_asked("ensure_volume")
            old = self._volumes.get(spec.id)
            content = self.contents[spec.id] if old else self._content_of_source(spec)
            size_gib = spec.size_gib if old is None else max(old.size_gib, spec.size_gib)
            if old is not None and spec.attached_to is not None:
                size_gib = old.size_gib
            grown = size_gib - (old.size_gib if old else 0)
            if grown > self.info().free_gib:
                raise VolumeError(f"Back end '{self._name}' is full. Delete volumes, or give it more space.")
            if spec.export_token is not None and spec.export_path is not None:
                self.exports[spec.export_path] = content
            self.contents[spec.id] = content
            self._volumes[spec.id] = VolumeState(
                id=spec.id,
                present=True,
                path=f"simulated:volume-{spec.id}",
                format=spec.format,
                size_gib=size_gib,
                export_token=spec.export_token or (old.export_token if old else None),
                export_size_bytes=size_gib << 30 if spec.export_token else None,
            )
            return self._volumes[spec.id]

    def _content_of_source(self, spec: VolumeSpec) -> str:
        if spec.source is None:
            return "empty"
        if spec.source.kind == "image":
            return f"image:{spec.source.id}"
        if spec.source.id not in self.contents:
            raise VolumeError(f"There is no data of {spec.source.kind} {spec.source.id}.", final=True)
        return self.contents[spec.source.id]

    def remove_volume(self, volume_id: str) -> None:
        with self._lock:
            self._fail_if_asked("remove_volume")
            if self._volumes.pop(volume_id, None):
                self.contents.pop(volume_id)

    def list_snapshots(self) -> list[str]:
        with self._lock:
            self._fail_if_asked("list_snapshots")
            return sorted(self._snapshots)

    def ensure_snapshot(self, spec: SnapshotSpec) -> None:
        with self._lock:
            self._fail_if_asked("ensure_snapshot")
            if spec.id in self._snapshots:
                return
            if spec.volume_id not in self._volumes:
                raise VolumeError(f"There is no data of volume {spec.volume_id}.", final=True)
            self._snapshots[spec.id] = spec
            self.contents[spec.id] = self.contents[spec.volume_id]

    def remove_snapshot(self, snapshot_id: str) -> None:
        with self._lock:
            self._fail_if_asked("remove_snapshot")
            if self._snapshots.pop(snapshot_id, None):
                self.contents.pop(snapshot_id)

    def close(self) -> None:
        self.closed = True

    def _fail_if_asked(self, method: str) -> None:
        if self._faults.get(method):
            raise self._faults[method].popleft()
