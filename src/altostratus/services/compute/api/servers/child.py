# SPDX-License-Identifier: Apache-2.0
"""`ServerChild`: base of everything below `/servers/{id}`, and the checks before a change."""

from typing import Any

from altostratus.kernel.db import table_of
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.services.compute.logic import servers
from altostratus.services.compute.models.servers import Server

_LOCK_OVERRIDE = "os_compute_api:os-lock-server:unlock:unlock_override"


def visible_servers(call: Call, statement: Any, listing: bool) -> Any:
    """The caller's own; administrators see all by id. Deleted ones are only seen in lists."""
    server = table_of(Server).c
    if listing:
        return statement
    statement = statement.where(server.deleted.is_(False))
    return statement if call.ctx.is_admin else statement.where(server.project_id == call.ctx.project_id)


class ServerChild(Resource):
    """Something of one server. `call.row` is the server."""

    row = Server
    what = "instance"
    scope = visible_servers


def demand(call: Call, action: str, vm_states: tuple[str, ...] | None, *, any_task: bool = False) -> None:
    """Before a change: raises Conflict if the server is locked, in the wrong state or busy."""
    if call.row.locked_by:
        servers.demand_unlocked(call.row, may_override=call.ctx.is_admin and call.may(_LOCK_OVERRIDE))
    servers.demand_state(call.tx, call.row, action, vm_states, any_task=any_task)
