# SPDX-License-Identifier: Apache-2.0
"""Receipts: some factors were right, others are still missing. Sealed like tokens, but good for nothing else."""

from typing import Any, Literal

import msgspec

from altostratus.kernel import clock
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row
from altostratus.kernel.errors import Unauthorized
from altostratus.services.identity.config import IdentityOptions
from altostratus.services.identity.errors import INCOMPLETE
from altostratus.services.identity.logic.login import LoginError
from altostratus.services.identity.models import Project
from altostratus.services.identity.tokens.authenticator import TokenAuthenticator

HEADER = "Openstack-Auth-Receipt"
_LONGEST = 1024


class Receipt(msgspec.Struct, array_like=True, frozen=True):
    """The times are clock.Timestamps. `kind` keeps tokens and receipts apart: one key seals both."""

    kind: Literal["receipt"]
    user_id: str
    methods: tuple[str, ...]
    issued_at: str
    expires_at: str


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Receipt).decode


def unseal(cloud: Cloud, text: str) -> Receipt:
    """Raises LoginError for anything that is no receipt of this cloud, or too old."""
    try:
        if len(text) > _LONGEST:
            raise ValueError("it is too long")
        receipt = _decode(cloud.part(TokenAuthenticator).keys.unseal(text))
    except (ValueError, msgspec.MsgspecError) as error:
        raise LoginError(f"not a receipt: {error}") from None
    if receipt.expires_at <= clock.now():
        raise LoginError("the receipt has expired")
    return receipt


def methods_proven(receipt: Receipt, user: Row[Any]) -> tuple[str, ...]:
    """What the user has proven before. Raises LoginError for another user's receipt, or one from before a change."""
    if receipt.user_id != user.id:
        raise LoginError(f"the receipt is not one of user {user.id}")
    if receipt.issued_at <= user.tokens_from:
        raise LoginError(f"the password of user {user.id} was changed since the receipt was given")
    return receipt.methods


def incomplete(
    cloud: Cloud, user: Row[Any], methods: tuple[str, ...], required: list[list[str]], started_at: str
) -> Unauthorized:
    """The 401 that says what is missing, with the receipt for what was right.

    started_at: the moment before the first secret was read; a change that came later makes the receipt void.
    """
    expires_at = clock.after(cloud[IdentityOptions].receipt_lifetime_s)[:19] + ".000000"
    receipt = Receipt("receipt", user.id, methods, started_at, expires_at)
    with cloud.db.read() as tx:
        domain = tx.get(Project, user.domain_id)
    shown = {
        "receipt": {
            "methods": list(methods),
            "user": {"id": user.id, "name": user.name, "domain": {"id": domain.id, "name": domain.name}},
            "expires_at": clock.iso_micro_z(receipt.expires_at),
            "issued_at": clock.iso_micro_z(receipt.issued_at),
        },
        "required_auth_methods": required,
    }
    sealed = cloud.part(TokenAuthenticator).keys.seal(_encode(receipt))
    return Unauthorized(
        f"The methods {', '.join(methods)} do not suffice for user {user.id}; send the receipt with the others.",
        kind=INCOMPLETE,
        headers={HEADER: sealed},
        details=shown,
    )
