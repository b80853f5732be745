# SPDX-License-Identifier: Apache-2.0
"""Real worker processes on one database, killed again and again: every job ends done or undone."""

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from altostratus.kernel.db import Db, table_of
from altostratus.kernel.desired import DesiredRow
from altostratus.kernel.jobs.models import ENDED, JobLock, JobRow, JobWait
from tests.kernel import killed_worker
from tests.kernel.killed_worker import MAKE, KilledThing, Ledger, open_jobs

JOBS = 150
KILLING_S = 5.0
PATIENCE_S = 20.0


def unfinished(db: Db) -> int:
    job = table_of(JobRow).c
    with db.read() as tx:
        return int(tx.scalar(select(func.count()).where(job.state.not_in(ENDED))))


def start_jobs(directory: Path) -> Db:
    for name in ("engine", "guests"):
        (directory / name).mkdir()
    db, _, jobs = open_jobs(directory)
    db.create_all()
    for number in range(JOBS):
        with db.write() as tx:
            tx.insert(KilledThing, id=f"t{number}", status="building")
            params = {"fail": number % 3 == 0}
            jobs.start(tx, MAKE, f"t{number}", params, request_id="r", project_id="p", user_id="u")
    return db


def test_killed_workers(tmp_path):
    db = start_jobs(tmp_path)
    context: Any = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([killed_worker.__name__])

    def begin() -> Any:
        process = context.Process(target=killed_worker.work, args=(str(tmp_path),), daemon=True)
        process.start()
        return process

    workers = [begin() for _ in range(3)]
    kills, started = 0, time.monotonic()
    dice = random.Random()
    try:
        while unfinished(db) and time.monotonic() - started < PATIENCE_S:
            time.sleep(dice.uniform(0.05, 0.2))
            if time.monotonic() - started < KILLING_S:
                number = dice.randrange(len(workers))
                os.kill(workers[number].pid, signal.SIGKILL)
                workers[number].join()
                workers[number] = begin()
                kills += 1
    finally:
        for worker in workers:
            worker.kill()
            worker.join()
    assert unfinished(db) == 0
    assert kills > 5
    judge(db, tmp_path)
    db.close()


def judge(db: Db, directory: Path) -> None:
    good = {f"t{number}" for number in range(JOBS) if number % 3}
    with db.read() as tx:
        things = {row.id: row.status for row in tx.rows(select(table_of(KilledThing)))}
        ledger = set(tx.scalars(select(table_of(Ledger).c.id)))
        wanted = set(tx.scalars(select(table_of(DesiredRow).c.id)))
        left = [*tx.rows(select(table_of(JobLock))), *tx.rows(select(table_of(JobWait)))]
        jobs = {row.resource_id: row.id for row in tx.rows(select(table_of(JobRow)))}
    assert {name for name, status in things.items() if status == "active"} == good
    assert {name for name, status in things.items() if status == "error"} == things.keys() - good
    assert ledger == good and wanted == good and not left
    assert {path.name for path in (directory / "guests").iterdir()} == good
    blobs = {path.name for path in (directory / "engine").iterdir()}
    assert blobs == {f"{jobs[name]}-{step}" for name in good for step in ("upload", "second")}
