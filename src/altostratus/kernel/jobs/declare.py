# SPDX-License-Identifier: Apache-2.0
"""How a job is written down."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from altostratus.kernel.db import Db, Tx
from altostratus.kernel.desired import Desired, DesiredRow, Want

if TYPE_CHECKING:
    from altostratus.kernel.cloud import Cloud


class JobFailed(Exception):
    """Raised by a step: trying again cannot help. The message is shown to people."""


@dataclass(slots=True)
class StepCall:
    """What a step's function gets.

    tx        the transaction that also moves the cursor; for remote steps use `db.read()` and `db.write()`
    params    what the job was started with; never changes
    data      what earlier steps kept; changes are stored with the cursor
    key       the same in every try of this step: names of outside things are made of it
    """

    tx: Tx
    db: Db
    cloud: "Cloud"
    desired: Desired
    job_id: str
    resource_id: str
    params: dict[str, Any]
    data: dict[str, Any]
    key: str
    request_id: str
    project_id: str
    user_id: str

    def observed(self, kind: str, id: str) -> dict[str, Any]:
        """What the agent last reported of a desired row; empty if nothing."""
        row = self.tx.find(DesiredRow, kind=kind, id=id)
        return dict(row.observed or {}) if row is not None else {}


LocalFunction = Callable[[StepCall], None]
DesireFunction = Callable[[StepCall], list[Want]]
RemoteFunction = Callable[[StepCall], dict[str, Any] | None]


@dataclass(frozen=True, slots=True)
class Act:
    """A function and how it is run."""

    how: Literal["local", "desire", "remote"]
    function: Callable[[StepCall], Any]


def local(function: LocalFunction) -> Act:
    """Runs in the transaction that moves the cursor: exactly once."""
    return Act("local", function)


def desire(function: DesireFunction) -> Act:
    """Writes wanted rows; the job then sleeps until all are observed."""
    return Act("desire", function)


def remote(function: RemoteFunction) -> Act:
    """Runs outside transactions, at least once; idempotent under `step.key`."""
    return Act("remote", function)


@dataclass(frozen=True, slots=True)
class Step:
    """One step. After a `final` step the job goes only forward."""

    name: str
    act: Act
    undo: Act | None = None
    deadline_s: float = 600
    final: bool = False


OnEnd = Callable[[StepCall, str], None]


class Job:
    """A kind of job. `resource` is what it locks; `busy` what happens when that is locked already."""

    def __init__(
        self,
        kind: str,
        *,
        resource: str,
        steps: list[Step],
        busy: Literal["refuse", "queue"] = "refuse",
        forward_only: bool = False,
        on_failed: OnEnd | None = None,
        on_stuck: OnEnd | None = None,
        describe: str = "",
    ) -> None:
        if len({step.name for step in steps}) != len(steps):
            raise ValueError(f"{kind}: two steps have the same name")
        self.kind, self.resource, self.steps = kind, resource, steps
        self.busy, self.forward_only = busy, forward_only
        self.on_failed, self.on_stuck, self.describe = on_failed, on_stuck, describe
