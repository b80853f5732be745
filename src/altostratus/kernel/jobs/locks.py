# SPDX-License-Identifier: Apache-2.0
"""Who works on what. A lock has one holder; the others wait in the order in which they were started."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, func, select, update

from altostratus.kernel import clock
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.jobs.models import JobLock, JobRow

_lock = table_of(JobLock)
_job = table_of(JobRow)


def list_on(tx: Tx, locks: Sequence[str]) -> list[Row[Any]]:
    """The jobs that hold one of these locks or wait for it, in their order."""
    on_them = select(_lock.c.job_id).where(_lock.c.lock.in_(locks))
    return tx.rows(select(_job).where(_job.c.id.in_(on_them)).order_by(_job.c.sequence))


def take(tx: Tx, job_id: str, sequence: int, locks: Sequence[str], *, contested: bool) -> bool:
    """Take the free ones, queue for the others; True if all are held. `contested` if `list_on` gave any job."""
    taken = set(tx.scalars(select(_lock.c.lock).where(_lock.c.lock.in_(locks)))) if contested else set()
    rows = [{"lock": one, "job_id": job_id, "sequence": sequence, "holds": one not in taken} for one in locks]
    tx.insert_many(JobLock, rows)
    return not taken


def release(tx: Tx, job_id: str) -> int:
    """Give back all locks of a job; how many waiting jobs may run now."""
    locks = tx.scalars(delete(_lock).where(_lock.c.job_id == job_id, _lock.c.holds).returning(_lock.c.lock))
    tx.execute(delete(_lock).where(_lock.c.job_id == job_id))
    return promote(tx, locks) if locks else 0


def promote(tx: Tx, locks: Sequence[str] | None = None) -> int:
    """Give free locks (None: any) to the next in their queues; how many waiting jobs may run now."""
    held = select(_lock.c.lock).where(_lock.c.holds)
    waiting = select(_lock.c.lock, func.min(_lock.c.sequence).label("next")).where(_lock.c.lock.not_in(held))
    if locks is not None:
        waiting = waiting.where(_lock.c.lock.in_(locks))
    heads = tx.rows(waiting.group_by(_lock.c.lock))
    for head in heads:
        tx.execute(update(_lock).where(_lock.c.lock == head.lock, _lock.c.sequence == head.next).values(holds=True))
    if not heads:
        return 0
    still_waiting = select(_lock.c.job_id).where(_lock.c.holds.is_(False))
    ready = [
        _job.c.sequence.in_([head.next for head in heads]),
        _job.c.state == "queued",
        _job.c.id.not_in(still_waiting),
    ]
    # a start that was to be delayed has waited here instead
    return tx.update_where(JobRow, *ready, state="runnable", run_at=clock.now())
