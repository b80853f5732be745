# SPDX-License-Identifier: Apache-2.0
"""How a job is written down.

delete_volume = Job("volume.delete", resource="volume", forward_only=True, steps=[
    Step("absent", desire(want_absent)),
    Step("forget", local(delete_row)),
])
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from altostratus.kernel.db import Db, Tx
from altostratus.kernel.desired import Desired, Want

if TYPE_CHECKING:
    from altostratus.kernel.cloud import Cloud

TRIES = 3


class JobFailed(Exception):
    """Raised by a step: trying again cannot help. The message is a sentence for people."""


class StepCall:
    """What a step's function gets.

    db, desired, cloud      for everything it needs; `tx` is the transaction that also moves the cursor
    name, key               the step, and a name for outside things that is the same in every try of it
    params                  what the job was started with; never changes
    data                    what earlier steps kept; changes are stored with the cursor
    job_id resource_id request_id project_id user_id    whose job it is
    """

    def __init__(
        self,
        tx: Tx | None,
        *,
        surroundings: "Surroundings",
        row: Any,
        name: str,
        data: dict[str, Any],
    ) -> None:
        self._tx = tx
        self.db, self.desired, self.cloud = surroundings
        self.name, self.key = name, f"{row.id}/{name}"
        self.job_id: str = row.id
        self.resource_id: str = row.resource_id
        self.params: dict[str, Any] = row.params
        self.data = data
        self.request_id: str = row.request_id
        self.project_id: str = row.project_id
        self.user_id: str = row.user_id

    @property
    def tx(self) -> Tx:
        if self._tx is None:
            raise RuntimeError("a remote step runs outside any transaction; use step.db.read() and step.db.write()")
        return self._tx

    def observed(self, kind: str, id: str) -> dict[str, Any]:
        """What the agent last reported of a wanted row; empty if nothing."""
        if self._tx is None:
            with self.db.read() as tx:
                row = self.desired.show(tx, kind, id)
        else:
            row = self.desired.show(self._tx, kind, id)
        return dict(row.observed or {}) if row is not None else {}


class Surroundings(NamedTuple):
    """What every step can reach."""

    db: Db
    desired: Desired
    cloud: "Cloud"


class Act(NamedTuple):
    """A function and how it is run."""

    how: Literal["local", "desire", "remote"]
    function: Callable[[StepCall], Any]


def local(function: Callable[[StepCall], object]) -> Act:
    """Runs in the transaction that moves the cursor: takes effect exactly once."""
    return Act("local", function)


def desire(function: Callable[[StepCall], Iterable[Want]]) -> Act:
    """Writes wanted rows; the job then sleeps until the hosts have made all of them true."""
    return Act("desire", function)


def remote(function: Callable[[StepCall], Mapping[str, Any] | None]) -> Act:
    """Runs outside transactions, at least once; idempotent under `step.key`. A dict it gives is kept in `data`."""
    return Act("remote", function)


class Step:
    """One step.

    undo        accepts that nothing, a part or all of the step was done; None: there is nothing to undo
    deadline_s  how long hosts may take for what a `desire` wants
    final       once it is done the job goes only forward
    tries       of the act, before the job turns round
    """

    def __init__(
        self,
        name: str,
        act: Act,
        undo: Act | None = None,
        *,
        deadline_s: float = 600,
        final: bool = False,
        tries: int = TRIES,
    ) -> None:
        self.name, self.act, self.undo = name, act, undo
        self.deadline_s, self.final, self.tries = deadline_s, final, tries


OnEnd = Callable[[StepCall, str], None]


class Job:
    """A kind of job.

    resource      what it works on, and locks unless `start` names other locks
    busy          what happens when the lock is held: refuse with 409, or wait in the queue
    cancels       before it queues, jobs on its locks that can still turn round are asked to; stuck ones
                  are given up. For deletes
    forward_only  never undone: retried until it works, or stuck
    on_failed     fn(step, error) in the transaction that ends the failed, undone job
    on_stuck      fn(step, error) in the transaction that gives up; `on_failed` if None
    describe      what it does: a sentence for people
    """

    def __init__(
        self,
        kind: str,
        *,
        resource: str,
        steps: Sequence[Step],
        busy: Literal["refuse", "queue"] = "refuse",
        cancels: bool = False,
        forward_only: bool = False,
        on_failed: OnEnd | None = None,
        on_stuck: OnEnd | None = None,
        describe: str = "",
    ) -> None:
        self.kind, self.resource, self.steps = kind, resource, tuple(steps)
        self.busy, self.cancels, self.forward_only = busy, cancels, forward_only
        self.on_failed, self.on_stuck = on_failed, on_stuck
        self.describe = describe
        self.by_name = {step.name: step for step in steps}
        if len(self.by_name) != len(self.steps) or not steps:
            raise ValueError(f"job {kind} needs steps, each with a name of its own")

    @property
    def names(self) -> list[str]:
        return [step.name for step in self.steps]
