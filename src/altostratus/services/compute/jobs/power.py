# SPDX-License-Identifier: Apache-2.0
"""Changes of a server's power: each is one wish to its host and the state that follows."""

from collections.abc import Callable
from typing import Any

from altostratus.kernel import clock
from altostratus.kernel.jobs import Job, JobFailed, Step, StepCall, Want, desire, local
from altostratus.services.compute.logic import servers, states
from altostratus.services.compute.logic.wanted import server_want
from altostratus.services.compute.models.servers import Server

_KEPT = ("vm_state", "wanted_power", "power_token")


def _wish(power: str, *, token: bool = False) -> Callable[[StepCall], None]:
    """A local step that remembers how things were and wishes for `power`."""

    def wish(step: StepCall) -> None:
        row = step.tx.get(Server, step.resource_id, what="server")
        if row.delete_requested:
            raise JobFailed("The server is being deleted.")
        step.data["before"] = {name: getattr(row, name) for name in _KEPT}
        values: dict[str, Any] = {"wanted_power": power}
        if token:
            values["power_token"] = step.job_id
        servers.touch(step.tx, row.id, **values)

    return wish


def unwish(step: StepCall) -> None:
    """Wish for what was before; nobody waits for it, because nothing more could be done if it failed too."""
    before = step.data.get("before")
    if before:
        servers.touch(step.tx, step.resource_id, **before)
        step.desired.want(step.tx, server_want(step.tx, step.cloud, step.resource_id))


def ask(step: StepCall) -> list[Want]:
    return [server_want(step.tx, step.cloud, step.resource_id)]


def _reached(vm_state: str, power_state: int, event: str) -> Callable[[StepCall], None]:
    """A local step that records the new state; a guest that is not in it fails the job."""

    def reached(step: StepCall) -> None:
        observed = step.observed("server", step.resource_id)
        power = observed.get("power")
        wanted = step.tx.get(Server, step.resource_id, what="server").wanted_power
        if power is not None and power != wanted:
            reason = observed.get("reason") or f"The guest is {power} and not {wanted}."
            raise JobFailed(str(reason))
        servers.touch(step.tx, step.resource_id, vm_state=vm_state, power_state=power_state, fault=None, progress=0)
        servers.notify(step.tx, step.cloud, step.tx.get(Server, step.resource_id), f"{event}.end")

    return reached


def failed(step: StepCall, error: str) -> None:
    """The server is as it was; the reason is kept where people look for it."""
    row = step.tx.find(Server, step.resource_id)
    if row is None or row.delete_requested:
        return
    observed = step.observed("server", step.resource_id)
    values: dict[str, Any] = {"fault": states.fault(500, error, clock.now())}
    if observed.get("power") in ("stopped", "crashed") and row.wanted_power == "running":
        values |= {"vm_state": "stopped", "power_state": states.POWER_NUMBERS[observed["power"]]}
    servers.touch(step.tx, step.resource_id, **values)


def stuck(step: StepCall, error: str) -> None:
    servers.touch(step.tx, step.resource_id, vm_state="error", fault=states.fault(500, error, clock.now()))


def _job(kind: str, wish: Callable[[StepCall], None], reached: Callable[[StepCall], None], words: str) -> Job:
    return Job(
        kind,
        resource="server",
        busy="queue",
        steps=[
            Step("wish", local(wish), undo=local(unwish)),
            Step("domain", desire(ask), deadline_s=600),
            Step("reached", local(reached)),
        ],
        on_failed=failed,
        on_stuck=stuck,
        describe=words,
    )


def _reboot(kind: str) -> Callable[[StepCall], None]:
    def reboot(step: StepCall) -> None:
        row = step.tx.get(Server, step.resource_id, what="server")
        if row.delete_requested:
            raise JobFailed("The server is being deleted.")
        step.data["before"] = {name: getattr(row, name) for name in (*_KEPT, "reboot_token", "reboot_kind")}
        servers.touch(step.tx, row.id, wanted_power="running", reboot_token=step.job_id, reboot_kind=kind)

    return reboot


_RUNNING = ("active", states.RUNNING)
START = _job("server.start", _wish("running", token=True), _reached(*_RUNNING, "power_on"), "Start a server.")
STOP = _job("server.stop", _wish("stopped"), _reached("stopped", states.SHUTDOWN, "power_off"), "Stop a server.")
PAUSE = _job("server.pause", _wish("paused"), _reached("paused", states.PAUSED, "pause"), "Pause a server.")
UNPAUSE = _job("server.unpause", _wish("running"), _reached(*_RUNNING, "unpause"), "Let a paused server go on.")
SUSPEND = _job(
    "server.suspend", _wish("suspended"), _reached("suspended", states.SUSPENDED, "suspend"), "Save a server to disk."
)
RESUME = _job("server.resume", _wish("running", token=True), _reached(*_RUNNING, "resume"), "Resume a saved server.")
REBOOT_SOFT = _job("server.reboot", _reboot("soft"), _reached(*_RUNNING, "reboot"), "Ask a guest to restart.")
REBOOT_HARD = _job("server.reboot_hard", _reboot("hard"), _reached(*_RUNNING, "reboot"), "Cut and restore the power.")

POWER_JOBS = (START, STOP, PAUSE, UNPAUSE, SUSPEND, RESUME, REBOOT_SOFT, REBOOT_HARD)
