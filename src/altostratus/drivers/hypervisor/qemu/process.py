# SPDX-License-Identifier: Apache-2.0
"""QEMU processes: start them so that they outlive us, recognise them, end them. Never a foreign one."""

import os
import select
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from altostratus.kernel import clock

from .probe import process_start


@dataclass(frozen=True)
class Guest:
    """A running QEMU, named by pid and start time so that a reused pid is never mistaken for it."""

    pid: int
    start: str

    def is_alive(self) -> bool:
        return process_start(self.pid) == self.start


class Children:
    """Guests that this process has started must be reaped by it; others belong to init."""

    def __init__(self) -> None:
        self._started: dict[int, subprocess.Popen[bytes]] = {}

    def spawn(
        self, command: list[str], *, directory: Path, log: Path, fds: list[int], run_as: tuple[int, int] | None
    ) -> Guest:
        """Start QEMU in a session of its own: signals to our group and our own end do not reach it."""
        with log.open("wb") as out:
            child = subprocess.Popen(
                command,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                pass_fds=fds,
                start_new_session=True,
                user=run_as[0] if run_as else None,
                group=run_as[1] if run_as else None,
                extra_groups=_kvm_groups() if run_as else None,
                umask=0o007 if run_as else -1,
            )
        self._started[child.pid] = child
        return Guest(child.pid, process_start(child.pid) or "")

    def reap(self) -> None:
        for pid, child in list(self._started.items()):
            if child.poll() is not None:
                self._started.pop(pid, None)

    def status(self, guest: Guest) -> int | None:
        """Exit status of a child of ours that ended; None if it runs or is not our child."""
        child = self._started.get(guest.pid)
        return None if child is None else child.poll()


def _kvm_groups() -> list[int]:
    """An unprivileged QEMU opens /dev/kvm by its group."""
    return [os.stat("/dev/kvm").st_gid] if os.path.exists("/dev/kvm") else []


def is_guest(pid: int, server_id: str, directory: Path) -> bool:
    """Whether this process is the QEMU of that server in that directory."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return server_id.encode() in words and os.fsencode(directory / "run/pid") in words


def scan_guests(instances_dir: Path) -> dict[str, Guest]:
    """All guests of this host by /proc: finds also one whose starter died before the pid file was there."""
    prefix = os.fsencode(instances_dir) + b"/"
    found: dict[str, Guest] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        for word in words:
            if word.startswith(prefix) and word.endswith(b"/run/pid"):
                server_id = os.fsdecode(word[len(prefix) : -len(b"/run/pid")])
                if guest := _guest(int(name), server_id, instances_dir / server_id):
                    found[server_id] = guest
    return found


def _guest(pid: int, server_id: str, directory: Path) -> Guest | None:
    start = process_start(pid)
    if start is None or not is_guest(pid, server_id, directory):
        return None
    return Guest(pid, start)


def kill(guest: Guest, *, timeout_s: float = 10.0) -> bool:
    """End it at once and wait; True when it is gone. The pid file descriptor makes a reused pid harmless."""
    try:
        handle = os.pidfd_open(guest.pid)
    except ProcessLookupError:
        return True
    try:
        if not guest.is_alive():
            return True
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        return _gone(handle, timeout_s) or not guest.is_alive()
    except ProcessLookupError:
        return True
    finally:
        os.close(handle)


def wait_end(guest: Guest, timeout_s: float) -> bool:
    """True when the process has ended within the time."""
    try:
        handle = os.pidfd_open(guest.pid)
    except ProcessLookupError:
        return True
    try:
        return not guest.is_alive() or _gone(handle, timeout_s)
    finally:
        os.close(handle)


def _gone(handle: int, timeout_s: float) -> bool:
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    deadline = clock.monotonic() + timeout_s
    while True:
        rest_s = deadline - clock.monotonic()
        if poll.poll(max(0, rest_s) * 1000):
            return True
        if rest_s <= 0:
            return False
