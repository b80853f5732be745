# SPDX-License-Identifier: Apache-2.0
"""The replicator puts copies where the ring wants them; the auditor reads all copies and sets damaged ones aside.

Both go through the store partition by partition, may be ended at any time and begun again, say how far they are, and
rest between their steps so that clients do not wait for them. An auditor that was ended goes on where it was: a cloud
that is often started anew reads everything all the same.
"""

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from altostratus.drivers.object_store import whole_file
from altostratus.kernel import log

from .blob_file import DamagedError
from .disk import Disk
from .store import EmbeddedStore

_log = log.get("drivers.object_store")
_BETWEEN_MARKS_S = 10.0
# (done, all) steps of a pass
Progress = Callable[[int, int], None]
T = TypeVar("T")


@dataclass(slots=True)
class Tally:
    """What a pass has done."""

    looked_at: int = 0
    copied: int = 0
    removed: int = 0
    damaged: int = 0
    failed: int = 0


class Pace:
    """Works for `share` of the time. A disk that is busy makes the work slower, and with it the rests longer."""

    def __init__(self, share: float = 1.0) -> None:
        self._factor = 1.0 / share - 1.0
        self._since = time.monotonic()

    def rest(self) -> None:
        if self._factor:
            time.sleep((time.monotonic() - self._since) * self._factor)
            self._since = time.monotonic()


def replicate(store: EmbeddedStore, progress: Progress | None = None, pace: Pace | None = None) -> Tally:
    """One pass: every copy that is missing from a holder is made, then copies on other disks go."""
    work = _Replication(store, pace or Pace())
    disks = store.all_disks()
    for disk in disks:
        try:
            disk.prepare()
            disk.forget_copying()
        except OSError as error:
            work.give_up(disk, error)
    # a copy on the only disk is where it should be
    partitions = sorted({one for disk in disks for one in work.partitions_of(disk)}) if len(disks) > 1 else []
    for partition in _told(partitions, progress):
        work.visit(partition)
    return work.tally


def audit(store: EmbeddedStore, progress: Progress | None = None, pace: Pace | None = None) -> Tally:
    """One pass: every byte is read. A damaged copy goes into quarantine and is replaced from an intact one."""
    work, mark = _Replication(store, pace or Pace()), _Bookmark(store.audit_file)
    places = [(disk, partition) for disk in store.all_disks() for partition in work.partitions_of(disk)]
    for disk, partition in _told(mark.first(places), progress):
        mark.reached(disk, partition)
        for blob_id in work.blobs_of(disk, partition):
            _check(work, disk, blob_id, partition)
    mark.remove()
    return work.tally


