# SPDX-License-Identifier: Apache-2.0
"""A small world for the job engine: rows, one host, and a foreign engine that outlives the control process."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import select

from altostratus.kernel.db import Db, Mapped, Model, mapped_column, table_of
from altostratus.kernel.desired import Desired, DesiredRow
from altostratus.kernel.jobs import Job, Jobs, Step, StepCall, Want, desire, local, remote
from altostratus.kernel.wanted import Report, Wanted
from altostratus.testing.jobs_suite import JobCase

HOST = "h"


class Thing(Model):
    __tablename__ = "toy_things"
    id: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str]
    fault: Mapped[str | None]


class Claim(Model):
    __tablename__ = "toy_claims"
    id: Mapped[str] = mapped_column(primary_key=True)
    amount: Mapped[int]


class Machine:
    """The host: makes what is wanted; `refuse` maps a kind to (error, final); `deaf` ones are not answered."""

    def __init__(self) -> None:
        self.made: dict[tuple[str, str], Any] = {}
        self.refuse: dict[str, tuple[str, bool]] = {}
        self.deaf: set[str] = set()

    def answer(self, row: Wanted) -> Report | None:
        if row.kind in self.deaf:
            return None
        error, final = self.refuse.get(row.kind, (None, False)) if row.spec is not None else (None, False)
        if error is None and row.spec is not None:
            self.made[row.kind, row.id] = row.spec
        elif error is None:
            self.made.pop((row.kind, row.id), None)
        state = {"made": row.spec} if error is None else {}
        return Report(kind=row.kind, id=row.id, generation=row.generation, state=state, error=error, final=final)


class Engine:
    """A foreign engine: blobs by name."""

    def __init__(self) -> None:
        self.blobs: dict[str, str] = {}
        self.calls: list[str] = []


class ToyCloud:
    """As `TestCloud`, without HTTP. `cloud` is itself: steps reach `engine` by it."""

    def __init__(self, directory: Path, agents: dict[str, Any] | None = None, *, jobs_class: type[Jobs] = Jobs) -> None:
        agents = agents or world()
        self.machine: Machine = agents["machine"]
        self.engine: Engine = agents["engine"]
        self.db = Db(f"sqlite:///{directory / 'toy.sqlite'}")
        self.db.create_all()
        self.desired = Desired(self.db)
        self.jobs = jobs_class(self.db, self.desired, self)
        for job in (CREATE, DELETE, MOVE):
            self.jobs.register(job)
        self.revision = 0

    @property
    def cloud(self) -> "ToyCloud":
        return self

    def settle(self, rounds: int = 60) -> None:
        for _ in range(rounds):
            self.jobs.run_until_idle()
            if not self.run_machine():
                return
        raise AssertionError("the toy cloud did not settle")

    def run_machine(self) -> bool:
        changes = self.desired.watch(HOST, ["port", "guest"], self.revision, 0)
        self.revision = changes.revision
        reports = [report for row in changes.rows if (report := self.machine.answer(row)) is not None]
        if reports:
            self.desired.report(HOST, reports)
        return bool(reports)

    def start(self, job: Job, thing_id: str = "t1", **options: Any) -> str:
        with self.db.write() as tx:
            if job is CREATE and tx.find(Thing, thing_id) is None:
                tx.insert(Thing, id=thing_id, status="building")
            params = options.pop("params", {"size": 3})
            return self.jobs.start(
                tx, job, thing_id, params, request_id="req-1", project_id="p", user_id="u", **options
            )

    def thing(self, thing_id: str = "t1") -> Any:
        with self.db.read() as tx:
            return tx.find(Thing, thing_id)

    def job(self, job_id: str) -> Any:
        with self.db.read() as tx:
            return self.jobs.find(tx, job_id)

    def log(self, job_id: str) -> list[str]:
        with self.db.read() as tx:
            return [f"{row.what} {row.step}".strip() for row in self.jobs.events_of(tx, [job_id])]

    def count(self, model: type[Model]) -> int:
        with self.db.read() as tx:
            return len(tx.rows(select(table_of(model))))


def world() -> dict[str, Any]:
    return {"machine": Machine(), "engine": Engine()}


def claim(step: StepCall) -> None:
    step.tx.insert(Claim, id=step.resource_id, amount=step.params["size"])
    step.data["claimed"] = True


def unclaim(step: StepCall) -> None:
    step.tx.delete(Claim, step.resource_id)


def plug(step: StepCall) -> list[Want]:
    return [Want("port", step.resource_id + suffix, HOST, {"size": step.params["size"]}) for suffix in ("-a", "-b")]


def unplug(step: StepCall) -> list[Want]:
    return [want._replace(spec=None) for want in plug(step)]


def upload(step: StepCall) -> dict[str, Any]:
    step.cloud.engine.calls.append("upload")  # type: ignore[attr-defined]
    step.cloud.engine.blobs[step.key] = step.resource_id  # type: ignore[attr-defined]
    return {"blob": step.key}


def discard(step: StepCall) -> None:
    step.cloud.engine.calls.append("discard")  # type: ignore[attr-defined]
    step.cloud.engine.blobs.pop(step.key, None)  # type: ignore[attr-defined]


def boot(step: StepCall) -> list[Want]:
    return [Want("guest", step.resource_id, HOST, {"blob": step.data["blob"]})]


def halt(step: StepCall) -> list[Want]:
    return [Want("guest", step.resource_id, HOST, None)]


def activate(step: StepCall) -> None:
    assert step.observed("guest", step.resource_id) == {"made": {"blob": step.data["blob"]}}
    step.tx.update(Thing, step.resource_id, status="active")


def deactivate(step: StepCall) -> None:
    step.tx.update(Thing, step.resource_id, status="building")


def show_error(step: StepCall, error: str) -> None:
    step.tx.update(Thing, step.resource_id, status="error", fault=error)


CREATE = Job(
    "thing.create",
    resource="thing",
    steps=[
        Step("claim", local(claim), undo=local(unclaim)),
        Step("plug", desire(plug), undo=desire(unplug), deadline_s=300),
        Step("upload", remote(upload), undo=remote(discard)),
        Step("boot", desire(boot), undo=desire(halt), deadline_s=900),
        Step("activate", local(activate), undo=local(deactivate)),
    ],
    on_failed=show_error,
)


def clear_engine(step: StepCall) -> None:
    for name in [name for name, thing in step.cloud.engine.blobs.items() if thing == step.resource_id]:  # type: ignore[attr-defined]
        step.cloud.engine.blobs.pop(name)  # type: ignore[attr-defined]


def forget(step: StepCall) -> None:
    step.tx.delete(Claim, step.resource_id)
    step.tx.delete(Thing, step.resource_id)


DELETE = Job(
    "thing.delete",
    resource="thing",
    busy="queue",
    cancels=True,
    forward_only=True,
    steps=[
        Step("halt", desire(halt)),
        Step("unplug", desire(unplug)),
        Step("discard", remote(clear_engine)),
        Step("forget", local(forget)),
    ],
    on_stuck=show_error,
)


def reserve(step: StepCall) -> None:
    step.tx.update(Thing, step.resource_id, status="moving")


def unreserve(step: StepCall) -> None:
    step.tx.update(Thing, step.resource_id, status="active")


def switch(step: StepCall) -> list[Want]:
    return [Want("guest", step.resource_id, HOST, {"moved": True})]


def switch_back(step: StepCall) -> list[Want]:
    return [Want("guest", step.resource_id, HOST, {"moved": False})]


def finish(step: StepCall) -> None:
    step.tx.update(Thing, step.resource_id, status="moved")


MOVE = Job(
    "thing.move",
    resource="thing",
    busy="queue",
    steps=[
        Step("reserve", local(reserve), undo=local(unreserve)),
        Step("switch", desire(switch), undo=desire(switch_back), final=True),
        Step("tidy", remote(clear_engine)),
        Step("finish", local(finish)),
    ],
    on_failed=lambda step, error: None,
)


def created(cloud: ToyCloud) -> None:
    assert cloud.thing().status == "active"
    assert cloud.count(Claim) == 1
    assert sorted(cloud.machine.made) == [("guest", "t1"), ("port", "t1-a"), ("port", "t1-b")]
    assert list(cloud.engine.blobs.values()) == ["t1"]


def gone(cloud: ToyCloud) -> None:
    assert cloud.thing() is None or cloud.thing().status == "error"
    nothing_left(cloud)


def nothing_left(cloud: ToyCloud) -> None:
    assert cloud.count(Claim) == 0
    assert cloud.count(DesiredRow) == 0
    assert cloud.machine.made == {}
    assert cloud.engine.blobs == {}


def deleted(cloud: ToyCloud) -> None:
    assert cloud.thing() is None
    nothing_left(cloud)


def moved(cloud: ToyCloud) -> None:
    assert cloud.thing().status == "moved"
    assert cloud.machine.made["guest", "t1"] == {"moved": True}
    assert cloud.engine.blobs == {}


def not_moved(cloud: ToyCloud) -> None:
    assert cloud.thing().status == "active"
    assert cloud.machine.made["guest", "t1"] != {"moved": True}
    assert cloud.engine.blobs


def with_thing(job: Job) -> Callable[[ToyCloud], Callable[[], str]]:
    def prepare(cloud: ToyCloud) -> Callable[[], str]:
        cloud.start(CREATE)
        cloud.settle()
        return lambda: cloud.start(job)

    return prepare


CASES = [
    JobCase(CREATE, world, ToyCloud, lambda cloud: lambda: cloud.start(CREATE), created, gone),
    JobCase(DELETE, world, ToyCloud, with_thing(DELETE), deleted, created),
    JobCase(MOVE, world, ToyCloud, with_thing(MOVE), moved, not_moved),
]


def make_job(cloud: ToyCloud, *steps: Step, kind: str = "toy.test", **options: Any) -> Job:
    """A registered job of these steps."""
    job = Job(kind, resource="thing", steps=steps, **options)
    cloud.jobs.register(job)
    return job


def nothing(step: StepCall) -> None:
    """A step that does nothing."""


def run(cloud: ToyCloud, *steps: Step, **options: Any) -> Any:
    """Run a job of these steps to its end; its row."""
    job_id = cloud.start(make_job(cloud, *steps, **options))
    cloud.settle()
    return cloud.job(job_id)


def wait_for(condition: Callable[[], Any], timeout_s: float = 10) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)
