# SPDX-License-Identifier: Apache-2.0
"""The parent of all processes of one cloud: serves the API port, keeps agent and console alive.

Granian's main process holds the listening socket and starts the control process (its worker) again
when that dies; a thread does the same for the agent and the console proxy. Nothing is lost while a
process is away: requests wait in the socket's queue, work waits in the database, guests run on.
"""

import fcntl
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import IO

from granian.constants import Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import MPServer

from altostratus.app.files import load_options, prepare_directories
from altostratus.app.options import CloudOptions, Paths
from altostratus.kernel import clock, log

_log = log.get("supervisor")
# the longest head of a request (431 beyond it), and what is held of a reply that its client does not take
_HEAD_BYTES = 128 * 1024
_QUICKEST_RESTART_S = 0.5
_SLOWEST_RESTART_S = 20.0
# one that lived for longer was well: it was killed, and is wanted back at once
_WELL_AFTER_S = 5.0


class Child:
    """A process that is started again when it ends, with growing pauses while it keeps failing.

    It is spawned, not forked: `subprocess` waits for a pipe to close, and a control process that Granian
    forks at that very moment holds the other end open, so that the wait would last as long as it lives.
    """

    def __init__(self, name: str, argv: list[str], log_path: Path) -> None:
        self.name, self._argv, self._log_path = name, argv, log_path
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._pid: int | None = None
        self._thread = threading.Thread(target=self._keep_alive, name=f"keep-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _spawn(self) -> int:
        log_flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(self._log_path), log_flags, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        return os.posix_spawn(self._argv[0], self._argv, os.environ, file_actions=actions, setsid=True)

    def _keep_alive(self) -> None:
        pause = _QUICKEST_RESTART_S
        while not self._stopping.is_set():
            started = clock.monotonic()
            with self._lock:
                if self._stopping.is_set():
                    return
                self._pid = pid = self._spawn()
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            with self._lock:
                _, status = os.waitpid(pid, 0)
                self._pid = None
            if self._stopping.is_set():
                return
            lived_s = clock.monotonic() - started
            pause = _QUICKEST_RESTART_S if lived_s > _WELL_AFTER_S else min(2 * pause, _SLOWEST_RESTART_S)
            _log.warning("%s ended with status %s; starting it again in %.1f s", self.name, status, pause)
            self._stopping.wait(pause)

    def stop(self, timeout_s: float = 10.0) -> None:
        self._stopping.set()
        for number in (signal.SIGTERM, signal.SIGKILL):
            with self._lock:
                if self._pid is not None:
                    os.kill(self._pid, number)
            self._thread.join(timeout_s)
            if not self._thread.is_alive():
                return


def hold_lock(paths: Paths) -> IO[str]:
    """The lock that only one supervisor of a state directory holds, with its pid inside. Raises BlockingIOError.

    It is of the kind that belongs to one process: the control process is a fork of this one and may outlive it.
    """
    handle = (paths.run / "supervisor.lock").open("a+")
    fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    handle.truncate(0)
    handle.write(f"{os.getpid()}\n")
    handle.flush()
    return handle


def serve_api(options: CloudOptions, paths: Paths) -> int:
    """Hold the API's port until told to end; the exit status.

    Granian gives up when its worker, the control process, dies twice within seconds. If that never came up
    it is a defect, which is told at once; later on giving up would help nobody.
    """
    pause = _QUICKEST_RESTART_S
    while True:
        server, since = make_server(options), clock.monotonic()
        try:
            server.serve()
        except SystemExit:
            pass
        if _is_told_to_end(server):
            return 0
        if not _has_been_up(paths):
            _log.error("the control process does not start; the lines above say why")
            return 1
        pause = _QUICKEST_RESTART_S if clock.monotonic() - since > 20 else min(2 * pause, _SLOWEST_RESTART_S)
        _log.warning("the control process keeps ending; starting it again in %.1f s", pause)
        until = clock.monotonic() + pause
        while clock.monotonic() < until:
            if _is_told_to_end(server):
                return 0
            time.sleep(0.1)


def _is_told_to_end(server: MPServer) -> bool:
    return bool(server.interrupt_signal)


def _has_been_up(paths: Paths) -> bool:
    """Whether a control process has opened its socket since this supervisor took its lock."""
    try:
        return paths.host_socket.stat().st_mtime_ns >= (paths.run / "supervisor.lock").stat().st_mtime_ns
    except FileNotFoundError:
        return False


def make_server(options: CloudOptions, target: str = "altostratus.app.control:build") -> MPServer:
    """One life of the HTTP server, whose only worker is the control process."""
    return MPServer(
        target,
        factory=True,
        address=options.listen,
        port=options.port,
        interface=Interfaces.WSGI,
        workers=1,
        # waiting for slow clients is cheap; few of them work at one time (`kernel.turns`)
        blocking_threads=options.api_requests,
        backlog=2048,
        backpressure=options.api_connections,
        http1_settings=HTTP1Settings(max_buffer_size=_HEAD_BYTES),
        websockets=False,
        log_access=False,
        log_level=LogLevels.warning,
        respawn_failed_workers=True,
        respawn_interval=_QUICKEST_RESTART_S,
        workers_kill_timeout=10,
        process_name=None,
    )


def main() -> int:
    paths = Paths(Path(os.environ["ALTO_STATE"]))
    options = load_options(paths)
    log.set_up(options.log_level)
    prepare_directories(paths, options)
    try:
        lock = hold_lock(paths)
    except BlockingIOError:
        _log.error("this cloud is running already (%s is locked)", paths.run / "supervisor.lock")
        return 1
    modules = {"agent": "altostratus.app.agent", "console": "altostratus.app.console_proxy"}
    if not options.console_port:
        del modules["console"]
    children = [
        Child(name, [sys.executable, "-m", module], paths.logs / f"{name}.log") for name, module in modules.items()
    ]
    for child in children:
        child.start()
    try:
        return serve_api(options, paths)
    finally:
        for child in children:
            child.stop()
        lock.close()


if __name__ == "__main__":
    sys.exit(main())
