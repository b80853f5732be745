# SPDX-License-Identifier: Apache-2.0
"""One turn of one job: step after step in one transaction, until it parks, pauses, ends or must go outside.

Forward; if a step fails before the point of no return, back from that very step to the first. A step's
own changes are in a savepoint; its cursor is written once, at the end of the turn, in the same transaction.
Every write is conditional on the epoch that the worker knows, so a worker that was thought dead changes nothing.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import select

from altostratus.kernel import clock, log
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.desired import Want
from altostratus.kernel.errors import ApiError, Busy
from altostratus.kernel.jobs import locks
from altostratus.kernel.jobs.declare import Act, Job, JobFailed, Step, StepCall, Surroundings
from altostratus.kernel.jobs.models import ENDED, JobEvent, JobRow, JobWait

TRIES_WITHOUT_RETURN = 12
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 60.0
_log = log.get("jobs")
_job = table_of(JobRow)
_wait = table_of(JobWait)


class LeaseLost(Exception):
    """Another worker has this job now; nothing of this turn was written."""


class Outside(NamedTuple):
    """A remote act: call it outside the transaction, then `Turn.come_back`."""

    act: Act
    call: StepCall


class Failure(NamedTuple):
    """A sentence for people, and whether trying again is hopeless."""

    error: str
    hopeless: bool


class Turn:
    """The job's changing state in memory. `row` is how it was found."""

    def __init__(self, job: Job, row: Row[Any], surroundings: Surroundings, lease_s: float) -> None:
        self.job, self.row, self._surroundings, self._lease_s = job, row, surroundings, lease_s
        self.names: list[str] = row.steps
        self.state = "turning"
        self.step: int = row.step
        self.undoing: bool = row.undoing
        self.attempts: int = row.attempts
        self.run_at: str | None = None
        self.cancelled: str | None = row.cancelled
        self.data: dict[str, Any] = row.data
        self.error: str | None = row.error
        self.trouble: str | None = row.trouble
        self._known_epoch: int = row.epoch
        # claiming a job makes a new epoch: whoever held it before can write no more
        self.epoch: int = row.epoch + 1
        self._log: list[dict[str, Any]] = []

    # the two entrances

    def run(self, tx: Tx) -> Outside | None:
        """From where the job was found, as far as it goes."""
        with log.on_behalf_of(self.row.request_id, self.row.user_id, self.row.project_id):
            self._arrive(tx)
            return self._go(tx)

    def come_back(self, tx: Tx, result: "dict[str, Any] | Failure") -> Outside | None:
        """After a remote act; on, as far as it goes. Raises LeaseLost."""
        now = tx.first(select(_job.c.epoch, _job.c.state, _job.c.cancelled).where(_job.c.sequence == self.row.sequence))
        if now is None or now.epoch != self.epoch or now.state != "running":
            raise LeaseLost(f"job {self.row.id} was taken over by another worker")
        with log.on_behalf_of(self.row.request_id, self.row.user_id, self.row.project_id):
            self.state, self.cancelled = "turning", now.cancelled
            if isinstance(result, Failure):
                self._fail(tx, result)
            else:
                self.data = result
                self._succeed()
            return self._go(tx)

    # moving

    def _arrive(self, tx: Tx) -> None:
        """Draw the conclusion of a wait that is over."""
        row = self.row
        if row.refusal is not None:
            self._fail(tx, Failure(row.refusal, hopeless=True))
        elif row.answered:
            self._succeed()
        elif row.state == "parked":
            self._fail(tx, Failure(self._lateness(tx), hopeless=True))
        if row.state == "parked" or row.answered or row.refusal is not None:
            tx.delete_where(JobWait, _wait.c.job_id == row.id)

    def _go(self, tx: Tx) -> Outside | None:
        outside = None
        while self.state == "turning" and outside is None:
            if self.cancelled and not self.undoing:
                self._heed_cancellation()
            outside = self._advance(tx)
        self.save(tx)
        return outside

    def _advance(self, tx: Tx) -> Outside | None:
        if not 0 <= self.step < len(self.names):
            self._end(tx)
            return None
        step = self.job.by_name.get(self.names[self.step])
        if step is None:
            self._give_up(tx, f"This release does not have the step {self.names[self.step]} of {self.job.kind}.")
            return None
        act = step.undo if self.undoing else step.act
        if act is None:
            self._move()
        elif act.how == "remote":
            return self._go_outside(step, act)
        else:
            self._do_here(tx, step, act)
        return None

    def _move(self) -> None:
        self.step += -1 if self.undoing else 1
        self.attempts, self.trouble = 0, None

    def _succeed(self) -> None:
        self._note("undone" if self.undoing else "done")
        self._move()

    def _heed_cancellation(self) -> None:
        if self._may_turn_round() and self.step < len(self.names):
            self._note("cancelled", self.cancelled)
            self._turn_round(self.cancelled or "")
        self.cancelled = None

    def _may_turn_round(self) -> bool:
        done = self.names[: self.step]
        passed = any(self.job.by_name[name].final for name in done if name in self.job.by_name)
        return not (self.job.forward_only or passed)

    def _turn_round(self, error: str) -> None:
        self.undoing, self.error, self.attempts = True, error, 0

    # acts

    def _do_here(self, tx: Tx, step: Step, act: Act) -> None:
        data = msgspec.json.encode(self.data)
        parked = False
        try:
            with tx.savepoint():
                given = act.function(self._call(tx, step.name))
                if act.how == "desire":
                    parked = self._want(tx, given)
        except Exception as error:  # noqa: BLE001  (boundary: a defect in a step ends in this job, told and counted)
            self.data = msgspec.json.decode(data)
            self._fail(tx, failure_of(error, self.job.kind, step.name))
            return
        if not parked:
            self._succeed()
            return
        self._note("undo parked" if self.undoing else "parked")
        self.state, self.run_at = "parked", clock.after(step.deadline_s)

    def _want(self, tx: Tx, wants: "list[Want]") -> bool:
        """Write the wishes; whether there is anything to wait for."""
        waits: dict[tuple[str, str, str], dict[str, Any]] = {}
        for want in wants:
            generation = self._surroundings.desired.want(tx, want)
            if not self._surroundings.desired.is_observed(tx, want, generation):
                key = (want.kind, want.id, want.host)
                names = {"job_id": self.row.id, "kind": want.kind, "id": want.id, "host": want.host}
                waits[key] = names | {"generation": generation}
        tx.insert_many(JobWait, waits.values())
        return bool(waits)

    def _go_outside(self, step: Step, act: Act) -> Outside:
        self._note("undo started" if self.undoing else "started")
        self.state, self.run_at = "running", clock.after(self._lease_s)
        return Outside(act, self._call(None, step.name))

    def _call(self, tx: Tx | None, name: str) -> StepCall:
        return StepCall(tx, surroundings=self._surroundings, row=self.row, name=name, data=self.data)

    # failing

    def _lateness(self, tx: Tx) -> str:
        """Why a deadline passed, from what the hosts complained of."""
        waits = tx.rows(select(_wait).where(_wait.c.job_id == self.row.id).order_by(_wait.c.kind, _wait.c.id))
        step = self.job.by_name.get(self.names[self.step]) if 0 <= self.step < len(self.names) else None
        limit = f"{step.deadline_s:g} s" if step else "the time it had"
        told = [f"{wait.kind} {wait.id}: {wait.trouble}" for wait in waits if wait.trouble]
        if told:
            return f"Host {waits[0].host} did not manage it within {limit}. {' '.join(told[:3])}"
        hosts = ", ".join(sorted({wait.host for wait in waits})) or "unknown"
        return f"Host {hosts} did not answer within {limit}. Check that its agent runs."

    def _fail(self, tx: Tx, failure: Failure) -> None:
        self._note("undo failed" if self.undoing else "failed", failure.error)
        self.trouble = failure.error
        self.attempts += 1
        step = self.job.by_name.get(self.names[self.step]) if 0 <= self.step < len(self.names) else None
        if self.undoing or not self._may_turn_round():
            if self.attempts >= TRIES_WITHOUT_RETURN:
                self._give_up(tx, failure.error)
            else:
                self._pause()
        elif failure.hopeless or self.cancelled or self.attempts >= (step.tries if step else 1):
            self._turn_round(failure.error)
        else:
            self._pause()

    def _pause(self) -> None:
        pause_s = min(_FIRST_PAUSE_S * 4 ** (self.attempts - 1), _LONGEST_PAUSE_S)
        self.state, self.run_at = "runnable", clock.after(pause_s)

    def _give_up(self, tx: Tx, trouble: str) -> None:
        """Stuck: loudly, and with everything kept for those who mend it."""
        name = self._name()
        _log.error(
            "job %s %s of %s is stuck at step %s: %s", self.job.kind, self.row.id, self.row.resource_id, name, trouble
        )
        self.state, self.trouble = "stuck", trouble
        self._note("stuck", trouble)
        tell = self.job.on_stuck or self.job.on_failed
        if tell is None:
            return
        data = msgspec.json.encode(self.data)
        error = trouble if self.error is None else f"{self.error} Undoing it failed as well: {trouble}"
        try:
            with tx.savepoint():
                tell(self._call(tx, name), error)
        except Exception:  # noqa: BLE001  (boundary: the job is stuck whether or not its resource can show it)
            self.data = msgspec.json.decode(data)
            _log.exception("job %s could not show that it is stuck", self.row.id)

    # ending

    def _end(self, tx: Tx) -> None:
        if self.undoing and self.job.on_failed is not None:
            data = msgspec.json.encode(self.data)
            try:
                with tx.savepoint():
                    self.job.on_failed(self._call(tx, self._name()), self.error or "It was cancelled.")
            except Exception as error:  # noqa: BLE001  (boundary, as above: counted like a failing undo)
                self.data = msgspec.json.decode(data)
                self._fail(tx, failure_of(error, self.job.kind, "on_failed"))
                return
        self.end("failed" if self.undoing else "done")

    def end(self, state: str) -> None:
        """The last entry; `save` then gives the locks back."""
        self.state, self.run_at = state, None
        self._log.append(self._entry("", state, self.error))
        why = f": {self.error}" if self.error and state == "failed" else ""
        _log.info("job %s %s of %s %s%s", self.job.kind, self.row.id, self.row.resource_id, state, why)

    # writing

    def save(self, tx: Tx) -> None:
        ended = self.state in ENDED
        changed = tx.update_where(
            JobRow,
            _job.c.sequence == self.row.sequence,
            _job.c.epoch == self._known_epoch,
            state=self.state,
            step=self.step,
            undoing=self.undoing,
            attempts=self.attempts,
            epoch=self.epoch,
            run_at=self.run_at if self.state in ("runnable", "running", "parked") else None,
            answered=False,
            refusal=None,
            cancelled=self.cancelled,
            data=self.data,
            error=self.error,
            trouble=self.trouble,
            finished_at=clock.now() if ended else None,
        )
        if changed == 0:
            raise LeaseLost(f"job {self.row.id} was taken over by another worker")
        self._known_epoch = self.epoch
        tx.insert_many(JobEvent, self._log)
        self._log = []
        promoted = locks.release(tx, self.row.id) if ended else 0
        if promoted or self.state == "runnable":
            db = self._surroundings.db
            tx.after_commit(lambda: db.bus.wake("jobs"))

    def _name(self) -> str:
        return self.names[self.step] if 0 <= self.step < len(self.names) else ""

    def _note(self, what: str, detail: str | None = None) -> None:
        self._log.append(self._entry(self._name(), what, detail))

    def _entry(self, step: str, what: str, detail: str | None) -> dict[str, Any]:
        return {"job_id": self.row.id, "step": step, "what": what, "detail": detail, "at": clock.now()}


