# SPDX-License-Identifier: Apache-2.0
"""`server.rebuild`: the same server with a fresh root disk, from the same image or another."""

from typing import Any

from sqlalchemy import select

from altostratus.kernel import clock
from altostratus.kernel.db import Row, table_of
from altostratus.kernel.jobs import Job, Step, StepCall, Want, desire, local
from altostratus.services.compute.guestdata import drive
from altostratus.services.compute.logic import devices, servers, states
from altostratus.services.compute.logic.wanted import server_want
from altostratus.services.compute.models.servers import BlockDevice, Server
from altostratus.services.image import public as image


def _root(step: StepCall) -> Row[Any] | None:
    device = table_of(BlockDevice)
    return step.tx.first(select(device).where(device.c.server_id == step.resource_id, device.c.boot_index == 0))


def refill(step: StepCall) -> None:
    """From here on the old root disk is as good as gone, so this job does not undo: it fails into ERROR."""
    row = step.tx.get(Server, step.resource_id, what="server")
    root = _root(step)
    if root is not None and root.destination_type == "local" and row.image_id:
        base = devices.base_of(image.local_source(step.cloud, step.tx, row.image_id))
        step.tx.update(BlockDevice, root.id, base_image=base, image_id=row.image_id)
    power = "stopped" if step.params.get("keep_stopped") else "running"
    servers.touch(
        step.tx, row.id, fill_token=step.job_id, wanted_power=power, power_token=step.job_id, launched_at=clock.now()
    )
    if row.config_drive:
        drive.renew_drive(step.tx, step.cloud, step.tx.get(Server, row.id))


def ask(step: StepCall) -> list[Want]:
    return [server_want(step.tx, step.cloud, step.resource_id)]


def rebuilt(step: StepCall) -> None:
    stopped = bool(step.params.get("keep_stopped"))
    servers.touch(
        step.tx,
        step.resource_id,
        vm_state="stopped" if stopped else "active",
        power_state=states.SHUTDOWN if stopped else states.RUNNING,
        fault=None,
        progress=0,
    )
    servers.notify(step.tx, step.cloud, step.tx.get(Server, step.resource_id), "rebuild.end")


def failed(step: StepCall, error: str) -> None:
    servers.touch(step.tx, step.resource_id, vm_state="error", fault=states.fault(500, error, clock.now()))


REBUILD = Job(
    "server.rebuild",
    resource="server",
    busy="queue",
    steps=[
        Step("refill", local(refill)),
        Step("domain", desire(ask), deadline_s=900),
        Step("rebuilt", local(rebuilt)),
    ],
    on_failed=failed,
    on_stuck=failed,
    describe="Give a server a fresh root disk.",
)
