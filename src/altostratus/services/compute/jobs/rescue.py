# SPDX-License-Identifier: Apache-2.0
"""Rescue: the server starts from another disk, with its own as the second; and back again.

The rescue disk is a block device row at `RESCUE_POSITION`; while it is there, `logic.wanted` puts it first.
"""

from collections.abc import Callable
from typing import Any

from altostratus.kernel import clock, ids
from altostratus.kernel.db import Row
from altostratus.kernel.jobs import Job, Step, StepCall, Want, desire, local
from altostratus.services.compute.logic import devices, servers, states
from altostratus.services.compute.logic.wanted import RESCUE_POSITION, server_want
from altostratus.services.compute.models.servers import BlockDevice, Server
from altostratus.services.image import public as image


def _server(step: StepCall) -> Row[Any]:
    return step.tx.get(Server, step.resource_id, what="server")


def halt(step: StepCall) -> None:
    """Disks change while the guest is down."""
    row = _server(step)
    step.data["before"] = {"wanted_power": row.wanted_power, "vm_state": row.vm_state, "power_token": row.power_token}
    servers.touch(step.tx, row.id, wanted_power="stopped")


def ask(step: StepCall) -> list[Want]:
    return [server_want(step.tx, step.cloud, step.resource_id)]


def _run(step: StepCall) -> None:
    servers.touch(step.tx, step.resource_id, wanted_power="running", power_token=step.job_id)


def _rescue_disk(step: StepCall) -> Row[Any] | None:
    own = servers.devices_of(step.tx, [step.resource_id])[step.resource_id]
    return next((one for one in own if one.position == RESCUE_POSITION), None)


def put_in(step: StepCall) -> None:
    row = _server(step)
    base = image.local_source(step.cloud, step.tx, step.params["image_id"])
    step.tx.insert(
        BlockDevice,
        id=ids.new_id(),
        server_id=row.id,
        position=RESCUE_POSITION,
        source_type="image",
        destination_type="local",
        image_id=step.params["image_id"],
        size_gib=row.flavor["disk"],
        base_image=devices.base_of(base),
        delete_on_termination=True,
        wired=True,
    )
    _run(step)


def take_out(step: StepCall) -> None:
    disk = _rescue_disk(step)
    if disk is not None:
        step.tx.delete(BlockDevice, disk.id)
    _run(step)


def restore(step: StepCall) -> None:
    """Undo of a rescue: the wish for what was before; nobody waits, because nothing more could be done."""
    disk = _rescue_disk(step)
    if disk is not None:
        step.tx.delete(BlockDevice, disk.id)
    servers.touch(step.tx, step.resource_id, **step.data.get("before", {}))
    step.desired.want(step.tx, server_want(step.tx, step.cloud, step.resource_id))


def _reached(vm_state: str, event: str) -> Callable[[StepCall], None]:
    def reached(step: StepCall) -> None:
        servers.touch(step.tx, step.resource_id, vm_state=vm_state, power_state=states.RUNNING, fault=None)
        servers.notify(step.tx, step.cloud, _server(step), f"{event}.end")

    return reached


def failed(step: StepCall, error: str) -> None:
    servers.touch(step.tx, step.resource_id, fault=states.fault(500, error, clock.now()))


def stuck(step: StepCall, error: str) -> None:
    servers.touch(step.tx, step.resource_id, vm_state="error", fault=states.fault(500, error, clock.now()))


RESCUE = Job(
    "server.rescue",
    resource="server",
    busy="queue",
    steps=[
        Step("halt", local(halt), undo=local(restore)),
        Step("stop", desire(ask), deadline_s=300),
        Step("disk", local(put_in)),
        Step("domain", desire(ask), deadline_s=600),
        Step("reached", local(_reached("rescued", "rescue"))),
    ],
    on_failed=failed,
    on_stuck=stuck,
    describe="Start a server from a rescue disk.",
)
UNRESCUE = Job(
    "server.unrescue",
    resource="server",
    busy="queue",
    forward_only=True,
    steps=[
        Step("halt", local(halt)),
        Step("stop", desire(ask), deadline_s=300),
        Step("disk", local(take_out)),
        Step("domain", desire(ask), deadline_s=600),
        Step("reached", local(_reached("active", "unrescue"))),
    ],
    on_stuck=stuck,
    describe="Start a rescued server from its own disk again.",
)
