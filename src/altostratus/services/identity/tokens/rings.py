# SPDX-License-Identifier: Apache-2.0
"""What an operator sees of the keys, and replacing them."""

from dataclasses import dataclass
from typing import Any

from altostratus.kernel import clock
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.errors import NotFound
from altostratus.services.identity.config import IdentityOptions
from altostratus.services.identity.logic import sealed
from altostratus.services.identity.tokens.authenticator import TokenAuthenticator
from altostratus.services.identity.tokens.key_folder import KeyFolder


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """`ring`: fernet and jws are for tokens, credentials for stored secrets."""

    ring: str
    number: int
    made_at: str
    in_use: bool


def list_keys(cloud: Cloud) -> list[KeyInfo]:
    unused = {"jws"} if cloud[IdentityOptions].token_provider != "jws" else set()
    found = []
    for ring, folder in _folders(cloud).items():
        files = folder.files()
        in_use = folder.number_in_use() if files and ring not in unused else 0
        found += [KeyInfo(ring, file.number, clock.timestamp(file.made_unix), file.number == in_use) for file in files]
    return found


def secrets_behind(cloud: Cloud) -> int:
    """Stored secrets that are not yet sealed with the newest key."""
    with cloud.db.read() as tx:
        return sealed.count_behind(tx, cloud)


def add_keys(cloud: Cloud, what: str) -> list[KeyInfo]:
    """New keys for `tokens` or `credentials`; nobody is logged out and nothing stored is lost. Raises NotFound."""
    folders = _folders(cloud)
    if what == "credentials":
        made = {"credentials": folders["credentials"].add()}
        cloud.bus.wake(sealed.TOPIC)
    elif what == "tokens":
        made = {ring: folders[ring].add() for ring in ("fernet", "jws") if folders[ring].files()}
    else:
        raise NotFound(f"There are no keys for {what!r}. Give tokens or credentials.")
    return [key for key in list_keys(cloud) if made.get(key.ring) == key.number]


def _folders(cloud: Cloud) -> dict[str, KeyFolder[Any]]:
    authenticator = cloud.part(TokenAuthenticator)
    return {
        "fernet": authenticator.keys.folder,
        "jws": authenticator.signing_keys.folder,
        "credentials": authenticator.credential_keys.folder,
    }
