# SPDX-License-Identifier: Apache-2.0
"""Cuts the power of a control process at a chosen point, without a second process.

Points are the boundaries of write transactions and of remote steps. Once it is off, it stays off:
whatever the dying code still tries at such a point fails in the same way, so nothing can be tidied up.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from altostratus.kernel.db import Db, Tx
from altostratus.kernel.jobs import Act, Job, Step


class PowerCut(BaseException):
    """Not an Exception: nothing catches it."""


class Tripper:
    """Counts points; cuts the power at number `at` (from 1; None: never)."""

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.seen = 0

    def point(self, name: str) -> None:
        self.seen += 1
        if self.at is not None and self.seen >= self.at:
            raise PowerCut(f"point {self.at}: {name}")

    def watch_db(self, db: Db) -> None:
        """Points before, inside and after every write transaction of this object."""
        write = db.write

        @contextmanager
        def cut() -> Generator[Tx, None, None]:
            self.point("before a transaction")
            with write() as tx:
                yield tx
                self.point("before a commit")
            self.point("after a commit")

        db.write = cut  # type: ignore[method-assign]

    def around(self, act: Act) -> Act:
        """Points before and after a remote act; other acts are inside transactions."""
        if act.how != "remote":
            return act

        def cut(step: Any) -> Any:
            self.point("before a remote step")
            given = act.function(step)
            self.point("after a remote step")
            return given

        return Act(act.how, cut)


def rewritten(job: Job, change: Callable[[Step, Act, bool], Act]) -> Job:
    """The same job with other acts: `change(step, act, undo)` gives what is called instead."""
    steps = [
        Step(
            step.name,
            change(step, step.act, False),
            None if step.undo is None else change(step, step.undo, True),
            deadline_s=step.deadline_s,
            final=step.final,
            tries=step.tries,
        )
        for step in job.steps
    ]
    return Job(
        job.kind,
        resource=job.resource,
        steps=steps,
        busy=job.busy,
        cancels=job.cancels,
        forward_only=job.forward_only,
        on_failed=job.on_failed,
        on_stuck=job.on_stuck,
        describe=job.describe,
    )
