# SPDX-License-Identifier: Apache-2.0
"""Working inside network namespaces without leaving this process.

A thread can be in another network namespace than its process; what it starts and opens belongs
there. Each call uses a thread of its own that ends afterwards, so no thread is ever reused in the
wrong place. Nothing here needs more than root of the current user namespace.
"""

import ctypes
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")

NETNS_DIRECTORY = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class _Errand(Generic[T]):
    """A function call in a namespace, and what became of it."""

    def __init__(self, netns: str, function: Callable[[], T]) -> None:
        self._netns = netns
        self._function = function
        self._results: list[T] = []
        self._failure: BaseException | None = None

    def run(self) -> None:
        try:
            enter_netns(self._netns)
            self._results.append(self._function())
        except BaseException as failure:  # noqa: BLE001 - handed to the thread that waits
            self._failure = failure

    def result(self) -> T:
        if self._failure is not None:
            raise self._failure
        return self._results[0]


def enter_netns(netns: str) -> None:
    """Move the calling thread into a named namespace. Raises OSError (FileNotFoundError if absent)."""
    handle = os.open(NETNS_DIRECTORY / netns, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(handle, _CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"cannot enter network namespace {netns}: {os.strerror(number)}")
    finally:
        os.close(handle)


def call_in_netns(netns: str | None, function: Callable[[], T]) -> T:
    """Run `function` inside `netns` (None: where we are) and return or raise what it does."""
    if netns is None:
        return function()
    errand = _Errand(netns, function)
    thread = threading.Thread(target=errand.run, name=f"netns-{netns[:20]}", daemon=True)
    thread.start()
    thread.join()
    return errand.result()


def list_netns() -> set[str]:
    """Names of all namespaces of this machine (or of this mount namespace when rootless)."""
    try:
        return set(os.listdir(NETNS_DIRECTORY))
    except FileNotFoundError:
        return set()


def netns_inode(netns: str) -> int | None:
    """Identity of a namespace: a deleted and remade one has another number."""
    try:
        return os.stat(NETNS_DIRECTORY / netns).st_ino
    except FileNotFoundError:
        return None


def write_sysctls(netns: str, sysctls: Iterable[tuple[str, str]]) -> list[str]:
    """Set kernel switches in a namespace; returns a sentence for each that this kernel refused."""
    wanted = list(sysctls)

    def write() -> list[str]:
        refused = []
        for path, value in wanted:
            try:
                Path("/proc/sys/net", path).write_text(value, encoding="ascii")
            except OSError as error:
                refused.append(f"cannot set net/{path} to {value} in {netns}: {error.strerror}")
        return refused

    return call_in_netns(netns, write) if wanted else []


def is_mount_point(path: Path) -> bool:
    """Whether something is mounted at `path` (bind mounts of the same filesystem included)."""
    text = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    return any(line.split(" ", 5)[4] == str(path) for line in text.splitlines() if line.count(" ") > 5)


def unmount(path: Path) -> bool:
    """Unmount if nothing uses it any more; False when it is busy or not mounted."""
    return bool(_libc.umount2(os.fsencode(path), 0) == 0)
