# SPDX-License-Identifier: Apache-2.0
"""`EmbeddedStore`: objects in files on the disks of this machine, in as many copies as the ring says."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from altostratus.contracts.object_store import Blob, ObjectStoreError, Readable
from altostratus.kernel import ids, log

from . import ring as rings
from .blob_file import BLOCK_BYTES, BlobFile, Checksums, DamagedError
from .disk import Disk, is_full, write_all
from .ring import Ring

_log = log.get("drivers.object_store")
_FIRST_PART_POWER = 8


class _Copy:
    """A file that is being written on one disk."""

    def __init__(self, disk: Disk, blob_id: str) -> None:
        self.disk = disk
        self.descriptor = disk.begin(blob_id)


class EmbeddedStore:
    """`directory` holds the ring's file and, until others are added, the only disk."""

    name = "embedded"

    def __init__(self, directory: Path) -> None:
        self._directory, self._ring_file = directory, directory / "ring.json"
        self._lock = threading.Lock()
        self._syncers = ThreadPoolExecutor(8, "object-copies")
        self._seen: tuple[int, int] | None = None
        self._ring = Ring(1, 1)
        self._disks: dict[int, Disk] = {}
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self._ring_file.exists():
            first = directory / "disk-1"
            first.mkdir(exist_ok=True, mode=0o700)
            made, _ = rings.rebalance(rings.add(rings.create(_FIRST_PART_POWER, 1), str(first), 1, 100.0))
            self.change_ring(made)

    # the ring

    @property
    def ring(self) -> Ring:
        """The ring as its file says now; another process may have changed it."""
        found = self._ring_file.stat()
        seen = found.st_mtime_ns, found.st_ino
        if seen != self._seen:
            with self._lock:
                self._ring = rings.load(self._ring_file.read_bytes())
                self._disks = {
                    device.id: self._disks.get(device.id) or Disk(device.id, device.path)
                    for device in self._ring.devices
                }
                self._seen = seen
        return self._ring

    def change_ring(self, ring: Ring) -> None:
        """Put another ring in the place of the present one, whole or not at all."""
        draft = self._ring_file.with_suffix(".new")
        with open(draft, "wb") as handle:
            handle.write(rings.dump(ring))
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(draft, self._ring_file)
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def disks(self, blob_id: str) -> tuple[list[Disk], list[Disk]]:
        """Those that should have the blob, and those that stand in for them."""
        ring = self.ring
        partition = ring.partition_of(blob_id)
        holders = [self._disks[device.id] for device in ring.holders(partition)]
        return holders, [self._disks[device.id] for device in ring.handoffs(partition)]

    def all_disks(self) -> list[Disk]:
        _ = self.ring
        return list(self._disks.values())

    def partition_of(self, blob_id: str) -> int:
        return self.ring.partition_of(blob_id)

    # the contract

    def write(self, data: Readable, *, expected_size: int | None = None, max_bytes: int | None = None) -> Blob:
        blob_id = ids.new_hex_id()
        holders, handoffs = self.disks(blob_id)
        quorum = len(holders) // 2 + 1
        copies = _begin(blob_id, holders, handoffs)
        try:
            if len(copies) < quorum:
                raise ObjectStoreError("broken", f"{len(copies)} of {quorum} needed disks work. See: alto ring show")
            checksums = self._receive(data, copies, quorum, expected_size, max_bytes)
            self._keep(blob_id, copies, quorum, checksums.ending())
        except BaseException:
            for copy in copies:
                _drop(copy, blob_id, self.partition_of(blob_id))
            raise
        return Blob(blob_id, checksums.size)

    def settle(self, blob_id: str) -> None:
        for disk in self.all_disks():
            try:
                disk.settle(blob_id)
            except OSError as error:
                _log.warning("blob %s stays pending on %s: %s", blob_id, disk.path, error)

    def read(self, blob_id: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        pieces = self._read(blob_id, offset, length)
        first = next(pieces, None)
        return iter(()) if first is None else _chain(first, pieces)

    def delete(self, blob_id: str) -> None:
        partition = self.partition_of(blob_id)
        for disk in self.all_disks():
            try:
                disk.remove(blob_id, partition)
            except OSError as error:
                _log.warning("blob %s cannot be removed from %s now: %s", blob_id, disk.path, error)

    def exists(self, blob_id: str) -> bool:
        partition = self.partition_of(blob_id)
        return any(disk.has(blob_id, partition) for disk in self.all_disks())

    def pending(self) -> Iterator[str]:
        for disk in self.all_disks():
            yield from disk.pending()

    def blob_ids(self) -> Iterator[str]:
        for disk in self.all_disks():
            for partition in disk.partitions():
                yield from disk.blobs_in(partition)

    # writing

    def _receive(
        self, data: Readable, copies: list[_Copy], quorum: int, expected_size: int | None, max_bytes: int | None
    ) -> Checksums:
        checksums = Checksums()
        while piece := data.read(BLOCK_BYTES):
            checksums.add(piece)
            if max_bytes is not None and checksums.size > max_bytes:
                raise ObjectStoreError("too_large", f"The data has more than {max_bytes} bytes.")
            _write_to(copies, quorum, piece)
        if expected_size is not None and checksums.size != expected_size:
            raise ObjectStoreError("short", f"{checksums.size} bytes came of {expected_size}.")
        return checksums

    def _keep(self, blob_id: str, copies: list[_Copy], quorum: int, ending: bytes) -> None:
        _write_to(copies, quorum, ending)
        partition = self.partition_of(blob_id)

        def finish(copy: _Copy) -> OSError | None:
            descriptor, copy.descriptor = copy.descriptor, -1
            try:
                copy.disk.finish(descriptor, blob_id, partition)
            except OSError as error:
                return error
            return None

        troubles = [finish(copies[0])] if len(copies) == 1 else list(self._syncers.map(finish, copies))
        good = troubles.count(None)
        for copy, trouble in zip(list(copies), troubles, strict=True):
            if trouble is not None:
                _log.warning("blob %s was not kept on %s: %s", blob_id, copy.disk.path, trouble)
                if good >= quorum:
                    copies.remove(copy)
                    _drop(copy, blob_id, partition)
        if good < quorum:
            raise _refusal([trouble for trouble in troubles if trouble is not None])

    # reading

    def _read(self, blob_id: str, offset: int, length: int | None) -> Iterator[bytes]:
        """From one copy after the other, until one is intact."""
        holders, handoffs = self.disks(blob_id)
        partition = self.partition_of(blob_id)
        damaged = False
        for disk in (*holders, *handoffs):
            try:
                found = disk.open(blob_id, partition)
                for piece in found.blocks(offset, length):
                    yield piece
                    offset += len(piece)
                    length = None if length is None else length - len(piece)
                return
            except FileNotFoundError:
                continue
            except DamagedError as error:
                damaged = True
                _set_aside(disk, blob_id, partition, error)
            except OSError as error:
                _log.warning("blob %s cannot be read from %s: %s", blob_id, disk.path, error)
        if damaged:
            raise ObjectStoreError("damaged", f"No intact copy of blob {blob_id} is left.")
        raise ObjectStoreError("missing", f"Blob {blob_id} is on none of the disks.")


def _begin(blob_id: str, holders: list[Disk], handoffs: list[Disk]) -> list[_Copy]:
    copies: list[_Copy] = []
    for disk in (*holders, *handoffs):
        if len(copies) == len(holders):
            break
        try:
            copies.append(_Copy(disk, blob_id))
        except OSError as error:
            _log.warning("nothing can be written to %s: %s", disk.path, error)
    return copies


def _write_to(copies: list[_Copy], quorum: int, data: bytes) -> None:
    troubles = []
    for copy in list(copies):
        try:
            write_all(copy.descriptor, data)
        except OSError as error:
            _log.warning("writing to %s failed: %s", copy.disk.path, error)
            troubles.append((copy, error))
    if len(copies) - len(troubles) < quorum:
        raise _refusal([error for _, error in troubles])
    for copy, _ in troubles:
        copies.remove(copy)
        os.close(copy.descriptor)


def _drop(copy: _Copy, blob_id: str, partition: int) -> None:
    if copy.descriptor >= 0:
        os.close(copy.descriptor)
        copy.descriptor = -1
    try:
        copy.disk.remove(blob_id, partition)
    except OSError as error:
        _log.warning("blob %s stays pending on %s: %s", blob_id, copy.disk.path, error)


def _set_aside(disk: Disk, blob_id: str, partition: int, error: DamagedError) -> None:
    _log.error("blob %s on %s is damaged and put in quarantine: %s", blob_id, disk.path, error)
    try:
        disk.quarantine(blob_id, partition)
    except OSError as trouble:
        _log.warning("it could not be moved: %s", trouble)


def _refusal(troubles: list[OSError]) -> ObjectStoreError:
    if any(is_full(error) for error in troubles):
        return ObjectStoreError("full", "No room is left on the disks of the object store.")
    return ObjectStoreError("broken", f"Too few disks of the object store work: {'; '.join(map(str, troubles))}")


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield first
        yield from rest
    finally:
        close = getattr(rest, "close", None)
        if close is not None:
            close()


def open_blob(disk: Disk, blob_id: str, partition: int) -> BlobFile | None:
    """The copy of a disk, or None if it has none that is intact at its end."""
    try:
        return disk.open(blob_id, partition)
    except (FileNotFoundError, DamagedError):
        return None
