# SPDX-License-Identifier: Apache-2.0
"""What a list of servers needs besides their rows, gathered in a constant number of queries."""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from altostratus.kernel.db import Row
from altostratus.kernel.resource.call import Call
from altostratus.services.compute.logic import hosts, servers, states
from altostratus.services.network import public as network


@lru_cache(maxsize=4096)
def host_id(project_id: str, host: str | None) -> str:
    """Names a host for one project without giving away which it is."""
    return hashlib.sha224((project_id + host).encode()).hexdigest() if host else ""


def load(call: Call, rows: list[Row[Any]]) -> list[dict[str, Any]]:
    """Rows as mappings with `task_state`, `status`, `ports`, `volumes` and (for those who may) `host_status`."""
    ids = [row.id for row in rows]
    tx = call.tx
    going_on = servers.progress_of(tx, rows)
    ports = network.port_views(tx, ids)
    volumes = servers.volumes_of(tx, ids)
    host_status = _host_status(call)
    loaded = []
    names = rows[0]._fields if rows else ()
    for row in rows:
        attributes = dict(zip(names, row, strict=True))
        task = going_on[row.id].task_state
        attributes["task_state"] = task
        attributes["status"] = states.status_of(row.vm_state, task)
        attributes["ports"] = ports.get(row.id, ())
        attributes["volumes"] = volumes.get(row.id, ())
        attributes["host_status"] = host_status(row.host) if host_status else ""
        loaded.append(attributes)
    return loaded


def _host_status(call: Call) -> Callable[[str | None], str] | None:
    if call.version is None or call.version.minor < 16:
        return None
    if not call.may("os_compute_api:servers:show:host_status"):
        return None
    known = {one.name: one for one in hosts.list_hosts(call.tx, call.cloud)}

    def status(name: str | None) -> str:
        if name is None:
            return ""
        host = known.get(name)
        if host is None:
            return "UNKNOWN"
        if host.disabled:
            return "MAINTENANCE"
        return "UP" if host.up else ("DOWN" if host.forced_down else "UNKNOWN")

    return status