def call_outside(outside: Outside, kind: str) -> dict[str, Any] | Failure:
    """Run a remote act; the data it leaves, or how it failed."""
    call = outside.call
    with log.on_behalf_of(call.request_id, call.user_id, call.project_id):
        try:
            given: Mapping[str, Any] | None = outside.act.function(call)
            # anything that JSON cannot hold must fail here, not in the transaction
            kept: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(call.data | dict(given or {})))
            return kept
        except Exception as error:  # noqa: BLE001  (boundary: see Turn)
            return failure_of(error, kind, call.name)


def failure_of(error: Exception, kind: str, step: str) -> Failure:
    """What a step raised, as a sentence. Refusals are not tried again; defects are, and go to the log whole."""
    if isinstance(error, JobFailed):
        return Failure(str(error), hopeless=True)
    if isinstance(error, ApiError):
        return Failure(error.message, hopeless=error.status < 500 and not isinstance(error, Busy))
    _log.error("step %s of %s failed", step, kind, exc_info=error)
    if isinstance(error, OSError) and error.strerror:
        return Failure(f"Step {step} failed: {error.strerror}.", hopeless=False)
    words = (
        f"Step {step} failed for an internal reason ({type(error).__name__}). The log of the control process says more."
    )
    return Failure(words, hopeless=False)
