# SPDX-License-Identifier: Apache-2.0
"""A small file that is replaced as a whole: what reads it sees the old or the new one, whatever happens."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from altostratus.kernel.turns import release_turn


def replace(path: str, data: bytes) -> None:
    """Safely on disk when this returns."""
    draft = f"{path}.new"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        if os.write(descriptor, data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), draft)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(draft, path)
    sync_directory(os.path.dirname(path))


def sync_directory(path: str) -> None:
    """The names in it survive a power cut when this returns."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        release_turn()
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: str) -> Iterator[None]:
    """Nobody else changes the file meanwhile; reading needs no lock."""
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
