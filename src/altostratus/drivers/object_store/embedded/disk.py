# SPDX-License-Identifier: Apache-2.0
"""One disk of the embedded store: files of blobs, by partition.

altostratus-disk             whose disk it is (`marks`)
objects/<partition>/<blob>   complete copies; <pack> many small ones together (`packs`)
pending/<blob>               copies being written, and finished ones whose row is not known to be committed; <pack> one
                             with such copies in it
copying/<blob>.<random>      copies that the replicator is making
quarantine/<blob>            copies that are not what was written, kept for people to look at

A copy is complete when its data, its name and every directory above it are flushed. Names in the other directories
are not flushed: what a power cut loses or brings back there is found by the sweep of orphans. A copy that such a cut
tore in a pack counts as damaged until then.
"""

import errno
import fcntl
import os
import shutil
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from altostratus.drivers.object_store.whole_file import sync_directory
from altostratus.kernel import ids

from . import marks, packs
from .blob_file import BlobFile, Checksums
from .copies import FileCopy, PackedCopy
from .packs import Pack, PackedBlob
from .ring import Device

_WRITE_FLAGS = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_LEAST_FREE_BYTES = 32 * 1024 * 1024
# larger ones are seldom read soon: they leave the kernel's cache to small ones, as Swift's do (its `keep_cache_size`)
KEPT_IN_MEMORY_BYTES = 5 << 20
# a copy that is being made is written to all the time
_FORGOTTEN_S = 3600.0


