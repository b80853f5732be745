# SPDX-License-Identifier: Apache-2.0
"""`/os-hypervisors` and `/os-hosts`: what the machines below are and have."""

from typing import Any

from sqlalchemy import func, select

from altostratus.kernel import clock
from altostratus.kernel.db import table_of
from altostratus.kernel.errors import BadRequest, NotFound, NotImplementedHere
from altostratus.kernel.numbers import whole_number
from altostratus.kernel.policy import ADMIN
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.compute.api.shared import at, closed
from altostratus.services.compute.config import ComputeOptions
from altostratus.services.compute.logic import hosts
from altostratus.services.compute.logic.hosts import ComputeHost
from altostratus.services.compute.logic.wanted import instance_name
from altostratus.services.compute.models.hosts import ComputeService
from altostratus.services.compute.models.servers import Server
from altostratus.services.placement import public as placement

_RULE = "os_compute_api:os-hypervisors"


def _key(call: Call, host: ComputeHost) -> Any:
    return host.id if at(call, 53) else host.number


def _brief(call: Call, host: ComputeHost) -> dict[str, Any]:
    return {
        "id": _key(call, host),
        "hypervisor_hostname": host.name,
        "state": "up" if host.up else "down",
        "status": "disabled" if host.disabled else "enabled",
    }


def _all(call: Call) -> list[ComputeHost]:
    return hosts.list_hosts(call.tx, call.cloud)


def _get(call: Call) -> ComputeHost:
    wanted = call.params["id"]
    for host in _all(call):
        if wanted == str(_key(call, host)):
            return host
    raise NotFound(f"Compute host {wanted} could not be found.")


def _servers_by_host(call: Call, names: list[str]) -> dict[str, list[dict[str, str]]]:
    server = table_of(Server).c
    found: dict[str, list[dict[str, str]]] = {}
    statement = select(server.id, server.host).where(server.host.in_(names), server.deleted.is_(False))
    for row in call.tx.rows(statement.order_by(server.created_at)):
        found.setdefault(row.host, []).append({"name": instance_name(row.id), "uuid": row.id})
    return found


def _with_servers(call: Call) -> bool:
    return at(call, 53) and call.query.get("with_servers", ["false"])[-1].lower() in ("true", "1", "t", "yes", "on")


def _version_number(text: str) -> int:
    parts = [int(part) for part in text.split(".")[:3] if part.isdecimal()]
    parts += [0] * (3 - len(parts))
    return parts[0] * 1_000_000 + parts[1] * 1_000 + parts[2]


def _detail(call: Call, host: ComputeHost, used: dict[str, int], running: int) -> dict[str, Any]:
    facts = host.facts
    shown = _brief(call, host) | {
        "hypervisor_type": "fake" if facts.get("simulated") else str(facts.get("type", "QEMU")),
        "hypervisor_version": _version_number(str(facts.get("version", "0"))),
        "host_ip": facts.get("host_ip", "127.0.0.1"),
        "service": {
            "id": host.service_id if at(call, 53) else host.number,
            "host": host.name,
            "disabled_reason": host.disabled_reason,
        },
    }
    if not at(call, 88):
        vcpus, memory = int(facts.get("vcpus", 0)), int(facts.get("memory_mib", 0))
        disk, vcpus_used = int(facts.get("disk_gib", 0)), used.get("VCPU", 0)
        memory_used = used.get("MEMORY_MB", 0) + min(_reserved(call), memory)
        disk_used = used.get("DISK_GB", 0)
        info = {
            "arch": facts.get("architecture", ""),
            "model": facts.get("cpu_model", ""),
            "vendor": "",
            "features": [],
            "topology": {"sockets": 1, "cores": vcpus, "threads": 1},
        }
        shown |= {
            "cpu_info": info if at(call, 28) else str(info).replace("'", '"'),
            "vcpus": vcpus,
            "memory_mb": memory,
            "local_gb": disk,
            "vcpus_used": vcpus_used,
            "memory_mb_used": memory_used,
            "local_gb_used": disk_used,
            "free_ram_mb": memory - memory_used,
            "free_disk_gb": disk - disk_used,
            "current_workload": 0,
            "running_vms": running,
            "disk_available_least": (host.usage or {}).get("disk_gib_free", disk - disk_used),
        }
    else:
        shown["uptime"] = _uptime(host)
    return shown


def _reserved(call: Call) -> int:
    from_options: int = call.cloud[ComputeOptions].reserved_host_memory_mb
    return from_options


def _uptime(host: ComputeHost) -> str | None:
    load = (host.usage or {}).get("load_1m")
    if not host.up or load is None:
        return None
    return f" {clock.now()[11:19]} up,  load average: {load:.2f}"


