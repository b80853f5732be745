# SPDX-License-Identifier: Apache-2.0
"""The three tests that every registered job must pass: power cuts, repetition, failing steps.

    CASES = [JobCase(DELETE_VOLUME, new_agents, open_cloud, prepare, complete, no_trace)]

    @pytest.mark.parametrize("check", CHECKS)
    @pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
    def test_job(case, check, tmp_path):
        check(case, tmp_path)

Afterwards the resource is complete or has left no trace, no job is unfinished, no lock is held.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec
from sqlalchemy import func, select

from altostratus.kernel.db import table_of
from altostratus.kernel.jobs import Act, Job, JobFailed, Step, Want
from altostratus.kernel.jobs.models import ENDED, JobLock, JobRow, JobWait
from altostratus.kernel.wanted import Report
from altostratus.testing.power_cut import PowerCut, Tripper, rewritten

_job = table_of(JobRow)


class OpenCloud(Protocol):
    """What the suite needs of a cloud; `TestCloud` is one."""

    @property
    def cloud(self) -> Any:
        """Has `db` and `jobs`."""

    def settle(self) -> None:
        """Run jobs, agents and events until nothing is left to do."""


@dataclass(frozen=True)
class JobCase:
    """How to test a job.

    agents    () -> agents: the machines. They outlive the control process, as guests do
    open      (directory, agents) -> the cloud on the database in that directory, new or not
    prepare   (cloud) -> start: makes what must be there before; `start()` is the request that starts the job
    complete  (cloud): asserts that the job has done its work
    no_trace  (cloud): asserts that everything is as if it had never been started
    """

    job: Job
    agents: Callable[[], dict[str, Any]]
    open: Callable[[Path, dict[str, Any]], OpenCloud]
    prepare: Callable[[Any], Callable[[], Any]]
    complete: Callable[[Any], None]
    no_trace: Callable[[Any], None]
    name: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", self.job.kind)


def check_power_cuts(case: JobCase, directory: Path, *, pairs: bool = False, stride: int = 1) -> int:
    """Cut the power at every point (`pairs`: and again at every point after that); the number of scenarios."""
    scenarios = 0
    for at in itertools.count(1, stride):
        scenarios += 1
        second = 1 if pairs else None
        while True:
            cuts = _with_cuts(case, directory / f"cut-{at}-{second or 0}", at, second)
            if not pairs or cuts < 2:
                break
            second = (second or 0) + stride
            scenarios += 1
        if cuts == 0:
            return scenarios
    raise AssertionError("unreachable")


def _with_cuts(case: JobCase, directory: Path, at: int, second: int | None) -> int:
    """How many of the cuts came before the job had ended anyway."""
    agents = case.agents()
    with _opened(case, directory, agents) as cloud:
        start = case.prepare(cloud)
        before = _newest(cloud)
        tripper = _wire(cloud, case, Tripper(at))
        try:
            start()
            cloud.settle()
        except PowerCut:
            cuts = 1
        else:
            cuts = 0
            tripper.at = None
            _judge(case, cloud, before, f"without a cut (fewer than {at} points)")
            return cuts
    if second is not None:
        with _opened(case, directory, agents) as cloud:
            _wire(cloud, case, Tripper(second))
            try:
                cloud.cloud.jobs.take_over()
                cloud.settle()
            except PowerCut:
                cuts = 2
    with _opened(case, directory, agents) as cloud:
        cloud.cloud.jobs.take_over()
        cloud.settle()
        _judge(case, cloud, before, f"after a cut at point {at}" + (f" and one at point {second}" if cuts == 2 else ""))
    return cuts


def check_repetition(case: JobCase, directory: Path) -> int:
    """Every act that may run twice runs twice: remote ones and wishes. Local ones take effect exactly once."""

    def twice(_step: Step, act: Act, _undo: bool) -> Act:
        if act.how == "remote":
            return Act("remote", lambda call: {**(act.function(call) or {}), **(act.function(call) or {})})
        if act.how == "desire":
            return Act("desire", lambda call: [*act.function(call), *act.function(call)])
        return act

    with _opened(case, directory / "twice", case.agents()) as cloud:
        start = case.prepare(cloud)
        before = _newest(cloud)
        _register(cloud, rewritten(case.job, twice))
        start()
        cloud.settle()
        _judge(case, cloud, before, "with every step done twice", expected="done")
    for step in _reversible(case.job):
        with _opened(case, directory / f"twice-{step.name}", case.agents()) as cloud:
            start = case.prepare(cloud)
            before = _newest(cloud)
            failing = _Failing(step.name, undo=False, after=True)
            _register(cloud, rewritten(rewritten(case.job, twice), failing.change))
            start()
            cloud.settle()
            _judge(case, cloud, before, f"undone from {step.name} with every step done twice", expected="failed")
    return 1 + len(_reversible(case.job))


class _Failing:
    """Makes one act fail: before or after it did its work; `times` None: always, and hopelessly."""

    def __init__(self, name: str, *, undo: bool, after: bool, times: int | None = None) -> None:
        self.name, self.undo, self.after, self.left = name, undo, after, times

    def change(self, step: Step, act: Act, undo: bool) -> Act:
        return Act(act.how, lambda call: self._run(act, call)) if (step.name, undo) == (self.name, self.undo) else act

    def _run(self, act: Act, call: Any) -> Any:
        if not self.after:
            self._trip()
        given = act.function(call)
        if act.how == "desire":
            given = list(given)
        if self.after:
            self._trip()
        return given

    def _trip(self) -> None:
        if self.left is None:
            raise JobFailed("This failure was injected.")
        if self.left > 0:
            self.left -= 1
            raise OSError(5, "An error was injected")


def check_failures(case: JobCase, directory: Path) -> int:
    """Every step fails before and after its work; every undo stumbles once; what cannot turn round stumbles once."""
    scenarios = 0
    reversible = _reversible(case.job)
    for step, after in _ways(case.job.steps, undo=False):
        way = "after its work" if after else "before its work"
        if step in reversible:
            failing = _Failing(step.name, undo=False, after=after)
            _run_failing(
                case, directory / f"fail-{step.name}-{after}", [failing], f"{step.name} failing {way}", "failed"
            )
            scenarios += 1
        if step.act.how == "desire":
            _run_refusing(case, directory / f"refuse-{step.name}", step, "failed" if step in reversible else "done")
            scenarios += 1
        stumbling = _Failing(step.name, undo=False, after=after, times=1)
        _run_failing(case, directory / f"trip-{step.name}-{after}", [stumbling], f"{step.name} stumbling {way}", "done")
        scenarios += 1
    # the last step that turns the job round has all undos before it
    for step, after in _ways([one for one in reversible if one.undo is not None], undo=True):
        failing = _Failing(reversible[-1].name, undo=False, after=False)
        stumbling = _Failing(step.name, undo=True, after=after, times=1)
        what = (
            f"{failing.name} failing and the undoing of {step.name} stumbling {'after' if after else 'before'} its work"
        )
        _run_failing(case, directory / f"undo-{step.name}-{after}", [failing, stumbling], what, "failed")
        scenarios += 1
    return scenarios


def _ways(steps: Iterable[Step], *, undo: bool) -> Iterator[tuple[Step, bool]]:
    """(step, whether it fails after its work); acts inside transactions leave nothing behind either way."""
    for step in steps:
        act = step.undo if undo else step.act
        yield step, False
        if act is not None and act.how == "remote":
            yield step, True


def _run_failing(case: JobCase, directory: Path, failing: list[_Failing], what: str, expected: str) -> None:
    with _opened(case, directory, case.agents()) as cloud:
        start = case.prepare(cloud)
        before = _newest(cloud)
        job = case.job
        for one in failing:
            one = _Failing(one.name, undo=one.undo, after=one.after, times=one.left)
            job = rewritten(job, one.change)
        _register(cloud, job)
        start()
        cloud.settle()
        _judge(case, cloud, before, f"with {what}", expected=expected)


def _run_refusing(case: JobCase, directory: Path, step: Step, expected: str) -> None:
    """The host makes what a step wants, and then says that it cannot: once for each wish."""
    asked: set[tuple[str, str]] = set()
    refused: set[tuple[str, str]] = set()

    def listen(other: Step, act: Act, undo: bool) -> Act:
        if undo or other.name != step.name:
            return act

        def wish(call: Any) -> list[Want]:
            wants = list(act.function(call))
            asked.update((want.kind, want.id) for want in wants)
            return wants

        return Act("desire", wish)

    with _opened(case, directory, case.agents()) as cloud:
        start = case.prepare(cloud)
        before = _newest(cloud)
        store = cloud.cloud.desired.report

        def report(host: str, reports: list[Report]) -> None:
            told = []
            for one in reports:
                key = (one.kind, one.id)
                if key in asked - refused:
                    refused.add(key)
                    one = msgspec.structs.replace(one, state={}, error="This refusal was injected.", final=True)
                told.append(one)
            store(host, told)

        cloud.cloud.desired.report = report
        _register(cloud, rewritten(case.job, listen))
        start()
        cloud.settle()
        _judge(case, cloud, before, f"with hosts refusing {step.name}", expected=expected if refused else "done")


CHECKS = (check_power_cuts, check_repetition, check_failures)


def check_all_have_cases(known: Mapping[str, Job], cases: Iterable[JobCase]) -> None:
    """A registered job without a case is an error, and so is a case of a job that is not registered."""
    tested = {case.job.kind for case in cases}
    missing, strange = sorted(known.keys() - tested), sorted(tested - known.keys())
    assert not missing, f"These jobs have no JobCase: {', '.join(missing)}"
    assert not strange, f"These cases are for jobs that are not registered: {', '.join(strange)}"


def _reversible(job: Job) -> list[Step]:
    """Steps whose failure turns the job round."""
    if job.forward_only:
        return []
    final = next((number for number, step in enumerate(job.steps) if step.final), len(job.steps))
    return list(job.steps[: final + 1])


@contextmanager
def _opened(case: JobCase, directory: Path, agents: dict[str, Any]) -> Iterator[Any]:
    directory.mkdir(parents=True, exist_ok=True)
    cloud = case.open(directory, agents)
    _register(cloud, case.job)
    try:
        yield cloud
    finally:
        cloud.cloud.db.close()


def _register(cloud: Any, job: Job) -> None:
    cloud.cloud.jobs.known[job.kind] = job


def _wire(cloud: Any, case: JobCase, tripper: Tripper) -> Tripper:
    tripper.watch_db(cloud.cloud.db)
    _register(cloud, rewritten(case.job, lambda _step, act, _undo: tripper.around(act)))
    return tripper


def _newest(cloud: Any) -> int:
    with cloud.cloud.db.read() as tx:
        return int(tx.scalar(select(func.max(_job.c.sequence))) or 0)


def _judge(case: JobCase, cloud: Any, before: int, when: str, expected: str | None = None) -> None:
    """Complete or without a trace; by default whichever the job says, and failing is not expected at all."""
    with cloud.cloud.db.read() as tx:
        unfinished = tx.rows(select(_job).where(_job.c.state.not_in(ENDED)))
        assert not unfinished, f"{when}: " + "; ".join(
            f"{row.kind} is {row.state} at {row.steps[row.step] if 0 <= row.step < len(row.steps) else row.step}, "
            f"undoing={row.undoing}: {row.trouble or row.error}"
            for row in unfinished
        )
        for model in (JobLock, JobWait):
            left = tx.rows(select(table_of(model)))
            assert not left, f"{when}: rows are left in {model.__tablename__}: {left}"
        row = tx.first(select(_job).where(_job.c.kind == case.job.kind, _job.c.sequence > before))
    state = row.state if row is not None else None
    if expected is not None:
        assert state == expected, f"{when}: the job is {state} ({row.error if row else None}), not {expected}"
    else:
        assert state in (None, "done"), f"{when}: the job failed: {row.error if row else None}"
    try:
        (case.complete if state == "done" else case.no_trace)(cloud)
    except AssertionError as error:
        error.add_note(f"{case.name} {when}; the job is {state}")
        raise
