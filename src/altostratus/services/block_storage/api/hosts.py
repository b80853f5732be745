# SPDX-License-Identifier: Apache-2.0
"""Storage hosts as administrators see them: services, pools, capabilities, hosts; and availability zones."""

from typing import Any

from sqlalchemy import func, select

from altostratus.kernel import clock
from altostratus.kernel.db import table_of
from altostratus.kernel.errors import BadRequest, NotFound
from altostratus.kernel.policy import ADMIN, READER
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.block_storage.config import BlockStorageOptions
from altostratus.services.block_storage.logic import scheduling
from altostratus.services.block_storage.models.others import ServiceState
from altostratus.services.block_storage.models.volumes import Snapshot, Volume

SCHEDULER = "cinder-scheduler"


def _services(call: Call) -> list[dict[str, Any]]:
    """`cinder-scheduler` is this process; each back end is a `cinder-volume`."""
    states = {(row.binary, row.host): row for row in call.tx.rows(table_of(ServiceState).select())}
    zone = call.cloud[BlockStorageOptions].availability_zone
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for host in call.cloud.desired.hosts(call.tx, kind="volume")[:1]:
        found[SCHEDULER, host.name] = {"state": "up", "updated_at": clock.now(), "zone": zone}
    for pool in scheduling.list_pools(call.tx, call.cloud):
        state = "up" if pool.alive else "down"
        key = (scheduling.BINARY, scheduling.service_host(pool.name))
        found[key] = {"state": state, "updated_at": pool.last_seen, "zone": pool.zone}
    shown = []
    for (binary, host_name), facts in found.items():
        kept = states.get((binary, host_name))
        disabled = kept is not None and kept.disabled
        shown.append(
            {"binary": binary, "host": host_name, "status": "disabled" if disabled else "enabled", **facts}
            | {"disabled_reason": kept.disabled_reason if kept is not None and disabled else None}
            | {"frozen": kept is not None and kept.frozen}
        )
    return shown


def list_services(call: Call) -> Reply:
    minor = call.version.minor if call.version else 0
    host, binary = call.query.get("host", [None])[-1], call.query.get("binary", [None])[-1]
    shown = []
    for service in _services(call):
        if host not in (None, service["host"], scheduling.host_of(service["host"])):
            continue
        if binary not in (None, service["binary"]):
            continue
        is_volume = service["binary"] == scheduling.BINARY
        if minor >= 7:
            service["cluster"] = None
        if is_volume:
            service |= {"replication_status": "disabled", "active_backend_id": None}
        else:
            del service["frozen"]
        if minor >= 49 and is_volume:
            service["backend_state"] = service["state"]
        shown.append(service)
    return Reply(200, {"services": shown})


def update_service(call: Call) -> Reply:
    """enable, disable, disable-log-reason, freeze, thaw."""
    what, body = call.params["what"], call.body
    if what not in ("enable", "disable", "disable-log-reason", "freeze", "thaw"):
        raise NotFound(f"Unknown action {what}. Use enable, disable, disable-log-reason, freeze or thaw.")
    binary, host = body.get("binary") or body.get("service") or scheduling.BINARY, body["host"]
    known = any(one["binary"] == binary and one["host"] == host for one in _services(call))
    if what in ("freeze", "thaw"):
        if not known:
            raise BadRequest(f"Invalid input received: no service {binary} is on host {host}.")
        _set_state(call, binary, host, frozen=what == "freeze")
        return Reply(200)
    reason = body.get("disabled_reason")
    if what == "disable-log-reason" and not (reason and reason.strip()):
        raise BadRequest("Disabled reason contains invalid characters or is too long. Give a reason.")
    if not known:
        raise NotFound(f"Service {binary} could not be found on host {host}.")
    disabled = what != "enable"
    _set_state(call, binary, host, disabled=disabled, disabled_reason=reason if disabled else None)
    shown: dict[str, Any] = {"host": host, "service": binary, "binary": binary, "disabled": disabled}
    shown["status"] = "disabled" if disabled else "enabled"
    if what != "disable":
        shown["disabled_reason"] = reason if disabled else None
    return Reply(200, shown)


def _set_state(call: Call, binary: str, host: str, **values: Any) -> None:
    values["updated_at"] = clock.now()
    if call.tx.update(ServiceState, binary, host, **values) == 0:
        call.tx.insert(ServiceState, binary=binary, host=host, **{"disabled": False, "frozen": False, **values})


def list_pools(call: Call) -> Reply:
    detail = call.query.get("detail", ["false"])[-1].lower() in ("true", "1", "yes")
    asked = call.query.get("name", [None])[-1]
    shown: list[dict[str, Any]] = []
    for pool in scheduling.list_pools(call.tx, call.cloud):
        if asked in (None, pool.name):
            entry: dict[str, Any] = {"name": pool.name}
            if detail:
                entry["capabilities"] = pool.capabilities
            shown.append(entry)
    return Reply(200, {"pools": shown})


