# SPDX-License-Identifier: Apache-2.0
"""Key pairs: making them, and fingerprints of imported ones."""

import base64
import binascii
import hashlib
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from sqlalchemy import func, select

from altostratus.kernel import clock
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import BadRequest, Conflict
from altostratus.services.compute.models.flavors import Keypair

_RSA_BITS = 2048
_CERTIFICATE_S = 3650 * 86400.0


class NewKeys(NamedTuple):
    """A fresh pair; the private half is handed out once and never stored."""

    private_key: str
    public_key: str


def make_ssh_keys() -> NewKeys:
    """An RSA pair in the spellings that ssh reads."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return NewKeys(private.decode(), public.decode() + " Generated-by-Altostratus")


def make_certificate() -> NewKeys:
    """A self-signed certificate for logging in to a guest, in PEM form, and its private key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "altostratus")])
    today, end = clock.parse(clock.now()), clock.parse(clock.after(_CERTIFICATE_S))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today)
        .not_valid_after(end)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return NewKeys(private.decode(), certificate.public_bytes(serialization.Encoding.PEM).decode())


def fingerprint_of(public_key: str, key_type: str = "ssh") -> str:
    """MD5 of an ssh key or SHA-1 of a certificate, with colons. Raises BadRequest if it is neither."""
    if key_type == "x509":
        try:
            certificate = x509.load_pem_x509_certificate(public_key.encode())
        except ValueError as error:
            raise BadRequest(f"Keypair data is invalid: this is no X.509 certificate in PEM form ({error})") from None
        return _colons(certificate.fingerprint(hashes.SHA1()).hex())  # noqa: S303
    try:
        serialization.load_ssh_public_key(public_key.strip().encode())
        blob = base64.b64decode(public_key.split()[1], validate=True)
    except (ValueError, IndexError, binascii.Error, UnicodeEncodeError):
        raise BadRequest(
            "Keypair data is invalid: failed to generate fingerprint. "
            "Give the one line of a .pub file: type, base64, comment."
        ) from None
    return _colons(hashlib.md5(blob, usedforsecurity=False).hexdigest())


def _colons(digest: str) -> str:
    return ":".join(digest[start : start + 2] for start in range(0, len(digest), 2))


def find_keypair(tx: Tx, user_id: str, name: str) -> Row[Any] | None:
    return tx.find(Keypair, user_id=user_id, name=name)


def count_keypairs(tx: Tx, user_id: str) -> int:
    keypair = table_of(Keypair).c
    return int(tx.scalar(select(func.count()).where(keypair.user_id == user_id)) or 0)


def add_keypair(tx: Tx, user_id: str, name: str, key_type: str, public_key: str) -> Row[Any]:
    """Store a public key. Raises Conflict for a name in use, BadRequest for a bad key."""
    fingerprint = fingerprint_of(public_key, key_type)
    if find_keypair(tx, user_id, name) is not None:
        raise Conflict(f"Key pair '{name}' already exists.")
    tx.insert(
        Keypair,
        user_id=user_id,
        name=name,
        type=key_type,
        fingerprint=fingerprint,
        public_key=public_key,
        created_at=clock.now(),
    )
    return tx.get(Keypair, user_id=user_id, name=name)
