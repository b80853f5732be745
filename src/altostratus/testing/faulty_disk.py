# SPDX-License-Identifier: Apache-2.0
"""A disk that begins to fail at some call and fails from then on, until it is mended.

Calls of `os` on files below `root` are watched while it is `installed`. What fails depends on the trouble: a broken
disk (EIO) does nothing any longer, one that is read-only (EROFS) or full (ENOSPC) can still be read, and a full one
lets files be removed.
"""

import errno
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from altostratus.drivers.object_store.embedded import packs

_READING = ("listdir", "stat", "pread", "read")
_REMOVING = ("unlink",)
_WRITING = ("mkdir", "link", "replace", "write", "pwrite", "fsync", "fdatasync")
_REAL = {name: getattr(os, name) for name in (*_READING, *_REMOVING, *_WRITING, "open", "close")}
_PUNCH = packs.punch
_NAMES_ALONE = ("mkdir", "link", "replace", "unlink")
_FAILING = {
    errno.EIO: (*_READING, *_REMOVING, *_WRITING, "punch"),
    errno.EROFS: (*_REMOVING, *_NAMES_ALONE, "write", "pwrite", "punch"),
    errno.ENOSPC: _WRITING,
}


class FaultyDisk:
    """`fail(errno.EIO, after=3)`: three more calls work. `mend()`: all do. `failures` counts."""

    def __init__(self, root: Path) -> None:
        self.root, self.failures = root, 0
        self._trouble = self._spared = 0
        self._descriptors: set[int] = set()

    def fail(self, trouble: int, *, after: int = 0) -> None:
        self._trouble, self._spared = trouble, after

    def mend(self) -> None:
        self._trouble = 0

    @contextmanager
    def installed(self) -> Generator[None, None, None]:
        own: dict[str, Any] = {name: self._watched(name) for name in _REAL}
        with (
            mock.patch.multiple(os, **own | {"open": self._open, "close": self._close}),
            mock.patch.object(packs, "punch", self._punch),
        ):
            yield

    def _watched(self, name: str) -> Callable[..., Any]:
        def call(first: Any, *rest: Any, **options: Any) -> Any:
            # the second name is the one that is made
            where = rest[0] if name in ("link", "replace") else first
            if self._is_mine(where):
                self._perhaps_fail(name, where)
            return _REAL[name](first, *rest, **options)

        return call

    def _open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        mine = self._is_mine(path)
        if mine and (flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR) or self._trouble == errno.EIO):
            self._perhaps_fail("write", path)
        descriptor = int(_REAL["open"](path, flags, mode, dir_fd=dir_fd))
        if mine:
            self._descriptors.add(descriptor)
        return descriptor

    def _punch(self, descriptor: int, start: int, length: int) -> None:
        if self._is_mine(descriptor):
            self._perhaps_fail("punch", descriptor)
        _PUNCH(descriptor, start, length)

    def _close(self, descriptor: int) -> None:
        self._descriptors.discard(descriptor)
        _REAL["close"](descriptor)

    def _perhaps_fail(self, name: str, where: Any) -> None:
        if not self._trouble or name not in _FAILING[self._trouble]:
            return
        if self._spared > 0:
            self._spared -= 1
            return
        self.failures += 1
        raise OSError(self._trouble, os.strerror(self._trouble), where if isinstance(where, str) else None)

    def _is_mine(self, where: Any) -> bool:
        if isinstance(where, int):
            return where in self._descriptors
        return isinstance(where, str | os.PathLike) and f"{os.fspath(where)}/".startswith(f"{self.root}/")
