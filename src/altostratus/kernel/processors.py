# SPDX-License-Identifier: Apache-2.0
"""The interpreter runs one thread at a time: while there is much to do, its threads share one processor.

Left alone, the system wakes each thread on a processor that is idle, so that the interpreter's lock goes from one to
the other at every call of the system, and waits for an idle one to wake up each time. Eight clients of small objects
are served 1.3 to 1.5 times as fast when it stays where it is (`docs/decisions/0012-one-processor.md`).

Work that does without the lock (hashing of passwords and of large uploads) goes where it likes: `with anywhere():`.
While there is much of that, all do. So do threads that never run Python, such as the one that speaks with all clients:
those that Python did not begin and that it serves nevertheless say so (`take_part`).
"""

import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

_LOOK_EVERY_S = 0.5
# of one processor: a process that uses less has nothing to gain, one beside others that use more would wait for them
_LITTLE, _TAKEN = 0.3, 0.5
# it moves only for so much more room
_WORTH_IT = 0.25
# of what this process uses
_MUCH = 0.3
# threads: more than the HTTP server usually has at a time
_MANY = 4096

_everywhere = frozenset(os.sched_getaffinity(0))
_lock = threading.Lock()
_present: int | None = None


class _Used:
    """Processor time of a thread since this was asked last."""

    def __init__(self) -> None:
        self._clock = time.pthread_getcpuclockid(threading.get_ident())
        self._before_s = time.clock_gettime(self._clock)

    def seconds(self) -> float:
        before_s = self._before_s
        with suppress(OSError):  # the thread has ended: what it read is closed by another one
            self._before_s = time.clock_gettime(self._clock)
        return self._before_s - before_s


_threads_anywhere: dict[int, _Used] = {}
# threads that Python may not know; those that have ended are forgotten at times
_taking_part: set[int] = set()
_used_anywhere_s = 0.0


@contextmanager
def anywhere() -> Iterator[None]:
    """For this thread. May be nested, and costs some calls of the system."""
    thread = threading.get_native_id()
    if thread in _threads_anywhere:
        yield
        return
    with _lock:
        _threads_anywhere[thread] = _Used()
        if _present is not None:
            _bind(thread, _everywhere)
    try:
        yield
    finally:
        with _lock:
            _count(_threads_anywhere.pop(thread))
            if _present is not None:
                _move(thread)


def take_part() -> None:
    """This thread runs Python from now on. Needed of those that Python did not begin, and harmless of others."""
    thread = threading.get_native_id()
    with _lock:
        if len(_taking_part) >= _MANY:
            _taking_part.intersection_update(_running())
        _taking_part.add(thread)
        if _present is not None:
            _move(thread)


def start() -> None:
    """Look after this process from now on."""
    if len(_everywhere) > 1:
        threading.Thread(target=_look_for_ever, name="processors", daemon=True).start()


def choose(own: float, elsewhere: float, busy: dict[int, float], present: int | None) -> int | None:
    """The processor to share; None: none, let the system decide.

    own       what this process used, of one processor
    elsewhere what of that was used by threads that were anywhere
    busy      by processor: how much of its time it worked, for whomever
    present   what was chosen before
    """
    if own < _LITTLE or elsewhere > own * _MUCH:
        return None
    share = own / len(busy) if present is None else 0.0
    others = {number: max(0.0, used - share) for number, used in busy.items()}
    if present in others:
        others[present] = max(0.0, others[present] - own)
    best = min(others, key=others.__getitem__)
    if present in others and others[present] - others[best] < _WORTH_IT:
        best = present
    return None if others[best] > _TAKEN else best


def _look_for_ever() -> None:
    used_s, times, moment_s = time.process_time(), _times(), time.monotonic()
    while True:
        time.sleep(_LOOK_EVERY_S)
        used_before, used_s, times_before, times = used_s, time.process_time(), times, _times()
        moment_before, moment_s = moment_s, time.monotonic()
        passed_s, elsewhere_s = moment_s - moment_before, _used_anywhere()
        busy = {number: _busy(times_before[number], times[number]) for number in times if number in times_before}
        if busy:
            _share(choose((used_s - used_before) / passed_s, elsewhere_s / passed_s, busy, _present))


def _used_anywhere() -> float:
    """Seconds since the last look."""
    global _used_anywhere_s
    with _lock:
        for used in _threads_anywhere.values():
            _count(used)
        found, _used_anywhere_s = _used_anywhere_s, 0.0
    return found


def _count(used: _Used) -> None:
    global _used_anywhere_s
    _used_anywhere_s += used.seconds()


def _share(number: int | None) -> None:
    """All threads that run Python, and those that they will start, but those that are anywhere."""
    global _present
    if number == _present:
        return
    with _lock:
        _present = number
        running = _running()
        _taking_part.intersection_update(running)
        of_python = _taking_part | {thread.native_id for thread in threading.enumerate()}
        for thread in running:
            if thread in of_python:
                _move(thread)
            else:
                _bind(thread, _everywhere)  # who began it may have been bound


def _running() -> set[int]:
    """The threads of this process."""
    return {int(name) for name in os.listdir("/proc/self/task")}


def _move(thread: int) -> None:
    if thread not in _threads_anywhere:
        _bind(thread, _everywhere if _present is None else {_present})


def _bind(thread: int, processors: Iterable[int]) -> None:
    """It may have ended, or somebody may have taken these processors from the process: then it stays where it is."""
    with suppress(OSError):
        os.sched_setaffinity(thread, processors)


def _times() -> dict[int, Sequence[int]]:
    """By processor that this process may use: user, nice, system, idle, iowait, ... in ticks."""
    with open("/proc/stat", encoding="ascii") as handle:
        lines = [line.split() for line in handle if line.startswith("cpu") and line[3].isdecimal()]
    found = {int(words[0][3:]): [int(word) for word in words[1:9]] for words in lines}
    return {number: times for number, times in found.items() if number in _everywhere}


def _busy(before: Sequence[int], after: Sequence[int]) -> float:
    passed = [now - then for then, now in zip(before, after, strict=True)]
    return 1.0 - (passed[3] + passed[4]) / max(1, sum(passed))
