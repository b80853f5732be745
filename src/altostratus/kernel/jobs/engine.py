# SPDX-License-Identifier: Apache-2.0
"""`Jobs`: the registry of jobs, their start inside requests, and driving them on."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import func, insert, or_, select, update

from altostratus.kernel import clock, ids, log
from altostratus.kernel.db import Db, Row, Tx, table_of
from altostratus.kernel.desired import Desired
from altostratus.kernel.errors import Busy
from altostratus.kernel.jobs import locks, records
from altostratus.kernel.jobs.declare import Job, Surroundings
from altostratus.kernel.jobs.models import ENDED, UNFINISHED, JobEvent, JobRow, JobWait
from altostratus.kernel.jobs.records import ActiveJob
from altostratus.kernel.jobs.turn import LeaseLost, Outside, Turn, call_outside
from altostratus.kernel.jobs.workers import Workers
from altostratus.kernel.wanted import Report

TOPIC = "jobs"
_MOST_AT_ONCE = 16
_LONGEST_PASS_S = 0.05
_POSTPONED_S = 30.0
_log = log.get("jobs")
_job = table_of(JobRow)
_wait = table_of(JobWait)


class Errand(NamedTuple):
    """A remote act that a worker has to run for a job."""

    turn: Turn
    outside: Outside


class Jobs:
    """See the package. `cloud` is what steps get as `step.cloud`."""

    def __init__(self, db: Db, desired: Desired, cloud: Any = None, *, workers: int = 4, lease_s: float = 60) -> None:
        self._db, self.lease_s = db, lease_s
        self._surroundings = Surroundings(db, desired, cloud)
        self.known: dict[str, Job] = {}
        self._workers = Workers(self, db.bus, workers)
        desired.on_reports(self._on_reports, claim=self._claim_waiting)

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
        lock: str | Sequence[str] | None = None,
        run_after_s: float = 0,
    ) -> str:
        """Store the job in the request's transaction; its id. Raises Busy if a lock is held and it may not queue."""
        job = self.known[job.kind]
        wanted_locks = _locks_of(job, resource_id, lock)
        others = locks.list_on(tx, wanted_locks)
        self._make_way(tx, job, resource_id, others)
        job_id, moment = ids.new_id(), clock.now()
        values = {
            "id": job_id,
            "kind": job.kind,
            "resource": job.resource,
            "resource_id": resource_id,
            "state": "queued" if others else "runnable",
            "steps": job.names,
            "run_at": None if others else clock.after(run_after_s),
            "params": params or {},
            "data": {},
            "request_id": request_id,
            "project_id": project_id or "",
            "user_id": user_id or "",
            "created_at": moment,
        }
        sequence = tx.execute(insert(_job).returning(_job.c.sequence), values).scalar_one()
        if locks.take(tx, job_id, sequence, wanted_locks, contested=bool(others)) and others:
            # the others were given up just now and had been alone
            tx.update(JobRow, sequence, state="runnable", run_at=clock.after(run_after_s))
        tx.insert(JobEvent, job_id=job_id, step="", what="created", detail=None, at=moment)
        tx.after_commit(self.wake)
        return job_id

    def _make_way(self, tx: Tx, job: Job, resource_id: str, others: list[Row[Any]]) -> None:
        """Refuse, or ask those who are before us to turn round."""
        for other in others:
            if job.cancels:
                if other.state == "stuck":
                    self._abandon(tx, other)
                else:
                    self.cancel(tx, other.id, f"It was cancelled by {job.kind}.")
            elif job.busy == "refuse" or other.state == "stuck":
                raise Busy(self._why_busy(job.resource, resource_id, other))

    @staticmethod
    def _why_busy(resource: str, resource_id: str, other: Row[Any]) -> str:
        step = records.step_name(other)
        if other.state == "stuck":
            return (
                f"The {resource} {resource_id} is busy: {other.kind} is stuck at step {step}: {other.trouble} "
                f"An administrator can go on with: alto jobs retry {other.id} (or skip, or abandon)."
            )
        return f"The {resource} {resource_id} is busy with {other.kind}. Try again when that has ended."

    def cancel(self, tx: Tx, job_id: str, reason: str) -> bool:
        """Ask an unfinished job to turn round; False if it is past that, or ended."""
        row = tx.find(JobRow, id=job_id)
        if row is None or row.state in (*ENDED, "stuck") or row.undoing:
            return False
        values: dict[str, Any] = {"cancelled": reason}
        if row.state in ("parked", "runnable"):
            job = self.known[row.kind]
            passed = any(job.by_name[name].final for name in row.steps[: row.step] if name in job.by_name)
            if job.forward_only or passed:
                return False
            # the epoch tells a worker that looks at it right now that things have changed
            values |= {"state": "runnable", "run_at": clock.now(), "epoch": row.epoch + 1}
            tx.delete_where(JobWait, _wait.c.job_id == job_id)
            tx.after_commit(self.wake)
        tx.update(JobRow, row.sequence, **values)
        return True

    # looking

    def active(self, tx: Tx, resource: str, resource_ids: Iterable[str]) -> dict[str, ActiveJob]:
        """See `records.active`: what goes on with each resource; one query."""
        return records.active(tx, resource, resource_ids)

    def find(self, tx: Tx, job_id: str) -> Row[Any] | None:
        """A row of `JobRow`."""
        return tx.find(JobRow, id=job_id)

    def history(self, tx: Tx, resource_id: str) -> list[Row[Any]]:
        """All jobs of a resource, oldest first: rows of `JobRow`."""
        return records.history(tx, resource_id)

    def events_of(self, tx: Tx, job_ids: Iterable[str]) -> list[Row[Any]]:
        """What happened in these jobs, in order: rows of `JobEvent`."""
        return records.events_of(tx, job_ids)

    def unfinished_unknown_steps(self, tx: Tx | None = None) -> list[str]:
        """Steps of unfinished jobs that this release does not know: it must not start then."""
        if tx is None:
            with self._db.read() as reading:
                return self.unfinished_unknown_steps(reading)
        rows = tx.rows(select(_job.c.kind, _job.c.steps, _job.c.id).where(_job.c.state.in_(UNFINISHED)))
        return [
            f"{row.kind} step {name} (job {row.id})"
            for row in rows
            for name in row.steps
            if row.kind not in self.known or name not in self.known[row.kind].by_name
        ]

    # driving

    def wake(self) -> None:
        self._db.bus.wake(TOPIC)

    def _claim_waiting(self, tx: Tx, host: str, reports: list[Report]) -> None:
        """Lock jobs before wanted rows, as turns do: with several writers any other order would deadlock."""
        if not self._db.is_sqlite:
            waiting = select(_wait.c.job_id).where(_wait.c.host == host, _wait.c.id.in_({one.id for one in reports}))
            tx.rows(select(_job.c.id).where(_job.c.id.in_(waiting)).order_by(_job.c.sequence).with_for_update())

    def _on_reports(self, tx: Tx, host: str, reports: list[Report]) -> None:
        """Hosts reported: jobs that waited for it can go on."""
        waits = tx.rows(select(_wait).where(_wait.c.host == host, _wait.c.id.in_({one.id for one in reports})))
        newest = {(report.kind, report.id): report for report in reports}
        over: set[str] = set()
        for wait in waits:
            report = newest.get((wait.kind, wait.id))
            if report is None or report.generation < wait.generation:
                continue
            key = (wait.job_id, wait.kind, wait.id, wait.host)
            if report.error is None:
                tx.delete(JobWait, *key)
                over.add(wait.job_id)
            elif report.final:
                refused = [_job.c.id == wait.job_id, _job.c.state == "parked"]
                tx.update_where(JobRow, *refused, state="runnable", run_at=clock.now(), refusal=report.error)
                tx.after_commit(self.wake)
            elif wait.trouble != report.error:
                tx.update(JobWait, *key, trouble=report.error)
        if over:
            waiting = select(_wait.c.job_id).where(_wait.c.job_id.in_(over))
            ready = [_job.c.id.in_(over), _job.c.state == "parked", _job.c.id.not_in(waiting)]
            if tx.update_where(JobRow, *ready, state="runnable", run_at=clock.now(), answered=True):
                tx.after_commit(self.wake)

    def run_pass(self, *, patient: bool = True) -> tuple[int, list[Errand]]:
        """One transaction: take what is due, go with each job as far as it goes; how many, and what is to be run.

        Not `patient`: pauses between tries are left out (tests).
        """
        due = _job.c.run_at <= clock.now()
        if not patient:
            due = or_(due, (_job.c.state == "runnable") & (_job.c.attempts > 0))
        statement = select(_job).where(due).order_by(_job.c.run_at, _job.c.sequence)
        with self._db.read() as tx:
            if tx.first(statement.with_only_columns(_job.c.id).limit(1)) is None:
                return 0, []
        statement = statement.limit(_MOST_AT_ONCE).with_for_update(skip_locked=True)
        rows: list[Row[Any]] = []
        try:
            with self._db.write() as tx:
                rows = tx.rows(statement)
                return self._run_turns(tx, rows)
        except Exception:  # boundary: what one job does wrong must not stop the others
            if not rows:
                raise
            _log.exception("a pass over %d jobs failed; trying them one by one", len(rows))
            return self._isolate(rows)

    def _run_turns(self, tx: Tx, rows: list[Row[Any]]) -> tuple[int, list[Errand]]:
        errands: list[Errand] = []
        started = clock.monotonic()
        for number, row in enumerate(rows, start=1):
            turn = self._turn(row)
            if turn is None:
                tx.update(JobRow, row.sequence, run_at=clock.after(_POSTPONED_S))
            else:
                outside = turn.run(tx)
                if outside is not None:
                    errands.append(Errand(turn, outside))
            # requests wait for this transaction on databases with one writer
            if clock.monotonic() - started > _LONGEST_PASS_S:
                return number, errands
        return len(rows), errands

    def _turn(self, row: Row[Any]) -> Turn | None:
        job = self.known.get(row.kind)
        if job is None:
            _log.error("job %s is a %s, which this process does not know", row.id, row.kind)
            return None
        return Turn(job, row, self._surroundings, self.lease_s)

    def _isolate(self, rows: list[Row[Any]]) -> tuple[int, list[Errand]]:
        errands: list[Errand] = []
        for row in rows:
            try:
                with self._db.write() as tx:
                    now = tx.rows(select(_job).where(_job.c.sequence == row.sequence, _job.c.epoch == row.epoch))
                    errands += self._run_turns(tx, now)[1]
            except Exception:  # noqa: BLE001  (boundary, as above: this is the broken one)
                _log.exception("job %s %s cannot go on now; looking again in %g s", row.kind, row.id, _POSTPONED_S)
                with self._db.write() as tx:
                    tx.update(JobRow, row.sequence, run_at=clock.after(_POSTPONED_S), attempts=0)
        return len(rows), errands

    def run_errand(self, errand: Errand) -> None:
        """Run a remote act, record how it went, and go on with its job as far as it goes."""
        turn, outside = errand
        while outside is not None:
            # it may have waited for a free thread longer than its lease
            if not self._is_ours(turn):
                _log.warning("job %s was taken over by another worker before its step began", turn.row.id)
                return
            result = call_outside(outside, turn.job.kind)
            try:
                with self._db.write() as tx:
                    following = turn.come_back(tx, result)
            except LeaseLost as error:
                _log.warning("%s; what this one did there is left to the other", error)
                return
            outside = following  # type: ignore[assignment]

    def _is_ours(self, turn: Turn) -> bool:
        with self._db.read() as tx:
            return bool(tx.scalar(select(_job.c.epoch).where(_job.c.sequence == turn.row.sequence)) == turn.epoch)

    def extend_leases(self, errands: Iterable[Errand]) -> None:
        """Say that these are still being worked on."""
        with self._db.write() as tx:
            for turn, _ in errands:
                held = [_job.c.sequence == turn.row.sequence, _job.c.epoch == turn.epoch, _job.c.state == "running"]
                tx.update_where(JobRow, *held, run_at=clock.after(self.lease_s))

    def seconds_until_due(self) -> float | None:
        """When the next job must be looked at; None if none."""
        with self._db.read() as tx:
            moment = tx.scalar(select(func.min(_job.c.run_at)))
        return None if moment is None else max(0.0, clock.seconds_between(clock.now(), moment))

    def run_until_idle(self, timeout_s: float = 10) -> None:
        """For tests: work in this thread until nothing is due; pauses between tries are left out."""
        deadline = clock.monotonic() + timeout_s
        while True:
            worked, errands = self.run_pass(patient=False)
            for errand in errands:
                self.run_errand(errand)
            if not worked:
                return
            if clock.monotonic() > deadline:
                raise TimeoutError(f"jobs were still runnable after {timeout_s:g} s")

    def take_over(self) -> None:
        """At the start of the only process that owns the database: what a dead one held is free at once."""
        with self._db.write() as tx:
            free = {"state": "runnable", "run_at": clock.now(), "epoch": _job.c.epoch + 1}
            tx.execute(update(_job).where(_job.c.state == "running").values(free))
            locks.promote(tx)

    def tend(self) -> None:
        """Heal what a lost race between processes may have left: free locks that nobody was given."""
        with self._db.write() as tx:
            if locks.promote(tx):
                tx.after_commit(self.wake)

    def start_workers(self) -> None:
        self._workers.start()

    def stop(self) -> None:
        """End the workers; a remote step that still runs is repeated after the next start."""
        self._workers.stop()

    # for people

    def retry(self, job_id: str) -> None:
        """Try a stuck job again from where it stopped. Raises NotFound, Busy."""
        with self._db.write() as tx:
            row = self._get_stuck(tx, job_id)
            self._go_on(tx, row, "retried")

    def skip(self, job_id: str) -> None:
        """Let a stuck job go on as if its present step had succeeded. Raises NotFound, Busy."""
        with self._db.write() as tx:
            row = self._get_stuck(tx, job_id)
            if row.undoing and row.step < 0:
                self._end_here(tx, row, "skipped")
            else:
                self._go_on(tx, row, "skipped", step=row.step + (-1 if row.undoing else 1))

    def abandon(self, job_id: str) -> None:
        """End a stuck job as it is; its resource stays as it is and can be deleted. Raises NotFound, Busy."""
        with self._db.write() as tx:
            self._abandon(tx, self._get_stuck(tx, job_id))

    def _get_stuck(self, tx: Tx, job_id: str) -> Row[Any]:
        row = tx.get(JobRow, id=job_id, what="job")
        if row.state != "stuck":
            raise Busy(f"Job {job_id} is {row.state}, not stuck. Only stuck jobs can be mended by hand.")
        return row

    def _go_on(self, tx: Tx, row: Row[Any], what: str, **values: Any) -> None:
        tx.insert(JobEvent, job_id=row.id, step=records.step_name(row), what=what, detail=None, at=clock.now())
        tx.update(JobRow, row.sequence, state="runnable", attempts=0, run_at=clock.now(), epoch=row.epoch + 1, **values)
        tx.after_commit(self.wake)

    def _abandon(self, tx: Tx, row: Row[Any]) -> None:
        self._end_here(tx, row, "abandoned")

    def _end_here(self, tx: Tx, row: Row[Any], what: str) -> None:
        tx.insert(JobEvent, job_id=row.id, step=records.step_name(row), what=what, detail=None, at=clock.now())
        error = row.error or row.trouble or "It was given up."
        tx.update(JobRow, row.sequence, state="failed", error=error, finished_at=clock.now(), epoch=row.epoch + 1)
        if locks.release(tx, row.id):
            tx.after_commit(self.wake)

    def prune(self, keep_s: float = 30 * 86400) -> None:
        """Forget jobs that ended more than `keep_s` ago, with their logs."""
        old = select(_job.c.id).where(_job.c.finished_at < clock.after(-keep_s))
        with self._db.write() as tx:
            tx.delete_where(JobEvent, table_of(JobEvent).c.job_id.in_(old))
            tx.delete_where(JobRow, _job.c.finished_at < clock.after(-keep_s))


def _locks_of(job: Job, resource_id: str, lock: str | Sequence[str] | None) -> list[str]:
    if lock is None:
        return [f"{job.resource}:{resource_id}"]
    return [lock] if isinstance(lock, str) else sorted(set(lock))


__all__ = ["ActiveJob", "Errand", "Jobs"]
