# SPDX-License-Identifier: Apache-2.0
"""Images as files of one directory."""

import contextlib
import errno
import hashlib
import logging
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator

from altostratus.contracts.image_store import DiskFacts, ImageStoreError, Readable, StoredImage
from altostratus.drivers.image_store.inspect import DEFAULT_MAX_VIRTUAL_BYTES, inspect_file
from altostratus.kernel.processors import anywhere
from altostratus.kernel.turns import release_turn

# larger ones cost the HTTP server a question to the system each (docs/decisions/0013)
CHUNK_BYTES = 1 << 19
_ZEROS = bytes(CHUNK_BYTES)
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_TEMPORARY_PREFIX = ".upload-"
_HASH_ALGORITHM = "sha512"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})

logger = logging.getLogger(__name__)


class FileImageStore:
    """`contracts.image_store.ImageStore` in `directory` (made if missing), a file per image named by its id.

    A location is `<name>:<image id>`, so the directory may move. Runs of zeros are stored as holes.
    `mode` is the permission of finished files; QEMU may run as another user than this process.
    """

    def __init__(
        self,
        directory: str,
        *,
        name: str = "file",
        mode: int = 0o644,
        max_virtual_bytes: int = DEFAULT_MAX_VIRTUAL_BYTES,
    ) -> None:
        self.name = name
        self._directory = os.path.abspath(directory)
        self._mode = mode
        self._max_virtual_bytes = max_virtual_bytes
        os.makedirs(self._directory, mode=0o755, exist_ok=True)

    def write(self, image_id: str, data: Readable, *, expected_size: int | None, max_bytes: int) -> StoredImage:
        """See the contract. `max_bytes` counts what is received, zeros included."""
        target = self._path_of_id(image_id)
        if expected_size is not None and expected_size > max_bytes:
            raise _too_large(max_bytes)
        with self._errors_for_people("stored"):
            descriptor, temporary = tempfile.mkstemp(prefix=f"{_TEMPORARY_PREFIX}{image_id}-", dir=self._directory)
            try:
                stored = self._receive(descriptor, temporary, image_id, data, _Limits(expected_size, max_bytes))
                os.replace(temporary, target)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temporary)
                raise
            finally:
                os.close(descriptor)
            self._fsync_directory()
        return stored

    def _receive(
        self, descriptor: int, temporary: str, image_id: str, data: Readable, limits: "_Limits"
    ) -> StoredImage:
        digests = _Digests()
        size = 0
        with anywhere():
            while chunk := data.read(CHUNK_BYTES):
                size += len(chunk)
                limits.check_running(size)
                digests.update(chunk)
                if chunk == _ZEROS[: len(chunk)]:
                    os.lseek(descriptor, len(chunk), os.SEEK_CUR)
                else:
                    _write_all(descriptor, chunk)
        limits.check_end(size)
        os.ftruncate(descriptor, size)
        os.fchmod(descriptor, self._mode)
        release_turn()
        os.fsync(descriptor)
        return self._stored(image_id, temporary, size, digests)

    def adopt(self, image_id: str, path: str) -> StoredImage:
        """See the contract. A file on another file system is copied, then removed."""
        target = self._path_of_id(image_id)
        with self._errors_for_people("taken over"):
            if not os.path.exists(path) and os.path.exists(target):
                return self._measure(image_id, target)
            if not os.path.isfile(path) or os.path.islink(path):
                raise ImageStoreError("missing", f"There is no file '{path}' to take over as image {image_id}.")
            if os.stat(path).st_dev != os.stat(self._directory).st_dev:
                with open(path, "rb", buffering=0) as source:
                    size = os.fstat(source.fileno()).st_size
                    stored = self.write(image_id, source, expected_size=size, max_bytes=size)
                os.unlink(path)
                return stored
            with contextlib.suppress(PermissionError):  # another user's file, which may be readable already
                os.chmod(path, self._mode)
            stored = self._measure(image_id, path)
            os.replace(path, target)
            self._fsync_directory()
        return stored

    def _measure(self, image_id: str, path: str) -> StoredImage:
        digests = _Digests()
        size = 0
        with open(path, "rb", buffering=0) as source, anywhere():
            while chunk := source.read(CHUNK_BYTES):
                size += len(chunk)
                digests.update(chunk)
            release_turn()
            os.fsync(source.fileno())
        return self._stored(image_id, path, size, digests)

    def _stored(self, image_id: str, path: str, size: int, digests: "_Digests") -> StoredImage:
        return StoredImage(
            location=f"{self.name}:{image_id}",
            size_bytes=size,
            checksum=digests.md5.hexdigest(),
            os_hash_algo=_HASH_ALGORITHM,
            os_hash_value=digests.sha512.hexdigest(),
            facts=inspect_file(path, max_virtual_bytes=self._max_virtual_bytes),
        )

    def read(self, location: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """See the contract. `offset` and `length` in bytes; a range beyond the end is cut."""
        path = self._path(location)
        if offset < 0 or (length is not None and length < 0):
            raise ImageStoreError("invalid", "A range of an image starts at 0 or later and has no negative length.")
        with self._errors_for_people("read"):
            return _RangeReader(path, offset, length)

    def local_path(self, location: str) -> str | None:
        path = self._path(location)
        return path if os.path.isfile(path) else None

    def inspect(self, location: str) -> DiskFacts:
        """What the stored data is. Raises `ImageStoreError("missing")`."""
        with self._errors_for_people("inspected"):
            return inspect_file(self._path(location), max_virtual_bytes=self._max_virtual_bytes)

    def delete(self, location: str) -> None:
        with self._errors_for_people("deleted"), contextlib.suppress(FileNotFoundError):
            os.unlink(self._path(location))
            self._fsync_directory()

    def list_locations(self) -> list[str]:
        with self._errors_for_people("listed"), os.scandir(self._directory) as entries:
            return sorted(f"{self.name}:{e.name}" for e in entries if _ID.fullmatch(e.name) and e.is_file())

    def free_bytes(self) -> int | None:
        return shutil.disk_usage(self._directory).free

    def sweep(self, older_than_s: float = 3600.0) -> int:
        """See the contract."""
        removed = 0
        newest = time.time() - older_than_s
        with self._errors_for_people("swept"), os.scandir(self._directory) as entries:
            for entry in entries:
                if entry.name.startswith(_TEMPORARY_PREFIX) and entry.stat(follow_symlinks=False).st_mtime <= newest:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(entry.path)
                        removed += 1
        if removed:
            logger.info("removed %d unfinished uploads from %s", removed, self._directory)
        return removed

    def _path(self, location: str) -> str:
        store, _, image_id = location.partition(":")
        if store != self.name:
            raise ImageStoreError("invalid", f"Location '{location}' belongs to another store than '{self.name}'.")
        return self._path_of_id(image_id)

    def _path_of_id(self, image_id: str) -> str:
        if not _ID.fullmatch(image_id):
            raise ImageStoreError("invalid", "An image id consists of letters, digits, '-' and '_' only.")
        return os.path.join(self._directory, image_id)

    def _fsync_directory(self) -> None:
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            release_turn()
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def _errors_for_people(self, verb: str) -> Iterator[None]:
        try:
            yield
        except (ConnectionError, TimeoutError):
            raise  # from the stream that is uploaded, not from the disk
        except FileNotFoundError as error:
            raise ImageStoreError("missing", f"The image data is not in store '{self.name}'.") from error
        except OSError as error:
            if error.errno in _FULL:
                raise ImageStoreError(
                    "full", f"The disk of image store '{self.name}' is full. Delete images, or give it more space."
                ) from error
            reason = error.strerror or type(error).__name__
            raise ImageStoreError("io", f"The image could not be {verb} in store '{self.name}': {reason}.") from error


class _Digests:
    """MD5 and SHA-512 side by side."""

    def __init__(self) -> None:
        self.md5 = hashlib.md5(usedforsecurity=False)
        self.sha512 = hashlib.sha512()

    def update(self, chunk: bytes) -> None:
        self.md5.update(chunk)
        self.sha512.update(chunk)


class _Limits:
    """How many bytes may and must arrive."""

    def __init__(self, expected_size: int | None, max_bytes: int) -> None:
        self._expected_size = expected_size
        self._max_bytes = max_bytes

    def check_running(self, size: int) -> None:
        if size > self._max_bytes:
            raise _too_large(self._max_bytes)
        if self._expected_size is not None and size > self._expected_size:
            raise ImageStoreError("too_large", f"More data arrived than the {self._expected_size} bytes announced.")

    def check_end(self, size: int) -> None:
        if self._expected_size is not None and size < self._expected_size:
            raise ImageStoreError(
                "short", f"The upload ended after {size} of {self._expected_size} bytes. Upload the image again."
            )


class _RangeReader:
    """An iterator over a part of a file, closed at its end or by `close`."""

    def __init__(self, path: str, offset: int, length: int | None) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed by close()
        self._file.seek(offset)
        self._left = length

    def __iter__(self) -> "_RangeReader":
        return self

    def __next__(self) -> bytes:
        want = CHUNK_BYTES if self._left is None else min(CHUNK_BYTES, self._left)
        chunk = b"" if self._file.closed or not want else self._file.read(want)
        if not chunk:
            self.close()
            raise StopIteration
        if self._left is not None:
            self._left -= len(chunk)
        return chunk

    def close(self) -> None:
        """Give the file back; the iterator is at its end then."""
        self._file.close()


def _write_all(descriptor: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(descriptor, view) :]


def _too_large(max_bytes: int) -> ImageStoreError:
    return ImageStoreError("too_large", f"The image is larger than the {max_bytes} bytes that are allowed.")
