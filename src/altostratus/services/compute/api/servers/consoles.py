# SPDX-License-Identifier: Apache-2.0
"""Consoles: the serial log, ways into the live console, and what the hypervisor counts."""

import base64
import re
from typing import Any

from altostratus.kernel.errors import BadRequest, Conflict, NotFound, Unavailable
from altostratus.kernel.host_calls import HostCalls
from altostratus.kernel.policy import ADMIN, MEMBER, READER
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Action, Op, Reply
from altostratus.services.compute.api.servers.child import ServerChild, demand
from altostratus.services.compute.api.shared import at, closed, wrapped
from altostratus.services.compute.logic import consoles
from altostratus.services.compute.models.servers import Server

_OUTPUT = wrapped(
    "os-getConsoleOutput",
    {
        "type": ["object", "null"],
        "properties": {"length": {"type": ["integer", "string", "null"], "pattern": "^-?[0-9]+$", "minimum": -1}},
        "additionalProperties": False,
    },
)
_REMOTE = wrapped(
    "remote_console",
    closed(
        {
            "protocol": {"enum": ["vnc", "spice", "rdp", "serial", "mks"]},
            "type": {"enum": ["novnc", "xvpvnc", "spice-html5", "rdp-html5", "serial", "webmks"]},
        },
        "protocol", "type",
    ),
)  # fmt: skip
_LONGEST_LOG = 100 * 1024
_UNPRINTABLE = re.compile(r"[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def ask_host(call: Call, question: str, timeout_s: float = 10.0) -> dict[str, Any]:
    """Ask the agent of the server's host. Raises Unavailable or Conflict with a sentence."""
    host = call.row.host
    if host is None:
        raise Conflict(f"Instance {call.row.id} is not ready: it is not on any host yet.")
    if not call.cloud.has_part(HostCalls):
        raise Unavailable(f"The compute agent of host {host} cannot be asked from here.")
    agents = call.cloud.part(HostCalls)  # type: ignore[type-abstract]
    return agents.call(host, f"compute.{question}", {"server_id": call.row.id}, timeout_s)


def console_output(call: Call) -> Reply:
    """The newest lines of the serial console."""
    with call.cloud.db.read() as call.tx:
        demand(call, "get_console_output", None, any_task=True)
    data = base64.b64decode(ask_host(call, "console_log")["data_base64"])[-_LONGEST_LOG:]
    text = _UNPRINTABLE.sub("", data.decode("utf-8", "replace").replace("\r\n", "\n"))
    length = (call.body or {}).get("length")
    if length not in (None, "", -1, "-1"):
        count = int(length)
        lines = text.splitlines()
        text = "\n".join(lines[len(lines) - count :] if count < len(lines) else lines) if count else ""
    return Reply(200, {"output": text})


def remote_console(call: Call) -> Reply:
    """A URL of the live console."""
    asked = call.body["remote_console"]
    protocol, kind = asked["protocol"], asked["type"]
    if (protocol, kind) not in consoles.SERVED:
        raise BadRequest(f"Unavailable console type {kind} for protocol {protocol}. Use vnc with novnc, or serial.")
    url = _open(call, kind)
    return Reply(200, {"remote_console": {"protocol": protocol, "type": kind, "url": url}})


def vnc_console(call: Call) -> Reply:
    kind = call.body["type"]
    return Reply(200, {"console": {"type": kind, "url": _open(call, kind)}})


def serial_console(call: Call) -> Reply:
    return Reply(200, {"console": {"type": "serial", "url": _open(call, "serial")}})


def _open(call: Call, kind: str) -> str:
    if call.row.vm_state in ("building", "error") and call.row.host is None:
        raise Conflict(f"Instance {call.row.id} is not ready: it is not on any host yet.")
    if call.row.vm_state == "stopped":
        raise Conflict(f"Instance {call.row.id} is shut off and has no console. Start it first.")
    return consoles.open_console(call.tx, call.cloud, call.row, kind, call.host_url).url


def diagnostics(call: Call) -> Reply:
    """Counters of the guest, from the hypervisor."""
    with call.cloud.db.read() as call.tx:
        demand(call, "get_diagnostics", ("active", "paused", "suspended", "rescued"), any_task=True)
    stats = ask_host(call, "stats")
    if at(call, 48):
        return Reply(200, stats)
    return Reply(200, _flat(stats))


def _flat(stats: dict[str, Any]) -> dict[str, Any]:
    """The spelling before 2.48."""
    shown: dict[str, Any] = {}
    for place, cpu in enumerate(stats.get("cpu_details") or ()):
        shown[f"cpu{place}_time"] = cpu.get("time") or 0
    memory = stats.get("memory_details") or {}
    shown["memory"] = (memory.get("maximum") or 0) * 1024
    for disk in stats.get("disk_details") or ():
        for name in ("read_bytes", "read_requests", "write_bytes", "write_requests", "errors_count"):
            old = name.replace("bytes", "").replace("requests", "req").replace("errors_count", "errors").rstrip("_")
            shown[f"{disk.get('device') or 'vda'}_{old}"] = disk.get(name) or 0
    return shown


def show_password(call: Call) -> Reply:
    """What the guest posted to the metadata service, encrypted with its key pair; else nothing."""
    return Reply(200, {"password": call.row.posted_password or ""})


def clear_password(call: Call) -> Reply:
    call.tx.update(Server, call.row.id, posted_password=None)
    return Reply(204)


def topology(call: Call) -> Reply:
    """One NUMA node holds all."""
    flavor = call.row.flavor
    node: dict[str, Any] = {"memory_mb": flavor["ram"], "siblings": [], "vcpu_set": list(range(flavor["vcpus"]))}
    if call.may("compute:server:topology:host:index"):
        node |= {"host_node": 0, "cpu_pinning": {}}
    return Reply(200, {"nodes": [node], "pagesize_kb": 4})


def migrations(_call: Call) -> Reply:
    return Reply(200, {"migrations": []})


def no_migration(call: Call) -> Reply:
    raise NotFound(f"Migration {call.params['migration_id']} could not be found for instance {call.row.id}.")


def token_owner(call: Call) -> Reply:
    """What a console token opens."""
    row = consoles.find_token(call.tx, call.params["token"])
    if row is None:
        raise NotFound("Token not found: it is unknown or has expired.")
    console: dict[str, Any] = {
        "instance_uuid": row.server_id,
        "host": row.host,
        "port": 0,
        "internal_access_path": None,
    }
    return Reply(200, {"console": console})


_VNC = wrapped("os-getVNCConsole", closed({"type": {"enum": ["novnc", "xvpvnc"]}}, "type"))
_SERIAL = wrapped("os-getSerialConsole", closed({"type": {"enum": ["serial"]}}, "type"))
_CONSOLES = "os_compute_api:os-remote-consoles"
_MIGRATIONS = "os_compute_api:servers:migrations"


class ServerConsoles(ServerChild, path="/servers"):
    """Consoles, diagnostics and what else one looks at."""

    output = Action(
        "os-getConsoleOutput",
        "os_compute_api:os-console-output",
        MEMBER,
        console_output,
        status=200,
        tx="none",
        body=_OUTPUT,
    )
    remote = Op("POST", "/{id}/remote-consoles", _CONSOLES, MEMBER, remote_console, body=_REMOTE, since="2.6")
    vnc = Action("os-getVNCConsole", _CONSOLES, MEMBER, vnc_console, status=200, body=_VNC, until="2.5")
    serial = Action("os-getSerialConsole", _CONSOLES, MEMBER, serial_console, status=200, body=_SERIAL, until="2.5")
    diagnostics = Op("GET", "/{id}/diagnostics", "os_compute_api:os-server-diagnostics", ADMIN, diagnostics, tx="none")
    password = Op("GET", "/{id}/os-server-password", "os_compute_api:os-server-password:show", READER, show_password)
    clear_password = Op(
        "DELETE", "/{id}/os-server-password", "os_compute_api:os-server-password:clear", MEMBER, clear_password
    )
    topology = Op("GET", "/{id}/topology", "compute:server:topology:index", READER, topology, since="2.78")
    migrations = Op(
        "GET", "/{id}/migrations", f"{_MIGRATIONS}:index", "rule:project_manager_or_admin", migrations, since="2.23"
    )
    migration = Op("GET", "/{id}/migrations/{migration_id}", f"{_MIGRATIONS}:show", ADMIN, no_migration, since="2.23")


class ConsoleTokens(Resource, path="/os-console-auth-tokens"):
    """What a console token opens, for console proxies."""

    show = Op(
        "GET", "/{token}", "os_compute_api:os-console-auth-tokens", ADMIN, token_owner, since="2.31", own_row=False
    )
