# SPDX-License-Identifier: Apache-2.0
"""Checksums of S3 beside the ETag: of bytes as they come, and of what parts become.

An upload in parts has one of two types. `COMPOSITE` is the checksum of the parts' checksums, a hyphen and their number,
as its ETag is; `FULL_OBJECT` that of all bytes, to which CRCs are combined without reading anything again.
Values are base64. Raises BadRequest, its `kind` being S3's code.
"""

import base64
import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import anycrc

from altostratus.kernel.db import Row
from altostratus.kernel.errors import BadRequest

COMPOSITE, FULL_OBJECT = "COMPOSITE", "FULL_OBJECT"
_INVALID = "InvalidRequest"
# algorithm -> (its name in the library, bytes)
_CRCS = {"crc32": ("CRC32", 4), "crc32c": ("CRC32C", 4), "crc64nvme": ("CRC64-NVME", 8)}
_HASHES = ("sha1", "sha256", "sha512", "md5")
ALGORITHMS = (*_CRCS, *_HASHES)


class Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


class _Crc:
    """As `hashlib` would have it."""

    def __init__(self, algorithm: str) -> None:
        self._calc: Callable[[bytes, int], int] = _model(algorithm).calc
        self._value, self._length = 0, _CRCS[algorithm][1]

    def update(self, data: bytes, /) -> None:
        self._value = self._calc(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._length, "big")


@functools.cache
def _model(algorithm: str) -> Any:
    return anycrc.Model(_CRCS[algorithm][0])


def new_hash(algorithm: str) -> Hash:
    """By its name in lower case."""
    demand_known(algorithm)
    return _Crc(algorithm) if algorithm in _CRCS else hashlib.new(algorithm, usedforsecurity=False)


def demand_known(algorithm: str) -> None:
    if algorithm not in ALGORITHMS:
        known = ", ".join(name.upper() for name in ALGORITHMS)
        raise BadRequest(f"Checksums are {known}, not {algorithm.upper()[:40]}. Choose one.", kind="NotImplemented")


def text_of(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def type_of(value: str) -> str:
    return COMPOSITE if "-" in value else FULL_OBJECT


def type_for(algorithm: str, asked: str) -> str:
    """Of an upload in parts. `asked` is empty where the client leaves it to us."""
    if asked not in ("", COMPOSITE, FULL_OBJECT):
        raise BadRequest(f"The checksum type is {COMPOSITE} or {FULL_OBJECT}, not {asked[:40]!r}.", kind=_INVALID)
    if asked and not algorithm:
        raise BadRequest("A checksum type needs an algorithm: x-amz-checksum-algorithm.", kind=_INVALID)
    if (algorithm == "crc64nvme" and asked == COMPOSITE) or (algorithm not in _CRCS and asked == FULL_OBJECT):
        raise BadRequest(f"The checksums of {algorithm.upper()} cannot be of the type {asked}.", kind=_INVALID)
    return asked or (FULL_OBJECT if algorithm == "crc64nvme" else COMPOSITE)


def of_parts(algorithm: str, kind: str, parts: Sequence[Row[Any]]) -> str:
    """Of the object that they become. Each has its size and a checksum of this algorithm."""
    digests = [base64.b64decode(part.checksums[algorithm]) for part in parts]
    if kind == FULL_OBJECT:
        return text_of(_combined(algorithm, digests, [part.size for part in parts]))
    whole = new_hash(algorithm)
    whole.update(b"".join(digests))
    return f"{text_of(whole.digest())}-{len(digests)}"


def _combined(algorithm: str, digests: Sequence[bytes], sizes: Sequence[int]) -> bytes:
    combine, value = _model(algorithm).combine, 0
    for digest, size in zip(digests, sizes, strict=True):
        value = combine(value, int.from_bytes(digest, "big"), size)
    return value.to_bytes(_CRCS[algorithm][1], "big")


def demand_same(made: Mapping[str, str], given: Mapping[str, str]) -> None:
    """`given`: what the client says it must be."""
    for algorithm, value in given.items():
        if made.get(algorithm) != value:
            came = made.get(algorithm)
            raise BadRequest(
                f"The {algorithm.upper()} you specified, {value[:100]!r}, did not match what came, {came}.",
                kind="BadDigest",
            )
