# SPDX-License-Identifier: Apache-2.0
"""Conditions and ranges of RFC 9110, on one object."""

from collections.abc import Mapping

from altostratus.kernel.errors import PreconditionFailed, RangeNotSatisfiable
from altostratus.kernel.numbers import whole_number
from altostratus.services.object_store.logic.times import seconds_of_http_date

_MOST_RANGES = 50


def demand_conditions(headers: Mapping[str, str], etag: str | None, modified_us: int) -> bool:
    """Is the data wanted (True), or does the client have it already (304)? Raises PreconditionFailed.

    etag: None for an object that does not exist
    """
    if "IF-MATCH" in headers:
        if not _matches(headers["IF-MATCH"], etag):
            raise PreconditionFailed("If-Match: the object is another one now.")
    elif "IF-UNMODIFIED-SINCE" in headers:
        moment = seconds_of_http_date(headers["IF-UNMODIFIED-SINCE"])
        if moment is not None and _seconds(modified_us) > moment:
            raise PreconditionFailed("If-Unmodified-Since: the object was modified since.")
    if "IF-NONE-MATCH" in headers:
        return not _matches(headers["IF-NONE-MATCH"], etag)
    if "IF-MODIFIED-SINCE" in headers:
        moment = seconds_of_http_date(headers["IF-MODIFIED-SINCE"])
        return moment is None or _seconds(modified_us) > moment
    return True


def ranges_of(headers: Mapping[str, str], etag: str, modified_us: int, size: int) -> list[tuple[int, int]] | None:
    """(offset, length) of each part that `Range` asks for; None for all of it. Raises RangeNotSatisfiable."""
    text = headers.get("RANGE", "")
    if not text.startswith("bytes="):
        return None
    unless = headers.get("IF-RANGE")
    if unless is not None and unless.strip('"') != etag and seconds_of_http_date(unless) != _seconds(modified_us):
        return None
    asked = [part.strip() for part in text.removeprefix("bytes=").split(",")]
    parts = [_part(part, size) for part in asked]
    if None in parts:
        return None  # not to be understood: as if there were none
    found = [part for part in parts if part]
    if not found or len(asked) > _MOST_RANGES:
        raise RangeNotSatisfiable(
            f"The range {text[:100]!r} is not within the object's {size} bytes, or has too many parts.",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return found


def _part(text: str, size: int) -> tuple[int, int] | tuple[()] | None:
    """() for one that lies outside, None for what is no range."""
    first, dash, last = text.partition("-")
    start, end = whole_number(first), whole_number(last)
    if not dash or not (first or last) or (first and start is None) or (last and end is None):
        return None
    if start is None:
        length = min(end or 0, size)
        return (size - length, length) if length else ()
    if end is not None and end < start:
        return None
    stop = size if end is None else min(end + 1, size)
    return (start, stop - start) if start < size else ()


def _matches(text: str, etag: str | None) -> bool:
    if etag is None:
        return False
    found = {part.strip().removeprefix("W/").strip('"') for part in text.split(",")}
    return "*" in found or etag in found


def _seconds(moment_us: int) -> int:
    return -(-moment_us // 1_000_000)
