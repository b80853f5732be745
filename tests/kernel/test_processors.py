# SPDX-License-Identifier: Apache-2.0
"""Threads of a busy process share one processor, except those that do without the interpreter."""

import _thread
import errno
import os
import queue
import subprocess
import sys
import threading
import time

import pytest

from altostratus.kernel import processors
from altostratus.kernel.processors import anywhere, choose

alone = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="this machine has one processor")


@pytest.mark.parametrize(("own", "elsewhere", "busy", "present", "chosen"), [
    (0.1, 0.0, {0: 0.1, 1: 0.0}, None, None),  # idle
    (0.1, 0.0, {0: 0.1, 1: 0.0}, 0, None),  # idle again
    (0.9, 0.0, {0: 0.6, 1: 0.5}, None, 1),  # the one with less of others
    (0.9, 0.2, {0: 1.0, 1: 0.2}, 0, 0),  # it is its own work
    (0.9, 0.3, {0: 1.0, 1: 0.2}, 0, None),  # much of it is hashing
    (0.5, 0.0, {0: 1.0, 1: 0.1}, 0, 1),  # somebody else came there
    (0.5, 0.0, {0: 0.7, 1: 0.1}, 0, 0),  # not for a little
    (0.5, 0.0, {0: 1.0, 1: 1.0}, None, None),  # others want both
    (0.5, 0.0, {0: 1.0, 1: 0.9}, 0, 0),
    (0.4, 0.0, {0: 1.0, 1: 1.0}, 0, None),
    (1.6, 0.0, {0: 1.0, 1: 0.9}, None, 1),  # its own work is on all
    (0.9, 0.0, {1: 0.9, 3: 0.0}, 7, 3),  # the present one is not there any longer
])  # fmt: skip
def test_choice(own, elsewhere, busy, present, chosen):
    assert choose(own, elsewhere, busy, present) == chosen


@pytest.fixture
def shared():
    """The first processor; everything is as before afterwards."""
    before = os.sched_getaffinity(0)
    number = min(before)
    processors._share(number)
    yield number
    processors._share(None)
    assert os.sched_getaffinity(0) == before


def where():
    return os.sched_getaffinity(threading.get_native_id())


@alone
def test_threads_share_it_and_go_anywhere(shared):
    found = []

    def look():
        found.append(where())
        with anywhere():
            found.append(where())
            with anywhere():
                pass
            found.append(where())
        found.append(where())

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    everywhere = set(processors._everywhere)
    assert found == [{shared}, everywhere, everywhere, {shared}]


@alone
def test_threads_that_run_no_python_go_anywhere_until_they_take_part():
    """Such as those of the HTTP server. A thread that `threading` does not know stands for one."""
    everywhere, number = set(processors._everywhere), min(processors._everywhere)
    asked: queue.SimpleQueue = queue.SimpleQueue()
    answered: queue.SimpleQueue = queue.SimpleQueue()

    def answer():
        for question in iter(asked.get, None):
            answered.put(question())

    def ask(question):
        asked.put(question)
        return answered.get(timeout=10)

    try:
        processors._share(number)
        _thread.start_new_thread(answer, ())
        assert ask(where) == {number}  # it has that of who began it
        processors._share(max(everywhere))
        assert ask(where) == everywhere
        ask(processors.take_part)
        assert ask(where) == {max(everywhere)}
        processors._share(number)
        assert ask(where) == {number}
    finally:
        processors._share(None)
        thread = ask(threading.get_native_id)
        asked.put(None)
    until = time.monotonic() + 10
    while os.path.exists(f"/proc/self/task/{thread}") and time.monotonic() < until:
        time.sleep(0.01)
    processors._share(number)
    processors._share(None)
    assert thread not in processors._taking_part


def test_threads_that_have_ended_are_forgotten(monkeypatch):
    monkeypatch.setattr(processors, "_MANY", 3)
    monkeypatch.setattr(processors, "_taking_part", {0, -1, -2})  # nobody's
    processors.take_part()
    assert processors._taking_part == {threading.get_native_id()}


@alone
def test_who_is_anywhere_stays_so_while_others_move(shared):
    other = max(processors._everywhere)
    with anywhere():
        processors._share(other)
        assert where() == set(processors._everywhere)
    assert where() == {other}


@alone
def test_nothing_shared_costs_nothing(monkeypatch):
    monkeypatch.setattr(os, "sched_setaffinity", lambda *_words: pytest.fail("called"))
    with anywhere():
        pass


def work(seconds):
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_what_is_used_anywhere_is_counted_once():
    processors._used_anywhere()
    work(0.03)
    with anywhere():
        work(0.03)
        with anywhere():
            work(0.03)
        assert 0.06 <= processors._used_anywhere() < 0.09
        work(0.03)
    work(0.03)
    assert 0.03 <= processors._used_anywhere() < 0.06
    assert processors._used_anywhere() == 0.0


def test_another_thread_ends_what_one_began_that_is_no_longer():
    def reading():
        with anywhere():
            yield

    begun = reading()
    thread = threading.Thread(target=next, args=(begun,))
    thread.start()
    thread.join()
    begun.close()
    assert processors._threads_anywhere == {}


@alone
def test_processors_that_were_taken_away(shared, monkeypatch):
    def taken(*_words):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "sched_setaffinity", taken)
    with anywhere():
        pass
    monkeypatch.undo()
    assert where() == {shared}


@alone
def test_an_exception_brings_a_thread_back(shared):
    with pytest.raises(RuntimeError), anywhere():
        raise RuntimeError
    assert where() == {shared} and processors._threads_anywhere == {}


PROGRAM = """
import os, time
from altostratus.kernel import processors
everywhere = os.sched_getaffinity(0)
processors._times = lambda: {one: [0, 0, 0, int(time.monotonic() * 100), 0] for one in everywhere}  # nobody else works
processors.start()
until = time.monotonic() + 40
while os.sched_getaffinity(0) == everywhere and time.monotonic() < until:
    pass
print(len(os.sched_getaffinity(0)))
while os.sched_getaffinity(0) != everywhere and time.monotonic() < until:
    time.sleep(0.05)
print(os.sched_getaffinity(0) == everywhere)
"""


@alone
def test_a_busy_process_comes_to_share_one_and_lets_go_when_it_is_idle():
    argv = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["1", "True"]
