# SPDX-License-Identifier: Apache-2.0
"""Where the bytes of objects lie. Names, metadata and listings are rows of the object store service.

A *blob* is the data of one object or segment: written once, never changed, known by an id that the store
chooses. The way of a blob:

    write -> pending -> the service commits a row with its id -> settle
                     \\-> the service does not (crash, conflict) -> delete

`pending()` tells after a crash which blobs are in between, so that nothing is leaked.
"""

from collections.abc import Iterator
from typing import Literal, Protocol

import msgspec

Trouble = Literal["full", "short", "too_large", "missing", "damaged", "broken"]


class ObjectStoreError(Exception):
    """Something is wrong with a blob or a disk.

    reason   full: no room; short: the stream broke off; too_large: more than the limit;
             missing: no such blob; damaged: no intact copy is left; broken: too few disks work
    """

    def __init__(self, reason: Trouble, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Readable(Protocol):
    """A stream of bytes, such as a request's body. Fewer bytes than asked for are fine; none is the end."""

    def read(self, size: int, /) -> bytes: ...


class Blob(msgspec.Struct, frozen=True):
    """What was written."""

    id: str
    size: int


class ObjectStore(Protocol):
    """Driver contract. Thread-safe; data is streamed in constant memory."""

    name: str

    def write(self, data: Readable, *, expected_size: int | None = None, max_bytes: int | None = None) -> Blob:
        """Keep everything that `data` gives. On return a majority of the copies survives a power cut.

        Raises ObjectStoreError (full, short, too_large, broken), then nothing is left.
        """

    def settle(self, blob_id: str) -> None:
        """The blob belongs to a committed row now. Repeating it is harmless."""

    def read(self, blob_id: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The bytes of a range, verified. The first piece is read at once: `missing` and `damaged` are raised here.

        Damage found later ends the iteration with ObjectStoreError: the client sees a body that is too short.
        """

    def delete(self, blob_id: str) -> None:
        """Remove every copy that can be reached. A blob that is not there is fine."""

    def exists(self, blob_id: str) -> bool: ...

    def pending(self) -> Iterator[str]:
        """Blobs that were written and neither settled nor deleted, those of running uploads among them."""

    def blob_ids(self) -> Iterator[str]:
        """Every blob that any disk has, in no order, perhaps more than once."""

    def age_s(self, blob_id: str) -> float | None:
        """Seconds since the youngest copy, finished or not, was written to; None: there is none."""

    def locations(self, blob_id: str) -> list[str]:
        """URLs of the copies that there are, `file://HOST/...` or others that programs beside the data can open."""


class StoragePolicy(msgspec.Struct, frozen=True):
    """A way of keeping blobs that containers choose by its name: a ring or a pool of its own.

    An index is never used again: rows and ids of blobs name it.
    """

    index: int
    name: str
    aliases: tuple[str, ...] = ()
    default: bool = False
    deprecated: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.aliases)


# what there is where nobody made others
FIRST_POLICY = StoragePolicy(0, "Policy-0", default=True)


class StoragePolicies(Protocol):
    """Several stores as one. Only a write says which: afterwards a blob's id does, everywhere in `ObjectStore`."""

    def policies(self) -> tuple[StoragePolicy, ...]:
        """In order of their indexes; exactly one is the default."""

    def write_to(
        self, policy: int, data: Readable, *, expected_size: int | None = None, max_bytes: int | None = None
    ) -> Blob:
        """`ObjectStore.write` to the store of this policy. Raises ObjectStoreError (broken) if there is none."""
