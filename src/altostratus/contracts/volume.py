# SPDX-License-Identifier: Apache-2.0
"""What a storage host is asked for (desired kinds `volume`, `snapshot`), and the driver below it."""

from typing import Any, Literal, Protocol

import msgspec


class VolumeSource(msgspec.Struct, frozen=True, kw_only=True):
    """What a new volume is filled with. `path` and `format` for an image; `id` for a volume or snapshot."""

    kind: Literal["image", "volume", "snapshot"]
    id: str
    path: str | None = None
    format: str | None = None


class VolumeSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Desired kind `volume`. The driver grows the volume when `size_gib` grows; it never shrinks.

    `backend` names one of the host's back ends; None is its first. `export_token` and `export_path`: copy
    the content to an image file once (volume to image).
    """

    id: str
    name: str
    size_gib: int
    source: VolumeSource | None = None
    format: Literal["qcow2", "raw"] = "qcow2"
    export_token: str | None = None
    export_path: str | None = None
    export_format: str = "raw"
    # in use by a running guest, whose QEMU must do the resize instead
    attached_to: str | None = None
    backend: str | None = None


class SnapshotSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Desired kind `snapshot`: the content of `volume_id` at one moment, kept with the volume."""

    id: str
    volume_id: str
    size_gib: int
    backend: str | None = None


class VolumeState(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    present: bool
    path: str | None = None
    format: str | None = None
    size_gib: int = 0
    allocated_bytes: int = 0
    export_token: str | None = None
    export_size_bytes: int | None = None


class SnapshotState(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    present: bool


class BackendInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Capacity and capabilities of one back end, as the scheduler and the pool list show them."""

    name: str
    driver: str
    protocol: str
    total_gib: float
    free_gib: float
    capabilities: dict[str, Any]
    simulated: bool = False


class VolumeError(Exception):
    """A failed ask, told for people; `final` when trying again cannot help."""

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


class VolumeDriver(Protocol):
    """Driver contract. Idempotent; a crash in the middle leaves nothing that the next call cannot mend."""

    def info(self) -> BackendInfo: ...

    def list_volumes(self) -> list[VolumeState]: ...

    def ensure_volume(self, spec: VolumeSpec) -> VolumeState: ...

    def remove_volume(self, volume_id: str) -> None: ...

    def list_snapshots(self) -> list[str]: ...

    def ensure_snapshot(self, spec: SnapshotSpec) -> None: ...

    def remove_snapshot(self, snapshot_id: str) -> None: ...

    def close(self) -> None: ...
