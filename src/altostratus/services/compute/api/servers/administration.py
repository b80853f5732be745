# SPDX-License-Identifier: Apache-2.0
"""Locks, forced deletion, resetting a state, and actions that need what this cloud's guests do not have."""

from altostratus.kernel import clock
from altostratus.kernel.errors import BadRequest, Conflict, Forbidden
from altostratus.kernel.policy import ADMIN, MANAGER, MEMBER
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Action
from altostratus.services.compute.api.servers.changes import begin_delete
from altostratus.services.compute.api.servers.child import ServerChild, demand
from altostratus.services.compute.api.shared import closed, wrapped
from altostratus.services.compute.logic import hosts, servers, states
from altostratus.services.network import public as network

_LOCK = wrapped(
    "lock",
    {
        "type": ["object", "null"],
        "properties": {"locked_reason": {"type": "string", "minLength": 1, "maxLength": 255}},
        "additionalProperties": False,
    },
)
_MIGRATE = wrapped(
    "migrate",
    {"type": ["object", "null"], "properties": {"host": {"type": ["string", "null"]}}, "additionalProperties": False},
)


def lock(call: Call) -> None:
    """Protect a server from changes until it is unlocked."""
    who = "owner" if call.row.project_id == call.ctx.project_id and not call.ctx.is_admin else "admin"
    if call.row.locked_by == "admin" and who == "owner":
        return
    reason = (call.body or {}).get("locked_reason") if isinstance(call.body, dict) else None
    servers.touch(call.tx, call.row.id, locked_by=who, locked_reason=reason)
    servers.notify(call.tx, call.cloud, call.row, "lock", locked_reason=reason)


def unlock(call: Call) -> None:
    """Allow changes again."""
    if call.row.locked_by == "admin" and not call.may(
        "os_compute_api:os-lock-server:unlock:unlock_override", dict(call.row._mapping)
    ):
        raise Forbidden("This server was locked by an administrator; only an administrator can unlock it.")
    servers.touch(call.tx, call.row.id, locked_by=None, locked_reason=None)
    servers.notify(call.tx, call.cloud, call.row, "unlock")


def force_delete(call: Call) -> None:
    """Delete at once, whatever the state."""
    demand(call, "force_delete", None, any_task=True)
    begin_delete(call, call.row)


def restore(call: Call) -> None:
    """Servers are deleted at once here, so there is never one to restore."""
    demand(call, "restore", ("soft-delete",))


def reset_state(call: Call) -> None:
    """Say that a server is ACTIVE or in ERROR, whatever is true."""
    state = call.body["state"]
    fault = states.fault(500, "An administrator set the state to error.", clock.now()) if state == "error" else None
    servers.touch(call.tx, call.row.id, vm_state=state, **({"fault": fault} if state == "error" else {}))


def inject_network_info(call: Call) -> None:
    """Ask the host once more for the server's ports as they should be."""
    demand(call, "inject_network_info", None, any_task=True)
    if call.row.host is None:
        return
    ports = [port.id for port in network.ports_of_servers(call.tx, [call.row.id]).get(call.row.id, [])]
    for want in network.port_wants(call.tx, call.cloud, ports, call.row.host):
        call.cloud.desired.want(call.tx, want)


def change_password(call: Call) -> None:
    """Needs an agent inside the guest."""
    demand(call, "change_password", ("active",))
    raise Conflict(
        f"Unable to set password on instance {call.row.id}: there is no guest agent that could. "
        "Log in and use passwd, or rebuild with user data."
    )


def refuse_migration(call: Call) -> None:
    """Move a server to another host: needs a second one."""
    demand(call, "migrate", ("active", "stopped"))
    others = [host for host in hosts.list_hosts(call.tx, call.cloud) if host.name != call.row.host and host.up]
    if not others:
        raise BadRequest("No valid host was found. There is no other compute host that this server could move to.")
    raise BadRequest("No valid host was found. Moving servers between hosts is not possible with local disks yet.")


def evacuate(call: Call) -> None:
    """Build a server of a dead host elsewhere: needs a second host."""
    demand(call, "evacuate", ("active", "stopped", "error"), any_task=True)
    mine = [host for host in hosts.list_hosts(call.tx, call.cloud) if host.name == call.row.host]
    if any(host.up for host in mine):
        raise BadRequest(f"Compute service of {call.row.host} is still in use.")
    raise BadRequest("No valid host was found. There is no other compute host that this server could be built on.")


def trigger_crash_dump(call: Call) -> None:
    demand(call, "trigger_crash_dump", ("active", "paused"))
    raise BadRequest("The hypervisor driver of this server's host cannot send an NMI to guests.")


class ServerAdministration(ServerChild, path="/servers"):
    """What owners and administrators may force."""

    lock = Action("lock", "os_compute_api:os-lock-server:lock", MEMBER, lock, body=_LOCK)
    unlock = Action("unlock", "os_compute_api:os-lock-server:unlock", MEMBER, unlock, body=wrapped("unlock", {}))
    force_delete = Action(
        "forceDelete", "os_compute_api:os-deferred-delete:force", MEMBER, force_delete, body=wrapped("forceDelete", {})
    )
    restore = Action(
        "restore", "os_compute_api:os-deferred-delete:restore", MEMBER, restore, body=wrapped("restore", {})
    )
    reset_state = Action(
        "os-resetState", "os_compute_api:os-admin-actions:reset_state", ADMIN, reset_state,
        body=wrapped("os-resetState", closed({"state": {"enum": ["active", "error"]}}, "state")),
    )  # fmt: skip
    inject_network_info = Action(
        "injectNetworkInfo", "os_compute_api:os-admin-actions:inject_network_info", ADMIN, inject_network_info,
        body=wrapped("injectNetworkInfo", {}),
    )  # fmt: skip
    change_password = Action(
        "changePassword", "os_compute_api:os-admin-password", MEMBER, change_password,
        body=wrapped("changePassword", closed({"adminPass": {"type": "string"}}, "adminPass")),
    )  # fmt: skip
    migrate = Action("migrate", "os_compute_api:os-migrate-server:migrate", MANAGER, refuse_migration, body=_MIGRATE)
    migrate_live = Action(
        "os-migrateLive", "os_compute_api:os-migrate-server:migrate_live", MANAGER, refuse_migration,
        body=wrapped("os-migrateLive", {"type": "object"}),
    )  # fmt: skip
    evacuate = Action(
        "evacuate",
        "os_compute_api:os-evacuate",
        ADMIN,
        evacuate,
        status=200,
        body=wrapped("evacuate", {"type": "object"}),
    )
    crash = Action(
        "trigger_crash_dump", "os_compute_api:servers:trigger_crash_dump", MEMBER, trigger_crash_dump, since="2.17",
        body=wrapped("trigger_crash_dump", {"type": "null"}),
    )  # fmt: skip
