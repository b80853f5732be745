# SPDX-License-Identifier: Apache-2.0
"""Tokens that anybody can read and nobody but this cloud can sign: JSON Web Signatures (RFC 7515) of the kind ES256.

The members are those of upstream's jws provider. Times have microseconds: what was revoked is known as exactly.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from altostratus.kernel import clock
from altostratus.services.identity.tokens.key_folder import KeyFolder
from altostratus.services.identity.tokens.layout import Claims, Federated

_ECDSA = ec.ECDSA(hashes.SHA256())
_HALF = 32  # bytes of one of the two numbers of a signature
_SCOPES = {"project": "openstack_project_id", "domain": "openstack_domain_id", "system": "openstack_system"}


def is_jws(token: str) -> bool:
    """Fernet tokens have no dots."""
    return token.count(".") == 2


class SigningKeys:
    """Private keys on the curve P-256, in a folder that stays empty until such tokens are wanted."""

    def __init__(self, directory: Path | None, *, wanted: bool) -> None:
        self.folder = KeyFolder(directory, _new_key, _load, needed=wanted)

    def sign(self, claims: Claims) -> str:
        signed = f"{_HEADER}.{_text(json.dumps(_members(claims), separators=(',', ':')).encode())}"
        r, s = decode_dss_signature(self.folder.in_use().sign(signed.encode(), _ECDSA))
        return f"{signed}.{_text(r.to_bytes(_HALF, 'big') + s.to_bytes(_HALF, 'big'))}"

    def verify(self, token: str) -> Claims:
        """Raises ValueError for what none of the keys signed."""
        signed, _, given = token.rpartition(".")
        signature = _bytes(given)
        # the header is compared, never followed: there is one algorithm
        if signed.partition(".")[0] != _HEADER or len(signature) != 2 * _HALF:
            raise ValueError("not signed by this cloud")
        pair = encode_dss_signature(int.from_bytes(signature[:_HALF], "big"), int.from_bytes(signature[_HALF:], "big"))
        for key in self.folder.newest_first():
            try:
                key.public_key().verify(pair, signed.encode(), _ECDSA)
            except InvalidSignature:
                continue
            return _claims(_bytes(signed.partition(".")[2]))
        raise ValueError("not signed by this cloud")


def _new_key() -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _load(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("a key for signing tokens must be on the curve P-256")
    return key


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    """Raises ValueError."""
    return urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))


_HEADER = _text(b'{"alg":"ES256","typ":"JWT"}')


def _members(claims: Claims) -> dict[str, Any]:
    federated = claims.federated
    members: dict[str, Any] = {
        "sub": claims.user_id,
        "iat": clock.parse(claims.issued_at).timestamp(),
        "exp": clock.parse(claims.expires_at).timestamp(),
        "openstack_methods": claims.methods,
        "openstack_audit_ids": claims.audit_ids,
        "openstack_trust_id": claims.trust_id,
        "openstack_access_token_id": claims.access_token_id,
        "openstack_app_cred_id": claims.application_credential_id,
        "openstack_idp_id": federated and federated.idp_id,
        "openstack_protocol_id": federated and federated.protocol_id,
        "openstack_group_ids": federated and federated.group_ids,
    }
    if claims.scope in _SCOPES:
        members[_SCOPES[claims.scope]] = claims.scope_id
    return {name: value for name, value in members.items() if value is not None}


def _claims(payload: bytes) -> Claims:
    """Raises ValueError for a payload of another release."""
    try:
        return _stated(json.loads(payload))
    except (KeyError, TypeError) as error:
        raise ValueError(f"a token of another release: {error!r}") from None


def _stated(members: dict[str, Any]) -> Claims:
    scope = next((kind for kind, name in _SCOPES.items() if name in members), "unscoped")
    federated = None
    if "openstack_idp_id" in members:
        groups = tuple(members["openstack_group_ids"])
        federated = Federated(members["openstack_idp_id"], members["openstack_protocol_id"], groups)
    return Claims(
        user_id=members["sub"],
        methods=tuple(members["openstack_methods"]),
        scope=scope,
        scope_id=members[_SCOPES[scope]] if scope in _SCOPES else "",
        issued_at=clock.timestamp(members["iat"]),
        expires_at=clock.timestamp(members["exp"]),
        audit_ids=tuple(members["openstack_audit_ids"]),
        application_credential_id=members.get("openstack_app_cred_id"),
        trust_id=members.get("openstack_trust_id"),
        access_token_id=members.get("openstack_access_token_id"),
        federated=federated,
    )
