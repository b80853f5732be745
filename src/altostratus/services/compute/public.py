# SPDX-License-Identifier: Apache-2.0
"""The door of compute for other parts of the cloud."""

from collections.abc import Iterable
from dataclasses import dataclass

from altostratus.kernel.db import Tx
from altostratus.services.compute.logic import consoles, servers


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """A server as others need it."""

    id: str
    name: str
    project_id: str
    host: str | None
    vm_state: str


def find_servers(tx: Tx, server_ids: Iterable[str]) -> dict[str, ServerInfo]:
    """Those that exist, by id; one query."""
    return {
        row.id: ServerInfo(row.id, row.name, row.project_id, row.host, row.vm_state)
        for row in servers.find_servers(tx, server_ids)
    }


def servers_named(tx: Tx, name_or_id: str) -> list[ServerInfo]:
    """Servers of every project with this name or id, without deleted ones."""
    return [
        ServerInfo(row.id, row.name, row.project_id, row.host, row.vm_state)
        for row in servers.find_named(tx, name_or_id)
    ]


@dataclass(frozen=True, slots=True)
class OpenConsole:
    """What a console token opens. `console_type` is novnc or serial."""

    server_id: str
    host: str
    console_type: str


def check_console_token(tx: Tx, token: str) -> OpenConsole | None:
    """What the token opens; None if it is unknown, has expired, or the server is gone."""
    row = consoles.find_token(tx, token)
    if row is None or not servers.find_servers(tx, [row.server_id]):
        return None
    return OpenConsole(row.server_id, row.host, row.console_type)
