# SPDX-License-Identifier: Apache-2.0
"""The way of a job, and how steps fail."""

import logging
from typing import Any

import pytest

from altostratus.kernel import clock
from altostratus.kernel.errors import Busy, Conflict, NotFound
from altostratus.kernel.jobs import JobFailed, Step, StepCall, Want, desire, local, remote
from altostratus.kernel.wanted import Report
from tests.kernel.toy_jobs import (
    CREATE,
    HOST,
    Claim,
    created,
    make_job,
    nothing_left,
    run,
)


def test_a_job_runs_through(cloud):
    job_id = cloud.start(CREATE)
    assert cloud.job(job_id).state == "runnable"
    cloud.settle()
    created(cloud)
    assert cloud.job(job_id).state == "done"
    assert cloud.log(job_id) == [
        "created", "done claim", "parked plug", "done plug", "started upload", "done upload", "parked boot",
        "done boot", "done activate", "done",
    ]  # fmt: skip


def test_no_commit_no_job(cloud):
    def change_my_mind() -> None:
        with cloud.db.write() as tx:
            cloud.jobs.start(tx, CREATE, "t1", request_id="r", project_id="p", user_id="u")
            raise ValueError("changed my mind")

    with pytest.raises(ValueError, match="changed my mind"):
        change_my_mind()
    cloud.settle()
    assert cloud.thing() is None


def test_a_step_knows_whose_it_is(cloud):
    seen: list[StepCall] = []
    run(cloud, Step("look", local(seen.append)), Step("out", remote(seen.append)))
    inside, outside = seen
    assert (inside.request_id, inside.project_id, inside.user_id) == ("req-1", "p", "u")
    assert inside.key == f"{inside.job_id}/look" and outside.key == f"{inside.job_id}/out"
    assert inside.cloud is cloud
    with pytest.raises(RuntimeError, match="outside any transaction"):
        _ = outside.tx


def test_params_and_data_are_kept(cloud):
    def second(step: StepCall) -> None:
        assert step.params == {"size": 3}
        assert step.data == {"a": 1, "b": 2}

    row = run(
        cloud,
        Step("first", local(lambda step: step.data.update(a=1))),
        Step("out", remote(lambda step: {"b": 2})),
        Step("second", local(second)),
    )
    assert row.state == "done", row.error


def test_a_failed_try_leaves_nothing_in_data_or_rows(cloud):
    tries: list[dict[str, Any]] = []

    def stumble(step: StepCall) -> None:
        tries.append(dict(step.data))
        step.data["dirt"] = True
        step.tx.insert(Claim, id="x", amount=1)
        if len(tries) < 3:
            raise OSError(28, "No space left on device")

    assert run(cloud, Step("stumble", local(stumble))).state == "done"
    assert tries == [{}, {}, {}]
    assert cloud.count(Claim) == 1


def test_a_refusal_is_not_tried_again(cloud):
    tries = []

    def refuse(step: StepCall) -> None:
        tries.append(1)
        raise JobFailed("The image is broken. Upload it again.")

    row = run(cloud, Step("refuse", local(refuse)))
    assert (row.state, row.error, len(tries)) == ("failed", "The image is broken. Upload it again.", 1)


@pytest.mark.parametrize(
    ("error", "tries", "words"),
    [
        (Conflict("The volume is in use."), 1, "The volume is in use."),
        (NotFound("No image with id 5 exists."), 1, "No image with id 5 exists."),
        (Busy("Somebody else is at it."), 3, "Somebody else is at it."),
        (KeyError("nonsense"), 3, "Step odd failed for an internal reason (KeyError). The log of the"),
        (OSError(28, "No space left on device"), 3, "Step odd failed: No space left on device."),
    ],
)
@pytest.mark.parametrize("how", [local, remote, desire])
def test_how_often_is_tried(cloud, caplog, how, error, tries, words):
    seen = []

    def odd(step: StepCall) -> None:
        seen.append(1)
        raise error

    with caplog.at_level(logging.CRITICAL):
        row = run(cloud, Step("odd", how(odd)))
    assert row.state == "failed"
    assert row.error.startswith(words)
    assert "nonsense" not in row.error
    assert len(seen) == tries


