# SPDX-License-Identifier: Apache-2.0
"""Volumes as qcow2 or raw files of one directory, opened by QEMU on the same host by their path.

Every volume and snapshot is a complete file: no backing chain, so an image or a source volume may be
deleted at once, and a damaged file harms one volume only. Where the file system can share blocks
(reflink) a copy costs nothing; elsewhere it costs the allocated bytes once.
"""

import contextlib
import errno
import fcntl
import logging
import os
import shutil
import time
from collections.abc import Iterator

import msgspec

from altostratus.contracts.volume import BackendInfo, SnapshotSpec, VolumeError, VolumeSource, VolumeSpec, VolumeState
from altostratus.drivers.image_store.inspect import inspect_file, why_refused
from altostratus.drivers.volume.layout import Layout, Stored, place
from altostratus.drivers.volume.qemu_img import QemuImg, qemu_format

GIB = 1 << 30
_FICLONE = 0x40049409
_COPY_ATTEMPTS = 3
# The kernel stamps writes with the time of its last tick: a write within this time may leave no trace.
_TICK_S = 0.02
_SETTLE_ATTEMPTS = 100
_BUSY = (
    "The volume is written to all the time, so no copy of one moment could be made. Stop the server or "
    "detach the volume, or wait for a quieter time."
)
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})

logger = logging.getLogger(__name__)


class _Export(msgspec.Struct, frozen=True):
    """Kept beside the volume: the newest export that was carried out."""

    token: str
    size_bytes: int


