# SPDX-License-Identifier: Apache-2.0
"""The rings of Fernet keys that tokens and stored secrets are sealed with."""

import re
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from altostratus.services.identity.tokens.key_folder import KeyFolder

_SEALED = re.compile("[A-Za-z0-9_-]+")


class KeyRing:
    """Fernet keys of a `KeyFolder`."""

    def __init__(self, directory: Path | None = None) -> None:
        self.folder = KeyFolder(directory, Fernet.generate_key, Fernet)

    def seal(self, data: bytes) -> str:
        return self.folder.in_use().encrypt(data).decode().rstrip("=")

    def unseal(self, text: str) -> bytes:
        """Raises ValueError for anything that none of the keys sealed."""
        return self._opened(text, self.folder.newest_first())

    def is_newest(self, text: str) -> bool:
        """Was it sealed with the key that is in use now? Raises ValueError for what none of the keys sealed."""
        try:
            self._opened(text, [self.folder.in_use()])
        except ValueError:
            self.unseal(text)
            return False
        return True

    @staticmethod
    def _opened(text: str, keys: list[Fernet]) -> bytes:
        # asked first: the decoder would skip blanks and the like, and one token would have many spellings
        if _SEALED.fullmatch(text) is None:
            raise ValueError("not sealed by this cloud")
        sealed = text.encode() + b"=" * (-len(text) % 4)
        for key in keys:
            try:
                return key.decrypt(sealed)
            except InvalidToken:
                continue
        raise ValueError("not sealed by this cloud")


class CredentialKeys(KeyRing):
    """The ring for secrets that are stored; a part of its own, for those who need no tokens.

    `clean_with` is the number of the key that this process found all of them sealed with; see `logic/sealed.py`.
    """

    clean_with = 0