def test_undo_goes_backwards_from_the_failing_step(cloud):
    seen: list[str] = []

    def noted(name: str) -> Any:
        return local(lambda step: seen.append(name))

    def fail(step: StepCall) -> None:
        raise JobFailed("no")

    ended: list[tuple[str, str]] = []
    row = run(
        cloud,
        Step("a", noted("a"), undo=noted("-a")),
        Step("b", noted("b")),
        Step("c", noted("c"), undo=remote(lambda step: seen.append("-c"))),
        Step("d", local(fail), undo=noted("-d")),
        Step("e", noted("e"), undo=noted("-e")),
        on_failed=lambda step, error: ended.append((step.resource_id, error)),
    )
    assert seen == ["a", "b", "c", "-d", "-c", "-a"]
    assert ended == [("t1", "no")]
    assert (row.state, row.error) == ("failed", "no")


def test_a_host_that_refuses_for_good_ends_the_step_at_once(cloud):
    cloud.machine.refuse["guest"] = ("The image is not bootable.", True)
    job_id = cloud.start(CREATE)
    cloud.settle()
    assert cloud.job(job_id).state == "failed"
    assert (cloud.thing().status, cloud.thing().fault) == ("error", "The image is not bootable.")
    nothing_left(cloud)


def test_a_host_that_stumbles_is_waited_for(cloud):
    cloud.machine.refuse["guest"] = ("The disk is full.", False)
    with clock.frozen() as advance:
        job_id = cloud.start(CREATE)
        cloud.settle()
        advance(800)
        cloud.settle()
        assert cloud.job(job_id).state == "parked"
        del cloud.machine.refuse["guest"]
        cloud.revision = 0
        cloud.settle()
        assert cloud.job(job_id).state == "done"


def test_a_deadline_ends_the_waiting_and_tells_why(cloud):
    cloud.machine.refuse["guest"] = ("The disk is full.", False)
    with clock.frozen() as advance:
        job_id = cloud.start(CREATE)
        cloud.settle()
        advance(901)
        cloud.settle()
    assert cloud.job(job_id).state == "failed"
    assert cloud.thing().fault == "Host h did not manage it within 900 s. guest t1: The disk is full."
    nothing_left(cloud)


def test_a_silent_host(cloud):
    cloud.machine.deaf = {"port"}
    with clock.frozen() as advance:
        job_id = cloud.start(CREATE)
        cloud.settle()
        advance(301)
        cloud.jobs.run_until_idle()
        assert cloud.job(job_id).error == "Host h did not answer within 300 s. Check that its agent runs."
        assert cloud.job(job_id).undoing
        cloud.machine.deaf = set()
        cloud.settle()
    assert cloud.job(job_id).state == "failed"
    nothing_left(cloud)


def test_a_late_report_of_an_older_wish_wakes_nobody(cloud):
    job_id = cloud.start(CREATE)
    cloud.jobs.run_until_idle()
    assert cloud.job(job_id).state == "parked"
    cloud.desired.report(HOST, [Report(kind="port", id=f"t1-{one}", generation=0) for one in "ab"])
    assert cloud.job(job_id).state == "parked"
    cloud.settle()
    created(cloud)


def test_an_equal_wish_need_not_be_waited_for(cloud):
    cloud.start(CREATE)
    cloud.settle()
    with cloud.db.read() as tx:
        spec = cloud.desired.show(tx, "guest", "t1").spec
    job_id = cloud.start(make_job(cloud, Step("same", desire(lambda step: [Want("guest", "t1", HOST, spec)]))))
    cloud.jobs.run_until_idle()
    assert cloud.job(job_id).state == "done"
