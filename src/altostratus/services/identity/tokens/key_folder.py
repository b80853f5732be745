# SPDX-License-Identifier: Apache-2.0
"""Keys that are replaced from time to time: one file each, the highest number is in use, older ones still open.

Several processes may share a folder. Each looks at it again after a second at most, and takes a new key into use only
when it is two seconds old: by then all others know it too.
"""

import os
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from altostratus.kernel import clock

K = TypeVar("K")
LOOK_AGAIN_S = 1.0
USED_FROM_S = 2.0


class KeyFile(NamedTuple):
    """`made_unix`: seconds since 1970."""

    number: int
    made_unix: float


class KeyFolder(Generic[K]):
    """Keys of `directory` (mode 0700, files 0600), or one in memory when there is no directory.

    `make` gives the content of a new file, `load` the key of a content. With `needed=False` a folder without keys
    stays without until the first `add`.
    """

    def __init__(
        self, directory: Path | None, make: Callable[[], bytes], load: Callable[[bytes], K], *, needed: bool = True
    ) -> None:
        self._directory, self._make, self._load = directory, make, load
        self._lock = threading.Lock()
        self._looked_at = clock.monotonic()
        # oldest first; only ever replaced as a whole, so readers need no lock
        self._known: list[tuple[KeyFile, K]] = []
        if directory is None:
            self._known = [(KeyFile(1, 0.0), load(make()))]
        else:
            if needed and not _files_of(directory):
                self._write(directory, 1)
            self._read(directory)

    def newest_first(self) -> list[K]:
        """All that open."""
        self.look_again()
        return [key for _, key in reversed(self._known)]

    def in_use(self) -> K:
        """The one for what is made now. Raises LookupError if there is none at all."""
        self.look_again()
        return self._in_use()[1]

    def number_in_use(self) -> int:
        """Raises LookupError if there is none at all."""
        return self._in_use()[0].number

    def files(self) -> list[KeyFile]:
        """Oldest first."""
        self.look_again(at_once=True)
        return [file for file, _ in self._known]

    def add(self) -> int:
        """A new key, in use soon on; returns its number. Raises ValueError for keys in memory."""
        if self._directory is None:
            raise ValueError("keys in memory cannot be replaced; give them a directory")
        with self._lock:
            known = _files_of(self._directory)
            number = known[-1].number + 1 if known else 1
            self._write(self._directory, number)
            self._read(self._directory)
        return number

    def drop_replaced(self, keep_s: float) -> list[int]:
        """Forget keys that have not been in use for longer than `keep_s`; returns their numbers."""
        if self._directory is None:
            return []
        gone = self.replaced(keep_s)
        if gone:
            with self._lock:
                for number in gone:
                    (self._directory / str(number)).unlink(missing_ok=True)
                self._read(self._directory)
        return gone

    def replaced(self, keep_s: float) -> list[int]:
        """Numbers of those that have not been in use for longer than `keep_s`."""
        moment = clock.unix() - USED_FROM_S - keep_s
        return [old.number for old, successor in pairwise(self.files()) if successor.made_unix < moment]

    def look_again(self, *, at_once: bool = False) -> bool:
        """Has another process changed the folder? Asks the disk once a second at most."""
        if self._directory is None or (not at_once and clock.monotonic() < self._looked_at + LOOK_AGAIN_S):
            return False
        with self._lock:
            if _files_of(self._directory) == [file for file, _ in self._known]:
                self._looked_at = clock.monotonic()
                return False
            self._read(self._directory)
            return True

    def _in_use(self) -> tuple[KeyFile, K]:
        """The newest that is old enough; else the oldest."""
        known, moment = self._known, clock.unix() - USED_FROM_S
        if not known:
            raise LookupError(f"there are no keys in {self._directory}")
        return next((one for one in reversed(known) if one[0].made_unix <= moment), known[0])

    def _read(self, directory: Path) -> None:
        try:
            files = _files_of(directory)
            self._known = [(file, self._load((directory / str(file.number)).read_bytes())) for file in files]
        except FileNotFoundError:  # another process dropped one meanwhile
            self._read(directory)
        self._looked_at = clock.monotonic()

    def _write(self, directory: Path, number: int) -> None:
        """Write a whole key file or none; another process that was faster wins."""
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        final, draft = directory / str(number), directory / f".{number}.{os.getpid()}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as handle:
                handle.write(self._make())
                handle.flush()
                os.fsync(handle.fileno())
            os.link(draft, final)
            _sync(directory)
        except FileExistsError:
            pass
        finally:
            draft.unlink(missing_ok=True)


def _files_of(directory: Path) -> list[KeyFile]:
    """Oldest first; nothing without the directory."""
    try:
        found = [KeyFile(int(path.name), path.stat().st_mtime) for path in directory.iterdir() if path.name.isdigit()]
    except FileNotFoundError:  # no directory, or a key that another process dropped meanwhile
        return _files_of(directory) if directory.exists() else []
    return sorted(found)


def _sync(directory: Path) -> None:
    """What is sealed with a new key may be on disk before the key's name is: never let that happen."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
