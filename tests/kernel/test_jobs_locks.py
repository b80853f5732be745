# SPDX-License-Identifier: Apache-2.0
"""Locks, queues, and cancelling."""

import threading

import pytest

from altostratus.kernel import clock
from altostratus.kernel.errors import Busy
from altostratus.kernel.jobs import JobFailed, Step, StepCall, Want, desire, local, remote
from tests.kernel.toy_jobs import CREATE, DELETE, HOST, MOVE, Claim, Thing, make_job, nothing, nothing_left, wait_for


def test_busy_is_refused_with_a_sentence(cloud):
    cloud.start(CREATE)
    with pytest.raises(Busy, match=r"The thing t1 is busy with thing\.create\. Try again when that has ended\."):
        cloud.start(CREATE)
    cloud.settle()
    cloud.start(MOVE)
    with pytest.raises(Busy):
        cloud.start(CREATE)


def test_queued_jobs_keep_their_order(cloud):
    seen: list[str] = []
    job = make_job(
        cloud,
        Step("note", remote(lambda step: seen.append(step.params["n"]))),
        Step("wish", desire(lambda step: [Want("port", "p", HOST, {"n": step.params["n"]})])),
        busy="queue",
    )
    ids = [cloud.start(job, params={"n": str(number)}) for number in range(4)]
    assert [cloud.job(one).state for one in ids] == ["runnable", "queued", "queued", "queued"]
    with cloud.db.read() as tx:
        assert cloud.jobs.active(tx, "thing", ["t1"])["t1"].id == ids[0]
    cloud.settle()
    assert seen == ["0", "1", "2", "3"]
    assert {cloud.job(one).state for one in ids} == {"done"}


def test_a_failed_job_lets_the_next_begin(cloud):
    def fail(step: StepCall) -> None:
        raise JobFailed("no")

    job = make_job(cloud, Step("fail", local(fail)), busy="queue")
    first, second = cloud.start(job), cloud.start(job)
    cloud.settle()
    assert [cloud.job(one).state for one in (first, second)] == ["failed", "failed"]


def test_several_locks_are_taken_in_order_without_deadlock(cloud):
    seen: list[str] = []
    job = make_job(
        cloud,
        Step("note", local(lambda step: seen.append(step.params["n"]))),
        Step("wish", desire(lambda step: [Want("port", "p" + step.params["n"], HOST, {"n": step.params["n"]})])),
        busy="queue",
    )
    wishes = [("a", ["x", "y"]), ("b", ["y", "z"]), ("c", ["z", "x"]), ("d", ["w"]), ("e", ["x"])]
    ids = [cloud.start(job, name, params={"n": name}, lock=locks) for name, locks in wishes]
    assert [cloud.job(one).state for one in ids] == ["runnable", "queued", "queued", "runnable", "queued"]
    cloud.settle()
    assert {cloud.job(one).state for one in ids} == {"done"}
    assert seen.index("a") < seen.index("b") < seen.index("c") < seen.index("e")


def test_a_start_may_be_delayed(cloud):
    with clock.frozen() as advance:
        job_id = cloud.start(CREATE, run_after_s=60)
        cloud.settle()
        assert cloud.job(job_id).state == "runnable"
        assert cloud.count(Claim) == 0
        advance(61)
        cloud.settle()
        assert cloud.job(job_id).state == "done"


def test_a_delete_turns_round_what_waits_for_a_host(cloud):
    cloud.machine.deaf = {"guest"}
    job_id = cloud.start(CREATE)
    cloud.settle()
    assert cloud.job(job_id).state == "parked"
    deleting = cloud.start(DELETE)
    assert cloud.job(deleting).state == "queued"
    cloud.machine.deaf = set()
    cloud.settle()
    assert (cloud.job(job_id).state, cloud.job(deleting).state) == ("failed", "done")
    assert cloud.job(job_id).error == "It was cancelled by thing.delete."
    assert cloud.thing() is None
    nothing_left(cloud)


def test_a_delete_before_the_first_step(cloud):
    job_id = cloud.start(CREATE)
    cloud.start(DELETE)
    cloud.settle()
    assert cloud.engine.calls == []
    assert cloud.job(job_id).state == "failed"
    assert cloud.thing() is None


def test_a_queued_job_is_cancelled_in_its_turn(cloud):
    cloud.start(CREATE)
    moving = cloud.start(MOVE)
    deleting = cloud.start(DELETE)
    cloud.settle()
    assert cloud.job(moving).state == "failed"
    assert cloud.job(deleting).state == "done"
    assert cloud.thing() is None


def test_what_cannot_turn_round_is_waited_for(cloud):
    with cloud.db.write() as tx:
        tx.insert(Thing, id="t1", status="active")
    cloud.machine.deaf = {"guest"}
    moving = cloud.start(make_job(cloud, Step("point", local(nothing), final=True), *MOVE.steps[1:], busy="queue"))
    cloud.jobs.run_until_idle()
    cloud.start(DELETE)
    assert cloud.job(moving).cancelled is None
    cloud.machine.deaf = set()
    cloud.settle()
    assert cloud.job(moving).state == "done"
    assert cloud.thing() is None


def test_cancelling_a_remote_step_that_runs(cloud):
    entered, leave = threading.Event(), threading.Event()

    def slow(step: StepCall) -> None:
        entered.set()
        assert leave.wait(5)

    undone: list[str] = []
    job = make_job(
        cloud, Step("slow", remote(slow), undo=remote(lambda step: undone.append("slow"))), Step("b", local(nothing))
    )
    job_id = cloud.start(job)
    cloud.jobs.start_workers()
    assert entered.wait(5)
    with cloud.db.write() as tx:
        assert cloud.jobs.cancel(tx, job_id, "It was cancelled by a test.")
    leave.set()
    wait_for(lambda: cloud.job(job_id).state == "failed")
    assert undone == ["slow"]
