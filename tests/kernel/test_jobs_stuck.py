# SPDX-License-Identifier: Apache-2.0
"""The point of no return, and jobs that are stuck until people help."""

import logging
from typing import Any

import pytest

from altostratus.kernel.errors import Busy, NotFound
from altostratus.kernel.jobs import JobFailed, Step, StepCall, local, remote
from altostratus.kernel.jobs.turn import TRIES_WITHOUT_RETURN
from tests.kernel.toy_jobs import (
    CREATE,
    DELETE,
    MOVE,
    Thing,
    ToyCloud,
    make_job,
    nothing,
    run,
)


def test_after_the_point_of_no_return_it_only_goes_forward(cloud):
    cloud.start(CREATE)
    cloud.settle()
    broken = [3]

    def stumble(step: StepCall) -> None:
        if broken:
            broken[0] -= 1
            if broken[0]:
                raise JobFailed("not yet")

    job = make_job(
        cloud,
        Step("a", local(nothing), undo=local(nothing)),
        Step("point", local(nothing), undo=local(nothing), final=True),
        Step("tidy", local(stumble)),
    )
    job_id = cloud.start(job)
    cloud.settle()
    assert cloud.job(job_id).state == "done"
    assert cloud.log(job_id).count("failed tidy") == 2


def stuck_job(cloud: ToyCloud, caplog: Any) -> tuple[str, list[str]]:
    """A delete that cannot be done; the returned list lets it work when emptied."""
    trouble = ["The engine is on fire."]

    def burn(step: StepCall) -> None:
        if trouble:
            raise JobFailed(trouble[0])

    job = make_job(
        cloud,
        Step("before", local(nothing)),
        Step("burn", remote(burn)),
        Step("after", local(lambda step: step.tx.update(Thing, "t1", status="after"))),
        forward_only=True,
        busy="queue",
        on_stuck=lambda step, error: step.tx.update(Thing, "t1", status="error", fault=error),
    )
    cloud.start(CREATE)
    cloud.settle()
    with caplog.at_level(logging.CRITICAL):
        job_id = cloud.start(job)
        cloud.settle()
    assert cloud.job(job_id).state == "stuck"
    return job_id, trouble


def test_stuck_is_loud_and_keeps_its_lock(cloud, caplog):
    job_id, _ = stuck_job(cloud, caplog)
    assert cloud.log(job_id).count("failed burn") == TRIES_WITHOUT_RETURN
    assert (cloud.thing().status, cloud.thing().fault) == ("error", "The engine is on fire.")
    with pytest.raises(Busy, match=f"is stuck at step burn: The engine is on fire.*alto jobs retry {job_id}"):
        cloud.start(MOVE)
    with cloud.db.read() as tx:
        assert cloud.jobs.active(tx, "thing", ["t1"]) == {}


def test_retry_a_stuck_job(cloud, caplog):
    job_id, trouble = stuck_job(cloud, caplog)
    trouble.clear()
    cloud.jobs.retry(job_id)
    cloud.settle()
    assert cloud.job(job_id).state == "done"
    assert cloud.thing().status == "after"
    with pytest.raises(Busy, match="not stuck"):
        cloud.jobs.retry(job_id)


def test_skip_the_step_of_a_stuck_job(cloud, caplog):
    job_id, _ = stuck_job(cloud, caplog)
    cloud.jobs.skip(job_id)
    cloud.settle()
    assert cloud.job(job_id).state == "done"
    assert cloud.thing().status == "after"


def test_abandon_a_stuck_job(cloud, caplog):
    job_id, _ = stuck_job(cloud, caplog)
    cloud.jobs.abandon(job_id)
    assert cloud.job(job_id).state == "failed"
    cloud.start(DELETE)
    cloud.settle()
    assert cloud.thing() is None
    with pytest.raises(NotFound):
        cloud.jobs.abandon("nonsense")


def test_a_delete_gives_up_what_is_stuck(cloud, caplog):
    job_id, _ = stuck_job(cloud, caplog)
    cloud.start(DELETE)
    cloud.settle()
    assert cloud.job(job_id).state == "failed"
    assert cloud.thing() is None


def test_an_undo_that_fails_for_ever_is_stuck(cloud, caplog):
    def fail(step: StepCall) -> None:
        raise JobFailed("The first trouble.")

    def fail_too(step: StepCall) -> None:
        raise JobFailed("The second trouble.")

    told: list[str] = []
    with caplog.at_level(logging.CRITICAL):
        row = run(
            cloud,
            Step("a", local(fail), undo=remote(fail_too)),
            on_failed=lambda step, error: told.append(error),
        )
    assert (row.state, row.error, row.trouble) == ("stuck", "The first trouble.", "The second trouble.")
    assert told == ["The first trouble. Undoing it failed as well: The second trouble."]
    cloud.jobs.skip(row.id)
    cloud.settle()
    assert cloud.job(row.id).state == "failed"
    assert told[1:] == ["The first trouble."]


def test_an_end_that_cannot_be_told_is_stuck(cloud, caplog):
    def fail(step: StepCall) -> None:
        raise JobFailed("no")

    def broken(step: StepCall, error: str) -> None:
        raise KeyError("a defect")

    with caplog.at_level(logging.CRITICAL):
        row = run(cloud, Step("a", local(fail)), on_failed=broken)
    assert row.state == "stuck"
    cloud.jobs.skip(row.id)
    assert cloud.job(row.id).state == "failed"