def _details(call: Call, found: list[ComputeHost]) -> list[dict[str, Any]]:
    used = placement.usages(call.tx, [host.id for host in found])
    server = table_of(Server).c
    statement = select(server.host, func.count().label("servers")).where(server.deleted.is_(False))
    counted = call.tx.rows(statement.where(server.host.is_not(None)).group_by(server.host))
    running = {row.host: int(row.servers) for row in counted}
    return [_detail(call, host, used.get(host.id, {}), running.get(host.name, 0)) for host in found]


def _matching(call: Call) -> list[ComputeHost]:
    found = _all(call)
    pattern = call.query.get("hypervisor_hostname_pattern", [""])[-1] if at(call, 53) else ""
    if pattern:
        if call.query.get("limit") or call.query.get("marker"):
            raise BadRequest(
                "Paging over hypervisors with the hypervisor_hostname_pattern query parameter is not supported."
            )
        found = [host for host in found if pattern in host.name]
        if not found:
            raise NotFound(f"No hypervisor matching '{pattern}' could be found.")
    return found


def _page(call: Call, found: list[ComputeHost]) -> tuple[list[ComputeHost], list[dict[str, str]]]:
    if not at(call, 33):
        return found, []
    marker, limit = call.query.get("marker", [""])[-1], call.query.get("limit", [""])[-1]
    keys = [str(_key(call, host)) for host in found]
    if marker:
        if marker not in keys:
            raise BadRequest(f"marker [{marker}] not found")
        found = found[keys.index(marker) + 1 :]
    most = whole_number(limit)
    if most is None or len(found) <= most:
        return found, []
    page = found[:most]
    href = f"{call.url_without_query()}?limit={limit}&marker={_key(call, page[-1])}" if page else ""
    return page, [{"rel": "next", "href": href}] if page else []


def list_hypervisors(call: Call) -> Reply:
    """Names and states; with `/detail` all that is known."""
    found, links = _page(call, _matching(call))
    items = _details(call, found) if call.op.path == "/detail" else [_brief(call, host) for host in found]
    if _with_servers(call):
        own = _servers_by_host(call, [host.name for host in found])
        for item, host in zip(items, found, strict=True):
            if host.name in own or at(call, 75):
                item["servers"] = own.get(host.name, [])
    return Reply(200, {"hypervisors": items} | ({"hypervisors_links": links} if links else {}))


def show_hypervisor(call: Call) -> Reply:
    host = _get(call)
    shown = _details(call, [host])[0]
    if _with_servers(call):
        shown["servers"] = _servers_by_host(call, [host.name]).get(host.name, [])
    return Reply(200, {"hypervisor": shown})


def show_uptime(call: Call) -> Reply:
    host = _get(call)
    uptime = _uptime(host)
    if uptime is None:
        raise BadRequest(f"Host {host.name} does not say how long it is up: it is down.")
    return Reply(200, {"hypervisor": _brief(call, host) | {"uptime": uptime}})


def statistics(call: Call) -> Reply:
    """Sums over all hypervisors."""
    found = [host for host in _all(call) if not host.disabled]
    names = [
        "vcpus",
        "memory_mb",
        "local_gb",
        "vcpus_used",
        "memory_mb_used",
        "local_gb_used",
        "free_ram_mb",
        "free_disk_gb",
        "current_workload",
        "running_vms",
        "disk_available_least",
    ]
    each = _details(call, found)
    return Reply(
        200, {"hypervisor_statistics": {"count": len(found)} | {name: sum(one[name] for one in each) for name in names}}
    )


def _by_pattern(call: Call) -> list[ComputeHost]:
    pattern = call.params["id"]
    found = [host for host in _all(call) if pattern in host.name]
    if not found:
        raise NotFound(f"No hypervisor matching '{pattern}' could be found.")
    return found


def search(call: Call) -> Reply:
    return Reply(200, {"hypervisors": [_brief(call, host) for host in _by_pattern(call)]})


def servers_of(call: Call) -> Reply:
    found = _by_pattern(call)
    own = _servers_by_host(call, [host.name for host in found])
    items = [_brief(call, host) | ({"servers": own[host.name]} if host.name in own else {}) for host in found]
    return Reply(200, {"hypervisors": items})


