# SPDX-License-Identifier: Apache-2.0
"""The generic tests of jobs pass on sound jobs, and have teeth: planted faults are found."""

import dataclasses
from typing import Any

import pytest

from altostratus.kernel.jobs import Act, Job, JobFailed, Step, StepCall, Want, desire, local, remote
from altostratus.kernel.jobs import turn as turns
from altostratus.testing.jobs_suite import (
    CHECKS,
    JobCase,
    check_all_have_cases,
    check_failures,
    check_power_cuts,
    check_repetition,
)
from tests.kernel import toy_jobs
from tests.kernel.toy_jobs import CASES, CREATE, DELETE, HOST, ToyCloud


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_job(case, check, tmp_path):
    assert check(case, tmp_path) > 0


def test_two_power_cuts(tmp_path):
    assert check_power_cuts(CASES[0], tmp_path, pairs=True, stride=3) > 20


def changed(name: str, **acts: Act | None) -> JobCase:
    """The case of the create job with another act at one step."""
    steps = [
        Step(
            step.name,
            acts.get("act", step.act) if step.name == name else step.act,  # type: ignore[arg-type]
            acts.get("undo", step.undo) if step.name == name else step.undo,
        )
        for step in CREATE.steps
    ]
    return dataclasses.replace(
        CASES[0], job=Job("thing.create", resource="thing", steps=steps, on_failed=CREATE.on_failed)
    )


def random_key(step: StepCall) -> dict[str, Any]:
    engine = step.cloud.engine  # type: ignore[attr-defined]
    name = f"{step.key}-{len(engine.calls)}"
    engine.calls.append("upload")
    engine.blobs[name] = step.resource_id
    return {"blob": name}


def forgetful_upload(step: StepCall) -> dict[str, Any]:
    """Not idempotent: refuses what is there."""
    if step.key in step.cloud.engine.blobs:  # type: ignore[attr-defined]
        raise JobFailed("It exists already.")
    return toy_jobs.upload(step)


def strict_discard(step: StepCall) -> None:
    step.cloud.engine.blobs.pop(step.key)  # type: ignore[attr-defined]


def test_finds_an_undo_that_is_missing(tmp_path):
    with pytest.raises(AssertionError):
        check_failures(changed("claim", undo=None), tmp_path)
    with pytest.raises(AssertionError):
        check_failures(changed("boot", undo=None), tmp_path)


def test_finds_an_unstable_key(tmp_path):
    with pytest.raises(AssertionError):
        check_power_cuts(changed("upload", act=remote(random_key)), tmp_path / "1")
    with pytest.raises(AssertionError):
        check_repetition(changed("upload", act=remote(random_key)), tmp_path / "2")


def test_finds_a_remote_step_that_cannot_be_repeated(tmp_path):
    case = changed("upload", act=remote(forgetful_upload))
    with pytest.raises(AssertionError):
        check_repetition(case, tmp_path / "1")
    with pytest.raises(AssertionError):
        check_power_cuts(case, tmp_path / "2")


def test_finds_an_undo_that_cannot_bear_nothing(tmp_path):
    with pytest.raises(AssertionError):
        check_failures(changed("upload", undo=remote(strict_discard)), tmp_path)


def test_finds_an_effect_outside_the_transaction(tmp_path):
    """A local step that touches a foreign engine is lost or doubled."""

    def leaky(step: StepCall) -> None:
        toy_jobs.claim(step)
        step.cloud.engine.blobs[f"leak-{len(step.cloud.engine.blobs)}"] = "t1"  # type: ignore[attr-defined]

    with pytest.raises(AssertionError):
        check_power_cuts(changed("claim", act=local(leaky)), tmp_path)


def test_finds_wishes_that_are_not_withdrawn(tmp_path):
    half = desire(lambda step: [Want("port", step.resource_id + "-a", HOST, None)])
    with pytest.raises(AssertionError):
        check_failures(changed("plug", undo=half), tmp_path)


def test_finds_an_engine_whose_undo_skips_the_failing_step(tmp_path, monkeypatch):
    def skipping(self: turns.Turn, error: str) -> None:
        self.undoing, self.error, self.attempts = True, error, 0
        self.step -= 1

    monkeypatch.setattr(turns.Turn, "_turn_round", skipping)
    with pytest.raises(AssertionError):
        check_failures(CASES[0], tmp_path)


def test_finds_an_engine_that_undoes_in_the_wrong_order(tmp_path, monkeypatch):
    move = turns.Turn._move

    def forgetting(self: turns.Turn) -> None:
        move(self)
        if self.undoing and self.step == 1:
            self.step = 0

    monkeypatch.setattr(turns.Turn, "_move", forgetting)
    with pytest.raises(AssertionError):
        check_failures(CASES[0], tmp_path)


def test_finds_an_engine_that_writes_the_cursor_in_another_transaction(tmp_path, monkeypatch):
    """The step's own changes are committed before the cursor moves: a cut between them repeats the step."""
    do_here = turns.Turn._do_here

    def early(self: turns.Turn, tx: Any, step: Step, act: Act) -> None:
        do_here(self, tx, step, act)
        tx.conn.exec_driver_sql("COMMIT")
        tx.conn.exec_driver_sql("BEGIN IMMEDIATE")

    monkeypatch.setattr(turns.Turn, "_do_here", early)
    with pytest.raises(AssertionError):
        check_power_cuts(CASES[0], tmp_path)


def test_finds_an_engine_that_forgets_who_waits(tmp_path, monkeypatch):
    monkeypatch.setattr(ToyCloud, "run_machine", lambda self: False)
    with pytest.raises(AssertionError):
        check_repetition(CASES[0], tmp_path)


def test_every_job_needs_a_case():
    check_all_have_cases({"thing.create": CREATE}, CASES[:1])
    with pytest.raises(AssertionError, match=r"thing\.delete"):
        check_all_have_cases({"thing.create": CREATE, "thing.delete": DELETE}, CASES[:1])
    with pytest.raises(AssertionError, match="not registered"):
        check_all_have_cases({}, CASES[:1])
