# SPDX-License-Identifier: Apache-2.0
"""The job engine: starts jobs in the request's transaction and drives them to an end.

A worker claims a job by raising its epoch; every later write is conditional on that epoch, so a worker
that slept too long can do nothing. Claim, local steps and parking share one transaction.
"""

import threading
from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import or_, select

from altostratus.kernel import clock, ids, log
from altostratus.kernel.db import Db, Row, Tx, table_of
from altostratus.kernel.desired import Desired
from altostratus.kernel.errors import Busy
from altostratus.kernel.jobs.advance import Advance, LeaseLost, Remote
from altostratus.kernel.jobs.declare import Job
from altostratus.kernel.jobs.models import ACTIVE, JobEvent, JobLock, JobRow, JobWait

TOPIC = "jobs"
_POLL_S = 2.0
_log = log.get("jobs")


class ActiveJob(NamedTuple):
    """What is going on with a resource; `step` is the name of the current step."""

    id: str
    kind: str
    step: str
    state: str
    undoing: bool
    params: dict[str, Any]
    error: str | None


class Jobs:
    """The registry of jobs, their start, and the workers."""

    def __init__(self, db: Db, desired: Desired, cloud: Any = None, *, workers: int = 4, lease_s: float = 60) -> None:
        self._db, self._desired, self.cloud = db, desired, cloud
        self._lease_s, self._worker_count = lease_s, workers
        self.known: dict[str, Job] = {}
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        desired.on_any(self._on_report)

    def register(self, job: Job) -> None:
        if job.kind in self.known:
            raise ValueError(f"a job {job.kind} is registered already")
        self.known[job.kind] = job

    # in requests

    def start(
        self,
        tx: Tx,
        job: Job,
        resource_id: str,
        params: dict[str, Any] | None = None,
        *,
        request_id: str,
        project_id: str | None,
        user_id: str | None,
        lock: str | list[str] | None = None,
        run_after_s: float = 0,
    ) -> str:
        """Store the job in the request's transaction; its id. Raises Busy if the lock is held and may not wait."""
        locks = [f"{job.resource}:{resource_id}"] if lock is None else [lock] if isinstance(lock, str) else sorted(lock)
        table = table_of(JobLock).c
        holder = tx.first(select(table.job_id).where(table.lock.in_(locks)))
        if holder is not None and job.busy == "refuse":
            other = tx.get(JobRow, id=holder.job_id)
            raise Busy(f"{job.resource} {resource_id} is busy: {other.kind} is under way. Try again when it has ended.")
        waiting = holder is not None or self._queued_before(tx, locks)
        job_id, moment = ids.new_id(), clock.now()
        tx.insert(
            JobRow,
            id=job_id,
            kind=job.kind,
            resource=job.resource,
            resource_id=resource_id,
            locks=locks,
            state="queued" if waiting else "runnable",
            undoing=False,
            no_return=job.forward_only,
            step=0,
            attempts=0,
            params=params or {},
            data={},
            epoch=0,
            run_at=clock.after(run_after_s) if run_after_s else moment,
            request_id=request_id,
            project_id=project_id or "",
            user_id=user_id or "",
            created_at=moment,
        )
        if not waiting:
            tx.insert_many(JobLock, [{"lock": one, "job_id": job_id} for one in locks])
        tx.insert(JobEvent, job_id=job_id, step="", what="created", detail=None, at=moment)
        tx.after_commit(self.wake)
        return job_id

    @staticmethod
    def _queued_before(tx: Tx, locks: list[str]) -> bool:
        table = table_of(JobRow).c
        queued = tx.rows(select(table.locks).where(table.state == "queued"))
        return any(set(row.locks) & set(locks) for row in queued)

    def active(self, tx: Tx, resource: str, resource_ids: Iterable[str]) -> dict[str, ActiveJob]:
        """The job that has each resource's lock now, by resource id; one query."""
        table = table_of(JobRow)
        rows = tx.rows(
            select(table)
            .where(
                table.c.resource == resource,
                table.c.resource_id.in_(list(resource_ids)),
                table.c.state.in_([state for state in ACTIVE if state != "queued"]),
            )
            .order_by(table.c.sequence)
        )
        return {row.resource_id: self._describe(row) for row in rows}

    def _describe(self, row: Row[Any]) -> ActiveJob:
        job = self.known.get(row.kind)
        name = job.steps[row.step].name if job and 0 <= row.step < len(job.steps) else ""
        return ActiveJob(row.id, row.kind, name, row.state, row.undoing, row.params, row.error)

    def find(self, tx: Tx, job_id: str) -> Row[Any] | None:
        return tx.find(JobRow, id=job_id)

    def history(self, tx: Tx, resource_id: str) -> list[Row[Any]]:
        """All jobs of a resource, oldest first."""
        table = table_of(JobRow)
        return tx.rows(select(table).where(table.c.resource_id == resource_id).order_by(table.c.sequence))

    def events_of(self, tx: Tx, job_ids: Iterable[str]) -> list[Row[Any]]:
        table = table_of(JobEvent)
        return tx.rows(select(table).where(table.c.job_id.in_(list(job_ids))).order_by(table.c.sequence))

    # driving

    def wake(self) -> None:
        self._db.bus.wake(TOPIC)

    def _on_report(self, tx: Tx, kind: str, id: str) -> None:
        wait = table_of(JobWait).c
        waiting = tx.scalars(select(wait.job_id).where(wait.kind == kind, wait.id == id))
        if waiting:
            job = table_of(JobRow).c
            tx.update_where(JobRow, job.id.in_(waiting), job.state == "parked", state="runnable", run_at=clock.now())
            tx.after_commit(self.wake)

    def run_one(self) -> bool:
        """Work on one job as far as it goes; False if none can be worked on now."""
        with self._db.write() as tx:
            advance = self._claim(tx)
            if advance is None:
                return False
            outcome = advance.run(tx)
        while isinstance(outcome, Remote):
            outcome = self._run_remote(advance, outcome)
        return True

    def _claim(self, tx: Tx) -> Advance | None:
        job, moment = table_of(JobRow), clock.now()
        row = tx.first(
            select(job)
            .where(
                or_(
                    (job.c.state == "runnable") & (job.c.run_at <= moment),
                    (job.c.state == "parked") & (job.c.deadline <= moment),
                    (job.c.state == "running") & (job.c.run_at <= moment),
                )
            )
            .order_by(job.c.run_at, job.c.sequence)
            .limit(1)
        )
        if row is None:
            return None
        # a running job's run_at is the end of its lease
        lease = clock.after(self._lease_s)
        tx.update(JobRow, row.sequence, state="running", epoch=row.epoch + 1, run_at=lease)
        return Advance(self.known[row.kind], row, row.epoch + 1, self._db, self._desired, self.cloud)

    def _run_remote(self, advance: Advance, outcome: Remote) -> Any:
        with log.on_behalf_of(advance.row.request_id, advance.row.user_id, advance.row.project_id):
            result = advance.call_remote(outcome)
        try:
            with self._db.write() as tx:
                return advance.run(tx) if advance.finish_remote(tx, outcome, result) else None
        except LeaseLost:
            _log.warning("job %s was taken over by another worker", advance.row.id)
            return None

    def run_until_idle(self, timeout_s: float = 10) -> None:
        """For tests: work in this thread until nothing can be worked on now."""
        deadline = clock.monotonic() + timeout_s
        while self.run_one():
            if clock.monotonic() > deadline:
                raise TimeoutError("jobs were still runnable")

    def take_over(self) -> None:
        """At the start of the only process that owns the database: what a dead worker held is free at once."""
        job = table_of(JobRow).c
        with self._db.write() as tx:
            tx.update_where(JobRow, job.state == "running", state="runnable", run_at=clock.now(), epoch=job.epoch + 1)

    def start_workers(self) -> None:
        for number in range(self._worker_count):
            thread = threading.Thread(target=self._work, name=f"jobs-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        self._stopping.set()
        self.wake()
        for thread in self._threads:
            thread.join(5)

    def _work(self) -> None:
        while not self._stopping.is_set():
            seen = self._db.bus.count(TOPIC)
            try:
                busy = self.run_one()
            except Exception:  # noqa: BLE001  (boundary: a worker outlives any job's bug)
                _log.exception("a job worker failed; going on")
                self._stopping.wait(1.0)
                continue
            if not busy:
                self._db.bus.wait(TOPIC, seen, _POLL_S)

    # for people

    def unfinished_unknown_steps(self) -> list[str]:
        """Kinds and steps of unfinished jobs that this release does not know: it must not start then."""
        table = table_of(JobRow).c
        with self._db.read() as tx:
            rows = tx.rows(select(table.kind, table.step, table.id).where(table.state.in_(ACTIVE)))
        return [
            f"{row.kind} step {row.step} (job {row.id})"
            for row in rows
            if row.kind not in self.known or row.step > len(self.known[row.kind].steps)
        ]

    def retry(self, job_id: str) -> None:
        """Try a stuck job again from where it stopped."""
        self._mend(job_id, state="runnable", attempts=0)

    def skip(self, job_id: str) -> None:
        """Let a stuck job go on as if its current step had succeeded."""
        with self._db.read() as tx:
            row = tx.get(JobRow, id=job_id, what="job")
        self._mend(job_id, state="runnable", attempts=0, step=row.step + (-1 if row.undoing else 1))

    def abandon(self, job_id: str) -> None:
        """End a stuck job as it is; the resource stays in ERROR and can be deleted."""
        with self._db.write() as tx:
            row = tx.get(JobRow, id=job_id, what="job")
            _demand_stuck(row)
            advance = Advance(self.known[row.kind], row, row.epoch + 1, self._db, self._desired, self.cloud)
            tx.update(JobRow, row.sequence, epoch=row.epoch + 1)
            advance.end(tx, "failed")

    def _mend(self, job_id: str, **values: Any) -> None:
        with self._db.write() as tx:
            row = tx.get(JobRow, id=job_id, what="job")
            _demand_stuck(row)
            tx.update(JobRow, row.sequence, run_at=clock.now(), deadline=None, **values)
            tx.after_commit(self.wake)

    def prune(self, keep_s: float) -> None:
        """Forget jobs that ended more than `keep_s` ago, with their logs."""
        table = table_of(JobRow).c
        with self._db.write() as tx:
            old = tx.scalars(
                select(table.id).where(table.state.in_(("done", "failed")), table.finished_at < clock.after(-keep_s))
            )
            tx.delete_where(JobEvent, table_of(JobEvent).c.job_id.in_(old))
            tx.delete_where(JobRow, table.id.in_(old))


def _demand_stuck(row: Row[Any]) -> None:
    if row.state != "stuck":
        raise Busy(f"Job {row.id} is {row.state}, not stuck; only stuck jobs can be mended by hand.")
