# SPDX-License-Identifier: Apache-2.0
"""Is a directory the disk that the ring means? What is written to one that is not mounted fills another file system.

A small file in the root of each disk says whose it is, and the ring remembers what was mounted there. A disk without
the file is taken as long as it is mounted: it was wiped, or is new in the place of a broken one, and the replicator
fills it again. Upstream's `mount_check` is the model.
"""

import errno
import os
from contextlib import suppress

from altostratus.drivers.object_store import whole_file

FILE = "altostratus-disk"


class WrongDiskError(OSError):
    """`strerror` says what to do."""

    def __init__(self, path: str, sentence: str) -> None:
        super().__init__(errno.ENODEV, sentence, path)


def mount_of(path: str) -> str:
    """The mount point that the directory lies on; empty for the root file system, which cannot be missing."""
    here = os.path.realpath(path)
    while here != "/":
        if os.path.ismount(here):
            return here
        here = os.path.dirname(here)
    return ""


def read(path: str) -> str:
    """The mark of the disk; empty if it has none. Raises OSError."""
    try:
        with open(f"{path}/{FILE}", encoding="ascii", errors="replace") as handle:
            return handle.read(100).strip()
    except FileNotFoundError:
        return ""


def write(path: str, mark: str) -> None:
    """Safely on disk when this returns."""
    whole_file.replace(f"{path}/{FILE}", f"{mark}\n".encode())


def remove(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(f"{path}/{FILE}")


def demand(path: str, mark: str, mount: str) -> None:
    """Raises WrongDiskError, or OSError if the disk does not work. A disk of a ring without marks has none: ''."""
    if not os.path.isdir(path):
        raise WrongDiskError(path, "the directory is not there; mount the disk, or make the directory")
    if mount and not os.path.ismount(mount):
        raise WrongDiskError(
            path, f"nothing is mounted at {mount}; mount the disk, or if it shall be so: alto ring accept {path}"
        )
    found = read(path) if mark else ""
    if found != mark and found:
        raise WrongDiskError(
            path, f"this is another disk; mount the right one, or if it shall be this: alto ring accept {path}"
        )
