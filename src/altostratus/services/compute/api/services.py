# SPDX-License-Identifier: Apache-2.0
"""`/os-services`, `/os-availability-zone` and `/os-aggregates`: the operator's view of hosts."""

from typing import Any

from sqlalchemy import select

from altostratus.kernel import clock, ids
from altostratus.kernel.db import Row, table_of
from altostratus.kernel.errors import BadRequest, Conflict, NotFound
from altostratus.kernel.policy import ADMIN, ANY
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.compute.api.shared import at, closed
from altostratus.services.compute.config import ComputeOptions
from altostratus.services.compute.logic import hosts
from altostratus.services.compute.logic.hosts import ComputeHost
from altostratus.services.compute.models.hosts import ComputeService
from altostratus.services.compute.models.servers import Server

_RULE = "os_compute_api:os-services"
_HOST = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[a-zA-Z0-9\-._]*$"}
_REASON = {"type": "string", "minLength": 1, "maxLength": 255}
_FLAG = {"enum": [True, False, "true", "false", "True", "False", "1", "0"]}
# the parts of this cloud's control process, under upstream's names
_CONTROL = ("nova-conductor", "nova-scheduler")


def _shown(call: Call, host: ComputeHost) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": host.service_id if at(call, 53) else host.number,
        "binary": "nova-compute",
        "host": host.name,
        "zone": host.zone,
        "status": "disabled" if host.disabled else "enabled",
        "state": "up" if host.up else "down",
        "updated_at": clock.iso_micro(host.updated_at),
        "disabled_reason": host.disabled_reason,
    }
    if at(call, 11):
        shown["forced_down"] = host.forced_down
    return shown


def _control_services(call: Call) -> list[dict[str, Any]]:
    options = call.cloud[ComputeOptions]
    shown = []
    for number, binary in enumerate(_CONTROL):
        one: dict[str, Any] = {
            "id": ids.derived_id("compute-service", binary) if at(call, 53) else 1_000_000 + number,
            "binary": binary,
            "host": "control",
            "zone": options.internal_availability_zone,
            "status": "enabled",
            "state": "up",
            "updated_at": clock.iso_micro(clock.now()),
            "disabled_reason": None,
        }
        if at(call, 11):
            one["forced_down"] = False
        shown.append(one)
    return shown


def list_services(call: Call) -> Reply:
    """The compute service of every host, and the control services."""
    shown = [_shown(call, host) for host in hosts.list_hosts(call.tx, call.cloud)] + _control_services(call)
    for name in ("host", "binary"):
        if name in call.query:
            shown = [one for one in shown if one[name] == call.query[name][-1]]
    return Reply(200, {"services": shown})


def _service_row(call: Call, host: str) -> Row[Any]:
    if not any(one.name == host for one in hosts.list_hosts(call.tx, call.cloud)):
        raise NotFound(f"Could not find binary nova-compute on host {host}.")
    return hosts.ensure_service(call.tx, host)


def _change(call: Call, row: Row[Any], **values: Any) -> ComputeHost:
    call.tx.update(ComputeService, row.id, updated_at=clock.now(), **values)
    return next(one for one in hosts.list_hosts(call.tx, call.cloud) if one.name == row.host)


def update_service(call: Call) -> Reply:
    """2.53: by id."""
    body, service_id = call.body, call.params["id"]
    if "disabled_reason" in body and body.get("status") != "disabled":
        raise BadRequest("Specifying disabled_reason requires that status is 'disabled'.")
    if not ids.is_uuid(service_id):
        raise BadRequest(f"Invalid uuid {service_id}")
    found = next((one for one in hosts.list_hosts(call.tx, call.cloud) if one.service_id == service_id), None)
    if found is None:
        raise NotFound(f"Service {service_id} could not be found.")
    values: dict[str, Any] = {}
    if "status" in body:
        values |= {"disabled": body["status"] == "disabled", "disabled_reason": body.get("disabled_reason")}
    if "forced_down" in body:
        values["forced_down"] = str(body["forced_down"]).lower() in ("true", "1")
    if not values:
        raise BadRequest("No updates were requested. Fields 'status' or 'forced_down' should be specified.")
    return Reply(200, {"service": _shown(call, _change(call, hosts.ensure_service(call.tx, found.name), **values))})


def enable(call: Call) -> Reply:
    row = _service_row(call, call.body["host"])
    _change(call, row, disabled=False, disabled_reason=None)
    return Reply(200, {"service": {"host": row.host, "binary": "nova-compute", "status": "enabled"}})


def disable(call: Call) -> Reply:
    row = _service_row(call, call.body["host"])
    _change(call, row, disabled=True, disabled_reason=None)
    return Reply(200, {"service": {"host": row.host, "binary": "nova-compute", "status": "disabled"}})


