# SPDX-License-Identifier: Apache-2.0
"""`/servers/{id}/os-instance-actions`: what was done to a server, by whom, and how it went."""

from typing import Any

from altostratus.kernel import clock
from altostratus.kernel.db import Row
from altostratus.kernel.errors import BadRequest, NotFound
from altostratus.kernel.numbers import whole_number
from altostratus.kernel.policy import READER
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.compute.api.servers.child import ServerChild
from altostratus.services.compute.api.shared import at
from altostratus.services.compute.logic import actions
from altostratus.services.compute.logic.views import host_id
from altostratus.services.compute.models.servers import Server

_ROOT = "os_compute_api:os-instance-actions"
_LONGEST_PAGE = 1000


def _get_server(call: Call) -> Row[Any]:
    """Since 2.21 deleted servers have their log as well."""
    row = call.tx.find(Server, call.params["id"])
    if (
        row is None
        or (row.deleted and not at(call, 21))
        or not (call.ctx.is_admin or row.project_id == call.ctx.project_id)
    ):
        raise NotFound(f"Instance {call.params['id']} could not be found.")
    return row


def _time(moment: str | None) -> str | None:
    return clock.iso_micro(moment)


def _shown(call: Call, job: Row[Any]) -> dict[str, Any]:
    shown = {
        "action": actions.action_of(job.kind),
        "instance_uuid": job.resource_id,
        "request_id": job.request_id,
        "user_id": job.user_id,
        "project_id": job.project_id,
        "start_time": _time(job.created_at),
        "message": actions.message_of(job),
    }
    if at(call, 58):
        shown["updated_at"] = _time(actions.changed_at(job))
    return shown


def _when(call: Call, name: str) -> str | None:
    text = call.query.get(name, [""])[-1]
    if not text:
        return None
    try:
        return clock.to_timestamp(clock.parse(text.replace(" ", "+")))
    except ValueError:
        raise BadRequest(f"Invalid filter field: {name}. Give a time such as 2026-01-31T12:00:00Z.") from None


def list_actions(call: Call) -> Reply:
    """Actions, newest first."""
    row = _get_server(call)
    if not at(call, 58):
        found = actions.list_jobs(call.tx, row.id)
        return Reply(200, {"instanceActions": [_shown(call, job) for job in found]})
    since, before = _when(call, "changes-since"), _when(call, "changes-before") if at(call, 66) else None
    if since and before and since > before:
        raise BadRequest("The value of changes-since must be less than or equal to changes-before.")
    found = actions.list_jobs(call.tx, row.id, since=since, before=before)
    marker, limit = call.query.get("marker", [""])[-1], call.query.get("limit", [""])[-1]
    if marker:
        places = [place for place, job in enumerate(found) if job.request_id == marker]
        if not places:
            raise BadRequest(f"marker [{marker}] not found")
        found = found[places[-1] + 1 :]
    most = whole_number(limit) if limit else _LONGEST_PAGE
    if most is None:
        raise BadRequest(f"limit must be a whole number that is not negative, not {limit!r}.")
    size = min(most, _LONGEST_PAGE)
    page, more = found[:size], len(found) > size
    body: dict[str, Any] = {"instanceActions": [_shown(call, job) for job in page]}
    if more and page:
        href = f"{call.url_without_query()}?limit={size}&marker={page[-1].request_id}"
        body["links"] = [{"rel": "next", "href": href}]
    return Reply(200, body)


def show_action(call: Call) -> Reply:
    """One action with its events."""
    row = _get_server(call)
    job = actions.find_job(call.tx, row.id, call.params["request_id"])
    if job is None:
        raise NotFound(f"Action for request_id {call.params['request_id']} on instance {row.id} not found")
    shown = _shown(call, job)
    details = call.may(f"{_ROOT}:events", dict(row._mapping))
    if details or at(call, 51):
        shown["events"] = [_event(call, row, step, details=details) for step in actions.steps_of(call.tx, job)]
    return Reply(200, {"instanceAction": shown})


def _event(call: Call, row: Row[Any], step: dict[str, Any], *, details: bool) -> dict[str, Any]:
    shown = {
        "event": step["event"],
        "start_time": _time(step["start"]),
        "finish_time": _time(step["finish"]),
        "result": step["result"],
    }
    if details:
        shown["traceback"] = None
    if at(call, 62):
        shown["hostId"] = host_id(row.project_id, row.host)
        if details:
            shown["host"] = row.host
    if at(call, 84):
        shown["details"] = step["details"]
    return shown


class ServerHistory(ServerChild, path="/servers"):
    """The action log of a server."""

    index = Op("GET", "/{id}/os-instance-actions", f"{_ROOT}:list", READER, list_actions, own_row=False)
    show = Op("GET", "/{id}/os-instance-actions/{request_id}", f"{_ROOT}:show", READER, show_action, own_row=False)
