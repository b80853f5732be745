# SPDX-License-Identifier: Apache-2.0
"""A worker process for test_jobs_killed.py. Its foreign engine is a directory: one file for each blob.

It ends by itself after a while, so nothing is left running when the test itself is killed.
"""

import fcntl
import os
import threading
import time
from pathlib import Path

from altostratus.kernel.db import Db, Mapped, Model, mapped_column
from altostratus.kernel.desired import Desired
from altostratus.kernel.jobs import Job, JobFailed, Jobs, Step, StepCall, Want, desire, local, remote, workers
from altostratus.kernel.wanted import Report

HOST = "h"
LIFE_S = 25.0


class KilledThing(Model):
    __tablename__ = "killed_things"
    id: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str]


class Ledger(Model):
    """A row for each thing: a local step that runs twice would break the key."""

    __tablename__ = "killed_ledger"
    id: Mapped[str] = mapped_column(primary_key=True)


def blob(step: StepCall) -> Path:
    return Path(str(step.cloud)) / step.key.replace("/", "-")


def book(step: StepCall) -> None:
    step.tx.insert(Ledger, id=step.resource_id)


def strike(step: StepCall) -> None:
    step.tx.delete(Ledger, step.resource_id)


def upload(step: StepCall) -> None:
    time.sleep(0.005)
    blob(step).write_text(step.resource_id)


def discard(step: StepCall) -> None:
    blob(step).unlink(missing_ok=True)


def boot(step: StepCall) -> list[Want]:
    return [Want("guest", step.resource_id, HOST, {"a": 1})]


def halt(step: StepCall) -> list[Want]:
    return [Want("guest", step.resource_id, HOST, None)]


def activate(step: StepCall) -> None:
    if step.params["fail"]:
        raise JobFailed("It was to fail.")
    step.tx.update(KilledThing, step.resource_id, status="active")


def show_error(step: StepCall, error: str) -> None:
    step.tx.update(KilledThing, step.resource_id, status="error")


MAKE = Job(
    "killed.make",
    resource="killed",
    steps=[
        Step("book", local(book), undo=local(strike)),
        Step("upload", remote(upload), undo=remote(discard)),
        Step("boot", desire(boot), undo=desire(halt)),
        Step("second", remote(upload), undo=remote(discard)),
        Step("activate", local(activate)),
    ],
    on_failed=show_error,
)


def open_jobs(directory: Path) -> tuple[Db, Desired, Jobs]:
    db = Db(f"sqlite:///{directory / 'killed.sqlite'}")
    desired = Desired(db)
    jobs = Jobs(db, desired, directory / "engine", workers=2, lease_s=1.5)
    jobs.register(MAKE)
    return db, desired, jobs


def answer_for_ever(desired: Desired, directory: Path) -> None:
    """The host: a directory too, with a file for each guest.

    A host has one agent at a time, as real drivers see to with a lock; a killed one gives it back.
    """
    with (directory / "host.lock").open("w") as lock:
        while True:
            fcntl.flock(lock, fcntl.LOCK_EX)
            answer_once(desired, directory)
            fcntl.flock(lock, fcntl.LOCK_UN)
            time.sleep(0.02)


def answer_once(desired: Desired, directory: Path) -> None:
    reports = []
    for row in desired.watch(HOST, ["guest"], 0, 0).rows:
        guest = directory / "guests" / row.id
        if row.spec is None:
            guest.unlink(missing_ok=True)
        else:
            guest.touch()
        reports.append(Report(kind="guest", id=row.id, generation=row.generation))
    if reports:
        desired.report(HOST, reports)


def work(directory: str) -> None:
    """Drive jobs and answer as the host, until killed."""
    # other processes cannot wake this one: the bus of this test is in process, so looking must do
    workers._POLL_S = 0.02
    os.nice(5)
    path = Path(directory)
    _, desired, jobs = open_jobs(path)
    threading.Thread(target=answer_for_ever, args=(desired, path), daemon=True).start()
    jobs.start_workers()
    time.sleep(LIFE_S)
    os._exit(0)
