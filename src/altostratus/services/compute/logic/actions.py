# SPDX-License-Identifier: Apache-2.0
"""The action log of a server, as a view of its jobs and their steps."""

from typing import Any, Final

from sqlalchemy import select

from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.jobs.models import JobEvent, JobRow

_NAMES: Final = {
    "server.reboot_hard": "reboot",
    "server.create_image": "createImage",
    "server.confirm_resize": "confirmResize",
    "server.revert_resize": "revertResize",
}
_BUILDING: Final = "compute__do_build_and_run_instance"


def action_of(kind: str) -> str:
    """The API's name of a job kind."""
    return _NAMES.get(kind, kind.removeprefix("server."))


def list_jobs(tx: Tx, server_id: str, *, since: str | None = None, before: str | None = None) -> list[Row[Any]]:
    """Jobs of a server, newest first."""
    job = table_of(JobRow)
    statement = select(job).where(job.c.resource == "server", job.c.resource_id == server_id)
    rows = tx.rows(statement.order_by(job.c.sequence.desc()))
    return [
        row
        for row in rows
        if (since is None or changed_at(row) >= since) and (before is None or changed_at(row) <= before)
    ]


def changed_at(row: Row[Any]) -> str:
    return str(row.finished_at or row.created_at)


def find_job(tx: Tx, server_id: str, request_id: str) -> Row[Any] | None:
    job = table_of(JobRow)
    return tx.first(
        select(job).where(job.c.resource == "server", job.c.resource_id == server_id, job.c.request_id == request_id)
    )


def message_of(row: Row[Any]) -> str | None:
    """`Error` for what failed, as upstream writes it."""
    return "Error" if row.state in ("failed", "stuck") or row.undoing else None


def steps_of(tx: Tx, row: Row[Any]) -> list[dict[str, Any]]:
    """Steps of a job, newest first: name, start, end, result and what went wrong."""
    event = table_of(JobEvent)
    found: list[dict[str, Any]] = []
    begun = row.created_at
    for note in tx.rows(select(event).where(event.c.job_id == row.id).order_by(event.c.sequence)):
        if note.what in ("created", "parked", "started", "undo started") or not note.step:
            continue
        result = {"done": "Success", "failed": "Error", "undone": "Success"}.get(note.what)
        name = _BUILDING if row.kind == "server.create" and note.step == "domain" else _event_name(row.kind, note.step)
        found.append(
            {
                "event": name + ("_undone" if note.what == "undone" else ""),
                "start": begun,
                "finish": note.at,
                "result": result,
                "details": note.detail,
            }
        )
        begun = note.at
    if row.finished_at is None:
        found.append(
            {"event": _event_name(row.kind, "now"), "start": begun, "finish": None, "result": None, "details": None}
        )
    return found[::-1]


def _event_name(kind: str, step: str) -> str:
    return f"compute_{kind.removeprefix('server.')}_{step}"
