# SPDX-License-Identifier: Apache-2.0
"""Where image data lies, and what a safe look into a disk image tells."""

from collections.abc import Iterator
from typing import Protocol

import msgspec


class StoredImage(msgspec.Struct, frozen=True, kw_only=True):
    """Result of a finished upload. `checksum` is MD5 and `os_hash_value` SHA-512, both hex."""

    location: str
    size_bytes: int
    checksum: str
    os_hash_algo: str
    os_hash_value: str


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
        """Take over a finished local file (a server snapshot) without copying where possible."""

    def read(self, location: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]: ...

    def local_path(self, location: str) -> str | None:
        """A path that QEMU on this host can open read-only, or None."""

    def delete(self, location: str) -> None:
        """Nothing there is success."""

    def list_locations(self) -> list[str]: ...

    def free_bytes(self) -> int | None: ...


class ImageStoreError(Exception):
    """Told for people. `code` is `short`, `too_large`, `full`, `missing` or `io`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class DiskFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a file really is, found without trusting a name. `unsafe` is None or the reason to refuse."""

    format: str
    virtual_size_bytes: int | None
    backing_file: str | None = None
    data_file: str | None = None
    unsafe: str | None = None
