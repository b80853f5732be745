# SPDX-License-Identifier: Apache-2.0
"""The body of a request: taken out of its wrapping, counted, and checked at its end."""

import base64
import binascii
import hashlib
import re
from collections.abc import Collection, Mapping
from typing import Protocol
from xml.etree.ElementTree import Element

from altostratus.contracts.object_store import ObjectStoreError, Readable
from altostratus.kernel.resource.call import Call
from altostratus.services.object_store.api.receiving import expected_size
from altostratus.services.object_store.config import ObjectStoreOptions
from altostratus.services.object_store.errors import of_driver
from altostratus.services.object_store.logic import checksums
from altostratus.services.object_store.s3 import xml
from altostratus.services.object_store.s3.chunks import Unchunked
from altostratus.services.object_store.s3.errors import S3Error
from altostratus.services.object_store.s3.signatures import Signed

PREFIX = "x-amz-checksum-"
_NO_ALGORITHMS = ("type", "mode", "algorithm")
_PIECE = 256 * 1024
_MOST_XML = 4 * 1024 * 1024
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Summed:
    """A stream that knows the checksums of what it gave."""

    def __init__(self, stream: Readable, algorithms: Collection[str]) -> None:
        self._stream = stream
        self._hashes = {name: checksums.new_hash(name) for name in sorted(algorithms)}

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        for one in self._hashes.values():
            one.update(data)
        return data

    @property
    def checksums(self) -> dict[str, str]:
        """In base64, by algorithm."""
        return {name: checksums.text_of(one.digest()) for name, one in self._hashes.items()}


class Checked(Protocol):
    """A stream that is known to be right when `finish` has not raised. size: None if it is not told beforehand."""

    @property
    def size(self) -> int | None: ...

    def read(self, size: int, /) -> bytes: ...

    def finish(self, md5: str) -> dict[str, str]: ...


class Body:
    """A request's body. Read it to its end, then ask `finish`: only then it is known to be right.

    `wanted`: algorithms whose checksums are asked for, besides those that the client gives.
    """

    def __init__(
        self, call: Call, signed: Signed | None, wanted: Collection[str] = (), *, checksums_stand_for_it: bool = True
    ) -> None:
        self._headers = call.headers
        payload = signed.payload if signed is not None else call.headers.get("X-AMZ-CONTENT-SHA256", "")
        self._unchunked = _unchunked(call.stream, payload, signed)
        self._announced = given_in(call.headers) if checksums_stand_for_it else {}
        self._stream = Summed(self._unchunked or call.stream, {*self._announced, *_trailed(call.headers), *wanted})
        self._sha256 = (payload, hashlib.sha256()) if _DIGEST.fullmatch(payload) else None
        self.size = _decoded_size(call) if self._unchunked else expected_size(call)

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        if self._sha256 is not None:
            self._sha256[1].update(data)
        return data

    def finish(self, md5: str) -> dict[str, str]:
        """Checksums by algorithm, in base64. `md5` is what came. Raises S3Error, BadRequest."""
        try:
            if self.read(1):
                raise S3Error("IncompleteBody", "The body is longer than it was said to be.")
        except (OSError, ObjectStoreError) as error:
            raise S3Error("IncompleteBody", f"The body broke off: {error}.") from error
        if self._sha256 is not None and self._sha256[1].hexdigest() != self._sha256[0]:
            raise S3Error("XAmzContentSHA256Mismatch", "The body is not the one that x-amz-content-sha256 names.")
        _demand_md5(self._headers.get("CONTENT-MD5"), md5)
        trailers = self._unchunked.trailers if self._unchunked else {}
        given = {name: trailers.get(PREFIX + name, "") for name in _trailed(self._headers)}
        made = self._stream.checksums
        checksums.demand_same(made, given | self._announced)
        return made


def given_in(headers: Mapping[str, str]) -> dict[str, str]:
    """Checksums that stand in headers, by algorithm."""
    found = {name[len(PREFIX) :].lower(): value for name, value in headers.items() if name.lower().startswith(PREFIX)}
    return {name: value for name, value in found.items() if name not in _NO_ALGORITHMS}


def shown_in(made: Mapping[str, str], whole: Mapping[str, str] | None = None) -> dict[str, str]:
    """Headers that tell checksums, and the type of those that the whole object has."""
    if not made:
        return {}
    told = {PREFIX + name: value for name, value in made.items()}
    return {**told, f"{PREFIX}type": checksums.type_of(next(iter((whole or made).values())))}


def read_xml(call: Call, signed: Signed | None, root: str, *, checksums_stand_for_it: bool = True) -> Element:
    """The body as XML. Raises S3Error for one that is too large, not what was signed, or no such XML.

    `checksums_stand_for_it`: those in headers are of this body, not of an object that it is about.
    """
    data = read_small(call, signed, checksums_stand_for_it=checksums_stand_for_it)
    try:
        return xml.parse(data, root)
    except ValueError as error:
        raise S3Error(
            "MalformedXML", f"The XML you provided was not well-formed or not what is wanted: {error}."
        ) from (None)


def read_small(call: Call, signed: Signed | None, *, checksums_stand_for_it: bool = True) -> bytes:
    if not call.headers.get("CONTENT-LENGTH") and not call.headers.get("TRANSFER-ENCODING"):
        return b""
    body, data = Body(call, signed, checksums_stand_for_it=checksums_stand_for_it), bytearray()
    try:
        while piece := body.read(_PIECE):
            data += piece
            if len(data) > _MOST_XML:
                raise S3Error("MalformedXML", f"The body has more than {_MOST_XML} bytes.")
    except (OSError, ObjectStoreError) as error:
        raise S3Error("IncompleteBody", f"The body broke off: {error}.") from error
    body.finish(hashlib.md5(data, usedforsecurity=False).hexdigest())
    return bytes(data)


def _unchunked(stream: Readable, payload: str, signed: Signed | None) -> Unchunked | None:
    if not payload.startswith("STREAMING-"):
        return None
    key = signed.chunks if signed is not None else None
    trailed = payload.endswith("-TRAILER")
    if payload.removesuffix("-TRAILER") == "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" and key is not None:
        return Unchunked(stream, key, trailed=trailed)
    if payload == "STREAMING-UNSIGNED-PAYLOAD-TRAILER":
        return Unchunked(stream, None, trailed=True)
    raise S3Error("NotImplemented", f"Bodies of the kind {payload} are not known here. Use AWS4-HMAC-SHA256.")


def _decoded_size(call: Call) -> int:
    text = call.headers.get("X-AMZ-DECODED-CONTENT-LENGTH", "")
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise S3Error("MissingContentLength", "A body in pieces needs x-amz-decoded-content-length.")
    size = int(text)
    most = call.cloud[ObjectStoreOptions].max_object_bytes
    if size > most:
        raise of_driver(ObjectStoreError("too_large", f"It has {size} bytes; the most is {most}. Upload it in parts."))
    return size


def _trailed(headers: Mapping[str, str]) -> list[str]:
    """Algorithms of the checksums that come after the body."""
    names = (name.strip().lower() for name in headers.get("X-AMZ-TRAILER", "").split(","))
    return [name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX)]


def _demand_md5(given: str | None, made: str) -> None:
    if given is None:
        return
    try:
        digest = base64.b64decode(given, validate=True)
    except binascii.Error:
        digest = b""
    if len(digest) != 16:
        raise S3Error("InvalidDigest", "Content-MD5 is not the base64 of an MD5.")
    if digest.hex() != made:
        raise S3Error("BadDigest", "The Content-MD5 you specified did not match what we received.")
