# SPDX-License-Identifier: Apache-2.0
"""Images in memory, for tests and simulated clouds."""

import hashlib
import os
import tempfile
import threading
from collections.abc import Iterator

from altostratus.contracts.image_store import DiskFacts, ImageStoreError, Readable, StoredImage
from altostratus.drivers.image_store.inspect import StreamInspector

CHUNK_BYTES = 1 << 20


class FakeImageStore:
    """`contracts.image_store.ImageStore` in memory.

    `fail_next` makes the next `write` or `adopt` raise it. `capacity_bytes` is when the store is full.
    With `directory`, `local_path` writes the data there when asked, for a real QEMU; else it is None.
    """

    simulated = True

    def __init__(self, *, name: str = "file", capacity_bytes: int = 1 << 40, directory: str | None = None) -> None:
        self.name = name
        self.capacity_bytes = capacity_bytes
        self.fail_next: ImageStoreError | None = None
        self._directory = directory
        self._images: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def write(self, image_id: str, data: Readable, *, expected_size: int | None, max_bytes: int) -> StoredImage:
        self._check_id(image_id)
        self._fail_if_asked()
        content = bytearray()
        while chunk := data.read(CHUNK_BYTES):
            content += chunk
            if len(content) > max_bytes or (expected_size is not None and len(content) > expected_size):
                raise ImageStoreError("too_large", f"The image is larger than the {max_bytes} bytes that are allowed.")
        if expected_size is not None and len(content) < expected_size:
            raise ImageStoreError("short", f"The upload ended after {len(content)} of {expected_size} bytes.")
        return self._keep(image_id, bytes(content))

    def adopt(self, image_id: str, path: str) -> StoredImage:
        self._check_id(image_id)
        self._fail_if_asked()
        if not os.path.isfile(path):
            if image_id in self._images:
                return self._keep(image_id, self._images[image_id])
            raise ImageStoreError("missing", f"There is no file '{path}' to take over as image {image_id}.")
        with open(path, "rb") as source:
            stored = self._keep(image_id, source.read())
        os.unlink(path)
        return stored

    def _keep(self, image_id: str, content: bytes) -> StoredImage:
        with self._lock:
            used = sum(len(other) for key, other in self._images.items() if key != image_id)
            if used + len(content) > self.capacity_bytes:
                raise ImageStoreError("full", f"Image store '{self.name}' is full. Delete images.")
            self._images[image_id] = content
        return StoredImage(
            location=f"{self.name}:{image_id}",
            size_bytes=len(content),
            checksum=hashlib.md5(content, usedforsecurity=False).hexdigest(),
            os_hash_algo="sha512",
            os_hash_value=hashlib.sha512(content).hexdigest(),
            facts=self._look(content),
        )

    def read(self, location: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        content = self._content(location)
        if offset < 0 or (length is not None and length < 0):
            raise ImageStoreError("invalid", "A range of an image starts at 0 or later and has no negative length.")
        end = len(content) if length is None else min(len(content), offset + length)
        return iter([content[at : min(at + CHUNK_BYTES, end)] for at in range(offset, end, CHUNK_BYTES)])

    def local_path(self, location: str) -> str | None:
        if self._directory is None or self._id(location) not in self._images:
            return None
        path = os.path.join(self._directory, self._id(location))
        if not os.path.exists(path):
            descriptor, temporary = tempfile.mkstemp(dir=self._directory)
            with open(descriptor, "wb") as target:
                target.write(self._content(location))
            os.replace(temporary, path)
        return path

    def inspect(self, location: str) -> DiskFacts:
        """What the stored data is. Raises `ImageStoreError("missing")`."""
        return self._look(self._content(location))

    def delete(self, location: str) -> None:
        with self._lock:
            self._images.pop(self._id(location), None)

    def list_locations(self) -> list[str]:
        return sorted(f"{self.name}:{image_id}" for image_id in self._images)

    def sweep(self, older_than_s: float = 3600.0) -> int:
        return 0

    def free_bytes(self) -> int | None:
        return self.capacity_bytes - sum(map(len, self._images.values()))

    @staticmethod
    def _look(content: bytes) -> DiskFacts:
        inspector = StreamInspector()
        inspector.feed(content)
        return inspector.facts()

    def _content(self, location: str) -> bytes:
        content = self._images.get(self._id(location))
        if content is None:
            raise ImageStoreError("missing", f"The image data is not in store '{self.name}'.")
        return content

    def _id(self, location: str) -> str:
        store, _, image_id = location.partition(":")
        if store != self.name:
            raise ImageStoreError("invalid", f"Location '{location}' belongs to another store than '{self.name}'.")
        return image_id

    @staticmethod
    def _check_id(image_id: str) -> None:
        if not 0 < len(image_id) <= 128 or not image_id.replace("-", "").replace("_", "").isalnum():
            raise ImageStoreError("invalid", "An image id consists of letters, digits, '-' and '_' only.")

    def _fail_if_asked(self) -> None:
        error, self.fail_next = self.fail_next, None
        if error is not None:
            raise error
