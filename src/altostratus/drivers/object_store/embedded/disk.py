# SPDX-License-Identifier: Apache-2.0
"""One disk of the embedded store: files of blobs, by partition.

objects/<partition>/<blob>   complete copies
pending/<blob>               copies being written, and finished ones whose row is not known to be committed
quarantine/<blob>            copies that are not what was written, kept for people to look at
"""

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from .blob_file import BlobFile, Checksums

_WRITE_FLAGS = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW


class Disk:
    """Every method raises OSError when the disk does not work; the caller turns to another one."""

    def __init__(self, device_id: int, path: str) -> None:
        self.id, self.path = device_id, Path(path)
        self._objects, self._pending = self.path / "objects", self.path / "pending"
        self._quarantine = self.path / "quarantine"
        self._known: set[int] = set()

    def prepare(self) -> None:
        """Make the directories, as those of a new or replaced disk are missing."""
        self._known = set()
        for directory in (self.path, self._objects, self._pending, self._quarantine):
            directory.mkdir(exist_ok=True, mode=0o700)
        _sync_directory(self.path)

    def begin(self, blob_id: str) -> int:
        """A descriptor of a new pending file."""
        path = self._pending / blob_id
        try:
            return os.open(path, _WRITE_FLAGS, 0o600)
        except FileNotFoundError:
            self.prepare()
            return os.open(path, _WRITE_FLAGS, 0o600)

    def finish(self, descriptor: int, blob_id: str, partition: int) -> None:
        """Make the written file a complete copy that survives a power cut. Closes the descriptor."""
        try:
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        directory = self._partition_directory(partition)
        try:
            os.link(self._pending / blob_id, directory / blob_id)
        except FileExistsError:
            pass  # repeated
        except FileNotFoundError:
            self._known.discard(partition)
            os.link(self._pending / blob_id, self._partition_directory(partition) / blob_id)
        _sync_directory(directory)

    def settle(self, blob_id: str) -> None:
        (self._pending / blob_id).unlink(missing_ok=True)

    def remove(self, blob_id: str, partition: int) -> None:
        """The complete copy first: as long as it is pending, it is known to be nobody's."""
        (self._objects / _name_of(partition) / blob_id).unlink(missing_ok=True)
        (self._pending / blob_id).unlink(missing_ok=True)

    def open(self, blob_id: str, partition: int) -> BlobFile:
        """Raises DamagedError or FileNotFoundError besides."""
        return BlobFile(str(self._objects / _name_of(partition) / blob_id))

    def has(self, blob_id: str, partition: int) -> bool:
        return (self._objects / _name_of(partition) / blob_id).exists()

    def quarantine(self, blob_id: str, partition: int) -> None:
        self._quarantine.mkdir(exist_ok=True, mode=0o700)
        os.replace(self._objects / _name_of(partition) / blob_id, self._quarantine / blob_id)
        _sync_directory(self._quarantine)

    def partitions(self) -> list[int]:
        try:
            return sorted(int(name, 16) for name in os.listdir(self._objects))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def blobs_in(self, partition: int) -> list[str]:
        try:
            return os.listdir(self._objects / _name_of(partition))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def pending(self) -> Iterator[str]:
        try:
            yield from os.listdir(self._pending)
        except (FileNotFoundError, NotADirectoryError):
            return

    def room(self) -> tuple[int, int]:
        """(free, whole) bytes."""
        found = shutil.disk_usage(self.path)
        return found.free, found.total

    def _partition_directory(self, partition: int) -> Path:
        directory = self._objects / _name_of(partition)
        if partition not in self._known:
            try:
                directory.mkdir(mode=0o700)
            except FileExistsError:
                pass
            else:
                _sync_directory(self._objects)
            self._known.add(partition)
        return directory


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def copy_blob(source: BlobFile, target: Disk, blob_id: str, partition: int) -> None:
    """Another verified copy on `target`. Raises DamagedError if the source is not intact; nothing is left then."""
    target.settle(blob_id)  # what an earlier try left
    descriptor = target.begin(blob_id)
    try:
        checksums = Checksums()
        for block in source.blocks():
            checksums.add(block)
            write_all(descriptor, block)
        write_all(descriptor, checksums.ending())
    except BaseException:
        os.close(descriptor)
        target.settle(blob_id)
        raise
    target.finish(descriptor, blob_id, partition)
    target.settle(blob_id)


def is_full(error: OSError) -> bool:
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def _name_of(partition: int) -> str:
    return f"{partition:05x}"


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
