# SPDX-License-Identifier: Apache-2.0
"""Where image data lies, and what a safe look into a disk image tells."""

from collections.abc import Iterator
from typing import Protocol

import msgspec


class DiskFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a file really is, found without trusting a name. `unsafe` is None or the reason to refuse.

    `format` is `raw qcow2 qed vmdk vdi vhd vhdx iso gpt luks` (`gpt`: raw with an MBR or GPT partition
    table). `also` names further formats that the same bytes look like.
    """

    format: str
    virtual_size_bytes: int | None
    backing_file: str | None = None
    data_file: str | None = None
    unsafe: str | None = None
    also: tuple[str, ...] = ()


class DiskInspector(Protocol):
    """Looks into disk images by their bytes alone, opening nothing that they point at."""

    def inspect_file(self, path: str) -> DiskFacts:
        """Facts of a local file. Raises `OSError` if it cannot be read; never for odd content."""

    def why_refused(self, declared_format: str, facts: DiskFacts) -> str | None:
        """None if the content may be used under the declared format, else a sentence for people."""


class StoredImage(msgspec.Struct, frozen=True, kw_only=True):
    """Result of a finished upload. `checksum` is MD5 and `os_hash_value` SHA-512, both hex.

    `facts` is what the store saw in the data while it passed, if it looked.
    """

    location: str
    size_bytes: int
    checksum: str
    os_hash_algo: str
    os_hash_value: str
    facts: DiskFacts | None = None


class Readable(Protocol):
    """A stream of bytes, such as a request body."""

    def read(self, size: int, /) -> bytes: ...


class ImageStore(Protocol):
    """Driver contract. Data is streamed in constant memory and becomes visible only when complete."""

    name: str

    def write(self, image_id: str, data: Readable, *, expected_size: int | None, max_bytes: int) -> StoredImage:
        """Store atomically (temporary file, fsync, rename). Raises `ImageStoreError` for a short
        stream, too much data or a full disk; nothing is left then."""

    def adopt(self, image_id: str, path: str) -> StoredImage:
        """Take over a finished local file (a server snapshot) without copying where possible.

        `path` is gone afterwards. Repeating it after success returns the same result.
        """

    def read(self, location: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Chunks of the data. Raises `ImageStoreError("missing")` at once if there is none."""

    def local_path(self, location: str) -> str | None:
        """A path that QEMU on this host can open read-only, or None."""

    def inspect(self, location: str) -> DiskFacts:
        """What the stored data is. Raises `ImageStoreError("missing")`."""

    def delete(self, location: str) -> None:
        """Nothing there is success."""

    def list_locations(self) -> list[str]: ...

    def sweep(self, older_than_s: float = 3600.0) -> int:
        """Remove what killed uploads have left, if untouched for that long; returns how many."""

    def free_bytes(self) -> int | None: ...


class ImageStoreError(Exception):
    """Told for people. `code` is `short`, `too_large`, `full`, `missing`, `invalid` or `io`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class StagingArea(msgspec.Struct, frozen=True, kw_only=True):
    """A directory that agents write finished image files into, on the file system of the image store."""

    directory: str
