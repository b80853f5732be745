# SPDX-License-Identifier: Apache-2.0
"""The only source of time. A `Timestamp` is UTC text of fixed width: `2026-01-31T12:00:00.000000`.

Fixed width makes text order the time order in every database, and turning it into one of upstream's
spellings a slice instead of a conversion. Tests replace the source with `frozen`.
"""

import time as _time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

Timestamp = str

_source: Callable[[], float] = _time.time


def timestamp(seconds_since_epoch: float) -> Timestamp:
    """The timestamp of a Unix time in seconds."""
    return datetime.fromtimestamp(seconds_since_epoch, UTC).replace(tzinfo=None).isoformat(timespec="microseconds")


def unix() -> float:
    """Now, in seconds since 1970."""
    return _source()


def now() -> Timestamp:
    return timestamp(_source())


def after(seconds: float) -> Timestamp:
    """The moment `seconds` from now (negative: ago)."""
    return timestamp(_source() + seconds)


def parse(text: str) -> datetime:
    """An aware datetime from a timestamp or any ISO 8601 text (no zone means UTC). Raises ValueError."""
    moment = datetime.fromisoformat(text.strip())
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:  # the first and the last day of the calendar, in another zone
        raise ValueError(f"{text} is outside the calendar in UTC") from error


def to_timestamp(moment: datetime) -> Timestamp:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")


def plus(start: Timestamp, seconds: float) -> Timestamp:
    return to_timestamp(parse(start) + timedelta(seconds=seconds))


def seconds_between(start: Timestamp, end: Timestamp) -> float:
    return (parse(end) - parse(start)).total_seconds()


def iso_z(moment: Timestamp | None) -> str | None:
    """`2026-01-31T12:00:00Z`, as compute, network and image write it."""
    return None if moment is None else moment[:19] + "Z"


def iso_micro_z(moment: Timestamp | None) -> str | None:
    """`2026-01-31T12:00:00.000000Z`, as identity writes it."""
    return None if moment is None else moment + "Z"


def iso_micro(moment: Timestamp | None) -> str | None:
    """`2026-01-31T12:00:00.000000`, as block storage writes it."""
    return moment


def monotonic() -> float:
    """Seconds that never jump; for time-outs only."""
    return _time.monotonic()


@contextmanager
def frozen(start: float = 1_770_000_000.0) -> Iterator[Callable[[float], None]]:
    """For tests: time stands still; the yielded function moves it on by seconds."""
    global _source
    before, state = _source, [start]

    def advance(seconds: float) -> None:
        state[0] += seconds

    _source = lambda: state[0]  # noqa: E731
    try:
        yield advance
    finally:
        _source = before
