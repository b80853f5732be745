# SPDX-License-Identifier: Apache-2.0
"""Workers, leases and epochs; looking at jobs."""

import logging
import threading
import time
from typing import Any

import pytest

from altostratus.kernel import clock
from altostratus.kernel.db import counting_queries
from altostratus.kernel.jobs import Job, Jobs, Step, StepCall, Want, desire, local, remote
from altostratus.kernel.jobs.turn import Turn, call_outside
from tests.kernel.toy_jobs import (
    CREATE,
    HOST,
    MOVE,
    ToyCloud,
    created,
    make_job,
    nothing,
    wait_for,
)


def test_worker_threads_drive_jobs(cloud):
    stop = threading.Event()

    def work() -> None:
        since = 0
        while not stop.is_set():
            changes = cloud.desired.watch(HOST, ["port", "guest"], since, 0.5)
            since = changes.revision
            reports = [report for row in changes.rows if (report := cloud.machine.answer(row)) is not None]
            if reports:
                cloud.desired.report(HOST, reports)

    machine = threading.Thread(target=work)
    machine.start()
    cloud.jobs.start_workers()
    things = [f"t{number}" for number in range(20)]
    jobs = [cloud.start(CREATE, thing) for thing in things]
    wait_for(lambda: all(cloud.job(one).state == "done" for one in jobs))
    assert {cloud.thing(thing).status for thing in things} == {"active"}
    assert len(cloud.engine.blobs) == 20
    stop.set()
    machine.join()


def test_pauses_between_tries_are_kept_by_workers(cloud):
    tries: list[float] = []

    def stumble(step: StepCall) -> None:
        tries.append(time.monotonic())
        if len(tries) < 2:
            raise OSError(11, "Try again")

    cloud.jobs.start_workers()
    job_id = cloud.start(make_job(cloud, Step("stumble", local(stumble))))
    wait_for(lambda: cloud.job(job_id).state == "done")
    assert 0.2 < tries[1] - tries[0] < 1.9


def test_remote_steps_run_side_by_side_and_hold_up_nobody(cloud):
    together = threading.Barrier(3)
    job = make_job(cloud, Step("meet", remote(lambda step: {"place": together.wait(5)})))
    quick = make_job(cloud, Step("quick", local(nothing)), kind="toy.quick")
    cloud.jobs.start_workers()
    slow = [cloud.start(job, f"s{number}") for number in range(2)]
    quick_id = cloud.start(quick, "q")
    wait_for(lambda: cloud.job(quick_id).state == "done")
    together.wait(5)
    wait_for(lambda: all(cloud.job(one).state == "done" for one in slow))


def running_elsewhere(cloud: ToyCloud) -> tuple[str, Any]:
    """A job in its remote step, as another worker holds it."""
    job_id = cloud.start(CREATE)
    cloud.jobs.run_pass()
    cloud.run_machine()
    worked, errands = cloud.jobs.run_pass()
    assert worked == 1 and len(errands) == 1
    assert cloud.job(job_id).state == "running"
    return job_id, errands[0]


def test_a_lease_that_ran_out_is_taken_over_and_the_stale_worker_changes_nothing(cloud, caplog, monkeypatch):
    with clock.frozen() as advance:
        job_id, stale = running_elsewhere(cloud)
        assert cloud.jobs.run_pass() == (0, [])
        advance(61)
        cloud.settle()
        created(cloud)
        calls = len(cloud.engine.calls)
        with caplog.at_level(logging.WARNING):
            cloud.jobs.run_errand(stale)
        assert "was taken over by another worker before its step began" in caplog.text
        assert len(cloud.engine.calls) == calls
        # the same when it had begun in time and was frozen in the middle
        monkeypatch.setattr(cloud.jobs, "_is_ours", lambda turn: True)
        cloud.jobs.run_errand(stale)
        assert "what this one did there is left to the other" in caplog.text
        assert len(cloud.engine.calls) == calls + 1
        assert cloud.job(job_id).state == "done"
        created(cloud)


def test_a_stale_worker_cannot_finish_what_another_is_doing(cloud, monkeypatch):
    monkeypatch.setattr(Jobs, "_is_ours", lambda self, turn: True)
    with clock.frozen() as advance:
        job_id, stale = running_elsewhere(cloud)
        advance(61)
        _, (fresh,) = cloud.jobs.run_pass()
        epoch = cloud.job(job_id).epoch
        cloud.jobs.run_errand(stale)
        assert (cloud.job(job_id).state, cloud.job(job_id).epoch) == ("running", epoch)
        cloud.jobs.run_errand(fresh)
        cloud.settle()
        created(cloud)


