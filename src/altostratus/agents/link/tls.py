# SPDX-License-Identifier: Apache-2.0
"""The link of an agent on another host: TLS, with certificates on both sides."""

import socket
import ssl
from pathlib import Path
from typing import NamedTuple

from altostratus.agents.link.client import LinkHostApi

_CONNECT_S = 10.0


class HostCertificate(NamedTuple):
    """PEM files: this side's certificate and key, and the authority that signed both sides' certificates."""

    certificate: Path
    key: Path
    authority: Path


class TlsHostApi(LinkHostApi):
    """`HostApi` over TLS; the certificate must name this host (subject alternative name)."""

    def __init__(self, address: str, port: int, certificate: HostCertificate) -> None:
        self.address, self.port = address, port
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_3
        self._context.load_verify_locations(certificate.authority)
        self._context.load_cert_chain(certificate.certificate, certificate.key)
        super().__init__(self._connect_tls)

    def _connect_tls(self) -> socket.socket:
        plain = socket.create_connection((self.address, self.port), timeout=_CONNECT_S)
        try:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return self._context.wrap_socket(plain, server_hostname=self.address)
        except BaseException:
            plain.close()
            raise
