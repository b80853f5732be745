# SPDX-License-Identifier: Apache-2.0
"""Passwords, hashed with argon2id at the minimum that OWASP recommends.

Never call this inside a transaction: a hash takes tens of milliseconds and 19 MiB. As many hashes run at
once as there are processors; argon2 releases the interpreter lock meanwhile.
"""

import os
import threading

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from altostratus.kernel.processors import anywhere
from altostratus.kernel.turns import release_turn

LONGEST = 4096
_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_slots = threading.BoundedSemaphore(max(1, os.cpu_count() or 1))
# the hash of random bytes that nobody knows, so that a wrong name costs the same time as a wrong password
_DECOY = "$argon2id$v=19$m=19456,t=2,p=1$PXMOfKf0XLdkNb9t8KFOuw$R1E9/Emw2j8t7Dguxkft8YCS81Igr5E9rg2Ge4LzJpg"


def hash_password(password: str) -> str:
    """A salted hash, as text that names its own parameters."""
    release_turn()
    with _slots, anywhere():
        return _hasher.hash(password)


def is_password(password: str, password_hash: str | None) -> bool:
    """Does the password belong to the hash? Without a hash the answer is no, after the same time."""
    release_turn()
    with _slots, anywhere():
        try:
            _hasher.verify(password_hash or _DECOY, password)
        except (VerificationError, InvalidHashError):
            return False
    return password_hash is not None
