# SPDX-License-Identifier: Apache-2.0
"""Few threads work at one time; what waits, whether it says so or not, holds up nobody."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from altostratus.kernel.turns import Turns, ensure_turn, release_turn

# longer than any wait for a turn that nobody uses may be
LONG_S = 10.0


def in_turn(turns, work):
    turns.begin()
    try:
        ensure_turn()
        return work()
    finally:
        turns.end()


def wait_for(is_so):
    until = time.monotonic() + LONG_S
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.01)


class Crowd:
    """How many work at one time."""

    def __init__(self):
        self.now = self.most = 0
        self._lock = threading.Lock()

    def __enter__(self):
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *_error):
        with self._lock:
            self.now -= 1


def burn(seconds):
    """Of the processor, for which threads need the interpreter."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def all_are_back(turns, count):
    """Nobody has one or waits; turns that were more than usual go away at the next look."""
    return turns._free == count and not turns._working and not turns._lost and not turns._waiting


@pytest.mark.parametrize("usual", [1, 2])
def test_few_work_at_one_time(usual):
    turns, crowd = Turns(most=usual, usual=usual), Crowd()

    def work():
        with crowd:
            burn(0.002)

    with ThreadPoolExecutor(16) as pool:
        for done in [pool.submit(in_turn, turns, work) for _ in range(200)]:
            done.result(LONG_S)
    assert crowd.most == usual
    wait_for(lambda: all_are_back(turns, usual))


def test_what_needs_none_does_not_wait():
    turns = Turns(most=1, usual=1)
    hangs = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        pool.submit(in_turn, turns, lambda: hangs.wait(LONG_S))
        turns.begin()
        started = time.monotonic()
        turns.end()
        assert time.monotonic() - started < 1.0
        hangs.set()


def test_two_that_hang_do_not_hold_up_a_third():
    turns, hangs = Turns(most=4, usual=2), threading.Event()
    with ThreadPoolExecutor(3) as pool:
        hanging = [pool.submit(in_turn, turns, lambda: hangs.wait(LONG_S)) for _ in range(2)]
        time.sleep(0.05)
        started = time.monotonic()
        assert pool.submit(in_turn, turns, lambda: "done").result(LONG_S) == "done"
        took_s = time.monotonic() - started
        assert not any(one.done() for one in hanging)
        hangs.set()
        assert all(one.result(LONG_S) for one in hanging)
    assert took_s < 1.0
    wait_for(lambda: all_are_back(turns, 2))


def test_they_do_not_while_the_process_is_busy_otherwise():
    turns, hangs = Turns(most=2, usual=1), threading.Event()
    with ThreadPoolExecutor(3) as pool:
        pool.submit(in_turn, turns, lambda: hangs.wait(LONG_S))
        busy = pool.submit(burn, 0.5)
        pool.submit(in_turn, turns, lambda: None).result(LONG_S)
        assert not busy.done()
        hangs.set()


def test_no_more_than_the_most_work_or_hang():
    turns, hangs, crowd = Turns(most=3, usual=1), threading.Event(), Crowd()

    def work():
        with crowd:
            hangs.wait(LONG_S)

    with ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            pool.submit(in_turn, turns, work)
        time.sleep(0.3)
        assert crowd.now == 3
        hangs.set()
    assert crowd.most == 3
    wait_for(lambda: all_are_back(turns, 1))


def test_who_waits_has_no_turn_until_it_reads_again():
    turns, hangs, crowd = Turns(most=1, usual=1), threading.Event(), Crowd()

    def work():
        release_turn()
        release_turn()
        hangs.wait(LONG_S)
        ensure_turn()
        ensure_turn()
        with crowd:
            burn(0.002)
        return "back"

    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(in_turn, turns, work) for _ in range(8)]
        assert in_turn(turns, lambda: "done") == "done"
        hangs.set()
        assert {one.result(LONG_S) for one in waiting} == {"back"}
    assert crowd.most == 1
    wait_for(lambda: all_are_back(turns, 1))


def test_nobody_gives_what_they_do_not_have():
    turns = Turns(most=1, usual=1)
    release_turn()
    turns.begin()
    release_turn()
    turns.end()
    ensure_turn()  # of no request
    wait_for(lambda: all_are_back(turns, 1))


def test_what_waits_often_and_shortly_gets_more_turns():
    """As with files of a slow disk."""
    turns, crowd, over = Turns(most=8, usual=1), Crowd(), threading.Event()

    def work():
        while not over.is_set():
            in_turn(turns, wait)

    def wait():
        with crowd:
            time.sleep(0.002)

    with ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            pool.submit(work)
        wait_for(lambda: crowd.most >= 4)
        over.set()
    wait_for(lambda: all_are_back(turns, 1))


def test_the_number_is_right_after_a_storm():
    turns = Turns(most=6, usual=2)

    def work(number):
        burn(0.0005)
        if number % 3 == 0:
            release_turn()
            time.sleep(0.001)
        if number % 5 == 0:
            time.sleep(0.05)  # loses its turn
        if number % 15 == 0:
            release_turn()  # it has none any longer
        if number % 7 == 0:
            raise ValueError

    with ThreadPoolExecutor(32) as pool:
        storm = [pool.submit(in_turn, turns, lambda number=number: work(number)) for number in range(600)]
        failed = [one for one in storm if one.exception(LONG_S) is not None]
    assert len(failed) == len(range(0, 600, 7))
    wait_for(lambda: all_are_back(turns, 2))
