# SPDX-License-Identifier: Apache-2.0
"""One line an event, in upstream's format, with the request id.

`2026-01-31 12:00:00.123 4711 INFO altostratus.compute [req-... user project - - -] text`
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple


class Who(NamedTuple):
    request_id: str = "-"
    user_id: str = "-"
    project_id: str = "-"


_who: ContextVar[Who] = ContextVar("who", default=Who())


class _Format(logging.Formatter):
    default_msec_format = "%s.%03d"

    def format(self, record: logging.LogRecord) -> str:
        who = _who.get()
        record.who = f"{who.request_id} {who.user_id} {who.project_id} - - -"
        return super().format(record)


def set_up(level: str = "INFO", path: str | None = None) -> None:
    """Log to standard error, or to the file at `path` (appended)."""
    handler: logging.Handler = logging.FileHandler(path) if path else logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Format("%(asctime)s %(process)d %(levelname)s %(name)s [%(who)s] %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


@contextmanager
def on_behalf_of(request_id: str, user_id: str = "-", project_id: str = "-") -> Iterator[None]:
    """Every line logged inside carries these ids."""
    token = _who.set(Who(request_id or "-", user_id or "-", project_id or "-"))
    try:
        yield
    finally:
        _who.reset(token)


def current() -> Who:
    """On whose behalf this thread or task works."""
    return _who.get()


def current_request_id() -> str:
    return _who.get().request_id


def get(name: str) -> logging.Logger:
    return logging.getLogger("altostratus." + name)
