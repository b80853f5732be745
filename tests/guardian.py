# SPDX-License-Identifier: Apache-2.0
"""Ends what tests started when they are killed themselves: guests, dnsmasq, clouds have sessions of their own.

A process of its own waits for the end of a pipe that only the tests hold. Whatever they start inherits the name of
their run in its environment; if they end without a word, all that have it are ended.
"""

import os
import signal
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path

RUN = "ALTOSTRATUS_TEST_RUN"
_GRACE_S = 3.0


class Guardian:
    """From now on until `release()`; does nothing in a process that a guarded one started."""

    def __init__(self) -> None:
        self._pipe = -1
        if RUN in os.environ:
            return
        os.environ[RUN] = uuid.uuid4().hex
        reading, self._pipe = os.pipe()
        nothing = subprocess.DEVNULL
        argv = [sys.executable, __file__, os.environ[RUN]]
        subprocess.Popen(argv, stdin=reading, stdout=nothing, stderr=nothing, start_new_session=True)
        os.close(reading)

    def release(self) -> None:
        """What is left after this is a fault of the tests, and stays to be seen."""
        if self._pipe >= 0:
            os.write(self._pipe, b"done")
            os.close(self._pipe)
            self._pipe = -1
            del os.environ[RUN]


def processes_of(run: str) -> list[int]:
    """But this one."""
    found, wanted = [], f"{RUN}={run}".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # it has ended, or is another user's
            if wanted in path.read_bytes().split(b"\0") and int(path.parent.name) != os.getpid():
                found.append(int(path.parent.name))
    return found


def end(run: str) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        until = time.monotonic() + _GRACE_S
        for process in processes_of(run):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(process, number)
        while processes_of(run) and time.monotonic() < until:
            time.sleep(0.1)


if __name__ == "__main__":
    if sys.stdin.buffer.read() != b"done":
        end(sys.argv[1])
