# SPDX-License-Identifier: Apache-2.0
"""One turn of one job: step after step until it parks, needs a remote call, or ends.

Forward, then, if a step fails before the point of no return, undo from that very step back to the first.
"""

from typing import Any, NamedTuple

from sqlalchemy import select

from altostratus.kernel import clock, log
from altostratus.kernel.db import Db, Row, Tx, table_of
from altostratus.kernel.desired import Desired, DesiredRow
from altostratus.kernel.errors import ApiError
from altostratus.kernel.jobs.declare import Act, Job, JobFailed, Step, StepCall
from altostratus.kernel.jobs.models import JobEvent, JobLock, JobRow, JobWait

_log = log.get("jobs")
TRIES_FORWARD = 3
TRIES_WITHOUT_RETURN = 12
_LONGEST_PAUSE_S = 60.0


class LeaseLost(Exception):
    """Another worker has this job now."""


class Remote(NamedTuple):
    """A remote function to be called outside the transaction."""

    act: Act
    call: StepCall


class RemoteResult(NamedTuple):
    data: dict[str, Any] | None
    error: str | None
    final: bool


class Advance:
    """The turn. Holds the job's changing state; writes it at every boundary, conditional on the epoch."""

    def __init__(self, job: Job, row: Row[Any], epoch: int, db: Db, desired: Desired, cloud: Any) -> None:
        self.job, self.row, self.epoch = job, row, epoch
        self._db, self._desired, self._cloud = db, desired, cloud
        self.step, self.undoing, self.no_return = row.step, row.undoing, row.no_return
        self.attempts, self.error, self.deadline = row.attempts, row.error, row.deadline
        self.data: dict[str, Any] = dict(row.data)

    # the loop

    def run(self, tx: Tx) -> Remote | None:
        """Go as far as possible; a `Remote` asks the worker to call something and come back."""
        with log.on_behalf_of(self.row.request_id, self.row.user_id, self.row.project_id):
            while True:
                if self.undoing and self.step < 0:
                    self._end_failed(tx)
                    return None
                if not self.undoing and self.step >= len(self.job.steps):
                    self._end_done(tx)
                    return None
                step = self.job.steps[self.step]
                act = step.undo if self.undoing else step.act
                if act is None:
                    self._next(tx, step, logged=False)
                    continue
                if act.how == "remote":
                    self._note(tx, step, "undo started" if self.undoing else "started")
                    self._save(tx, state="running", run_at=clock.after(600))
                    return Remote(act, self._call(tx, step))
                if not self._run_here(tx, step, act):
                    return None

    def _run_here(self, tx: Tx, step: Step, act: Act) -> bool:
        """A local or desire step. True: the cursor moved; False: the turn is over (state is saved)."""
        try:
            if act.how == "local":
                with tx.savepoint():
                    act.function(self._call(tx, step))
                self._next(tx, step)
                return True
            return self._run_desire(tx, step, act)
        except JobFailed as error:
            return self._failed(tx, step, str(error), final=True)
        except ApiError as error:
            return self._failed(tx, step, error.message, final=error.status < 500)
        except Exception as error:  # noqa: BLE001  (boundary: a step's bug ends here, told and counted)
            _log.exception("step %s of %s (%s) failed", step.name, self.job.kind, self.row.id)
            return self._failed(tx, step, f"{type(error).__name__} in step {step.name}; see the log", final=False)

    def _run_desire(self, tx: Tx, step: Step, act: Act) -> bool:
        waits = self._waits(tx)
        if not waits:
            with tx.savepoint():
                for want in act.function(self._call(tx, step)):
                    generation = self._desired.want(tx, want)
                    tx.insert(
                        JobWait,
                        job_id=self.row.id,
                        kind=want.kind,
                        id=want.id,
                        host=want.host,
                        generation=generation,
                    )
            waits = self._waits(tx)
            self.deadline = clock.after(step.deadline_s)
        problem, final = self._problem(tx, waits)
        if problem is None:
            tx.delete_where(JobWait, table_of(JobWait).c.job_id == self.row.id)
            self._next(tx, step)
            return True
        if final or (self.deadline is not None and self.deadline <= clock.now()):
            tx.delete_where(JobWait, table_of(JobWait).c.job_id == self.row.id)
            late = problem or f"step {step.name} was not done within {step.deadline_s:.0f} s: the host has not answered"
            self.deadline = None
            return self._failed(tx, step, late, final=True)
        if self.row.state != "parked":
            self._note(tx, step, "parked")
        self._save(tx, state="parked", run_at=clock.now())
        return False

    def _waits(self, tx: Tx) -> list[Row[Any]]:
        table = table_of(JobWait)
        return tx.rows(select(table).where(table.c.job_id == self.row.id))

    def _problem(self, tx: Tx, waits: list[Row[Any]]) -> tuple[str | None, bool]:
        """(None, _) when all is observed; ("", False) while waiting; else the agent's error and whether it is final."""
        waiting: str | None = None
        for wait in waits:
            row = tx.find(DesiredRow, wait.kind, wait.id, wait.host)
            if row is None or row.observed_generation >= wait.generation:
                continue
            if row.error and row.final:
                return row.error, True
            waiting = row.error or waiting or ""
        return waiting, False

    # remote steps

    def call_remote(self, remote: Remote) -> RemoteResult:
        """Call the function, outside any transaction."""
        try:
            return RemoteResult(remote.act.function(remote.call), None, False)
        except JobFailed as error:
            return RemoteResult(None, str(error), True)
        except ApiError as error:
            return RemoteResult(None, error.message, error.status < 500)
        except Exception as error:  # noqa: BLE001  (boundary, as above)
            _log.exception("remote step of %s (%s) failed", self.job.kind, self.row.id)
            return RemoteResult(None, f"{type(error).__name__}: {error}", False)

    def finish_remote(self, tx: Tx, remote: Remote, result: RemoteResult) -> bool:
        """Record what the call gave; may the turn go on? Raises LeaseLost if the job is not ours any more."""
        self._check_lease(tx)
        self.data = remote.call.data | (result.data or {})
        step = self.job.steps[self.step]
        if result.error is None:
            self._next(tx, step)
            return True
        return self._failed(tx, step, result.error, final=result.final)

    # moving

    def _next(self, tx: Tx, step: Step, *, logged: bool = True) -> None:
        if logged:
            self._note(tx, step, "undone" if self.undoing else "done")
        if not self.undoing and step.final:
            self.no_return = True
        self.step += -1 if self.undoing else 1
        self.attempts, self.deadline = 0, None

    def _failed(self, tx: Tx, step: Step, error: str, *, final: bool) -> bool:
        """True: turn round and go on undoing. False: saved for a later try, or stuck."""
        self._note(tx, step, "failed", error)
        self.attempts += 1
        if self.undoing or self.no_return:
            if self.attempts >= TRIES_WITHOUT_RETURN:
                self._stuck(tx, step, error)
            else:
                self._pause(tx)
            return False
        if not final and self.attempts < TRIES_FORWARD:
            self._pause(tx)
            return False
        self.undoing, self.error, self.attempts, self.deadline = True, error, 0, None
        return True

    def _pause(self, tx: Tx) -> None:
        self._save(tx, state="runnable", run_at=clock.after(min(0.2 * 3**self.attempts, _LONGEST_PAUSE_S)))

    def _stuck(self, tx: Tx, step: Step, error: str) -> None:
        _log.error(
            "job %s %s of %s is stuck in step %s: %s",
            self.job.kind,
            self.row.id,
            self.row.resource_id,
            step.name,
            error,
        )
        self.error = error
        if self.job.on_stuck is not None:
            self.job.on_stuck(self._call(tx, step), error)
        self._save(tx, state="stuck", run_at=clock.now())

    def _end_done(self, tx: Tx) -> None:
        self.step = len(self.job.steps) - 1
        self.end(tx, "done")

    def _end_failed(self, tx: Tx) -> None:
        self.step = 0
        if self.job.on_failed is not None:
            self.job.on_failed(self._call(tx, self.job.steps[0]), self.error or "unknown reason")
        self.end(tx, "failed")

    def end(self, tx: Tx, state: str) -> None:
        """Close the job, give its locks back, and let the next in the queue begin."""
        self._save(tx, state=state, run_at=clock.now(), finished_at=clock.now())
        tx.insert(JobEvent, job_id=self.row.id, step="", what=state, detail=self.error, at=clock.now())
        tx.delete_where(JobWait, table_of(JobWait).c.job_id == self.row.id)
        tx.delete_where(JobLock, table_of(JobLock).c.job_id == self.row.id)
        promote_queued(tx)
        tx.after_commit(lambda: self._db.bus.wake("jobs"))

    # writing

    def _call(self, tx: Tx, step: Step) -> StepCall:
        row = self.row
        key = f"{row.id}/{step.name}"
        return StepCall(
            tx, self._db, self._cloud, self._desired, row.id, row.resource_id, row.params, self.data, key,
            row.request_id, row.project_id, row.user_id,
        )  # fmt: skip

    def _note(self, tx: Tx, step: Step, what: str, detail: str | None = None) -> None:
        tx.insert(JobEvent, job_id=self.row.id, step=step.name, what=what, detail=detail, at=clock.now())

    def _check_lease(self, tx: Tx) -> None:
        now = tx.find(JobRow, self.row.sequence)
        if now is None or now.epoch != self.epoch:
            raise LeaseLost

    def _save(self, tx: Tx, **values: Any) -> None:
        table = table_of(JobRow).c
        changed = tx.update_where(
            JobRow,
            table.sequence == self.row.sequence,
            table.epoch == self.epoch,
            step=self.step,
            undoing=self.undoing,
            no_return=self.no_return,
            attempts=self.attempts,
            error=self.error,
            data=self.data,
            deadline=self.deadline,
            **values,
        )
        if changed == 0:
            raise LeaseLost


def promote_queued(tx: Tx) -> None:
    """Give free locks to waiting jobs, oldest first."""
    table = table_of(JobRow)
    queued = tx.rows(select(table).where(table.c.state == "queued").order_by(table.c.sequence))
    if not queued:
        return
    held = set(tx.scalars(select(table_of(JobLock).c.lock)))
    for row in queued:
        if not held & set(row.locks):
            tx.insert_many(JobLock, [{"lock": lock, "job_id": row.id} for lock in row.locks])
            tx.update(JobRow, row.sequence, state="runnable")
        held |= set(row.locks)
