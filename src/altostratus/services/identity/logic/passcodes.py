# SPDX-License-Identifier: Apache-2.0
"""Time-based one-time passwords (RFC 6238): six digits, SHA-1, steps of 30 seconds, as authenticator apps make them."""

import hmac
from base64 import b32decode
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.hotp import HOTP
from sqlalchemy import select

from altostratus.kernel import clock
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.services.identity.models import Credential

_DIGITS = 6
_STEP_S = 30


def current_step() -> int:
    return int(clock.unix()) // _STEP_S


def passcode(seed: str, step: int) -> str:
    """The passcode of a step. Raises ValueError unless `seed` is base32 of 128 bits at least."""
    key = b32decode(seed.strip().rstrip("=") + "=" * (-len(seed.strip().rstrip("=")) % 8), casefold=True)
    return HOTP(key, _DIGITS, SHA1()).generate(step).decode()  # noqa: S303  (RFC 6238, and what the apps know)


def step_of(seed: str, given: str, *, newest: int, windows: int) -> int | None:
    """The step that the passcode belongs to: `newest`, or one of `windows` before it.

    Every step is computed, whichever one fits: how long it takes tells nothing.
    """
    fitting = None
    for step in range(newest - windows, newest + 1):
        if hmac.compare_digest(passcode(seed, step).encode(), given.encode(errors="replace")):
            fitting = step
    return fitting


def seeds_of(tx: Tx, user_id: str) -> list[Row[Any]]:
    """id and encrypted_blob of the user's credentials of type totp, always in the same order."""
    credential = table_of(Credential).c
    mine = (credential.user_id == user_id) & (credential.type == "totp")
    return tx.rows(select(credential.id, credential.encrypted_blob).where(mine).order_by(credential.id))


def take(tx: Tx, credential_id: str, step: int) -> bool:
    """Use up the passcode of a step, and all older ones; False if somebody was faster."""
    credential = table_of(Credential).c
    unused = credential.totp_step.is_(None) | (credential.totp_step < step)
    return tx.update_where(Credential, credential.id == credential_id, unused, totp_step=step) == 1