class _Bookmark:
    """The place that a pass has reached, in a small file until the pass is over."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._written = 0.0

    def first(self, places: list[tuple[Disk, int]]) -> list[tuple[Disk, int]]:
        """All places, in a circle from the one on that an earlier pass had reached."""
        try:
            with open(self._path, "rb") as handle:
                reached = msgspec.json.decode(handle.read(), type=tuple[int, int])
        except (FileNotFoundError, msgspec.MsgspecError):
            return places
        start = next((at for at, (disk, partition) in enumerate(places) if (disk.id, partition) == reached), 0)
        return places[start:] + places[:start]

    def reached(self, disk: Disk, partition: int) -> None:
        if time.monotonic() - self._written >= _BETWEEN_MARKS_S:
            whole_file.replace(self._path, msgspec.json.encode((disk.id, partition)))
            self._written = time.monotonic()

    def remove(self) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._path)


def _check(work: "_Replication", disk: Disk, blob_id: str, partition: int) -> None:
    work.tally.looked_at += 1
    try:
        for _ in disk.open(blob_id, partition).blocks():
            work.pace.rest()
        return
    except FileNotFoundError:
        return  # deleted meanwhile
    except DamagedError as error:
        _log.error("blob %s on %s is damaged and put in quarantine: %s", blob_id, disk.path, error)
        work.tally.damaged += 1
    except OSError as error:
        _log.warning("blob %s cannot be read from %s: %s", blob_id, disk.path, error)
        work.tally.failed += 1
        return
    try:
        disk.quarantine(blob_id, partition)
    except FileNotFoundError:
        return  # a reader was faster, or it was deleted
    except OSError as error:
        work.give_up(disk, error)
        return
    work.visit(partition)


class _Replication:
    """A pass; a disk that refuses once is left alone until the next one."""

    def __init__(self, store: EmbeddedStore, pace: Pace) -> None:
        self.tally, self.pace = Tally(), pace
        self._store = store
        self._broken: set[int] = set()

    def visit(self, partition: int) -> None:
        """Give every holder what it lacks of the partition, then empty the handoffs."""
        held = {disk.id: set(self.blobs_of(disk, partition)) for disk in self._store.all_disks()}
        everything = set().union(*held.values())
        self.tally.looked_at += len(everything)
        if not everything:
            return
        holders = self._store.holders(partition)
        ids_of_holders = {disk.id for disk in holders}
        here = [held.get(disk.id, set()) for disk in holders]
        strays = [disk for disk in self._store.all_disks() if disk.id not in ids_of_holders and held.get(disk.id)]
        if strays or any(found != everything for found in here):
            # asked after the names, so that whatever is still being written is found in it
            waiting = self._pending()
            for holder, found in zip(holders, here, strict=True):
                for blob_id in sorted(everything - found - waiting):
                    if self._copy_to(holder, blob_id, partition):
                        found.add(blob_id)
            complete = everything.intersection(*here) if here else set()
            for disk in strays:
                self._remove(disk, (held[disk.id] & complete) - waiting, partition)
        self.pace.rest()

    def partitions_of(self, disk: Disk) -> list[int]:
        try:
            return disk.partitions()
        except OSError as error:
            self.give_up(disk, error)
            return []

    def blobs_of(self, disk: Disk, partition: int) -> list[str]:
        try:
            return [] if disk.id in self._broken else disk.blobs_in(partition)
        except OSError as error:
            self.give_up(disk, error)
            return []

    def give_up(self, disk: Disk, error: OSError) -> None:
        if disk.id not in self._broken:
            _log.warning("disk %s is left alone until the next pass: %s", disk.path, error)
            self._broken.add(disk.id)
            self.tally.failed += 1

    def _pending(self) -> set[str]:
        return set(self._store.pending())

    def _copy_to(self, target: Disk, blob_id: str, partition: int) -> bool:
        with self._store.deletes.watched() as deleted:
            made = any(
                self._copy_from(source, target, blob_id, partition)
                for source in self._store.in_order(partition)
                if target.id not in self._broken and source.id != target.id and source.id not in self._broken
            )
            if made and blob_id in deleted:
                self._remove(target, [blob_id], partition)
                made = False
        self.tally.copied += made
        return made

    def _copy_from(self, source: Disk, target: Disk, blob_id: str, partition: int) -> bool:
        try:
            blob = source.open(blob_id, partition)
        except (FileNotFoundError, DamagedError):
            return False
        except OSError as error:
            self.give_up(source, error)
            return False
        try:
            target.take_copy(blob, blob_id, partition)
        except DamagedError:
            return False  # the auditor, or whoever reads it, sets it aside
        except OSError as error:
            self.give_up(target, error)
            return False
        finally:
            blob.close()
            self.pace.rest()
        return True

    def _remove(self, disk: Disk, blob_ids: Iterable[str], partition: int) -> None:
        for blob_id in blob_ids:
            try:
                disk.remove(blob_id, partition)
            except OSError as error:
                self.give_up(disk, error)
                return
            self.tally.removed += 1


def _told(places: list[T], progress: Progress | None) -> Iterable[T]:
    for done, place in enumerate(places):
        if progress is not None:
            progress(done, len(places))
        yield place
    if progress is not None:
        progress(len(places), len(places))
