# SPDX-License-Identifier: Apache-2.0
"""Tables of the job engine."""

from typing import Any

from sqlalchemy import Index, Text

from altostratus.kernel.db import Json, Mapped, Model, mapped_column

ACTIVE = ("queued", "runnable", "running", "parked", "stuck")


class JobRow(Model):
    """state: queued (waits for a lock), runnable, running, parked (waits for hosts), stuck, done, failed."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_resource", "resource", "resource_id"),
        Index("ix_jobs_state", "state", "run_at"),
        {"sqlite_autoincrement": True},
    )
    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    resource: Mapped[str]
    resource_id: Mapped[str]
    locks: Mapped[list[Any]]
    state: Mapped[str]
    undoing: Mapped[bool] = mapped_column(default=False)
    no_return: Mapped[bool] = mapped_column(default=False)
    step: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)
    params: Mapped[dict[str, Any]]
    data: Mapped[dict[str, Any]]
    error: Mapped[str | None] = mapped_column(Text)
    epoch: Mapped[int] = mapped_column(default=0)
    run_at: Mapped[str]
    deadline: Mapped[str | None]
    request_id: Mapped[str] = mapped_column(index=True)
    project_id: Mapped[str]
    user_id: Mapped[str]
    created_at: Mapped[str]
    finished_at: Mapped[str | None]


class JobLock(Model):
    """Held by exactly one job."""

    __tablename__ = "job_locks"
    lock: Mapped[str] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(index=True)


class JobWait(Model):
    """What a parked job waits for."""

    __tablename__ = "job_waits"
    __table_args__ = (Index("ix_job_waits_thing", "kind", "id"),)
    job_id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str] = mapped_column(primary_key=True)
    generation: Mapped[int]


class JobEvent(Model):
    """The log of a job's steps, for people (`alto trace`)."""

    __tablename__ = "job_events"
    __table_args__ = {"sqlite_autoincrement": True}
    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    job_id: Mapped[str] = mapped_column(index=True)
    step: Mapped[str]
    what: Mapped[str]
    detail: Mapped[Any | None] = mapped_column(Json)
    at: Mapped[str]