class FileVolumeDriver:
    """`contracts.volume.VolumeDriver` in `directory`; `name` is the back end's name in pools and types.

    `owner` is the (uid, gid) that volume files are given (mode 0660), for a QEMU that runs unprivileged.
    """

    def __init__(self, directory: str, name: str, *, owner: tuple[int, int] | None = None) -> None:
        self._name = name
        self._layout = Layout(directory, owner)
        self._qemu_img = QemuImg()

    def info(self) -> BackendInfo:
        usage = shutil.disk_usage(self._layout.directory)
        volumes = self.list_volumes()
        return BackendInfo(
            name=self._name,
            driver="file",
            protocol="file",
            total_gib=round(usage.total / GIB, 2),
            free_gib=round(usage.free / GIB, 2),
            capabilities={
                "thin_provisioning_support": True,
                "thick_provisioning_support": False,
                "max_over_subscription_ratio": "20.0",
                "provisioned_capacity_gb": sum(volume.size_gib for volume in volumes),
                "allocated_capacity_gb": round(sum(volume.allocated_bytes for volume in volumes) / GIB, 2),
                "multiattach": False,
                "online_extend_support": True,
                "snapshot_attached": "crash-consistent; refused while the guest writes all the time",
                "path": self._layout.directory,
            },
        )

    def list_volumes(self) -> list[VolumeState]:
        states = (self._state(stored) for stored in self._layout.list("volume"))
        return [state for state in states if state.present]

    def ensure_volume(self, spec: VolumeSpec) -> VolumeState:
        """See the contract. May take as long as copying `size_gib` takes."""
        with self._errors_for_people():
            stored = self._layout.find("volume", spec.id) or self._create(spec)
            if spec.attached_to is None:
                self._grow(stored, spec.size_gib * GIB)
            if spec.export_token is not None:
                self._export(stored, spec)
            return self._state(stored)

    def remove_volume(self, volume_id: str) -> None:
        with self._errors_for_people():
            self._layout.remove("volume", volume_id)

    def list_snapshots(self) -> list[str]:
        return [stored.id for stored in self._layout.list("snapshot")]

    def ensure_snapshot(self, spec: SnapshotSpec) -> None:
        """See the contract. While attached, the copy is what a power cut at that moment would have left."""
        with self._errors_for_people():
            if self._layout.find("snapshot", spec.id) is not None:
                return
            source = self._source("volume", spec.volume_id)
            with self._layout.placing("snapshot", spec.id, source.format) as temporary:
                self._copy(source.path, source.format, temporary, source.format)

    def remove_snapshot(self, snapshot_id: str) -> None:
        with self._errors_for_people():
            self._layout.remove("snapshot", snapshot_id)

    def close(self) -> None:
        """Ends copies that run; the next agent begins them anew."""
        self._qemu_img.close()

    def _create(self, spec: VolumeSpec) -> Stored:
        size_bytes = spec.size_gib * GIB
        started = time.monotonic()
        with self._layout.placing("volume", spec.id, spec.format) as temporary:
            if spec.source is None:
                self._qemu_img.create(temporary, spec.format, size_bytes)
            else:
                path, source_format = self._open_source(spec.source)
                self._check_fits(path, source_format, size_bytes)
                self._copy(path, source_format, temporary, spec.format)
                self._grow(Stored("volume", spec.id, spec.format, temporary), size_bytes)
        logger.info("created volume %s in %.2f s", spec.id, time.monotonic() - started)
        return self._source("volume", spec.id)

    def _open_source(self, source: VolumeSource) -> tuple[str, str]:
        """Path and QEMU format. An image is looked at again: this is the last moment to refuse it."""
        if source.kind != "image":
            stored = self._source(source.kind, source.id)
            return stored.path, stored.format
        if source.path is None or source.format is None or not os.path.isfile(source.path):
            raise VolumeError(f"The data of image {source.id} is not on this host.", final=True)
        refusal = why_refused(source.format, inspect_file(source.path))
        if refusal is not None:
            raise VolumeError(refusal, final=True)
        return source.path, qemu_format(source.format)

    def _source(self, kind: str, id: str) -> Stored:
        stored = self._layout.find("snapshot" if kind == "snapshot" else "volume", id)
        if stored is None:
            raise VolumeError(f"There is no data of {kind} {id} in back end '{self._name}'.", final=True)
        return stored

    @staticmethod
    def _check_fits(path: str, format: str, size_bytes: int) -> None:
        needed = _virtual_size_bytes(path, format)
        if needed > size_bytes:
            raise VolumeError(
                f"The source needs {-(-needed // GIB)} GiB but the volume has {size_bytes // GIB} GiB.", final=True
            )

    def _grow(self, stored: Stored, size_bytes: int) -> None:
        if _virtual_size_bytes(stored.path, stored.format) < size_bytes:
            self._qemu_img.resize(stored.path, stored.format, size_bytes)

    def _copy(self, source: str, source_format: str, target: str, target_format: str) -> None:
        """Copy the content as of one moment, though a running guest may use the source.

        Blocks shared by the file system are such a moment by nature. Else the copy counts only if the
        source was not written to meanwhile; an idle guest writes seldom, so a few attempts suffice.
        """
        if source_format == target_format and _clone_blocks(source, target):
            return
        for _ in range(_COPY_ATTEMPTS):
            before = _settled_stamp(source)
            self._qemu_img.convert(source, source_format, target, target_format)
            if _stamp(source) == before:
                return
        raise VolumeError(_BUSY)

    def _export(self, stored: Stored, spec: VolumeSpec) -> None:
        if spec.export_path is None or self._exported(spec.id).token == spec.export_token:
            return
        with self._layout.scratch(os.path.basename(spec.export_path), os.path.dirname(spec.export_path)) as temporary:
            self._copy(stored.path, stored.format, temporary, qemu_format(spec.export_format))
            os.chmod(temporary, 0o644)
            size_bytes = os.stat(temporary).st_size
            place(temporary, spec.export_path)
        record = msgspec.json.encode(_Export(spec.export_token or "", size_bytes))
        with self._layout.scratch(f"volume-{spec.id}", self._layout.directory) as temporary:
            with open(temporary, "wb") as file:
                file.write(record)
            place(temporary, self._export_record(spec.id))

    def _exported(self, volume_id: str) -> _Export:
        try:
            with open(self._export_record(volume_id), "rb") as file:
                return msgspec.json.decode(file.read(), type=_Export)
        except (FileNotFoundError, msgspec.DecodeError):
            return _Export("", 0)

    def _export_record(self, volume_id: str) -> str:
        return os.path.join(self._layout.directory, f"volume-{volume_id}.export")

    def _state(self, stored: Stored) -> VolumeState:
        try:
            size_bytes = _virtual_size_bytes(stored.path, stored.format)
            allocated_bytes = os.stat(stored.path).st_blocks * 512
        except FileNotFoundError:
            return VolumeState(id=stored.id, present=False)
        exported = self._exported(stored.id)
        return VolumeState(
            id=stored.id,
            present=True,
            path=stored.path,
            format=stored.format,
            size_gib=size_bytes // GIB,
            allocated_bytes=allocated_bytes,
            export_token=exported.token or None,
            export_size_bytes=exported.size_bytes if exported.token else None,
        )

    @contextlib.contextmanager
    def _errors_for_people(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _FULL:
                raise VolumeError(
                    f"The disk of back end '{self._name}' is full. Delete volumes, or give it more space."
                ) from error
            reason = error.strerror or type(error).__name__
            raise VolumeError(f"Back end '{self._name}' failed: {reason} ({error.filename or 'a file'}).") from error


def _virtual_size_bytes(path: str, format: str) -> int:
    if format == "raw":
        return os.stat(path).st_size
    size_bytes = inspect_file(path).virtual_size_bytes
    if size_bytes is None:
        raise VolumeError(f"The file '{path}' is damaged: its size cannot be read.", final=True)
    return size_bytes


def _stamp(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_mtime_ns, status.st_size


def _settled_stamp(path: str) -> tuple[int, int]:
    """Stamp of the last write, old enough that any new write is sure to change it."""
    for _ in range(_SETTLE_ATTEMPTS):
        before = _stamp(path)
        time.sleep(_TICK_S)
        if _stamp(path) == before:
            return before
    raise VolumeError(_BUSY)


def _clone_blocks(source: str, target: str) -> bool:
    """Share the blocks of a whole file (reflink), where the file system can; atomic to writers."""
    with open(source, "rb") as reading, open(target, "r+b") as writing:
        try:
            fcntl.ioctl(writing.fileno(), _FICLONE, reading.fileno())
        except OSError:
            return False
    return True
