# SPDX-License-Identifier: Apache-2.0
"""The keys that tokens and stored secrets are sealed with: one file each, the highest number seals."""

import os
import threading
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from altostratus.kernel import clock

_LOOK_AGAIN_S = 1.0


class KeyRing:
    """Fernet keys in `directory` (mode 0700, files 0600), or one in memory when there is no directory.

    A process that meets a seal it does not know reads the directory again, so a rotation by another
    process needs no restart.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._looked_at = clock.monotonic()
        self._names: list[str] = []
        self._ring = MultiFernet([Fernet(Fernet.generate_key())]) if directory is None else self._open(directory)

    def seal(self, data: bytes) -> str:
        return self._ring.encrypt(data).decode().rstrip("=")

    def unseal(self, text: str) -> bytes:
        """Raises ValueError for anything that none of the keys sealed."""
        try:
            sealed = text.encode("ascii") + b"=" * (-len(text) % 4)
        except UnicodeEncodeError:
            raise ValueError("not sealed by this cloud") from None
        for _ in range(2):
            try:
                return self._ring.decrypt(sealed)
            except InvalidToken:
                if not self._reload_if_changed():
                    break
        raise ValueError("not sealed by this cloud")

    def rotate(self, keep: int = 3) -> None:
        """Seal with a new key from now on; the newest `keep` keys still open what they sealed."""
        if self._directory is None:
            raise ValueError("keys in memory cannot be rotated; give the key ring a directory")
        with self._lock:
            names = _key_names(self._directory)
            _write_key(self._directory, int(names[-1]) + 1 if names else 1)
            for name in _key_names(self._directory)[:-keep]:
                (self._directory / name).unlink(missing_ok=True)
            self._ring = self._open(self._directory)

    def _open(self, directory: Path) -> MultiFernet:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not _key_names(directory):
            _write_key(directory, 1)
        self._names = _key_names(directory)
        return MultiFernet([Fernet((directory / name).read_bytes()) for name in reversed(self._names)])

    def _reload_if_changed(self) -> bool:
        if self._directory is None:
            return False
        with self._lock:
            if clock.monotonic() < self._looked_at + _LOOK_AGAIN_S:
                return False
            self._looked_at = clock.monotonic()
            if _key_names(self._directory) == self._names:
                return False
            self._ring = self._open(self._directory)
            return True


class CredentialKeys(KeyRing):
    """The ring for secrets that are stored; a part of its own, for those who need no tokens."""


def _key_names(directory: Path) -> list[str]:
    """Numbers of the key files, oldest first."""
    return sorted((path.name for path in directory.iterdir() if path.name.isdigit()), key=int)


def _write_key(directory: Path, number: int) -> None:
    """Write a whole key file or none; another process that was faster wins."""
    final, draft = directory / str(number), directory / f".{number}.{os.getpid()}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(Fernet.generate_key())
            handle.flush()
            os.fsync(handle.fileno())
        os.link(draft, final)
    except FileExistsError:
        pass
    finally:
        draft.unlink(missing_ok=True)
