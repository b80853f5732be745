# SPDX-License-Identifier: Apache-2.0
"""Console tokens: short-lived keys to one server's console. Only their hashes are stored."""

import hashlib
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from altostratus.kernel import clock, ids
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import BadRequest
from altostratus.services.compute.config import ComputeOptions
from altostratus.services.compute.models.hosts import ConsoleToken

# (protocol, type) that this cloud serves
SERVED = {("vnc", "novnc"), ("serial", "serial")}


class OpenedConsole(NamedTuple):
    token: str
    url: str


def hash_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def open_console(tx: Tx, cloud: Cloud, row: Row[Any], kind: str, host_url: str) -> OpenedConsole:
    """A URL that shows the server's console until it expires. `kind` is novnc or serial."""
    if kind not in {one for _, one in SERVED}:
        raise BadRequest(f"Unavailable console type {kind}. Use novnc or serial.")
    options = cloud[ComputeOptions]
    if not options.console_base_url and not options.console_port:
        raise BadRequest(
            f"Unavailable console type {kind}: consoles are switched off here. "
            "The operator can give them a port: [cloud] console_port."
        )
    token = ids.new_id()
    base = options.console_base_url.rstrip("/") or _derived_base(host_url, options.console_port)
    if kind == "serial":
        url = f"{base.replace('http', 'ws', 1)}/?token={token}"
    else:
        url = f"{base}/vnc_auto.html?path={quote(f'?token={token}', safe='')}"
    expired = table_of(ConsoleToken).c.expires_at < clock.now()
    tx.delete_where(ConsoleToken, expired)
    tx.insert(
        ConsoleToken,
        token_hash=hash_of(token),
        server_id=row.id,
        host=row.host,
        console_type=kind,
        access_url=base,
        expires_at=clock.after(options.console_token_ttl_s),
    )
    return OpenedConsole(token, url)


def _derived_base(host_url: str, port: int) -> str:
    parts = urlsplit(host_url)
    host = parts.hostname or "127.0.0.1"
    return f"{parts.scheme}://{'[' + host + ']' if ':' in host else host}:{port}"


def find_token(tx: Tx, token: str) -> Row[Any] | None:
    """The token's row if it is still good."""
    row = tx.find(ConsoleToken, hash_of(token))
    return row if row is not None and row.expires_at > clock.now() else None
