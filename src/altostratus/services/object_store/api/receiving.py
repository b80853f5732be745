# SPDX-License-Identifier: Apache-2.0
"""The bytes of an upload on their way to the store, and the headers that describe them."""

import functools
import hashlib
import mimetypes
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

from altostratus.contracts.object_store import ObjectStoreError, Readable, StoragePolicies
from altostratus.kernel import clock
from altostratus.kernel.errors import ApiError, BadRequest, TooLarge
from altostratus.kernel.numbers import whole_number
from altostratus.kernel.resource.call import Call
from altostratus.services.object_store.api.visits import store_of
from altostratus.services.object_store.config import ObjectStoreOptions
from altostratus.services.object_store.errors import LengthRequired, Unprocessable, of_driver
from altostratus.services.object_store.logic import metadata
from altostratus.services.object_store.logic.contents import DYNAMIC

# given back as they came
KEPT_HEADERS = (
    "content-encoding", "content-disposition", "content-language", "cache-control", "expires", "x-robots-tag",
    DYNAMIC,
)  # fmt: skip
_LONGEST_ENDINGS = 40
_EMPTY_MD5 = hashlib.md5(b"", usedforsecurity=False).hexdigest()


class Hashed:
    """A stream that knows the MD5 of what it gave. A client that goes away is a stream that is too short."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._md5 = hashlib.md5(usedforsecurity=False)

    def read(self, size: int, /) -> bytes:
        try:
            data = self._stream.read(size)
        except OSError as error:
            raise ObjectStoreError("short", f"The upload was broken off ({error}).") from error
        self._md5.update(data)
        return data

    @property
    def md5(self) -> str:
        return self._md5.hexdigest()


class Pieces:
    """Pieces of bytes as a stream."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces, self._rest = iter(pieces), b""

    def read(self, size: int, /) -> bytes:
        if not self._rest:
            self._rest = next(self._pieces, b"")
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


def receive(call: Call, policy: int, stream: Readable, expected: int | None) -> tuple[str | None, int, str]:
    """(blob id or None for no bytes, size, MD5) of a stream that is in the store of this policy now, pending."""
    if expected == 0:
        return None, 0, _EMPTY_MD5
    hashed = Hashed(stream)
    most = call.cloud[ObjectStoreOptions].max_object_bytes
    try:
        if policy:
            places = call.cloud.part(StoragePolicies)  # type: ignore[type-abstract]
            blob = places.write_to(policy, hashed, expected_size=expected, max_bytes=most)
        else:
            blob = store_of(call).write(hashed, expected_size=expected, max_bytes=most)
    except ObjectStoreError as error:
        raise of_driver(error) from error
    return blob.id, blob.size, hashed.md5


@contextmanager
def given_back(call: Call, blob_id: str | None) -> Iterator[None]:
    """Bytes whose row is refused inside go at once.

    After another trouble nobody knows whether the row was committed: then they stay pending, and the sweep asks later.
    """
    try:
        yield
    except ApiError:
        if blob_id is not None:
            store_of(call).delete(blob_id)
        raise


def expected_size(call: Call) -> int | None:
    """Bytes that will come; None for a chunked body. Raises LengthRequired, BadRequest, TooLarge."""
    chunked = call.headers.get("TRANSFER-ENCODING", "").lower()
    if chunked == "chunked":
        return None
    text = call.headers.get("CONTENT-LENGTH", "")
    if not text:
        raise LengthRequired("Missing Content-Length header. Say how long the object is, or send it chunked.")
    size = whole_number(text)
    if size is None:
        raise BadRequest(f"Invalid Content-Length: {text[:60]!r}.")
    most = call.cloud[ObjectStoreOptions].max_object_bytes
    if size > most:
        raise TooLarge(f"Your request is too large: {size} bytes; the most is {most}. Upload it in segments.")
    return size


def demand_etag(call: Call, md5: str) -> None:
    """Raises Unprocessable if the client sent another checksum than that of what came."""
    given = call.headers.get("ETAG", "").strip('"').lower()
    if given and given != md5:
        raise Unprocessable(f"The ETag {given} is not the MD5 of what came, {md5}. Nothing was stored.")


def content_type_of(call: Call, name: str) -> str:
    given = call.headers.get("CONTENT-TYPE", "")
    if given and call.headers.get("X-DETECT-CONTENT-TYPE", "").lower() not in ("true", "1", "yes", "on"):
        return given
    return guessed_type(name)


def guessed_type(name: str) -> str:
    """By the last two endings of the name, `.tar.gz`."""
    return _type_of_endings(".".join(name.rpartition("/")[2].rsplit(".", 2)[1:])[-_LONGEST_ENDINGS:])


@functools.lru_cache(maxsize=1024)
def _type_of_endings(endings: str) -> str:
    return mimetypes.guess_type(f"name.{endings}")[0] or "application/octet-stream"


def described(call: Call) -> dict[str, Any]:
    """Columns `meta`, `headers` and `expires_at` of what the request says about an object."""
    meta = metadata.given(call.headers, "OBJECT")
    metadata.demand_limits(call.cloud[ObjectStoreOptions], meta)
    headers = {name: call.headers[name.upper()] for name in KEPT_HEADERS if name.upper() in call.headers}
    if DYNAMIC in headers and not all(unquote(headers[DYNAMIC]).lstrip("/").partition("/")[::2]):
        raise BadRequest("X-Object-Manifest must be in the format container/prefix.")
    return {"meta": meta, "headers": headers, "expires_at": expiry_of(call)}


def expiry_of(call: Call) -> int | None:
    """Whole seconds since 1970. Raises BadRequest for what is no moment in the future."""
    return expiry_in(call.headers.get("X-DELETE-AFTER"), call.headers.get("X-DELETE-AT"))


def expiry_in(after: str | None, at: str | None) -> int | None:
    """The moment that is that many seconds away, or at that second. Raises BadRequest."""
    if not after and not at:
        return None
    name, text = ("X-Delete-After", after) if after else ("X-Delete-At", at or "")
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise BadRequest(f"Non-integer {name}: {text[:40]!r}.")
    now = int(clock.unix())
    moment = now + int(text) if after else int(text)
    if moment < now:
        raise BadRequest(f"{name} in past.")
    return moment
