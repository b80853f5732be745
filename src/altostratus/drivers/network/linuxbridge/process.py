# SPDX-License-Identifier: Apache-2.0
"""Helper processes that outlive this one: started in a namespace, found again, never confused.

A process is known by its pid together with its start time, and a signal is sent through a pidfd, so
a number that was given to somebody else in the meantime is never signalled.
"""

import contextlib
import os
import select
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from altostratus.drivers.network.linuxbridge.netns import call_in_netns

STOP_TIMEOUT_S = 2.0


class Helper(NamedTuple):
    """A running process. `child` is set when this very process started it (and must reap it)."""

    pid: int
    start_ticks: int
    netns_inode: int
    child: subprocess.Popen[bytes] | None


def start_helper(netns: str, argv: Sequence[str], log_path: Path) -> Helper:
    """Start a program inside `netns`, in a session of its own. Raises OSError."""

    def start() -> Helper:
        with log_path.open("wb") as log:
            child = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/"
            )
        inode = os.stat("/proc/thread-self/ns/net").st_ino
        return Helper(child.pid, _start_ticks(child.pid) or 0, inode, child)

    return call_in_netns(netns, start)


def is_running(helper: Helper) -> bool:
    """Whether this process still runs; reaps it if it was our child and has ended."""
    if helper.child is not None and helper.child.poll() is not None:
        return False
    return _start_ticks(helper.pid) == helper.start_ticks


def signal_helper(helper: Helper, number: signal.Signals) -> bool:
    """Send a signal to exactly this process; False when it is gone."""
    try:
        handle = os.pidfd_open(helper.pid)
    except ProcessLookupError:
        return False
    try:
        if not is_running(helper):
            return False
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True


def stop_helper(helper: Helper) -> None:
    """End the process and wait until it is gone; force it after two seconds."""
    try:
        handle = os.pidfd_open(helper.pid)
    except ProcessLookupError:
        is_running(helper)
        return
    try:
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not is_running(helper):
                break
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, number)
            select.select([handle], [], [], STOP_TIMEOUT_S)
        is_running(helper)
    finally:
        os.close(handle)


def find_helpers(argument_prefix: str) -> dict[str, list[Helper]]:
    """Running processes with an argument that begins so, by the whole argument."""
    found: dict[str, list[Helper]] = {}
    for entry in os.listdir("/proc"):
        if not entry.isdecimal():
            continue
        try:
            arguments = Path("/proc", entry, "cmdline").read_bytes().split(b"\0")
            inode = os.stat(f"/proc/{entry}/ns/net").st_ino
        except OSError:
            continue
        mine = [text for text in map(os.fsdecode, arguments) if text.startswith(argument_prefix)]
        ticks = _start_ticks(int(entry))
        if mine and ticks is not None:
            found.setdefault(mine[0], []).append(Helper(int(entry), ticks, inode, None))
    return found


def _start_ticks(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None for a dead one (zombies included)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else int(fields[19])
