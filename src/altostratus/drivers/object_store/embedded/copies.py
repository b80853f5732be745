# SPDX-License-Identifier: Apache-2.0
"""Where one copy of a blob lies on a disk: in a file of its own, or in a pack. Both are asked in the same way.

Every method raises FileNotFoundError if the copy is not there, DamagedError if it is not what was written.
"""

import os
from typing import NamedTuple

from altostratus.drivers.object_store.whole_file import sync_directory

from .blob_file import BlobFile, DamagedError
from .packs import HEADER_BYTES, UNIT_BYTES, Pack, PackedBlob


class FileCopy(NamedTuple):
    """A file of its own."""

    path: str

    def open(self) -> BlobFile:
        return BlobFile(self.path)

    def exists(self) -> bool:
        return os.path.exists(self.path)

    def written_at(self) -> float:
        """Seconds since 1970."""
        return os.stat(self.path).st_mtime

    def remove(self) -> None:
        os.unlink(self.path)

    def set_aside(self, target: str) -> None:
        os.replace(self.path, target)
        sync_directory(os.path.dirname(target))

    @property
    def data_at(self) -> int:
        """Where the data begins in the file, in bytes."""
        return 0


class PackedCopy(NamedTuple):
    """A record of a pack."""

    path: str
    unit: int

    def open(self) -> PackedBlob:
        with Pack(self.path) as pack:
            return pack.read(self.unit)

    def exists(self) -> bool:
        """Whole or damaged."""
        try:
            with Pack(self.path) as pack:
                return bool(pack.raw(self.unit))
        except FileNotFoundError:
            return False

    def written_at(self) -> float:
        with Pack(self.path) as pack:
            try:
                return pack.head(self.unit).written_us / 1e6
            except DamagedError:
                return os.stat(self.path).st_mtime

    def remove(self) -> None:
        """The file goes with its last record."""
        with Pack(self.path, os.O_RDWR) as pack:
            pack.punch(self.unit)
            if pack.is_nobodys():
                os.unlink(self.path)

    def set_aside(self, target: str) -> None:
        with Pack(self.path) as pack:
            kept = pack.raw(self.unit)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(descriptor, kept)
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        sync_directory(os.path.dirname(target))
        self.remove()

    @property
    def data_at(self) -> int:
        return self.unit * UNIT_BYTES + HEADER_BYTES
