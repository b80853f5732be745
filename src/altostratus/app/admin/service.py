# SPDX-License-Identifier: Apache-2.0
"""The manifest of `/alto/v1`: built of the same kernel as every OpenStack service, but in no catalog."""

from typing import Any

from sqlalchemy import Text, or_, select

from altostratus.app.admin.explain import PolicyExplanation
from altostratus.app.admin.keys import Keys
from altostratus.app.admin.quarantines import Quarantines
from altostratus.app.host_link import HostLink
from altostratus.kernel import clock
from altostratus.kernel.db import table_of
from altostratus.kernel.errors import ApiError, NotFound
from altostratus.kernel.events import EventRow
from altostratus.kernel.jobs.models import UNFINISHED, JobRow
from altostratus.kernel.policy import ADMIN
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.kernel.resource.service import Service

_MOST = 1000


def list_jobs(call: Call) -> Reply:
    """Unfinished jobs; with `all=true` ended ones too, the newest 1000."""
    table = table_of(JobRow)
    statement: Any = select(table).order_by(table.c.sequence.desc()).limit(_MOST)
    if call.query.get("all", ["false"])[-1] != "true":
        statement = statement.where(table.c.state.in_(UNFINISHED))
    return Reply(200, {"jobs": [_job_view(row) for row in reversed(call.tx.rows(statement))]})


def _job_view(row: Any) -> dict[str, Any]:
    step = row.steps[row.step] if 0 <= row.step < len(row.steps) else ""
    names = (
        "id",
        "kind",
        "resource",
        "resource_id",
        "state",
        "undoing",
        "attempts",
        "error",
        "request_id",
        "created_at",
    )
    return {name: row._mapping[name] for name in names} | {"step": step, "finished_at": row.finished_at}


def retry(call: Call) -> Reply:
    call.cloud.jobs.retry(call.params["job_id"])
    return Reply(202, {})


def skip(call: Call) -> Reply:
    call.cloud.jobs.skip(call.params["job_id"])
    return Reply(202, {})


def abandon(call: Call) -> Reply:
    call.cloud.jobs.abandon(call.params["job_id"])
    return Reply(202, {})


class JobsResource(Resource, path="/jobs"):
    """What the cloud is working on."""

    index = Op("GET", "", "alto:jobs:list", ADMIN, list_jobs)
    retry = Op("POST", "/{job_id}/retry", "alto:jobs:mend", ADMIN, retry, tx="none", status=202)
    skip = Op("POST", "/{job_id}/skip", "alto:jobs:mend", ADMIN, skip, tx="none", status=202)
    abandon = Op("POST", "/{job_id}/abandon", "alto:jobs:mend", ADMIN, abandon, tx="none", status=202)


def list_hosts(call: Call) -> Reply:
    """Hosts whose agent is connected at this moment."""
    return Reply(200, {"hosts": [{"name": name} for name in call.cloud.part(HostLink).connected_hosts()]})


class Hosts(Resource, path="/hosts"):
    """Hosts that can be asked now."""

    index = Op("GET", "", "alto:hosts:list", ADMIN, list_hosts)


def show_trace(call: Call) -> Reply:
    """Everything that is remembered of a request or a resource, oldest first."""
    name = call.params["name"]
    job = table_of(JobRow)
    jobs = call.tx.rows(
        select(job)
        .where(or_(job.c.request_id == name, job.c.resource_id == name, job.c.id == name))
        .order_by(job.c.sequence)
    )
    by_id = {row.id: row for row in jobs}
    events = [
        event
        for row in call.tx.rows(_events_about(name, {row.request_id for row in jobs}))
        for event in _event_views(row)
    ]
    for row in call.cloud.jobs.events_of(call.tx, by_id):
        kind = by_id[row.job_id].kind
        what = (
            f"step {row.step} {row.what}"
            if row.step
            else f"job {row.what} (asked for by {by_id[row.job_id].request_id})"
        )
        events.append({"at": row.at, "who": f"job {kind}", "what": what, "detail": row.detail})
    if not events:
        raise NotFound(
            f"Nothing is remembered of {name}. Give the id of a server, volume, image, port or job, or of a request."
        )
    events.sort(key=lambda event: event["at"])
    first = events[0]["at"]
    for event in events:
        event["after_s"] = clock.seconds_between(first, event["at"])
    return Reply(200, {"name": name, "events": events})


def _event_views(row: Any) -> list[dict[str, Any]]:
    """One line for an event, or those that it tells itself: its `way`, as (who, what, detail)."""
    if row.event_type.startswith("alto.") and "way" in row.payload:
        return [
            {"at": row.created_at, "who": who, "what": what, "detail": detail}
            for who, what, detail in row.payload["way"]
        ]
    return [{"at": row.created_at, "who": row.publisher_id, "what": row.event_type, "detail": _detail(row)}]


def _detail(row: Any) -> Any:
    """The cloud's own events say in their payload who did it and why; upstream's are long and known elsewhere."""
    return row.payload if row.event_type.startswith("alto.") else None


def _events_about(name: str, request_ids: set[str]) -> Any:
    table = table_of(EventRow)
    requests = [one for one in (*request_ids, name) if one.startswith("req-")]
    # payloads are JSON text; an id inside quotation marks is exact enough for people
    about = table.c.payload.cast(Text).contains(f'"{name}"', autoescape=True)
    return select(table).where(or_(table.c.request_id.in_(requests), about)).order_by(table.c.sequence).limit(_MOST)


class Traces(Resource, path="/traces"):
    """What happened to a request or a resource."""

    show = Op("GET", "/{name}", "alto:traces:show", ADMIN, show_trace)


def envelope(error: ApiError, call: Any) -> dict[str, Any]:
    return {"error": {"code": error.status, "title": error.title, "message": error.message}}


SERVICE = Service(
    type="alto",
    name="alto",
    title="Altostratus itself",
    path="/alto/v1",
    root="/alto",
    resources=(JobsResource, Hosts, Traces, PolicyExplanation, Quarantines, Keys),
    envelope=envelope,
    policy_namespace="altostratus",
    in_catalog=False,
)
