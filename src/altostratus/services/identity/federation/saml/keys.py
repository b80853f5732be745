# SPDX-License-Identifier: Apache-2.0
"""The key that this cloud signs assertions with, and the certificate by which other clouds know it."""

import os
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from altostratus.kernel import clock

_LIFE_DAYS = 3650
_FILE = "signing.pem"


class SigningKey(NamedTuple):
    """`certificate` is PEM."""

    private: rsa.RSAPrivateKey
    certificate: str


def load_signing_key(directory: Path | None) -> SigningKey:
    """The key in `directory` (mode 0700, file 0600), made at the first time; in memory without a directory."""
    if directory is None:
        return _parse(_new_pem())
    file = directory / _FILE
    if not file.exists():
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write_once(file, _new_pem())
    return _parse(file.read_bytes())


def _parse(pem: bytes) -> SigningKey:
    private = serialization.load_pem_private_key(pem, None)
    if not isinstance(private, rsa.RSAPrivateKey):
        raise TypeError("the signing key is not an RSA key")
    certificate = x509.load_pem_x509_certificate(pem)
    return SigningKey(private, certificate.public_bytes(serialization.Encoding.PEM).decode())


def _new_pem() -> bytes:
    private = rsa.generate_private_key(65537, 3072)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "altostratus")])
    now = clock.parse(clock.now())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=_LIFE_DAYS))
        .sign(private, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    key = private.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key + certificate.public_bytes(encoding)


def _write_once(file: Path, data: bytes) -> None:
    """A whole file or none; another process that was faster wins."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        os.link(draft, file)
    except FileExistsError:
        pass
    finally:
        draft.unlink(missing_ok=True)
