# SPDX-License-Identifier: Apache-2.0
"""A synchronous face for QMP: every guest has a `Monitor`, all monitors share the one thread of a `MonitorLoop`.

The protocol itself is the `qemu.qmp` package. Its own synchronous wrapper (`qemu.qmp.legacy`) is not used: it is
under GPL-2.0-only, which our licence cannot be combined with, and it wants an event loop in every thread.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, TypeVar

from qemu.qmp import ConnectError, ExecInterruptedError, ExecuteError, QMPClient, QMPError, Runstate

from altostratus.kernel import clock

T = TypeVar("T")
Event = dict[str, Any]

# QEMU answers commands in milliseconds; the long ones are jobs that end with an event.
COMMAND_TIMEOUT_S = 20.0


class MonitorError(Exception):
    """QEMU refused a command; the text is QEMU's own."""

    def __init__(self, command: str, description: str, error_class: str = "GenericError") -> None:
        super().__init__(f"QEMU refused {command}: {description}")
        self.description = description
        self.error_class = error_class


class MonitorLostError(Exception):
    """The connection is gone or QEMU does not answer: the process ended, is ending, or hangs."""


class MonitorLoop:
    """The thread in which all monitors live."""

    def __init__(self) -> None:
        # A guest that ends is an ordinary event for us; the library logs it as an error.
        logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="qmp", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], timeout_s: float) -> T:
        """Run `work` in the loop and wait for its result; TimeoutError after `timeout_s`."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout_s)
        except FutureTimeoutError:
            future.cancel()
            raise TimeoutError from None

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        if not self._thread.is_alive():
            self._loop.close()


class Monitor:
    """The control connection of one guest. QEMU serves one such connection at a time.

    `on_event(name)` is called in the loop's thread for every event, and with "GONE" once when QEMU hangs up.
    """

    def __init__(self, loop: MonitorLoop, socket_path: str, on_event: Callable[[str], None]) -> None:
        self._loop = loop
        self._path = socket_path
        self._on_event = on_event
        self._client = QMPClient()
        self._events: deque[Event] = deque(maxlen=500)
        self._arrived = threading.Condition()
        self._closing = False
        self._pump: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None

    def connect(self, timeout_s: float = 5.0) -> None:
        """Raises MonitorLostError if nobody answers in time (or another client holds the connection)."""
        try:
            self._loop.run(self._connect(), timeout_s)
        except (ConnectError, TimeoutError, OSError) as error:
            raise MonitorLostError(f"QEMU does not answer on {self._path}") from error

    async def _connect(self) -> None:
        await self._client.connect(self._path)
        self._pump = asyncio.create_task(self._pump_events())
        self._watch = asyncio.create_task(self._watch_end())

    async def _pump_events(self) -> None:
        while True:
            event = await self._client.events.get()
            with self._arrived:
                self._events.append(dict(event))
                self._arrived.notify_all()
            self._on_event(str(event["event"]))

    async def _watch_end(self) -> None:
        while self._client.runstate == Runstate.RUNNING:
            await self._client.runstate_changed()
        try:
            await self._client.disconnect()
        except (QMPError, OSError, EOFError):
            pass  # that it hung up is all we want to know
        # Events that came just before the end are still in the queue.
        await asyncio.sleep(0)
        if self._pump is not None:
            self._pump.cancel()
        with self._arrived:
            self._arrived.notify_all()
        if not self._closing:
            self._on_event("GONE")

    @property
    def connected(self) -> bool:
        return bool(self._client.runstate == Runstate.RUNNING)

    def execute(self, command: str, arguments: dict[str, Any] | None = None, *, fd: int | None = None) -> Any:
        """The return value of a QMP command. `fd` travels with it (for `getfd`).

        Raises MonitorError if QEMU refuses, MonitorLostError if it is gone or silent.
        """
        try:
            return self._loop.run(self._execute(command, arguments, fd), COMMAND_TIMEOUT_S)
        except ExecuteError as error:
            raise MonitorError(command, error.error.error.desc, error.error.error.class_) from error
        except (ExecInterruptedError, QMPError, OSError, EOFError) as error:
            raise MonitorLostError(f"QEMU hung up during {command}") from error
        except TimeoutError as error:
            raise MonitorLostError(f"QEMU did not answer {command} within {COMMAND_TIMEOUT_S:.0f} s") from error

    async def _execute(self, command: str, arguments: dict[str, Any] | None, fd: int | None) -> object:
        if fd is not None:
            self._client.send_fd_scm(fd)
        return await self._client.execute(command, arguments)

    def forget_events(self) -> None:
        """Start a wait with a clean slate."""
        with self._arrived:
            self._events.clear()

    def find_event(self, timeout_s: float, match: Callable[[Event], bool]) -> Event | None:
        """The first event that matches, waited for; None after `timeout_s` or when QEMU hung up."""
        deadline = clock.monotonic() + timeout_s
        with self._arrived:
            while True:
                for event in self._events:
                    if match(event):
                        self._events.remove(event)
                        return event
                rest_s = deadline - clock.monotonic()
                if rest_s <= 0 or not self.connected:
                    return None
                self._arrived.wait(min(rest_s, 1.0))

    def mute(self) -> None:
        """Do not report that QEMU hung up: it is about to be told to."""
        self._closing = True

    def close(self) -> None:
        """Hang up. The guest does not notice."""
        self._closing = True
        try:
            self._loop.run(self._disconnect(), 5)
        except (QMPError, OSError, EOFError, TimeoutError):
            pass  # it was gone already

    async def _disconnect(self) -> None:
        if self._client.runstate == Runstate.RUNNING:
            for task in (self._watch, self._pump):
                if task is not None:
                    task.cancel()
            await self._client.disconnect()
        elif self._watch is not None:
            await self._watch