def disable_with_reason(call: Call) -> Reply:
    row, reason = _service_row(call, call.body["host"]), call.body["disabled_reason"]
    _change(call, row, disabled=True, disabled_reason=reason)
    shown = {"host": row.host, "binary": "nova-compute", "status": "disabled", "disabled_reason": reason}
    return Reply(200, {"service": shown})


def force_down(call: Call) -> Reply:
    row = _service_row(call, call.body["host"])
    forced = str(call.body["forced_down"]).lower() in ("true", "1")
    _change(call, row, forced_down=forced)
    return Reply(200, {"service": {"host": row.host, "binary": "nova-compute", "forced_down": forced}})


def delete_service(call: Call) -> Reply:
    """Forget a host that is gone for good."""
    wanted = call.params["id"]
    for host in hosts.list_hosts(call.tx, call.cloud):
        if wanted == (host.service_id if at(call, 53) else str(host.number)):
            server = table_of(Server).c
            if call.tx.scalar(select(server.id).where(server.host == host.name, server.deleted.is_(False)).limit(1)):
                raise Conflict("Unable to delete compute service that is hosting instances. Delete or move them first.")
            if host.up:
                raise Conflict(f"Host {host.name} is up and would announce itself again. Stop its agent first.")
            call.tx.delete_where(ComputeService, table_of(ComputeService).c.host == host.name)
            return Reply(204)
    raise NotFound(f"Service {wanted} could not be found.")


class Services(Resource, path="/os-services"):
    """Compute services, one a host."""

    index = Op("GET", "", f"{_RULE}:list", ADMIN, list_services)
    enable = Op(
        "PUT", "/enable", f"{_RULE}:update", ADMIN, enable, until="2.52",
        body=closed({"host": _HOST, "binary": _REASON}, "host", "binary"),
    )  # fmt: skip
    disable = Op(
        "PUT", "/disable", f"{_RULE}:update", ADMIN, disable, until="2.52",
        body=closed({"host": _HOST, "binary": _REASON}, "host", "binary"),
    )  # fmt: skip
    disable_with_reason = Op(
        "PUT", "/disable-log-reason", f"{_RULE}:update", ADMIN, disable_with_reason, until="2.52",
        body=closed(
            {"host": _HOST, "binary": _REASON, "disabled_reason": _REASON}, "host", "binary", "disabled_reason"
        ),
    )  # fmt: skip
    force_down = Op(
        "PUT", "/force-down", f"{_RULE}:update", ADMIN, force_down, since="2.11", until="2.52",
        body=closed({"host": _HOST, "binary": _REASON, "forced_down": _FLAG}, "host", "binary"),
    )  # fmt: skip
    update = Op(
        "PUT", "/{id}", f"{_RULE}:update", ADMIN, update_service, since="2.53", own_row=False,
        body=closed({"status": {"enum": ["enabled", "disabled"]}, "disabled_reason": _REASON, "forced_down": _FLAG}),
    )  # fmt: skip
    delete = Op("DELETE", "/{id}", f"{_RULE}:delete", ADMIN, delete_service, own_row=False)


def list_zones(call: Call) -> Reply:
    """Zones and whether they are up."""
    shown = []
    for name, members in sorted(hosts.zones(call.tx, call.cloud).items()):
        available = any(host.up and not host.disabled for host in members)
        shown.append({"zoneName": name, "zoneState": {"available": available}, "hosts": None})
    return Reply(200, {"availabilityZoneInfo": shown})


def list_zones_detail(call: Call) -> Reply:
    """Zones with their hosts and services."""
    shown = []
    for name, members in sorted(hosts.zones(call.tx, call.cloud).items()):
        inside = {
            host.name: {
                "nova-compute": {
                    "available": host.up,
                    "active": not host.disabled,
                    "updated_at": clock.iso_micro(host.updated_at),
                }
            }
            for host in members
        }
        available = any(host.up and not host.disabled for host in members)
        shown.append({"zoneName": name, "zoneState": {"available": available}, "hosts": inside})
    internal = call.cloud[ComputeOptions].internal_availability_zone
    moment = clock.iso_micro(clock.now())
    control = {binary: {"available": True, "active": True, "updated_at": moment} for binary in _CONTROL}
    shown.append({"zoneName": internal, "zoneState": {"available": True}, "hosts": {"control": control}})
    return Reply(200, {"availabilityZoneInfo": shown})


class AvailabilityZones(Resource, path="/os-availability-zone"):
    """Zones that users may choose."""

    index = Op("GET", "", "os_compute_api:os-availability-zone:list", ANY, list_zones)
    detail = Op("GET", "/detail", "os_compute_api:os-availability-zone:detail", ADMIN, list_zones_detail)
