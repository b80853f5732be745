# SPDX-License-Identifier: Apache-2.0
"""A child started while another process is being forked was never watched again.

`subprocess.Popen` returns when a pipe closes; a process forked in that moment keeps it open. The supervisor's
thread hung there, and an agent killed together with the control process stayed away for good.
"""

import os
import signal
import sys
import threading
import time

from altostratus.app.supervisor import Child


def wait_until(condition, timeout_s=20.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_children_come_back_while_others_are_forked(tmp_path):
    marks = tmp_path / "marks"
    marks.touch()
    script = f"open({str(marks)!r}, 'a').write('x'); import time; time.sleep(60)"
    child = Child("child", [sys.executable, "-c", script], tmp_path / "log")
    forked: list[int] = []
    stopping = threading.Event()

    def fork_for_ever():
        while not stopping.is_set() and len(forked) < 60:
            pid = os.fork()
            if pid == 0:
                time.sleep(30)
                os._exit(0)
            forked.append(pid)
            time.sleep(0.005)

    forker = threading.Thread(target=fork_for_ever)
    forker.start()
    child.start()
    try:
        for lives in (1, 2):
            wait_until(lambda lives=lives: len(marks.read_text()) >= lives)
            wait_until(lambda: child._pid is not None)
            if lives == 1:
                assert child._pid
                os.kill(child._pid, signal.SIGKILL)
    finally:
        stopping.set()
        forker.join()
        child.stop()
        for pid in forked:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    assert child._pid is None
