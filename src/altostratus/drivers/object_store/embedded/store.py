# SPDX-License-Identifier: Apache-2.0
"""`EmbeddedStore`: objects in files on the disks of this machine, in as many copies as the ring says."""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from altostratus.contracts.object_store import Blob, ObjectStoreError, Readable
from altostratus.drivers.object_store import whole_file
from altostratus.kernel import ids, log
from altostratus.kernel.processors import anywhere

from . import marks, packs
from . import ring as rings
from .blob_file import DamagedError
from .deletes import Deletes
from .disk import Disk
from .packing import Packer
from .ring import Ring, RingError
from .uploads import Continued, Copy, begin, demand_size, drop, receive, start_of, write_to
from .view import View, refusal
from .writing import Buffers, WritingBehind

_log = log.get("drivers.object_store")
_FIRST_PART_POWER = 8
# one copy on one disk, two on two, three on three or more
REPLICAS = 3
_SYNCERS = 32


class EmbeddedStore:
    """`directory` holds the ring's file and, until others are added, the only disk."""

    name = "embedded"

    def __init__(self, directory: Path) -> None:
        self._directory, self._ring_file = str(directory), f"{directory}/ring.json"
        self._former_file = f"{self._ring_file}.before"
        self.audit_file = f"{directory}/audit.json"
        self._lock = threading.Lock()
        self.deletes = Deletes()
        self._syncers = ThreadPoolExecutor(_SYNCERS, "object-copies")
        self._packer = Packer(self._view, self._syncers)
        self._buffers = Buffers()
        self._seen: tuple[int, int] | None = None
        self._present = View(Ring(1, 1), {})
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not os.path.exists(self._ring_file) and not os.path.exists(self._former_file):
            self._make_first_ring()

    # the ring

    @property
    def ring(self) -> Ring:
        """The ring as its file says now; another process may have changed it."""
        return self._view().ring

    def change_ring(self, ring: Ring) -> None:
        """Put another ring in the place of the present one, whole or not at all. The present one is kept beside it."""
        self._keep_former()
        whole_file.replace(self._ring_file, rings.dump(ring))

    def alter_ring(self, change: Callable[[Ring], Ring]) -> Ring:
        """What `change` makes of the present ring; nobody else alters it meanwhile. Raises what `change` raises."""
        with whole_file.locked(self._ring_file):
            after = change(self.ring)
            self.change_ring(after)
        return after

    def disks(self, blob_id: str) -> tuple[list[Disk], list[Disk]]:
        """Those that should have the blob, and those that stand in for them."""
        view = self._view()
        partition = view.ring.partition_of(blob_id)
        return view.holders(partition), view.handoffs(partition)

    def all_disks(self) -> list[Disk]:
        return list(self._view().disks.values())

    def holders(self, partition: int) -> list[Disk]:
        return self._view().holders(partition)

    def in_order(self, partition: int) -> Iterator[Disk]:
        """Every disk, those first that should have the partition."""
        return self._view().in_order(partition)

    def _make_first_ring(self) -> None:
        """Of one disk, which is lost together with the ring if it is: there is no mount to look for."""
        first = f"{self._directory}/disk-1"
        os.makedirs(first, mode=0o700, exist_ok=True)
        empty = rings.create(_FIRST_PART_POWER, REPLICAS)
        mark = marks.read(first) or ids.new_hex_id()  # there is one where the ring alone was lost
        made, _ = rings.rebalance(rings.add(empty, first, 1, 100.0, mark=mark))
        with whole_file.locked(self._ring_file):
            if not os.path.exists(self._ring_file):
                whole_file.replace(self._ring_file, rings.dump(made))
        whole_file.sync_directory(os.path.dirname(self._directory))

    def _keep_former(self) -> None:
        draft = f"{self._former_file}.new"
        try:
            os.link(self._ring_file, draft)
            os.replace(draft, self._former_file)
        except FileExistsError:
            os.unlink(draft)  # of a command that was killed
            self._keep_former()

    def _view(self) -> View:
        """Raises RingError as long as there is no ring that can be read; one that was read once stays in force."""
        try:
            found = os.stat(self._ring_file)
        except FileNotFoundError:
            if self._seen is None:
                raise self._unreadable("it is not there") from None
            return self._present
        seen = found.st_mtime_ns, found.st_ino
        if seen != self._seen:
            with self._lock, open(self._ring_file, "rb") as handle:
                self._take(handle.read(), seen)
        return self._present

    def _take(self, data: bytes, seen: tuple[int, int]) -> None:
        try:
            self._present = View(rings.load(data), self._present.disks)
        except RingError as error:
            trouble = self._unreadable(str(error))
            if self._seen is None:
                raise trouble from None
            _log.error("%s Until then the ring before is in force.", trouble)
        self._seen = seen

    def _unreadable(self, why: str) -> RingError:
        if os.path.exists(self._former_file):
            advice = (
                f"The ring before its last change is in {self._former_file}: put that in its place (cp), "
                "repeat the last change, then run: alto ring replicate. Objects on disks of the ring are found again."
            )
        else:
            advice = "Bring it back from a backup, or move it away if no disk was ever added: a first ring is made."
        return RingError(f"The ring {self._ring_file} cannot be used: {why}. {advice}")

    # the contract

    def write(self, data: Readable, *, expected_size: int | None = None, max_bytes: int | None = None) -> Blob:
        if expected_size is None or expected_size <= packs.SMALL_BYTES:
            start = start_of(data, packs.SMALL_BYTES)
            if len(start) <= packs.SMALL_BYTES:
                demand_size(len(start), expected_size, max_bytes)
                return Blob(self._packer.write(start), len(start))
            data = Continued(start, data)
        return self._write_file(data, expected_size, max_bytes)

    def _write_file(self, data: Readable, expected_size: int | None, max_bytes: int | None) -> Blob:
        blob_id, view = ids.new_hex_id(), self._view()
        partition = view.ring.partition_of(blob_id)
        wanted = len(view.holders(partition))
        quorum = wanted // 2 + 1
        copies, troubles = begin(blob_id, view.in_order(partition), wanted, expected_size or 0)
        begun = list(copies)
        try:
            if len(copies) < quorum:
                raise refusal(troubles)
            writing = WritingBehind(self._syncers, self._buffers, lambda batch: write_to(copies, quorum, batch))
            with writing, anywhere():
                checksums = receive(data, writing, max_bytes)
                demand_size(checksums.size, expected_size, max_bytes)
                writing.add(checksums.ending())
            self._keep(blob_id, partition, copies, quorum)
        except BaseException:
            for copy in begun:
                drop(copy, blob_id, partition)
            raise
        return Blob(blob_id, checksums.size)

    def settle(self, blob_id: str) -> None:
        if packs.is_packed(blob_id):
            self._packer.settle(blob_id)
            return
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
        view = self._view()
        partition = view.ring.partition_of(blob_id)
        with self.deletes.of(blob_id):
            for disk in view.disks.values():
                try:
                    disk.remove(blob_id, partition)
                except OSError as error:
                    _log.warning("blob %s cannot be removed from %s now: %s", blob_id, disk.path, error)
            if packs.is_packed(blob_id):
                self._packer.settle(blob_id)

    def exists(self, blob_id: str) -> bool:
        view = self._view()
        partition = view.ring.partition_of(blob_id)
        return any(disk.has(blob_id, partition) for disk in view.disks.values())

    def age_s(self, blob_id: str) -> float | None:
        view = self._view()
        partition = view.ring.partition_of(blob_id)
        ages = [disk.age_s(blob_id, partition) for disk in view.disks.values()]
        return min((age for age in ages if age is not None), default=None)

    def locations(self, blob_id: str) -> list[str]:
        view = self._view()
        partition = view.ring.partition_of(blob_id)
        return [disk.url_of(blob_id, partition) for disk in view.in_order(partition) if disk.has(blob_id, partition)]

    def pending(self) -> Iterator[str]:
        begun: set[str] = set()
        for disk in self.all_disks():
            try:
                names = disk.pending()
            except OSError as error:
                _log.warning("what is pending on %s is not known: %s", disk.path, error)
                continue
            begun.update(filter(packs.is_pack, names))
            yield from (name for name in names if not packs.is_pack(name))
        for pack in sorted(begun):
            yield from self._packer.pending_in(pack)

    def blob_ids(self) -> Iterator[str]:
        for disk in self.all_disks():
            try:
                for partition in disk.partitions():
                    yield from disk.blobs_in(partition)
            except OSError as error:
                _log.warning("the blobs of %s are not known: %s", disk.path, error)

    # writing

    def _keep(self, blob_id: str, partition: int, copies: list[Copy], quorum: int) -> None:
        def finish(copy: Copy) -> OSError | None:
            descriptor, copy.descriptor = copy.descriptor, -1
            try:
                copy.disk.finish(descriptor, blob_id, partition)
            except OSError as error:
                return error
            return None

        others = [self._syncers.submit(finish, copy) for copy in copies[1:]]
        troubles = [finish(copies[0]), *(other.result() for other in others)]
        good = troubles.count(None)
        for copy, trouble in zip(list(copies), troubles, strict=True):
            if trouble is not None:
                _log.warning("blob %s was not kept on %s: %s", blob_id, copy.disk.path, trouble)
                if good >= quorum:
                    copies.remove(copy)
                    drop(copy, blob_id, partition)
        if good < quorum:
            raise refusal([trouble for trouble in troubles if trouble is not None])

    # reading

    def _read(self, blob_id: str, offset: int, length: int | None) -> Iterator[bytes]:
        """From one copy after the other, until one is intact."""
        view = self._view()
        partition = view.ring.partition_of(blob_id)
        damaged = False
        for disk in view.in_order(partition):
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


def _set_aside(disk: Disk, blob_id: str, partition: int, error: DamagedError) -> None:
    _log.error("blob %s on %s is damaged and put in quarantine: %s", blob_id, disk.path, error)
    try:
        disk.quarantine(blob_id, partition)
    except OSError as trouble:
        _log.warning("it could not be moved: %s", trouble)


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield first
        yield from rest
    finally:
        close = getattr(rest, "close", None)
        if close is not None:
            close()
