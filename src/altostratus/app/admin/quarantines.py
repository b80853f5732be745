# SPDX-License-Identifier: Apache-2.0
"""`/alto/v1/quarantines`: IT security puts servers of any project under quarantine, and lets them go again.

The console stays open; everything that goes over the network is dropped.
"""

from typing import Any

from altostratus.kernel import clock, log
from altostratus.kernel.errors import BadRequest, NotFound
from altostratus.kernel.policy import Persona
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.compute import public as compute
from altostratus.services.network import public as network

_log = log.get("quarantine")
ITSEC = Persona("admin or itsec", "rule:context_is_admin or role:itsec")
_REASON = {"type": "string", "maxLength": 1000}
_BODY = {
    "type": "object",
    "properties": {
        "quarantine": {
            "type": "object",
            "properties": {"reason": {**_REASON, "minLength": 1}},
            "required": ["reason"],
            "additionalProperties": False,
        }
    },
    "required": ["quarantine"],
    "additionalProperties": False,
}


def list_quarantines(call: Call) -> Reply:
    """Every server under quarantine, the oldest case first."""
    rows = network.quarantines.list_all(call.tx)
    servers = compute.find_servers(call.tx, [row.device_id for row in rows])
    return Reply(
        200, {"quarantines": [_shown(row, servers[row.device_id]) for row in rows if row.device_id in servers]}
    )


def show_quarantine(call: Call) -> Reply:
    server = _server(call)
    row = network.quarantines.find(call.tx, server.id)
    if row is None:
        raise _not_quarantined(server)
    return Reply(200, {"quarantine": _shown(row, server)})


def impose_quarantine(call: Call) -> Reply:
    """Drop all traffic of a server. Done to one that is under quarantine already, it changes the reason."""
    server = _server(call)
    reason = call.body["quarantine"]["reason"]
    network.quarantines.impose(call.tx, call.cloud, call.ctx, server.id, reason)
    _note(call, f"server {server.id} of project {server.project_id} is under quarantine: {reason}")
    return show_quarantine(call)


def lift_quarantine(call: Call) -> Reply:
    """Let a server's traffic through again."""
    server = _server(call)
    reason = call.query.get("reason", [""])[-1]
    if not network.quarantines.lift(call.tx, call.cloud, call.ctx, server.id, reason):
        raise _not_quarantined(server)
    _note(call, f"server {server.id} of project {server.project_id} is released: {reason or 'no reason given'}")
    return Reply(204)


def _note(call: Call, words: str) -> None:
    """For the audit: the line is written when the change is, with the ids of the request and the user."""
    who = call.ctx.names.get("user_name", call.ctx.user_id)
    call.tx.after_commit(lambda: _log.warning("%s (by %s)", words, who))


def _server(call: Call) -> compute.ServerInfo:
    name = call.params["server"]
    found = compute.servers_named(call.tx, name)
    if not found:
        raise NotFound(f"There is no server {name!r} in any project.")
    if len(found) > 1:
        ids = ", ".join(f"{one.id} (project {one.project_id})" for one in found[:5])
        raise BadRequest(f"Several servers are named {name!r}; give an id: {ids}.")
    return found[0]


def _not_quarantined(server: compute.ServerInfo) -> NotFound:
    return NotFound(f"Server {server.id} ({server.name}) is not under quarantine.")


def _shown(row: Any, server: compute.ServerInfo) -> dict[str, Any]:
    return {
        "server_id": server.id,
        "server_name": server.name,
        "project_id": server.project_id,
        "reason": row.reason,
        "user_id": row.user_id,
        "user_name": row.user_name,
        "created_at": clock.iso_z(row.created_at),
    }


class Quarantines(Resource, path="/quarantines"):
    """Servers whose traffic is dropped."""

    index = Op("GET", "", "alto:quarantine:list", ITSEC, list_quarantines)
    show = Op("GET", "/{server}", "alto:quarantine:list", ITSEC, show_quarantine)
    impose = Op("PUT", "/{server}", "alto:quarantine:impose", ITSEC, impose_quarantine, body=_BODY)
    lift = Op("DELETE", "/{server}", "alto:quarantine:lift", ITSEC, lift_quarantine, status=204,
              query={"reason": _REASON})  # fmt: skip
