# SPDX-License-Identifier: Apache-2.0
"""A file system that loses, when the power is cut, what was not flushed: bytes of files and names in directories.

POSIX promises no more than this, and says nothing about the order: each unflushed name and each file's unflushed
bytes survive or do not, as the test wants. Calls of `os` below `root` are watched while it is `installed`.
"""

import os
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from altostratus.drivers.object_store.embedded import packs
from altostratus.testing.power_cut import PowerCut, Tripper

# does what was not flushed survive?
Luck = Callable[[], bool]
_REAL = {name: getattr(os, name) for name in (
    "open", "close", "write", "pwrite", "fsync", "fdatasync", "link", "unlink", "mkdir", "replace",
)}  # fmt: skip
_PUNCH = packs.punch


@dataclass
class _Node:
    """A file or directory. `handle` keeps its inode from being used again, and its bytes readable."""

    handle: int
    is_directory: bool
    safe_bytes: bytes = b""
    safe_names: dict[str, int] = field(default_factory=dict)


class LossyDisk:
    """Everything that is below `root` at the beginning is safe."""

    def __init__(self, root: Path, tripper: Tripper) -> None:
        self.root, self.tripper = root, tripper
        self._nodes: dict[int, _Node] = {}
        self._descriptors: dict[int, int] = {}
        self._learn(str(root))
        for number in list(self._nodes):
            self._flush(number)

    @contextmanager
    def installed(self) -> Generator[None, None, None]:
        own: dict[str, Any] = {name: getattr(self, f"_{name}") for name in _REAL}
        with mock.patch.multiple(os, **own), mock.patch.object(packs, "punch", self._punch):
            yield

    def crash(self, names: Luck, contents: Luck) -> None:
        """Put what survives in the place of everything."""
        ruins = self.root.with_name(self.root.name + ".before")
        self.root.rename(ruins)
        self._rebuild(ruins.stat().st_ino, self.root, names, contents)
        for node in self._nodes.values():
            _REAL["close"](node.handle)
        for descriptor, number in self._descriptors.items():
            if _is_open(descriptor, number):
                _REAL["close"](descriptor)
        self._nodes, self._descriptors = {}, {}
        shutil.rmtree(ruins)

    # what is watched

    def _open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if not self._is_mine(path):
            return int(_REAL["open"](path, flags, mode, dir_fd=dir_fd))
        if flags & os.O_CREAT and not os.path.exists(path):
            self.tripper.point(f"create {path}")
        descriptor = int(_REAL["open"](path, flags, mode))
        self._descriptors[descriptor] = self._learn(os.fspath(path))
        return descriptor

    def _close(self, descriptor: int) -> None:
        self._descriptors.pop(descriptor, None)
        _REAL["close"](descriptor)

    def _write(self, descriptor: int, data: Any) -> int:
        if descriptor in self._descriptors:
            try:
                self.tripper.point("write")
            except PowerCut:
                _REAL["write"](descriptor, memoryview(data)[: len(data) // 2])
                raise
        return int(_REAL["write"](descriptor, data))

    def _pwrite(self, descriptor: int, data: Any, place: int) -> int:
        if descriptor in self._descriptors:
            try:
                self.tripper.point("write")
            except PowerCut:
                _REAL["pwrite"](descriptor, memoryview(data)[: len(data) // 2], place)
                raise
        return int(_REAL["pwrite"](descriptor, data, place))

    def _punch(self, descriptor: int, start: int, length: int) -> None:
        self.tripper.point("punch")
        _PUNCH(descriptor, start, length)

    def _fsync(self, descriptor: int) -> None:
        if descriptor in self._descriptors:
            self.tripper.point("fsync")
            self._flush(self._descriptors[descriptor])
            return
        _REAL["fsync"](descriptor)

    _fdatasync = _fsync

    def _link(self, source: Any, target: Any, **options: Any) -> None:
        self._name("link", target, lambda: _REAL["link"](source, target, **options))

    def _unlink(self, path: Any, **options: Any) -> None:
        self._name("unlink", path, lambda: _REAL["unlink"](path, **options))

    def _replace(self, source: Any, target: Any, **options: Any) -> None:
        self._name("rename", target, lambda: _REAL["replace"](source, target, **options))

    def _mkdir(self, path: Any, mode: int = 0o777, **options: Any) -> None:
        self._name("mkdir", path, lambda: _REAL["mkdir"](path, mode, **options))
        if self._is_mine(path):
            self._learn(os.fspath(path))

    def _name(self, what: str, path: Any, act: Callable[[], None]) -> None:
        if self._is_mine(path):
            self.tripper.point(f"{what} {path}")
        act()

    # what is safe

    def _is_mine(self, path: Any) -> bool:
        return isinstance(path, str | os.PathLike) and f"{os.fspath(path)}/".startswith(f"{self.root}/")

    def _learn(self, path: str) -> int:
        """The number of the file or directory; what is below a new one is learned too."""
        number = os.lstat(path).st_ino
        if number not in self._nodes:
            directory = os.path.isdir(path)
            self._nodes[number] = _Node(_REAL["open"](path, os.O_RDONLY), directory)
            for name in os.listdir(path) if directory else ():
                self._learn(f"{path}/{name}")
        return number

    def _flush(self, number: int) -> None:
        node = self._nodes[number]
        if node.is_directory:
            node.safe_names = self._live_names(node)
        else:
            node.safe_bytes = _live_bytes(node)

    @staticmethod
    def _live_names(node: _Node) -> dict[str, int]:
        return {entry.name: entry.inode() for entry in os.scandir(node.handle)}

    def _rebuild(self, number: int, target: Path, names: Luck, contents: Luck) -> None:
        node = self._nodes[number]
        if not node.is_directory:
            target.write_bytes(_live_bytes(node) if contents() else node.safe_bytes)
            return
        target.mkdir()
        live = self._live_names(node)
        for name in sorted({*live, *node.safe_names}):
            before, now = node.safe_names.get(name), live.get(name)
            survivor = now if before == now or names() else before
            if survivor is not None:
                self._rebuild(survivor, target / name, names, contents)


def _is_open(descriptor: int, number: int) -> bool:
    """Still, and not another file: what the dying code left open may have been closed by its garbage collection."""
    try:
        return os.fstat(descriptor).st_ino == number
    except OSError:
        return False


def _live_bytes(node: _Node) -> bytes:
    size = os.fstat(node.handle).st_size
    return os.pread(node.handle, size, 0)
