# SPDX-License-Identifier: Apache-2.0
"""Asking identity providers over HTTP: https only (but for loopback), no redirects, bounded in size and time."""

import ipaddress
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec
import urllib3

from altostratus.kernel import clock

LARGEST_REPLY_BYTES = 1024 * 1024
_CONNECT_S = 3.0
_CHUNK_BYTES = 16 * 1024


class ProviderError(Exception):
    """The provider gave no usable answer; the message says what happened, for the log."""


class RefusedError(Exception):
    """The provider answered that it does not accept what it was given (a code, a token)."""


class Web:
    """Connections to one provider. `deadline_s` bounds one whole exchange."""

    def __init__(self, *, ca_file: str = "", deadline_s: float = 10.0) -> None:
        self._deadline_s = deadline_s
        self._pool = urllib3.PoolManager(maxsize=4, retries=False, ca_certs=ca_file or None, cert_reqs="CERT_REQUIRED")

    def get_json(self, url: str, *, bearer: str | None = None) -> dict[str, Any]:
        """A JSON object. Raises ProviderError, RefusedError."""
        return self._ask("GET", url, {"Authorization": f"Bearer {bearer}"} if bearer else {}, None)

    def post_form(self, url: str, form: Mapping[str, str], *, basic: tuple[str, str] | None = None) -> dict[str, Any]:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if basic is not None:
            headers |= urllib3.make_headers(basic_auth=":".join(basic))
        return self._ask("POST", url, headers, urlencode(form).encode())

    def _ask(self, method: str, url: str, headers: dict[str, str], body: bytes | None) -> dict[str, Any]:
        demand_safe(url)
        ends = clock.monotonic() + self._deadline_s
        try:
            reply = self._pool.request(
                method,
                url,
                body=body,
                headers={"Accept": "application/json", **headers},
                redirect=False,
                preload_content=False,
                timeout=urllib3.Timeout(connect=min(_CONNECT_S, self._deadline_s), read=self._deadline_s),
            )
            try:
                data = _read(reply, ends)
            finally:
                reply.release_conn()
        except (urllib3.exceptions.HTTPError, OSError, UnicodeError) as error:
            raise ProviderError(f"{_shown(url)} could not be asked: {type(error).__name__}") from None
        if 400 <= reply.status < 500:
            raise RefusedError(f"{_shown(url)} answered {reply.status}")
        if reply.status != 200:
            raise ProviderError(f"{_shown(url)} answered {reply.status}; redirects are not followed")
        return _object(data, url)


def demand_safe(url: Any) -> None:
    """Raises ProviderError for an address that is neither https nor on this host."""
    parts = urlsplit(url) if isinstance(url, str) else urlsplit("")
    if parts.scheme == "https" and parts.hostname and parts.username is None:
        return
    if parts.scheme == "http" and parts.username is None and _is_loopback(parts.hostname or ""):
        return
    raise ProviderError(f"{_shown(str(url))} is not an https address")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _read(reply: Any, ends: float) -> bytes:
    data = bytearray()
    while chunk := reply.read1(_CHUNK_BYTES):
        data += chunk
        if len(data) > LARGEST_REPLY_BYTES:
            reply.close()
            raise ProviderError(f"a reply of more than {LARGEST_REPLY_BYTES} bytes")
        if clock.monotonic() > ends:
            reply.close()
            raise ProviderError("a reply that took too long")
    return bytes(data)


def _object(data: bytes, url: str) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ProviderError(f"{_shown(url)} did not answer with a JSON object")
    return found


def _shown(url: str) -> str:
    """Without what may be secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"[:200]
