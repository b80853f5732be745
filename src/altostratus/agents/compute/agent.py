# SPDX-License-Identifier: Apache-2.0
"""`ComputeAgent`: wanted rows of kind `server` in, driver calls and reports out."""

import base64
from collections.abc import Mapping
from enum import Enum
from typing import Any

import msgspec

from altostratus.contracts.host_api import CallHandler, Key, Report, ReportSink, Wanted
from altostratus.contracts.hypervisor import Hypervisor, HypervisorError, ServerSpec
from altostratus.kernel import log
from altostratus.kernel.errors import Conflict

from .plan import KIND, must_hurry, plan_pass, plan_retry_s
from .work_queue import WorkQueue

_log = log.get("agent.compute")
_MOST_LOG_BYTES = 1 << 20
_CLOSE_TIMEOUT_S = 10.0


class _Look(Enum):
    """Work that no row asks for."""

    REPORT = "report what is there"
    REMOVE = "remove what no row names"
    PRUNE = "drop what no server uses"


_Task = Wanted | _Look


class ComputeAgent:
    """The contract `host_api.Agent`. It owns the driver and closes it.

    Each server has a serial queue of its own, so that one guest that is slow to shut down holds up nobody.
    """

    kinds: tuple[str, ...] = (KIND,)

    def __init__(self, driver: Hypervisor, *, workers: int = 64) -> None:
        self._driver = driver
        self._report: ReportSink | None = None
        self._answered: dict[str, Wanted] = {}
        self._failures: dict[str, tuple[int, int]] = {}
        self._queue: WorkQueue[_Task] = WorkQueue(self._work, workers=workers, name="compute")
        driver.set_listener(self._on_change)

    def apply(self, wanted: Mapping[Key, Wanted], changed: frozenset[Key], report: ReportSink, *, resync: bool) -> None:
        self._report = report
        present = [state.id for state in self._driver.list_servers()] if resync else []
        todo = plan_pass(wanted, changed, present)
        for row in todo.rows:
            doing = self._queue.put(row.id, row)
            if must_hurry(doing if isinstance(doing, Wanted) else None, row):
                self._driver.hurry(row.id)
        for server_id in todo.leftovers:
            self._queue.put_if_free(server_id, _Look.REMOVE)
        if resync:
            self._queue.put_if_free("", _Look.PRUNE)

    def _on_change(self, server_id: str) -> None:
        self._queue.put_if_free(server_id, _Look.REPORT)

    def _work(self, server_id: str, task: _Task) -> float | None:
        """Seconds until the same task is to be tried again, or None."""
        try:
            if isinstance(task, Wanted):
                self._bring_about(task)
            elif task is _Look.REPORT:
                self._look(server_id)
            elif task is _Look.REMOVE:
                _log.warning("removing server %s, which no wanted row names", server_id)
                self._driver.remove_server(server_id)
            else:
                self._driver.prune()
        except HypervisorError as error:
            return self._fail(server_id, task, str(error), final=error.final)
        except Exception:  # noqa: BLE001 - a mistake of ours must not leave a job waiting without a word
            _log.exception("server %s: unexpected error", server_id)
            return self._fail(server_id, task, "The compute agent made a mistake; its log says more.", final=False)
        if isinstance(task, Wanted):
            self._failures.pop(server_id, None)
        return None

    def _bring_about(self, row: Wanted) -> None:
        if row.spec is None:
            self._driver.remove_server(row.id)
            state = self._driver.show_server(row.id)
            self._answered.pop(row.id, None)
        else:
            try:
                spec = msgspec.convert(row.spec, ServerSpec)
            except msgspec.ValidationError as error:
                raise HypervisorError(
                    f"This agent does not understand the server's spec: {error}", final=True
                ) from error
            state = self._driver.ensure_server(spec)
            self._answered[row.id] = row
        self._send(Report(kind=KIND, id=row.id, generation=row.generation, state=msgspec.to_builtins(state)))

    def _look(self, server_id: str) -> None:
        row = self._answered.get(server_id)
        if row is None:
            return
        state = msgspec.to_builtins(self._driver.show_server(server_id))
        self._send(Report(kind=KIND, id=server_id, generation=row.generation, state=state))

    def _fail(self, server_id: str, task: _Task, message: str, *, final: bool) -> float | None:
        """Report the failure, so that people see it while it is tried again."""
        if not isinstance(task, Wanted):
            _log.warning("server %s: could not %s: %s", server_id or "-", task.value, message)
            return None
        generation, attempt = self._failures.get(server_id, (task.generation, 0))
        attempt = attempt + 1 if generation == task.generation else 1
        self._failures[server_id] = (task.generation, attempt)
        if attempt == 1 or final:
            _log.warning("server %s: %s", server_id, message)
        try:
            state = msgspec.to_builtins(self._driver.show_server(server_id))
        except HypervisorError:
            state = {}
        self._send(Report(kind=KIND, id=server_id, generation=task.generation, state=state, error=message, final=final))
        return None if final else plan_retry_s(attempt)

    def _send(self, report: Report) -> None:
        if self._report is not None:
            self._report(report)

    def calls(self) -> Mapping[str, CallHandler]:
        return {
            "console_log": _refusing(self._call_console_log),
            "stats": _refusing(lambda params: self._driver.stats(str(params["server_id"]))),
            "vnc": _refusing(lambda params: {"socket": self._socket(str(params["server_id"]), "vnc")}),
            "serial_console": _refusing(
                lambda params: {"socket": self._socket(str(params["server_id"]), "serial_console")}
            ),
        }

    def _call_console_log(self, params: dict[str, Any]) -> dict[str, Any]:
        max_bytes = max(0, min(int(params.get("max_bytes", _MOST_LOG_BYTES)), _MOST_LOG_BYTES))
        data = self._driver.console_log(str(params["server_id"]), max_bytes)
        return {"data_base64": base64.b64encode(data).decode("ascii")}

    def _socket(self, server_id: str, name: str) -> str:
        state = self._driver.show_server(server_id)
        path = state.vnc if name == "vnc" else state.serial_console
        if path is None:
            raise HypervisorError(f"Server {server_id} has no console now: it is {state.power}. Start it first.")
        return path

    def facts(self) -> dict[str, Any]:
        """`hypervisor` (HypervisorInfo) and `usage` (HostUsage), as plain data."""
        return {
            "hypervisor": msgspec.to_builtins(self._driver.info()),
            "usage": msgspec.to_builtins(self._driver.usage()),
        }

    def close(self) -> None:
        self._driver.set_listener(None)
        self._queue.close(_CLOSE_TIMEOUT_S)
        self._report = None
        self._driver.close()


def _refusing(handler: CallHandler) -> CallHandler:
    """What the driver will not do is an answer for people, no defect of the agent."""

    def ask(params: dict[str, Any]) -> dict[str, Any]:
        try:
            return handler(params)
        except HypervisorError as error:
            raise Conflict(str(error)) from error

    return ask
