# SPDX-License-Identifier: Apache-2.0
"""Looking at jobs: what goes on, what was."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import select

from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.jobs.models import JobEvent, JobRow

_job = table_of(JobRow)
_event = table_of(JobEvent)


class ActiveJob(NamedTuple):
    """What is going on with a resource; `step` is the name of the present step."""

    id: str
    kind: str
    step: str
    state: str
    undoing: bool
    params: dict[str, Any]
    error: str | None
    request_id: str


_active = select(
    _job.c.resource_id,
    _job.c.id,
    _job.c.kind,
    _job.c.step,
    _job.c.steps,
    _job.c.state,
    _job.c.undoing,
    _job.c.params,
    _job.c.error,
    _job.c.request_id,
).where(_job.c.state.in_(("queued", "runnable", "running", "parked")))


def active(tx: Tx, resource: str, resource_ids: Iterable[str]) -> dict[str, ActiveJob]:
    """Resource id -> the job that works on it; if all of them wait, the one that is next. One query.

    A stuck job does not count: nothing goes on any more, and its resource was put into ERROR.
    """
    statement = _active.where(_job.c.resource == resource, _job.c.resource_id.in_(list(resource_ids)))
    found: dict[str, ActiveJob] = {}
    for row in tx.rows(statement.order_by(_job.c.sequence)):
        known = found.get(row.resource_id)
        if known is None or (known.state == "queued" and row.state != "queued"):
            found[row.resource_id] = ActiveJob(
                row.id, row.kind, step_name(row), row.state, row.undoing, row.params, row.error, row.request_id
            )
    return found


def step_name(row: Any) -> str:
    """The name of the step a job row stands at; empty before the first and after the last."""
    return row.steps[row.step] if 0 <= row.step < len(row.steps) else ""


def history(tx: Tx, resource_id: str) -> list[Row[Any]]:
    """All jobs of a resource, oldest first: rows of `JobRow`."""
    return tx.rows(select(_job).where(_job.c.resource_id == resource_id).order_by(_job.c.sequence))


def events_of(tx: Tx, job_ids: Iterable[str]) -> list[Row[Any]]:
    """What happened in these jobs, in order: rows of `JobEvent`."""
    return tx.rows(select(_event).where(_event.c.job_id.in_(list(job_ids))).order_by(_event.c.sequence))
