# SPDX-License-Identifier: Apache-2.0
"""The replicator puts copies where the ring wants them; the auditor reads all copies and sets damaged ones aside.

Both go through the disks partition by partition, may be ended at any time and begun again, and say how far they are.
"""

from collections.abc import Callable
from dataclasses import dataclass

from altostratus.kernel import log

from .blob_file import DamagedError
from .disk import Disk, copy_blob
from .store import EmbeddedStore

_log = log.get("drivers.object_store")
# (done, all) of the partitions on all disks
Progress = Callable[[int, int], None]


@dataclass(slots=True)
class Tally:
    """What a pass has done."""

    looked_at: int = 0
    copied: int = 0
    removed: int = 0
    damaged: int = 0
    failed: int = 0


def replicate(store: EmbeddedStore, progress: Progress | None = None) -> Tally:
    """One pass: every copy that is missing from a holder is made, then copies on other disks go."""
    tally = Tally()
    _each_partition(store, progress, lambda disk, partition: _replicate_partition(store, disk, partition, tally))
    return tally


def audit(store: EmbeddedStore, progress: Progress | None = None) -> Tally:
    """One pass: every byte is read. A damaged copy goes into quarantine and is replaced from an intact one."""
    tally = Tally()

    def look(disk: Disk, partition: int) -> None:
        for blob_id in disk.blobs_in(partition):
            tally.looked_at += 1
            try:
                for _ in disk.open(blob_id, partition).blocks():
                    pass
            except FileNotFoundError:
                continue  # deleted meanwhile
            except DamagedError as error:
                _log.error("blob %s on %s is damaged and put in quarantine: %s", blob_id, disk.path, error)
                tally.damaged += 1
                disk.quarantine(blob_id, partition)
                _copy_to_holders(store, blob_id, partition, tally)
            except OSError as error:
                _log.warning("blob %s cannot be read from %s: %s", blob_id, disk.path, error)
                tally.failed += 1

    _each_partition(store, progress, look)
    return tally


def _each_partition(store: EmbeddedStore, progress: Progress | None, visit: Callable[[Disk, int], None]) -> None:
    places = [(disk, partition) for disk in store.all_disks() for partition in disk.partitions()]
    for done, (disk, partition) in enumerate(places):
        if progress is not None:
            progress(done, len(places))
        visit(disk, partition)
    if progress is not None:
        progress(len(places), len(places))


def _replicate_partition(store: EmbeddedStore, disk: Disk, partition: int, tally: Tally) -> None:
    waiting = set(disk.pending())
    for blob_id in disk.blobs_in(partition):
        tally.looked_at += 1
        if blob_id in waiting:
            continue  # its writer is still at it
        complete = _copy_to_holders(store, blob_id, partition, tally)
        holders, _ = store.disks(blob_id)
        if complete and disk.id not in {holder.id for holder in holders}:
            disk.remove(blob_id, partition)
            tally.removed += 1


def _copy_to_holders(store: EmbeddedStore, blob_id: str, partition: int, tally: Tally) -> bool:
    """Give every holder a copy. True if all have one now."""
    holders, _ = store.disks(blob_id)
    lacking = [holder for holder in holders if not holder.has(blob_id, partition)]
    made = [_copy_to(store, holder, blob_id, partition, tally) for holder in lacking]
    return all(made)


def _copy_to(store: EmbeddedStore, target: Disk, blob_id: str, partition: int, tally: Tally) -> bool:
    for source in store.all_disks():
        if source.id == target.id:
            continue
        try:
            copy_blob(source.open(blob_id, partition), target, blob_id, partition)
        except FileNotFoundError:
            continue
        except (DamagedError, OSError) as error:
            _log.warning("blob %s was not copied from %s to %s: %s", blob_id, source.path, target.path, error)
            tally.failed += 1
            continue
        tally.copied += 1
        return True
    return False
