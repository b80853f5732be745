# SPDX-License-Identifier: Apache-2.0
"""Moments in whole microseconds since 1970, and the forms in which Swift shows them."""

import functools
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

from altostratus.kernel import clock

_SECOND = 1_000_000
_STAMPS = 100_000


def now_us() -> int:
    """In steps of ten, as stamps have five decimals: what is told in one is the same moment elsewhere."""
    return int(clock.unix() * _STAMPS) * (_SECOND // _STAMPS)


def stamp(moment_us: int) -> str:
    """`X-Timestamp`: seconds with five decimals."""
    return f"{moment_us / _SECOND:.5f}"


def http_date(moment_us: int) -> str:
    """`Last-Modified`: whole seconds, rounded up, so that nothing was changed later than it says."""
    return _http_date(-(-moment_us // _SECOND))


@functools.lru_cache(maxsize=1024)
def _http_date(seconds: int) -> str:
    return format_datetime(datetime.fromtimestamp(seconds, UTC), usegmt=True)


def iso(moment_us: int) -> str:
    """`last_modified` of listings."""
    return datetime.fromtimestamp(moment_us / _SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


def seconds_of_http_date(text: str) -> int | None:
    """Whole seconds since 1970, or None for what is no date (such a condition is left out)."""
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
