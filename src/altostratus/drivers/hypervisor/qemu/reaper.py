# SPDX-License-Identifier: Apache-2.0
"""Watches for guests that end or change by themselves, settles what they leave and tells the listener."""

import queue
import threading
from collections.abc import Callable

from altostratus.contracts.hypervisor import HypervisorError, Listener
from altostratus.kernel import log

from . import power
from .server import Host, Server

_log = log.get("hypervisor.qemu")
_ENDS = {"SHUTDOWN", "GONE", "GUEST_PANICKED"}
_CHANGES = {"BLOCK_IO_ERROR"}
_AGAIN_S = 0.1


class Reaper:
    """One thread for all guests. A server that someone is working on is looked at when that is done."""

    def __init__(self, host: Host, find: Callable[[str], Server | None]) -> None:
        self._host = host
        self._find = find
        self._queue: queue.SimpleQueue[tuple[str, bool] | None] = queue.SimpleQueue()
        self._listener: Listener | None = None
        self._thread = threading.Thread(target=self._run, name="reaper", daemon=True)
        self._thread.start()

    def set_listener(self, listener: Listener | None) -> None:
        self._listener = listener

    def on_event(self, server_id: str, name: str) -> None:
        """From the monitors' thread, so it only takes a note."""
        if name in _ENDS or name in _CHANGES:
            self._queue.put((server_id, name in _CHANGES))

    def look_at(self, server_id: str) -> None:
        self._queue.put((server_id, False))

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join(10)

    def _run(self) -> None:
        busy: dict[str, bool] = {}
        while True:
            try:
                item = self._queue.get(timeout=_AGAIN_S if busy else None)
                if item is None:
                    return
                busy[item[0]] = busy.get(item[0], False) or item[1]
            except queue.Empty:
                pass
            for server_id, always in list(busy.items()):
                if self._settle(server_id, always):
                    del busy[server_id]

    def _settle(self, server_id: str, always: bool) -> bool:
        """False if the server is being worked on, so that it must be looked at again."""
        server = self._find(server_id)
        if server is None:
            return True
        if not server.lock.acquire(blocking=False):
            return False
        try:
            ended = power.settle(self._host, server)
        except (HypervisorError, OSError) as error:
            _log.warning("server %s ended, but clearing up failed: %s", server_id, error)
            ended = True
        finally:
            server.lock.release()
        if ended:
            _log.info("server %s: %s", server_id, server.record.ended_reason)
        if (ended or always) and self._listener is not None:
            self._listener(server_id)
        return True
