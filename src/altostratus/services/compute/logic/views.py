# SPDX-License-Identifier: Apache-2.0
"""What servers show besides their rows, gathered in a constant number of queries."""

import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec

from altostratus.kernel.db import Row
from altostratus.kernel.resource.call import Call
from altostratus.services.compute.logic import hosts, servers, states
from altostratus.services.network import public as network

# JSON columns that lists read as text, so that nothing is decoded for a server that looks as it did before
JSON_COLUMNS: Final = ("flavor", "custom_metadata", "tags", "fault", "trusted_certs")
_decode = msgspec.json.Decoder().decode


class Inputs(NamedTuple):
    """Everything that the view of one server is made of: equal inputs give the same view."""

    row: Row[Any]
    task_state: str | None
    ports: Sequence[network.PortView]
    volumes: Sequence[tuple[str, bool]]
    host_status: str


@lru_cache(maxsize=4096)
def host_id(project_id: str, host: str | None) -> str:
    """Names a host for one project without giving away which it is."""
    return hashlib.sha224((project_id + host).encode()).hexdigest() if host else ""


def gather(call: Call, rows: list[Row[Any]]) -> list[Inputs]:
    """The inputs of the views of `rows`, in their order."""
    ids = [row.id for row in rows]
    going_on = servers.progress_of(call.tx, rows)
    ports = network.port_views(call.tx, ids)
    volumes = servers.volumes_of(call.tx, ids)
    status = _host_status(call)
    return [
        Inputs(
            row,
            going_on[row.id].task_state,
            ports.get(row.id, ()),
            volumes.get(row.id, ()),
            status(row.host) if status else "",
        )
        for row in rows
    ]


def attributes(inputs: Inputs) -> dict[str, Any]:
    """A mapping for the view: the columns, `task_state`, `status`, `ports`, `volumes` and `host_status`."""
    row = inputs.row
    found = dict(zip(row._fields, row, strict=True))
    for name in JSON_COLUMNS:
        if isinstance(found[name], str):
            found[name] = _decode(found[name])
    found["task_state"] = inputs.task_state
    found["status"] = states.status_of(row.vm_state, inputs.task_state)
    found["ports"], found["volumes"] = inputs.ports, inputs.volumes
    found["host_status"] = inputs.host_status
    return found


def load(call: Call, rows: list[Any]) -> list[dict[str, Any]]:
    """For the resource: rows as mappings. What is a mapping already was made by `attributes`."""
    if rows and isinstance(rows[0], dict):
        return rows
    return [attributes(one) for one in gather(call, rows)]


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