class Hypervisors(Resource, path="/os-hypervisors"):
    """Machines that run servers."""

    index = Op("GET", "", f"{_RULE}:list", ADMIN, list_hypervisors)
    detail = Op("GET", "/detail", f"{_RULE}:list-detail", ADMIN, list_hypervisors)
    statistics = Op("GET", "/statistics", f"{_RULE}:statistics", ADMIN, statistics, until="2.87")
    show = Op("GET", "/{id}", f"{_RULE}:show", ADMIN, show_hypervisor, own_row=False)
    uptime = Op("GET", "/{id}/uptime", f"{_RULE}:uptime", ADMIN, show_uptime, own_row=False, until="2.87")
    search = Op("GET", "/{id}/search", f"{_RULE}:search", ADMIN, search, own_row=False, until="2.52")
    servers = Op("GET", "/{id}/servers", f"{_RULE}:servers", ADMIN, servers_of, own_row=False, until="2.52")


_SWITCH = {"type": "string", "pattern": "^(?i:enable|disable)$"}
_HOST_UPDATE = {**closed({"status": _SWITCH, "maintenance_mode": _SWITCH}), "minProperties": 1}


def list_hosts(call: Call) -> Reply:
    """Hosts and the services on them."""
    zone = call.query.get("zone", [""])[-1]
    found = [{"host_name": host.name, "service": "compute", "zone": host.zone} for host in _all(call)]
    internal = call.cloud[ComputeOptions].internal_availability_zone
    found += [{"host_name": "control", "service": name, "zone": internal} for name in ("conductor", "scheduler")]
    return Reply(200, {"hosts": [host for host in found if not zone or host["zone"] == zone]})


def update_host(call: Call) -> Reply:
    """Take a host out of scheduling, or back."""
    _get_host(call)
    if "maintenance_mode" in call.body:
        raise NotImplementedHere("The hosts of this cloud have no maintenance mode. Use status: disable.")
    row = hosts.ensure_service(call.tx, call.params["name"])
    disabled = call.body["status"].lower() == "disable"
    call.tx.update(ComputeService, row.id, disabled=disabled, disabled_reason=None, updated_at=clock.now())
    return Reply(200, {"host": row.host, "status": "disabled" if disabled else "enabled"})


def switch_host(call: Call) -> Reply:
    _get_host(call)
    raise NotImplementedHere("This cloud does not switch its hosts on and off. Use your machine's own means.")


def _get_host(call: Call) -> ComputeHost:
    name = call.params["name"]
    for host in _all(call):
        if host.name == name:
            return host
    raise NotFound(f"Compute host {name} could not be found.")


def show_host(call: Call) -> Reply:
    """What a host has, what is used now, and what each project uses."""
    host, name = _get_host(call), call.params["name"]
    server = table_of(Server)
    rows = call.tx.rows(select(server).where(server.c.host == name, server.c.deleted.is_(False)))

    def resource(project: str, cpu: int, memory: int, disk: int) -> dict[str, Any]:
        return {"resource": {"host": name, "project": project, "cpu": cpu, "memory_mb": memory, "disk_gb": disk}}

    def disk_of(row: Any) -> int:
        return int(row.flavor.get("disk", 0)) + int(row.flavor.get("ephemeral", 0))

    facts = host.facts
    totals = [sum(row.vcpus for row in rows), sum(row.memory_mib for row in rows), sum(map(disk_of, rows))]
    shown = [
        resource("(total)", int(facts.get("vcpus", 0)), int(facts.get("memory_mib", 0)), int(facts.get("disk_gib", 0))),
        # what is used now includes the memory that is kept for the host itself
        resource("(used_now)", totals[0], totals[1] + _reserved(call), totals[2]),
        resource("(used_max)", *totals),
    ]
    for project_id in sorted({row.project_id for row in rows}):
        own = [row for row in rows if row.project_id == project_id]
        shown.append(
            resource(project_id, sum(r.vcpus for r in own), sum(r.memory_mib for r in own), sum(map(disk_of, own)))
        )
    return Reply(200, {"host": shown})


class Hosts(Resource, path="/os-hosts"):
    """Hosts, in the form before 2.43."""

    index = Op("GET", "", "os_compute_api:os-hosts:list", ADMIN, list_hosts, until="2.42")
    show = Op("GET", "/{name}", "os_compute_api:os-hosts:show", ADMIN, show_host, until="2.42")
    update = Op("PUT", "/{name}", "os_compute_api:os-hosts:update", ADMIN, update_host, until="2.42", body=_HOST_UPDATE)
    startup = Op("GET", "/{name}/startup", "os_compute_api:os-hosts:start", ADMIN, switch_host, until="2.42")
    shutdown = Op("GET", "/{name}/shutdown", "os_compute_api:os-hosts:shutdown", ADMIN, switch_host, until="2.42")
    reboot = Op("GET", "/{name}/reboot", "os_compute_api:os-hosts:reboot", ADMIN, switch_host, until="2.42")
