# SPDX-License-Identifier: Apache-2.0
"""Tables of the job engine."""

from typing import Any

from sqlalchemy import Index, Text, text

from altostratus.kernel.db import Mapped, Model, mapped_column

UNFINISHED = ("queued", "runnable", "running", "parked", "stuck")
ENDED = ("done", "failed")


class JobRow(Model):
    """A job.

    state       queued (waits for a lock), runnable, running (a remote step, under a lease), parked (waits
                for hosts), stuck (waits for people), done, failed (and undone)
    steps       the names of its steps, as they were when it started; `step` is an index into them, -1 when
                everything is undone, their number when everything is done
    run_at      when a worker must look at it: runnable: now or after a pause; running: end of the lease;
                parked: the deadline; NULL in all other states
    answered, refusal   how the wait of a parked job ended
    error       why the job fails or failed; `trouble` the last failure of the present step
    """

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_resource", "resource", "resource_id"),
        Index("ix_jobs_run_at", "run_at"),
        Index("ix_jobs_finished_at", "finished_at"),
        {"sqlite_autoincrement": True},
    )
    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    resource: Mapped[str]
    resource_id: Mapped[str]
    state: Mapped[str]
    steps: Mapped[list[Any]]
    step: Mapped[int] = mapped_column(default=0)
    undoing: Mapped[bool] = mapped_column(default=False)
    attempts: Mapped[int] = mapped_column(default=0)
    epoch: Mapped[int] = mapped_column(default=0)
    run_at: Mapped[str | None]
    answered: Mapped[bool] = mapped_column(default=False)
    refusal: Mapped[str | None] = mapped_column(Text)
    cancelled: Mapped[str | None] = mapped_column(Text)
    params: Mapped[dict[str, Any]]
    data: Mapped[dict[str, Any]]
    error: Mapped[str | None] = mapped_column(Text)
    trouble: Mapped[str | None] = mapped_column(Text)
    request_id: Mapped[str] = mapped_column(index=True)
    project_id: Mapped[str]
    user_id: Mapped[str]
    created_at: Mapped[str]
    finished_at: Mapped[str | None]


class JobLock(Model):
    """A lock that a job holds or queues for, in the order of `sequence`. At most one holds it."""

    __tablename__ = "job_locks"
    __table_args__ = (
        Index("ux_job_locks_holder", "lock", unique=True, sqlite_where=text("holds"), postgresql_where=text("holds")),
        Index("ix_job_locks_job", "job_id"),
    )
    lock: Mapped[str] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(primary_key=True)
    sequence: Mapped[int]
    holds: Mapped[bool]


class JobWait(Model):
    """A wanted row that a parked job waits for; `trouble` is what its host last complained of."""

    __tablename__ = "job_waits"
    __table_args__ = (Index("ix_job_waits_thing", "id"),)
    job_id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str] = mapped_column(primary_key=True)
    generation: Mapped[int]
    trouble: Mapped[str | None] = mapped_column(Text)


class JobEvent(Model):
    """The log of a job's steps, for people (`alto trace`).

    what: created, started, parked, done, failed, undo started, undo parked, undone, undo failed, cancelled,
    stuck, retried, skipped, abandoned; and with an empty step the end: done, failed.
    """

    __tablename__ = "job_events"
    __table_args__ = {"sqlite_autoincrement": True}
    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    job_id: Mapped[str] = mapped_column(index=True)
    step: Mapped[str]
    what: Mapped[str]
    detail: Mapped[str | None] = mapped_column(Text)
    at: Mapped[str]
