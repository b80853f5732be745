# SPDX-License-Identifier: Apache-2.0
"""File names of the file back end, and the steps that make its files appear whole or not at all."""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from typing import Literal, NamedTuple

from altostratus.contracts.volume import VolumeError

Kind = Literal["volume", "snapshot"]

_NAME = re.compile(r"(volume|snapshot)-([A-Za-z0-9][A-Za-z0-9_-]{0,127})\.(qcow2|raw)")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_TEMPORARY_PREFIX = ".tmp-"
_FILE_MODE = 0o660


class Stored(NamedTuple):
    """A finished file of the back end."""

    kind: str
    id: str
    format: str
    path: str


class Layout:
    """Names, finds and places the files `<kind>-<id>.<format>` in one directory (made if missing).

    `owner` is the (uid, gid) that finished files are given, for a QEMU that runs as another user.
    """

    def __init__(self, directory: str, owner: tuple[int, int] | None) -> None:
        self.directory = os.path.abspath(directory)
        self._owner = owner
        os.makedirs(self.directory, mode=0o755, exist_ok=True)

    def find(self, kind: Kind, id: str) -> Stored | None:
        """The file of a volume or snapshot, or None. Raises a final `VolumeError` for an odd id."""
        _check_id(id)
        for format in ("qcow2", "raw"):
            path = os.path.join(self.directory, f"{kind}-{id}.{format}")
            if os.path.isfile(path):
                return Stored(kind, id, format, path)
        return None

    def list(self, kind: Kind) -> list[Stored]:
        with os.scandir(self.directory) as entries:
            matches = [match for entry in entries if (match := _NAME.fullmatch(entry.name)) and match[1] == kind]
        return sorted(Stored(m[1], m[2], m[3], os.path.join(self.directory, m[0])) for m in matches)

    @contextlib.contextmanager
    def placing(self, kind: Kind, id: str, format: str) -> Iterator[str]:
        """A temporary path; if the body ends well it becomes the file of `id`, else it is gone."""
        _check_id(id)
        self.remove_temporary(kind, id)
        with self.scratch(f"{kind}-{id}", self.directory) as temporary:
            yield temporary
            if self._owner is not None:
                os.chown(temporary, *self._owner)
            os.chmod(temporary, _FILE_MODE)
            place(temporary, os.path.join(self.directory, f"{kind}-{id}.{format}"))

    @contextlib.contextmanager
    def scratch(self, label: str, directory: str) -> Iterator[str]:
        """A path for a file that is removed afterwards if it is still there."""
        descriptor, temporary = tempfile.mkstemp(prefix=f"{_TEMPORARY_PREFIX}{label}-", dir=directory)
        os.close(descriptor)
        try:
            yield temporary
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)

    def remove(self, kind: Kind, id: str) -> None:
        """Everything of `id`, unfinished files included. Nothing there is success."""
        _check_id(id)
        self.remove_temporary(kind, id)
        for suffix in ("qcow2", "raw", "export"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(self.directory, f"{kind}-{id}.{suffix}"))
        fsync_path(self.directory)

    def remove_temporary(self, kind: Kind, id: str) -> None:
        """What a killed process left of `id`. Its helper may still write there: that harms nobody."""
        prefix = f"{_TEMPORARY_PREFIX}{kind}-{id}-"
        with os.scandir(self.directory) as entries:
            left = [entry.path for entry in entries if entry.name.startswith(prefix)]
        for path in left:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


def place(temporary: str, target: str) -> None:
    """Rename, so that after a power cut the target is whole or not there."""
    fsync_path(temporary)
    os.replace(temporary, target)
    fsync_path(os.path.dirname(target))


def fsync_path(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_id(id: str) -> None:
    if not _ID.fullmatch(id):
        raise VolumeError("An id consists of letters, digits, '-' and '_' only.", final=True)
