# SPDX-License-Identifier: Apache-2.0
"""Quarantine of servers: all their ports drop all traffic, those of today and those that come later.

A port follows its device: `logic.ports` looks whenever a port gets a device or changes it.
"""

from typing import Any

from sqlalchemy import select

from altostratus.kernel import clock
from altostratus.kernel.auth import Context
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.services.network.logic import ports, queries
from altostratus.services.network.models import Quarantine

IMPOSED, LIFTED = "alto.server.quarantined", "alto.server.released"


def impose(tx: Tx, cloud: Cloud, ctx: Context, server_id: str, reason: str) -> None:
    """From the commit on the hosts drop the server's traffic. Again: with another reason."""
    values = {
        "reason": reason,
        "user_id": ctx.user_id,
        "user_name": ctx.names.get("user_name", ""),
        "created_at": clock.now(),
    }
    if tx.update(Quarantine, server_id, **values) == 0:
        tx.insert(Quarantine, device_id=server_id, **values)
    _shut(tx, cloud, server_id, True)
    _tell(tx, cloud, IMPOSED, server_id, {"reason": reason, "by": values["user_name"]})


def lift(tx: Tx, cloud: Cloud, ctx: Context, server_id: str, reason: str) -> bool:
    """Let the traffic through again. Was the server under quarantine?"""
    if not forget(tx, server_id):
        return False
    _shut(tx, cloud, server_id, False)
    _tell(tx, cloud, LIFTED, server_id, {"reason": reason, "by": ctx.names.get("user_name", "")})
    return True


def forget(tx: Tx, server_id: str) -> bool:
    """For a server that is gone."""
    return tx.delete(Quarantine, server_id) > 0


def find(tx: Tx, server_id: str) -> Row[Quarantine] | None:
    return tx.find(Quarantine, server_id)


def list_all(tx: Tx) -> list[Row[Any]]:
    """The oldest first."""
    table = table_of(Quarantine)
    return tx.rows(select(table).order_by(table.c.created_at, table.c.device_id))


def _shut(tx: Tx, cloud: Cloud, server_id: str, on: bool) -> None:
    for port in queries.ports_of_device(tx, server_id):
        if not port.device_owner.startswith("network:"):
            ports.update(tx, cloud, port, {"quarantined": on})


def _tell(tx: Tx, cloud: Cloud, event_type: str, server_id: str, payload: dict[str, str]) -> None:
    cloud.events.emit(tx, event_type, {"server_id": server_id, **payload}, publisher_id="network.control")