def show_capabilities(call: Call) -> Reply:
    asked = call.params["host"]
    for pool in scheduling.list_pools(call.tx, call.cloud):
        if asked in (pool.name, scheduling.service_host(pool.name)):
            known = pool.capabilities
            return Reply(
                200,
                {
                    "namespace": f"OS::Storage::Capabilities::{asked}",
                    "vendor_name": known["vendor_name"],
                    "volume_backend_name": pool.backend,
                    "pool_name": pool.backend,
                    "driver_version": known["driver_version"],
                    "storage_protocol": known["storage_protocol"],
                    "display_name": f"Capabilities of {pool.info.get('driver', 'file')}",
                    "description": "What this back end offers",
                    "visibility": "public",
                    "replication_targets": [],
                    "properties": {
                        "thin_provisioning": {
                            "title": "Thin Provisioning",
                            "description": "Volumes take only what is written to them.",
                            "type": "boolean",
                        },
                    },
                },
            )
    raise NotFound(f"Service could not be found on host {asked}.")


def list_zones(call: Call) -> Reply:
    zone = call.cloud[BlockStorageOptions].availability_zone
    return Reply(200, {"availabilityZoneInfo": [{"zoneName": zone, "zoneState": {"available": True}}]})


def list_hosts(call: Call) -> Reply:
    shown = [
        {
            "service-status": "available" if service["state"] == "up" else "unavailable",
            "service": service["binary"],
            "zone": service["zone"],
            "service-state": service["status"],
            "host_name": service["host"],
            "last-update": service["updated_at"],
        }
        for service in _services(call)
        if call.query.get("zone", [service["zone"]])[-1] == service["zone"]
    ]
    return Reply(200, {"hosts": shown})


def show_host(call: Call) -> Reply:
    """Totals of a host, and what each project has there."""
    asked = call.params["host"]
    if asked not in {service["host"] for service in _services(call)}:
        raise NotFound(f"Host {asked} could not be found.")
    per_project: dict[str, list[int]] = {}
    for position, model in ((0, Volume), (2, Snapshot)):
        table = table_of(model).c
        statement = (
            select(table.project_id, func.count().label("number"), func.sum(table.size).label("size_gib"))
            .where(table.host.startswith(asked, autoescape=True))
            .group_by(table.project_id)
        )
        for row in call.tx.rows(statement):
            sums = per_project.setdefault(row.project_id, [0, 0, 0, 0])
            sums[position], sums[position + 1] = row.number, int(row.size_gib)
    totals = [sum(values) for values in zip(*per_project.values(), strict=True)] or [0, 0, 0, 0]
    named = [("(total)", totals), *per_project.items()]
    shown = [
        {
            "resource": {
                "host": asked,
                "project": project,
                "volume_count": str(sums[0]),
                "total_volume_gb": str(sums[1]),
                "snapshot_count": str(sums[2]),
                "total_snapshot_gb": str(sums[3]),
            }
        }
        for project, sums in named
    ]
    return Reply(200, {"host": shown})


_SERVICE_BODY = {
    "type": "object",
    "properties": {
        "host": {"type": "string", "minLength": 1, "maxLength": 255},
        "binary": {"type": ["string", "null"], "maxLength": 255},
        "service": {"type": ["string", "null"], "maxLength": 255},
        "disabled_reason": {"type": ["string", "null"], "maxLength": 255},
    },
    "required": ["host"],
}


class Services(Resource, path="/os-services"):
    """Scheduler and back ends."""

    index = Op("GET", "", "volume_extension:services:index", ADMIN, list_services)
    update = Op("PUT", "/{what}", "volume_extension:services:update", ADMIN, update_service, body=_SERVICE_BODY)


class Pools(Resource, path="/scheduler-stats"):
    """Back ends with their capacity."""

    index = Op("GET", "/get_pools", "scheduler_extension:scheduler_stats:get_pools", ADMIN, list_pools)


class Capabilities(Resource, path="/capabilities"):
    """What a back end offers."""

    show = Op("GET", "/{host}", "volume_extension:capabilities", ADMIN, show_capabilities)


class Zones(Resource, path="/os-availability-zone"):
    """Availability zones of volumes."""

    index = Op("GET", "", None, READER, list_zones)


class Hosts(Resource, path="/os-hosts"):
    """Hosts and what lies on them."""

    index = Op("GET", "", "volume_extension:hosts", ADMIN, list_hosts)
    show = Op("GET", "/{host}", "volume_extension:hosts", ADMIN, show_host)
