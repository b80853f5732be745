# SPDX-License-Identifier: Apache-2.0
"""SIGKILL for processes of one private cloud, at random moments or all at once."""

import itertools
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Self

from altostratus.testing.private_cloud import PrivateCloud


class Killer:
    """While it is entered, control and agent die again and again, `most` times. `deaths` counts them."""

    def __init__(self, cloud: PrivateCloud, seed: int, *, pause_s: tuple[float, float], most: int = 40) -> None:
        self._cloud, self._random, self._pause_s, self._most = cloud, random.Random(seed), pause_s, most
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.deaths: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        victims = itertools.cycle(("agent", "control", "both"))
        while self.deaths.total() < self._most and not self._ended.wait(self._random.uniform(*self._pause_s)):
            name = next(victims)
            for one in ("control", "agent") if name == "both" else (name,):
                before = _pid_of(self._cloud, one)
                if kill_process(self._cloud, one):
                    self.deaths[one] += 1
                    self._wait_for_another(one, before)

    def _wait_for_another(self, name: str, before: int | None) -> None:
        """The pid is written before anything else is done: the next death may still come in the middle of the start."""
        while _pid_of(self._cloud, name) == before and not self._ended.wait(0.05):
            pass


def _pid_of(cloud: PrivateCloud, name: str) -> int | None:
    try:
        return int((cloud.paths.run / f"{name}.pid").read_text())
    except (OSError, ValueError):
        return None


def kill_process(cloud: PrivateCloud, name: str) -> bool:
    """Kill the control process, the agent, the console proxy or the supervisor. False if it does not live."""
    try:
        pid = int((cloud.paths.run / ("supervisor.lock" if name == "supervisor" else f"{name}.pid")).read_text())
        if f"ALTO_STATE={cloud.state}".encode() not in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            return False
        os.kill(pid, signal.SIGKILL)
    except (OSError, ValueError):
        return False
    return True


def processes_of(cloud: PrivateCloud, word: str = "") -> dict[int, str]:
    """Living processes that name the state directory in their command line (guests, dnsmasq): pid -> command."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(cloud.state) in command and word in command:
            found[int(path.parent.name)] = command
    return found


def power_cut(cloud: PrivateCloud) -> None:
    """What a reboot of the host leaves of a cloud: its files."""
    for name in ("supervisor", "control", "agent", "console"):
        kill_process(cloud, name)
    for pid in processes_of(cloud):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    deadline = time.monotonic() + 10
    while processes_of(cloud):
        assert time.monotonic() < deadline, processes_of(cloud)
        time.sleep(0.05)
    for name in namespaces_of(cloud):
        subprocess.run(["ip", "netns", "del", name], check=True)


def namespaces_of(cloud: PrivateCloud) -> list[str]:
    """Network namespaces with the mark of this cloud."""
    found = []
    for name in os.listdir("/run/netns"):
        argv = ["ip", "-n", name, "-o", "link", "show", "lo"]
        shown = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
        if f"altostratus:{cloud.paths.tag}" in shown:
            found.append(name)
    return sorted(found)
