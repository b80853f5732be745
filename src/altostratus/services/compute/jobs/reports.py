# SPDX-License-Identifier: Apache-2.0
"""What hosts report of servers by themselves: power that nobody asked for, and sizes of disks."""

from typing import Any

from altostratus.contracts.host_api import Report
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx
from altostratus.services.compute.logic import servers, states
from altostratus.services.compute.models.servers import Server

# the vm_state that a power state stands for, when no job explains it
_SETTLED = {
    "running": "active",
    "stopped": "stopped",
    "crashed": "stopped",
    "paused": "paused",
    "suspended": "suspended",
}


def on_server(tx: Tx, cloud: Cloud, _wanted: Row[Any], report: Report) -> None:
    """Keep `power_state`; a guest that powered itself off shows as SHUTOFF unless a job is at work."""
    power = report.state.get("power")
    if not power:
        return
    row = tx.find(Server, report.id)
    if row is None or row.deleted:
        return
    if power in ("stopped", "crashed") and row.wanted_power == "running" and not report.state.get("reason"):
        # it did not end by itself: the host was down, and its agent is about to start it again
        return
    number = states.POWER_NUMBERS.get(power, states.NO_STATE)
    changed: dict[str, Any] = {}
    if number != row.power_state:
        changed["power_state"] = number
    settled = _SETTLED.get(power)
    quiet = row.vm_state in ("active", "stopped", "paused", "suspended") and settled not in (None, row.vm_state)
    if quiet and servers.progress_of(tx, [row])[row.id].task_state is None:
        changed["vm_state"] = settled
        if settled == "stopped":
            changed["wanted_power"] = "stopped"
    if not changed or (row.vm_state == "building" and "vm_state" not in changed):
        return
    servers.touch(tx, row.id, **changed)
    if "vm_state" in changed:
        servers.notify(
            tx, cloud, tx.get(Server, row.id), "update", old_state=row.vm_state, reason=report.state.get("reason")
        )
