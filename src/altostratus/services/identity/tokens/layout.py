# SPDX-License-Identifier: Apache-2.0
"""What a token says, and its bytes. Clients see only the sealed text."""

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from altostratus.kernel import clock
from altostratus.kernel.clock import Timestamp

# append only: a token holds positions in this list
METHODS = (
    "password",
    "token",
    "application_credential",
    "totp",
    "external",
    "oauth1",
    "mapped",
    "saml2",
    "openid",
    "ec2credential",
)
SCOPES = ("unscoped", "project", "domain", "system")
_LAYOUT = 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Federated:
    """Who vouched for the user, and the groups that the mapping put the user in for this token's life."""

    idp_id: str
    protocol_id: str
    group_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Claims:
    """A token's own statements; whether they still hold is looked up. `audit_ids`: own, then the parent's.

    `user_id` is who logged in: of a trust's token the trustee, whether it impersonates the trustor or not.
    """

    user_id: str
    methods: tuple[str, ...]
    scope: str
    scope_id: str
    issued_at: Timestamp
    expires_at: Timestamp
    audit_ids: tuple[str, ...]
    application_credential_id: str | None = None
    trust_id: str | None = None
    access_token_id: str | None = None
    federated: Federated | None = None


class _Packed(msgspec.Struct, array_like=True):
    # ids are bytes or text: msgspec has no union of the two; new members come last and have a default
    layout: int
    user_id: Any
    methods: int
    scope: int
    scope_id: Any
    issued_us: int
    expires_us: int
    audit_ids: list[bytes]
    application_credential_id: Any
    trust_id: Any = ""
    access_token_id: Any = ""
    federated: list[Any] | None = None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Packed).decode


def new_audit_id() -> str:
    return _text_of_audit_id(secrets.token_bytes(16))


def pack(claims: Claims) -> bytes:
    return _encode(
        _Packed(
            _LAYOUT,
            _short(claims.user_id),
            sum(1 << METHODS.index(method) for method in claims.methods),
            SCOPES.index(claims.scope),
            _short(claims.scope_id),
            _microseconds(claims.issued_at),
            _microseconds(claims.expires_at),
            [urlsafe_b64decode(audit_id + "==") for audit_id in claims.audit_ids],
            _short(claims.application_credential_id or ""),
            _short(claims.trust_id or ""),
            _short(claims.access_token_id or ""),
            _packed_federated(claims.federated),
        )
    )


def unpack(data: bytes) -> Claims:
    """Raises ValueError for bytes that are no claims."""
    try:
        packed = _decode(data)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a token: {error}") from None
    if packed.layout != _LAYOUT or not 0 <= packed.scope < len(SCOPES):
        raise ValueError("a token of another release")
    return Claims(
        user_id=_long(packed.user_id),
        methods=tuple(method for position, method in enumerate(METHODS) if packed.methods >> position & 1),
        scope=SCOPES[packed.scope],
        scope_id=_long(packed.scope_id),
        issued_at=clock.to_timestamp(_EPOCH + packed.issued_us * _MICROSECOND),
        expires_at=clock.to_timestamp(_EPOCH + packed.expires_us * _MICROSECOND),
        audit_ids=tuple(map(_text_of_audit_id, packed.audit_ids)),
        application_credential_id=_long(packed.application_credential_id) or None,
        trust_id=_long(packed.trust_id) or None,
        access_token_id=_long(packed.access_token_id) or None,
        federated=_unpacked_federated(packed.federated),
    )


def _packed_federated(federated: Federated | None) -> list[Any] | None:
    if federated is None:
        return None
    return [federated.idp_id, federated.protocol_id, [_short(group_id) for group_id in federated.group_ids]]


def _unpacked_federated(packed: list[Any] | None) -> Federated | None:
    if packed is None:
        return None
    idp_id, protocol_id, group_ids = packed
    return Federated(idp_id, protocol_id, tuple(map(_long, group_ids)))


def _short(identifier: str) -> bytes | str:
    """32 or 64 lower-case hexadecimal digits as half as many bytes; anything else as it is."""
    if len(identifier) in (32, 64):
        try:
            packed = bytes.fromhex(identifier)
        except ValueError:
            return identifier
        return packed if packed.hex() == identifier else identifier
    return identifier


def _long(identifier: bytes | str) -> str:
    return identifier.hex() if isinstance(identifier, bytes) else identifier


def _microseconds(moment: Timestamp) -> int:
    return (clock.parse(moment) - _EPOCH) // _MICROSECOND


def _text_of_audit_id(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
