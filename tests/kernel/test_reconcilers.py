# SPDX-License-Identifier: Apache-2.0
"""Reconcilers: passes are isolated from each other, repeated, woken, and counted."""

import logging
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from altostratus.kernel.bus import LocalBus
from altostratus.kernel.reconcilers import Reconciler, ReconcilerPool
from tests.kernel.toy_jobs import wait_for


@pytest.fixture
def world() -> Any:
    return SimpleNamespace(bus=LocalBus(), seen=[])


def note(cloud: Any) -> None:
    cloud.seen.append(1)


def test_a_pass_that_fails_is_counted_and_harms_nobody(world, caplog):
    def fail(cloud: Any) -> None:
        raise RuntimeError("a defect")

    good = Reconciler("good", 60, note)
    pool = ReconcilerPool(world, [Reconciler("bad", 60, fail), good])
    with caplog.at_level(logging.CRITICAL):
        pool.run_once()
        pool.run_once("good")
    assert world.seen == [1, 1]
    assert (pool.passes["good"].done, pool.passes["bad"].failed) == (2, 1)
    assert pool.passes["bad"].last_error == "RuntimeError: a defect"
    with pytest.raises(KeyError):
        pool.run_once("unknown")


def test_passes_are_repeated_and_a_slow_one_holds_up_nobody(world):
    leave = threading.Event()

    def wait(cloud: Any) -> None:
        leave.wait(5)

    slow = Reconciler("slow", 0.01, wait)
    quick = Reconciler("quick", 0.01, note)
    pool = ReconcilerPool(world, [slow, quick])
    pool.start()
    wait_for(lambda: len(world.seen) > 3)
    leave.set()
    pool.stop()
    done = pool.passes["quick"].done
    assert done == len(world.seen)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("reconcile-")]


def test_a_topic_wakes(world):
    pool = ReconcilerPool(world, [Reconciler("hosts", 60, note, wake_topic="hosts")])
    pool.start()
    wait_for(lambda: len(world.seen) == 1)
    world.bus.wake("hosts")
    wait_for(lambda: len(world.seen) == 2)
    pool.stop()