def test_a_lease_is_extended_while_work_goes_on(cloud):
    with clock.frozen() as advance:
        job_id, errand = running_elsewhere(cloud)
        for _ in range(4):
            advance(40)
            cloud.jobs.extend_leases([errand])
            assert cloud.jobs.run_pass() == (0, [])
        cloud.jobs.run_errand(errand)
        cloud.settle()
        assert cloud.job(job_id).state == "done"


def test_take_over_at_start(tmp_path):
    first = ToyCloud(tmp_path)
    job_id, stale = running_elsewhere(first)
    second = ToyCloud(tmp_path, {"machine": first.machine, "engine": first.engine})
    second.jobs.take_over()
    second.settle()
    created(second)
    result = call_outside(stale.outside, "thing.create")
    first.jobs.run_errand(stale._replace(outside=stale.outside))
    assert result == {"claimed": True, "blob": f"{job_id}/upload"}
    created(second)
    first.db.close()
    second.db.close()


def test_one_broken_job_does_not_keep_the_others(cloud, monkeypatch, caplog):
    run_turn = Turn.run

    def broken(self: Turn, tx: Any) -> Any:
        if self.row.resource_id == "bad":
            raise RuntimeError("a defect of the engine")
        return run_turn(self, tx)

    monkeypatch.setattr(Turn, "run", broken)
    quick = make_job(cloud, Step("quick", local(nothing)))
    ids = [cloud.start(quick, name) for name in ("a", "bad", "b")]
    with caplog.at_level(logging.CRITICAL):
        cloud.jobs.run_until_idle()
    assert [cloud.job(one).state for one in ids] == ["done", "runnable", "done"]


def test_unknown_steps_of_unfinished_jobs_are_named(cloud, tmp_path):
    job_id = cloud.start(
        make_job(cloud, Step("old", desire(lambda step: [Want("port", "x", HOST, {})])), Step("gone", local(nothing)))
    )
    cloud.jobs.run_until_idle()
    assert cloud.jobs.unfinished_unknown_steps() == []
    cloud.jobs.known["toy.test"] = Job("toy.test", resource="thing", steps=[Step("old", local(nothing))])
    assert cloud.jobs.unfinished_unknown_steps() == [f"toy.test step gone (job {job_id})"]
    del cloud.jobs.known["toy.test"]
    assert len(cloud.jobs.unfinished_unknown_steps()) == 2
    with cloud.db.read() as tx:
        assert len(cloud.jobs.unfinished_unknown_steps(tx)) == 2


def test_what_goes_on(cloud):
    job_id = cloud.start(CREATE)
    cloud.jobs.run_until_idle()
    with cloud.db.read() as tx, counting_queries() as queries:
        active = cloud.jobs.active(tx, "thing", ["t1", "t2"])
    assert len(queries) == 1
    assert set(active) == {"t1"}
    assert active["t1"]._asdict() == {
        "id": job_id, "kind": "thing.create", "step": "plug", "state": "parked", "undoing": False,
        "params": {"size": 3}, "error": None, "request_id": "req-1",
    }  # fmt: skip
    cloud.settle()
    with cloud.db.read() as tx:
        assert cloud.jobs.active(tx, "thing", ["t1"]) == {}
        assert [row.id for row in cloud.jobs.history(tx, "t1")] == [job_id]


def test_old_jobs_are_forgotten(cloud):
    with clock.frozen() as advance:
        old = cloud.start(CREATE)
        cloud.settle()
        advance(40 * 86400)
        young = cloud.start(MOVE)
        cloud.settle()
        cloud.jobs.prune(30 * 86400)
        assert cloud.job(old) is None and cloud.log(old) == []
        assert cloud.job(young).state == "done" and cloud.log(young)


def test_a_job_must_be_well_formed():
    with pytest.raises(ValueError, match="name of its own"):
        Job("x", resource="thing", steps=[Step("a", local(nothing)), Step("a", local(nothing))])
    with pytest.raises(ValueError, match="needs steps"):
        Job("x", resource="thing", steps=[])


def test_a_kind_is_registered_once(cloud):
    with pytest.raises(ValueError, match="registered already"):
        cloud.jobs.register(CREATE)


def test_few_transactions(cloud):
    """Claiming, local steps and parking share one transaction."""
    job_id = cloud.start(CREATE)
    with counting_queries() as queries:
        cloud.jobs.run_until_idle()
    assert cloud.job(job_id).state == "parked"
    assert queries.count("BEGIN IMMEDIATE") == 1
    assert len(queries) < 30