class Disk:
    """Every method raises OSError when the disk does not work; the caller turns to another one."""

    def __init__(self, device_id: int, path: str, mark: str = "", mount: str = "") -> None:
        self.id, self.path, self.mark, self.mount = device_id, Path(path), mark, mount
        self._objects, self._pending = f"{path}/objects", f"{path}/pending"
        self._copying, self._quarantine = f"{path}/copying", f"{path}/quarantine"
        self._preparing = threading.Lock()
        self._ready = False
        # partitions whose directories are flushed
        self._known: set[int] = set()

    def prepare(self) -> None:
        """Make the directories, as those of a new or replaced disk are missing; flush what others may have made.

        Raises WrongDiskError if it is another disk or is not mounted: nothing is written there then.
        """
        with self._preparing:
            self._ready = False
            self.demand_right()
            if self.mark and not marks.read(str(self.path)):
                marks.write(str(self.path), self.mark)
            self._known = set()
            for directory in (self._objects, self._pending, self._copying, self._quarantine):
                _ensure_directory(directory)
            there = self.partitions()
            sync_directory(self._objects)
            sync_directory(str(self.path))
            self._known = set(there)
            self._ready = True

    def demand_right(self) -> None:
        """Raises WrongDiskError, or OSError if the disk does not work."""
        marks.demand(str(self.path), self.mark, self.mount)

    def begin(self, blob_id: str, size: int = 0) -> int:
        """A descriptor of a new pending file, of so many bytes if that is known."""
        self.demand_room(size)
        return self._create(f"{self._pending}/{blob_id}")

    def finish(self, descriptor: int, blob_id: str, partition: int) -> None:
        """Make the written file a complete copy that survives a power cut. Closes the descriptor."""
        self._complete(descriptor, f"{self._pending}/{blob_id}", blob_id, partition)

    def settle(self, name: str) -> None:
        """Of a blob or a pack."""
        _unlink(f"{self._pending}/{name}")

    def remove(self, blob_id: str, partition: int) -> None:
        """The complete copy first: as long as it is pending, it is known to be nobody's."""
        with suppress(FileNotFoundError):
            self.copy_of(blob_id, partition).remove()
        _unlink(f"{self._pending}/{blob_id}")

    # packs

    def begin_pack(self, name: str, partition: int, size: int) -> int:
        """A descriptor of a new pack, held and pending, whose name is flushed. `size`: bytes that will be written."""
        self.demand_room(size)
        descriptor = self._create(f"{self._pending}/{name}")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)  # as `Pack.hold`
            self._link(f"{self._pending}/{name}", partition, name)
        except BaseException:
            os.close(descriptor)
            _unlink(f"{self._pending}/{name}")
            raise
        return descriptor

    def open_pack(self, name: str, partition: int) -> int:
        """A descriptor of one that is written to again, held and pending. Raises FileNotFoundError if it is gone."""
        if not self._ready:
            self.prepare()
        path = f"{self._partition(partition)}/{name}"
        with suppress(FileExistsError):
            os.link(path, f"{self._pending}/{name}")
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            # it may have lost its last blob meanwhile, and that name with it
            if os.stat(path).st_ino != os.fstat(descriptor).st_ino:
                raise FileNotFoundError(errno.ENOENT, "it is another pack", path)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def doubts_pack(self, name: str) -> bool:
        """Is it pending?"""
        return os.path.exists(f"{self._pending}/{name}")

    def drop_pack(self, name: str, partition: int) -> None:
        """If nothing is in it, and nobody writes to it."""
        path = f"{self._partition(partition)}/{name}"
        for one in (path, f"{self._pending}/{name}"):
            with suppress(FileNotFoundError), Pack(one) as pack:
                if pack.is_nobodys():
                    _unlink(path)
                    _unlink(f"{self._pending}/{name}")

    def blobs_in_pack(self, name: str, partition: int) -> list[str]:
        """Those that are damaged, too."""
        try:
            with Pack(f"{self._partition(partition)}/{name}") as pack:
                return [packs.blob_in(name, unit) for unit in pack.units()]
        except FileNotFoundError:
            return []

    # copies

    def copy_of(self, blob_id: str, partition: int) -> FileCopy | PackedCopy:
        directory = self._partition(partition)
        if packs.is_packed(blob_id):
            return PackedCopy(f"{directory}/{packs.pack_of(blob_id)}", packs.unit_of(blob_id))
        return FileCopy(f"{directory}/{blob_id}")

    def take_copy(self, source: BlobFile | PackedBlob, blob_id: str, partition: int) -> None:
        """Another verified copy. Raises DamagedError if the source is not intact; nothing is left then."""
        self.demand_room(source.size)
        if isinstance(source, PackedBlob):
            self._put_into_pack(b"".join(source.blocks()), blob_id, partition)
        else:
            self._take_file(source, blob_id, partition)

    def _put_into_pack(self, data: bytes, blob_id: str, partition: int) -> None:
        """Into a new one, if it is the first; somebody may be removing an empty one at this moment."""
        if not self._ready:
            self.prepare()
        name, unit = packs.pack_of(blob_id), packs.unit_of(blob_id)
        while True:
            directory = self._partition_directory(partition)
            with Pack(f"{directory}/{name}", os.O_RDWR | os.O_CREAT) as pack:
                if pack.hold():
                    pack.put(unit, packs.record(blob_id, data))
                    sync_directory(directory)
                    return

    def _take_file(self, source: BlobFile, blob_id: str, partition: int) -> None:
        draft = f"{self._copying}/{blob_id}.{ids.new_hex_id()[:8]}"
        descriptor = self._create(draft)
        try:
            try:
                checksums = Checksums()
                for block in source.blocks():
                    checksums.add(block)
                    write_all(descriptor, block)
                write_all(descriptor, checksums.ending())
            except BaseException:
                os.close(descriptor)
                raise
            self._complete(descriptor, draft, blob_id, partition)
        finally:
            _unlink(draft)

    def forget_copying(self) -> None:
        """Remove copies that nobody is making any longer."""
        for name in _names(self._copying):
            path = f"{self._copying}/{name}"
            try:
                if time.time() - os.stat(path).st_mtime > _FORGOTTEN_S:
                    os.unlink(path)
            except FileNotFoundError:
                continue

    def open(self, blob_id: str, partition: int) -> BlobFile | PackedBlob:
        """Raises DamagedError or FileNotFoundError besides."""
        return self.copy_of(blob_id, partition).open()

    def has(self, blob_id: str, partition: int) -> bool:
        return self.copy_of(blob_id, partition).exists()

    def age_s(self, blob_id: str, partition: int) -> float | None:
        """Seconds since the copy, finished or not, was written to; None: there is none."""
        for copy in (self.copy_of(blob_id, partition), FileCopy(f"{self._pending}/{blob_id}")):
            try:
                return max(0.0, time.time() - copy.written_at())
            except (FileNotFoundError, NotADirectoryError):
                continue
        return None

    def url_of(self, blob_id: str, partition: int) -> str:
        """Of the file. For a blob in a pack it says where its data begins there, in bytes."""
        copy = self.copy_of(blob_id, partition)
        where = f"#blob={blob_id}&offset={copy.data_at}" if packs.is_packed(blob_id) else ""
        return f"file://{socket.gethostname()}{quote(copy.path)}{where}"

    def quarantine(self, blob_id: str, partition: int) -> None:
        _ensure_directory(self._quarantine)
        self.copy_of(blob_id, partition).set_aside(f"{self._quarantine}/{blob_id}")

    def quarantined(self) -> list[str]:
        return _names(self._quarantine)

    def of_quarantined(self, blob_id: str) -> tuple[int, float]:
        """(bytes of the file, seconds since it was put there)"""
        found = os.stat(f"{self._quarantine}/{blob_id}")
        return found.st_size, max(0.0, time.time() - found.st_ctime)

    def purge(self, blob_id: str) -> None:
        _unlink(f"{self._quarantine}/{blob_id}")

    def partitions(self) -> list[int]:
        return sorted(int(name, 16) for name in _names(self._objects))

    def blobs_in(self, partition: int) -> list[str]:
        found = []
        for name in _names(self._partition(partition)):
            found += self.blobs_in_pack(name, partition) if packs.is_pack(name) else [name]
        return found

    def pending(self) -> list[str]:
        """Blobs, and packs that have some."""
        return _names(self._pending)

    def room(self) -> tuple[int, int]:
        """(free, whole) bytes."""
        found = shutil.disk_usage(self.path)
        return found.free, found.total

    def demand_room(self, size: int) -> None:
        """Raises OSError (ENOSPC) if `size` more bytes would take what must stay free.

        The cloud's database may lie on the same disk, and nothing could be deleted any longer. Upstream leaves 1 % free
        as well (`fallocate_reserve`).
        """
        found = os.statvfs(self.path)
        whole, free = found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
        # a file system that does not know its size says 0
        if whole and free - size < max(whole // 100, min(_LEAST_FREE_BYTES, whole // 20)):
            raise OSError(errno.ENOSPC, "it is full: what is left stays free for the cloud's database", str(self.path))

    def _create(self, path: str) -> int:
        if not self._ready:
            self.prepare()
        try:
            return os.open(path, _WRITE_FLAGS, 0o600)
        except FileNotFoundError:
            self.prepare()
            return os.open(path, _WRITE_FLAGS, 0o600)

    def _complete(self, descriptor: int, draft: str, blob_id: str, partition: int) -> None:
        try:
            os.fdatasync(descriptor)
            if os.fstat(descriptor).st_size > KEPT_IN_MEMORY_BYTES:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
        self._link(draft, partition, blob_id)

    def _link(self, draft: str, partition: int, name: str) -> None:
        """Give the file its name, flushed."""
        directory = self._partition_directory(partition)
        try:
            os.link(draft, f"{directory}/{name}")
        except FileExistsError:
            pass  # somebody else made it
        except FileNotFoundError:
            self._known.discard(partition)
            os.link(draft, f"{self._partition_directory(partition)}/{name}")
        sync_directory(directory)

    def _partition(self, partition: int) -> str:
        return f"{self._objects}/{partition:05x}"

    def _partition_directory(self, partition: int) -> str:
        """Flushed before it is known: whoever finds it there may be faster than the one who made it."""
        directory = self._partition(partition)
        if partition not in self._known:
            _ensure_directory(directory)
            sync_directory(self._objects)
            self._known.add(partition)
        return directory


def disk_of(device: Device) -> Disk:
    return Disk(device.id, device.path, device.mark, device.mount)


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    written = os.write(descriptor, data)
    while written < len(data):  # a signal, or the last room of the disk
        written += os.write(descriptor, memoryview(data)[written:])


def is_full(error: OSError) -> bool:
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def _ensure_directory(path: str | Path) -> None:
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        if not os.path.isdir(path):
            raise
