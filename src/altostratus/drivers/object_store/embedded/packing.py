# SPDX-License-Identifier: Apache-2.0
"""Small blobs on their way into packs: those that come at the same time are written and flushed at once.

A pack grows until it is full, the ring changes, or a disk makes trouble or is missing. On disk it is pending, and in
memory its files are open, only while some of its blobs are neither settled nor deleted: in quiet times there is
nothing to tidy up, and nothing keeps a disk busy.
"""

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from contextlib import suppress

from altostratus.kernel import clock, log
from altostratus.kernel.together import Together, Work

from . import packs
from .disk import Disk, write_all
from .packs import UNIT_BYTES
from .view import View, refusal

_log = log.get("drivers.object_store")
# a pack that lacks a copy is filled for so long: its disk may be back
_INCOMPLETE_S = 10.0


class _Pack:
    """One that this process fills. The descriptors of its copies are -1 while they are closed."""

    def __init__(self, view: View, name: str, partition: int) -> None:
        self.view, self.name, self.partition = view, name, partition
        self.wanted = len(view.holders(partition))
        self.quorum = self.wanted // 2 + 1
        self.descriptors: dict[Disk, int] = {}
        self.units = 0
        self._begun = clock.monotonic()

    def begin(self, size: int) -> None:
        """Make its files. Raises ObjectStoreError if too few disks work."""
        troubles = []
        for disk in self.view.in_order(self.partition):
            if len(self.descriptors) == self.wanted:
                break
            try:
                self.descriptors[disk] = disk.begin_pack(self.name, self.partition, size)
            except OSError as error:
                _log.warning("no pack can be made on %s: %s", disk.path, error)
                troubles.append(error)
        if len(self.descriptors) < self.quorum:
            raise refusal(troubles)

    def takes_more(self) -> bool:
        incomplete = len(self.descriptors) < self.wanted
        is_old = incomplete and clock.monotonic() - self._begun >= _INCOMPLETE_S
        return self.units * UNIT_BYTES < packs.FULL_BYTES and not is_old

    def open(self) -> bool:
        """Pending from here on; False: some copy is not there any longer, or its disk does not work."""
        try:
            for disk in self.descriptors:
                self.descriptors[disk] = disk.open_pack(self.name, self.partition)
        except OSError:
            self.close()
            for disk in self.descriptors:
                with suppress(OSError):
                    disk.settle(self.name)
            return False
        return True

    def blob_ids(self, batch: list[Work]) -> list[str]:
        """Those that the batch will have."""
        found, unit = [], self.units
        for work in batch:
            found.append(packs.blob_in(self.name, unit))
            unit += packs.units_for(len(work.given))
        return found

    def close(self) -> None:
        for disk, descriptor in self.descriptors.items():
            if descriptor >= 0:
                os.close(descriptor)
                self.descriptors[disk] = -1

    def append(self, data: bytes, flushers: Executor) -> dict[Disk, OSError]:
        """Written and flushed at its end; those where it was not."""
        start, self.units = self.units * UNIT_BYTES, self.units + len(data) // UNIT_BYTES

        def put(disk: Disk) -> OSError | None:
            try:
                _put(disk, self.descriptors[disk], start, data)
            except OSError as error:
                return error
            return None

        first, *rest = self.descriptors
        others = [flushers.submit(put, disk) for disk in rest]
        found = [put(first), *(other.result() for other in others)]
        return {disk: error for disk, error in zip((first, *rest), found, strict=True) if error is not None}


def _put(disk: Disk, descriptor: int, start: int, data: bytes) -> None:
    disk.demand_room(len(data))
    os.lseek(descriptor, start, os.SEEK_SET)
    write_all(descriptor, data)
    os.fdatasync(descriptor)
    if not os.fstat(descriptor).st_nlink:
        raise FileNotFoundError("the disk was wiped")


