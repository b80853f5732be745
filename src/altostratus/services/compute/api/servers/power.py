# SPDX-License-Identifier: Apache-2.0
"""Power actions: start, stop, reboot, pause, suspend and back."""

from altostratus.kernel.jobs import Job
from altostratus.kernel.policy import MEMBER
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Action
from altostratus.services.compute.api.servers.child import ServerChild, demand
from altostratus.services.compute.api.shared import closed, wrapped
from altostratus.services.compute.jobs import power

_REBOOT = wrapped("reboot", closed({"type": {"enum": ["HARD", "Hard", "hard", "SOFT", "Soft", "soft"]}}, "type"))
_HARD_FROM = ("active", "stopped", "paused", "suspended", "error")


def start_job(call: Call, job: Job, params: dict[str, object] | None = None) -> None:
    """Start a job on the call's server."""
    call.cloud.jobs.start(
        call.tx,
        job,
        call.row.id,
        params,
        request_id=call.request_id,
        project_id=call.ctx.project_id,
        user_id=call.ctx.user_id,
    )


def start(call: Call) -> None:
    """Start a server that is shut off."""
    demand(call, "start", ("stopped",))
    start_job(call, power.START)


def stop(call: Call) -> None:
    """Shut a server off: the guest is asked first, then the power is cut."""
    demand(call, "stop", ("active", "error"))
    start_job(call, power.STOP)


def reboot(call: Call) -> None:
    """Restart: SOFT asks the guest, HARD cuts the power."""
    hard = call.body["type"].upper() == "HARD"
    demand(call, "reboot", _HARD_FROM if hard else ("active",))
    start_job(call, power.REBOOT_HARD if hard else power.REBOOT_SOFT)


def pause(call: Call) -> None:
    """Stop the clock of a server; it stays in memory."""
    demand(call, "pause", ("active",))
    start_job(call, power.PAUSE)


def unpause(call: Call) -> None:
    """Let a paused server go on."""
    demand(call, "unpause", ("paused",))
    start_job(call, power.UNPAUSE)


def suspend(call: Call) -> None:
    """Save a server's memory to disk and free it."""
    demand(call, "suspend", ("active",))
    start_job(call, power.SUSPEND)


def resume(call: Call) -> None:
    """Bring a suspended server back."""
    demand(call, "resume", ("suspended",))
    start_job(call, power.RESUME)


def _plain(name: str) -> dict[str, object]:
    return wrapped(name, {})


class ServerPower(ServerChild, path="/servers"):
    """Power of a server."""

    start = Action("os-start", "os_compute_api:servers:start", MEMBER, start, body=_plain("os-start"))
    stop = Action("os-stop", "os_compute_api:servers:stop", MEMBER, stop, body=_plain("os-stop"))
    reboot = Action("reboot", "os_compute_api:servers:reboot", MEMBER, reboot, body=_REBOOT)
    pause = Action("pause", "os_compute_api:os-pause-server:pause", MEMBER, pause, body=_plain("pause"))
    unpause = Action("unpause", "os_compute_api:os-pause-server:unpause", MEMBER, unpause, body=_plain("unpause"))
    suspend = Action("suspend", "os_compute_api:os-suspend-server:suspend", MEMBER, suspend, body=_plain("suspend"))
    resume = Action("resume", "os_compute_api:os-suspend-server:resume", MEMBER, resume, body=_plain("resume"))
