# SPDX-License-Identifier: Apache-2.0
"""`aws-chunked`: bodies that come in pieces with a head of their own, signed or not, and headers at their end."""

import hashlib
import re

from altostratus.contracts.object_store import ObjectStoreError, Readable
from altostratus.services.object_store.s3.errors import S3Error
from altostratus.services.object_store.s3.signatures import ChunkKey

_LONGEST_LINE = 4096
_MOST_TRAILERS = 16
_AT_ONCE = 256 * 1024
_HEAD = re.compile(rb"([0-9a-fA-F]{1,16})(?:;chunk-signature=([0-9a-f]{64}))?")
_EMPTY = hashlib.sha256(b"").hexdigest()


class Unchunked:
    """The bytes inside. With a `key` every piece must be signed, and the trailers too.

    A piece is given away before its signature was seen: who reads must not keep anything before the end, b"".
    """

    def __init__(self, stream: Readable, key: ChunkKey | None, *, trailed: bool) -> None:
        self._stream, self._key, self._trailed = stream, key, trailed
        self._buffer = b""
        self._left = 0
        self._stated = self._before = key.seed if key else ""
        self._digest = hashlib.sha256()
        self._state = "head"
        self.trailers: dict[str, str] = {}

    def read(self, size: int, /) -> bytes:
        """Raises S3Error for a wrong signature, ObjectStoreError for a body that breaks off."""
        while self._state == "head":
            self._next_piece()
        if self._state == "end":
            return b""
        data = self._take(min(size, self._left))
        self._left -= len(data)
        if self._key is not None:
            self._digest.update(data)
        if not self._left:
            self._demand_line_end()
            self._close_piece()
            self._state = "head"
        return data

    def _next_piece(self) -> None:
        found = _HEAD.fullmatch(self._line())
        if found is None or (self._key is not None and found[2] is None):
            raise S3Error("InvalidRequest", "The head of a piece of the body is not SIZE;chunk-signature=SIGNATURE.")
        self._left = int(found[1], 16)
        self._stated = (found[2] or b"").decode()
        self._digest = hashlib.sha256()
        if self._left:
            self._state = "piece"
            return
        self._close_piece()
        if self._trailed:
            self._read_trailers()
        self._state = "end"

    def _close_piece(self) -> None:
        if self._key is None:
            return
        made = self._key.sign("PAYLOAD", _EMPTY, self._digest.hexdigest(), before=self._before)
        if made != self._stated:
            raise S3Error("SignatureDoesNotMatch", "The signature of a piece of the body is not right.")
        self._before = made

    def _read_trailers(self) -> None:
        signed, stated = "", ""
        for _ in range(_MOST_TRAILERS):
            line = self._line(at_end=True)
            if not line:
                break
            name, _, value = line.decode("latin-1").partition(":")
            name, value = name.strip().lower(), value.strip()
            if name == "x-amz-trailer-signature":
                stated = value
            else:
                self.trailers[name] = value
                signed += f"{name}:{value}\n"
        if self._key is not None:
            made = self._key.sign("TRAILER", hashlib.sha256(signed.encode()).hexdigest(), before=self._before)
            if made != stated:
                raise S3Error("SignatureDoesNotMatch", "The signature of the body's trailers is not right.")

    # bytes of the stream

    def _line(self, *, at_end: bool = False) -> bytes:
        """Without its end. `at_end`: the stream may end here, which is an empty line."""
        while b"\n" not in self._buffer:
            if len(self._buffer) > _LONGEST_LINE:
                raise S3Error("InvalidRequest", "A line between the pieces of the body is too long.")
            data = self._stream.read(_LONGEST_LINE)
            if not data:
                if at_end and not self._buffer:
                    return b""
                raise ObjectStoreError("short", "The body broke off between two pieces.")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.removesuffix(b"\r")

    def _take(self, size: int) -> bytes:
        if self._buffer:
            data, self._buffer = self._buffer[:size], self._buffer[size:]
            return data
        data = self._stream.read(min(size, _AT_ONCE))
        if not data:
            raise ObjectStoreError("short", "The body broke off within a piece.")
        return data

    def _demand_line_end(self) -> None:
        if self._line():
            raise S3Error("InvalidRequest", "A piece of the body is longer than its head says.")