class Packer:
    """Thread-safe."""

    def __init__(self, view: Callable[[], View], flushers: Executor) -> None:
        self._view, self._flushers = view, flushers
        self._together = Together(self._write_all)
        self._filling: _Pack | None = None
        self._lock = threading.Lock()
        # blobs that are neither settled nor deleted, by pack, and those packs of them that this process fills
        self._doubtful: dict[str, set[str]] = {}
        self._own: dict[str, _Pack] = {}

    def write(self, data: bytes) -> str:
        """The id of the blob. Raises ObjectStoreError."""
        blob_id: str = self._together.run(data)
        return blob_id

    def settle(self, blob_id: str) -> None:
        """It has a row, or is deleted. May be repeated."""
        self._settle(packs.pack_of(blob_id), [blob_id])

    def pending_in(self, name: str) -> list[str]:
        """Of a pack that is pending on some disk."""
        with self._lock:
            if name in self._doubtful:
                return list(self._doubtful[name])
            view = self._view()
            partition = view.ring.partition_of(name)
            if not any(disk.doubts_pack(name) for disk in view.disks.values()):
                return []  # settled meanwhile
            found: set[str] = set()
            for disk in view.disks.values():
                with suppress(OSError):
                    found.update(disk.blobs_in_pack(name, partition))
            if found:
                self._doubtful[name] = found
                return list(found)
        self._drop(view.disks.values(), name, partition)
        return []

    # writing

    def _write_all(self, batch: list[Work]) -> None:
        try:
            self._write(batch)
        except BaseException as error:  # noqa: BLE001  (handed to those who wait)
            for work in batch:
                work.error = error

    def _write(self, batch: list[Work]) -> None:
        pack = self._filling
        goes_on = pack is not None and pack.view is self._view() and pack.takes_more()
        if pack is None or not goes_on or not self._doubt(pack, batch):
            pack = self._begin(batch)
            self._doubt(pack, batch)
        # what is cut off by an exception ends the pack: where it ends on each disk is not known then
        self._filling = None
        blob_ids = pack.blob_ids(batch)
        for work, blob_id in zip(batch, blob_ids, strict=True):
            work.result = blob_id
        data = [packs.record(work.result, work.given) for work in batch]
        troubles = pack.append(b"".join(data), self._flushers)
        if not troubles:
            self._filling = pack
            return
        for disk, error in troubles.items():
            _log.warning("pack %s ends, as it cannot be written to on %s: %s", pack.name, disk.path, error)
        refused = len(pack.descriptors) - len(troubles) < pack.quorum
        _remove(pack.descriptors if refused else troubles, blob_ids, pack.partition)
        if refused:
            self._settle(pack.name, blob_ids)
            raise refusal(list(troubles.values()))

    def _begin(self, batch: list[Work]) -> _Pack:
        view, name = self._view(), packs.new_pack()
        pack = _Pack(view, name, view.ring.partition_of(name))
        try:
            pack.begin(sum(len(work.given) for work in batch))
        except BaseException:
            pack.close()
            self._drop(pack.descriptors, name, pack.partition)
            raise
        return pack

    def _doubt(self, pack: _Pack, batch: list[Work]) -> bool:
        """False: the pack cannot be written to any longer."""
        with self._lock:
            if pack.name not in self._doubtful:
                if pack.units and not pack.open():
                    return False
                self._doubtful[pack.name], self._own[pack.name] = set(), pack
            self._doubtful[pack.name].update(pack.blob_ids(batch))
        return True

    def _settle(self, name: str, blob_ids: Iterable[str]) -> None:
        with self._lock:
            doubtful = self._doubtful.get(name)
            if doubtful is None:
                return
            doubtful.difference_update(blob_ids)
            if doubtful:
                return
            del self._doubtful[name]
            pack = self._own.pop(name, None)
            disks = self._view().disks.values() if pack is None else pack.descriptors
            if pack is not None:
                pack.close()
            for disk in disks:
                try:
                    disk.settle(name)
                except OSError as error:
                    _log.warning("pack %s stays pending on %s: %s", name, disk.path, error)
        if pack is None or pack is not self._filling:
            self._drop(disks, name, self._view().ring.partition_of(name))

    @staticmethod
    def _drop(disks: Iterable[Disk], name: str, partition: int) -> None:
        for disk in disks:
            try:
                disk.drop_pack(name, partition)
            except OSError as error:
                _log.warning("pack %s is perhaps left on %s: %s", name, disk.path, error)


def _remove(disks: Iterable[Disk], blob_ids: list[str], partition: int) -> None:
    for disk in disks:
        try:
            for blob_id in blob_ids:
                disk.remove(blob_id, partition)
        except OSError as error:
            _log.warning("a part of a pack is left on %s: %s", disk.path, error)
