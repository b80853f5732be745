# SPDX-License-Identifier: Apache-2.0
"""`/os-simple-tenant-usage`: how long a project had how much."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import or_, select

from altostratus.kernel import clock
from altostratus.kernel.db import Row, table_of
from altostratus.kernel.errors import BadRequest
from altostratus.kernel.numbers import whole_number
from altostratus.kernel.policy import ADMIN, READER
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.compute.api.shared import at
from altostratus.services.compute.logic import states
from altostratus.services.compute.models.servers import Server

_DEFAULT_SPAN_S = 28 * 24 * 3600
_FORMATS = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d")
_LONGEST_PAGE = 1000


def _moment(call: Call, name: str, default: str) -> str:
    text = call.query.get(name, [""])[-1].strip('"')
    if not text:
        return default
    for form in _FORMATS:
        try:
            return clock.to_timestamp(datetime.strptime(text, form).replace(tzinfo=UTC))
        except ValueError:
            continue
    raise BadRequest(f"Datetime is in invalid format: {name}={text}. Write 2026-01-31T12:00:00.")


def _span(call: Call) -> tuple[str, str]:
    end = _moment(call, "end", clock.now())
    start = _moment(call, "start", clock.plus(end, -_DEFAULT_SPAN_S))
    if start > end:
        raise BadRequest("Invalid start time. The start time cannot occur after the end time.")
    return start, end


def _rows(call: Call, start: str, end: str, project_id: str | None) -> list[Row[Any]]:
    table = table_of(Server)
    statement = (
        select(table)
        .where(table.c.launched_at.is_not(None), table.c.launched_at < end)
        .where(or_(table.c.terminated_at.is_(None), table.c.terminated_at > start))
        .order_by(table.c.created_at, table.c.id)
    )
    return call.tx.rows(statement.where(table.c.project_id == project_id) if project_id else statement)


def _usage(row: Row[Any], start: str, end: str) -> dict[str, Any]:
    flavor = row.flavor
    gone = row.terminated_at
    # what lies in the future is not counted, even when the span reaches into it
    begin, until = max(row.launched_at, start), min(gone or clock.now(), end)
    hours = max(0.0, clock.seconds_between(begin, until)) / 3600
    return {
        "name": row.name,
        "hours": hours,
        "instance_id": row.id,
        "tenant_id": row.project_id,
        "flavor": flavor.get("original_name"),
        "vcpus": flavor["vcpus"],
        "memory_mb": flavor["ram"],
        "local_gb": int(flavor.get("disk", 0)) + int(flavor.get("ephemeral", 0)),
        "started_at": clock.iso_micro(row.launched_at),
        "ended_at": clock.iso_micro(gone),
        "state": "terminated" if gone else states.status_of(row.vm_state, None).lower(),
        "uptime": int(clock.seconds_between(row.launched_at, gone or clock.now())),
    }


def _summary(project_id: str, usages: list[dict[str, Any]], start: str, end: str) -> dict[str, Any]:
    return {
        "tenant_id": project_id,
        "total_hours": sum(one["hours"] for one in usages),
        "total_vcpus_usage": sum(one["hours"] * one["vcpus"] for one in usages),
        "total_memory_mb_usage": sum(one["hours"] * one["memory_mb"] for one in usages),
        "total_local_gb_usage": sum(one["hours"] * one["local_gb"] for one in usages),
        "start": clock.iso_micro(start),
        "stop": clock.iso_micro(end),
    }


def _page(call: Call, rows: list[Row[Any]]) -> tuple[list[Row[Any]], str | None]:
    """Since 2.40 by server; (rows, next marker)."""
    if not at(call, 40):
        return rows, None
    marker, limit = call.query.get("marker", [""])[-1], call.query.get("limit", [""])[-1]
    size = whole_number(limit or str(_LONGEST_PAGE))
    if size is None:
        raise BadRequest(f"limit must be a whole number that is not negative, not {limit!r}.")
    if marker:
        places = [place for place, row in enumerate(rows) if row.id == marker]
        if not places:
            raise BadRequest(f"marker [{marker}] not found")
        rows = rows[places[0] + 1 :]
    size = min(size, _LONGEST_PAGE)
    return rows[:size], rows[size - 1].id if size and len(rows) > size else None


def _links(call: Call, name: str, marker: str | None) -> dict[str, Any]:
    if marker is None:
        return {}
    kept = "".join(f"{key}={values[-1]}&" for key, values in call.query.items() if key != "marker")
    return {name: [{"rel": "next", "href": f"{call.url_without_query()}?{kept}marker={marker}"}]}


def list_usage(call: Call) -> Reply:
    """Every project's usage."""
    start, end = _span(call)
    detailed = call.query.get("detailed", ["0"])[-1] == "1"
    rows, marker = _page(call, _rows(call, start, end, None))
    by_project: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_project.setdefault(row.project_id, []).append(_usage(row, start, end))
    shown = []
    for project_id, usages in by_project.items():
        one = _summary(project_id, usages, start, end)
        shown.append(one | {"server_usages": usages} if detailed else one)
    return Reply(200, {"tenant_usages": shown} | _links(call, "tenant_usages_links", marker))


def show_usage(call: Call) -> Reply:
    """One project's usage, by server."""
    start, end = _span(call)
    project_id = call.params["id"]
    rows, marker = _page(call, _rows(call, start, end, project_id))
    usages = [_usage(row, start, end) for row in rows]
    body = _summary(project_id, usages, start, end) | {"server_usages": usages} if usages else {}
    return Reply(200, {"tenant_usage": body} | _links(call, "tenant_usage_links", marker))


def _target(call: Call) -> dict[str, Any]:
    return {"project_id": call.params["id"], "tenant_id": call.params["id"]}


class TenantUsage(Resource, path="/os-simple-tenant-usage"):
    """Usage of projects over time."""

    index = Op("GET", "", "os_compute_api:os-simple-tenant-usage:list", ADMIN, list_usage)
    show = Op("GET", "/{id}", "os_compute_api:os-simple-tenant-usage:show", READER, show_usage, target=_target)
