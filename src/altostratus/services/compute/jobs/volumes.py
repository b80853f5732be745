# SPDX-License-Identifier: Apache-2.0
"""Attaching volumes to servers, and detaching them. Two at once on one server queue and both succeed."""

from altostratus.kernel import clock
from altostratus.kernel.errors import NotFound
from altostratus.kernel.jobs import Job, Step, StepCall, Want, desire, local
from altostratus.services.block_storage import public as block_storage
from altostratus.services.compute.logic import servers, states
from altostratus.services.compute.logic.wanted import server_want
from altostratus.services.compute.models.servers import BlockDevice, Server


def plug(step: StepCall) -> None:
    step.tx.update(BlockDevice, step.params["device_id"], wired=True)


def unplug(step: StepCall) -> None:
    step.tx.update(BlockDevice, step.params["device_id"], wired=False)


def ask(step: StepCall) -> list[Want]:
    row = step.tx.get(Server, step.resource_id, what="server")
    # a server without a host (shelved) only changes its rows
    return [server_want(step.tx, step.cloud, row.id)] if row.host else []


def take_back(step: StepCall) -> list[Want]:
    """Undo of an attach: the volume must have left the guest before anybody else may have it."""
    unplug(step)
    return ask(step)


def put_back(step: StepCall) -> list[Want]:
    """Undo of a detach."""
    plug(step)
    return ask(step)


def attached(step: StepCall) -> None:
    device = step.tx.get(BlockDevice, step.params["device_id"])
    block_storage.complete(step.tx, device.attachment_id)
    row = step.tx.get(Server, step.resource_id)
    servers.touch(step.tx, row.id)
    servers.notify(step.tx, step.cloud, row, "volume.attach", volume_id=device.volume_id)


def attach_failed(step: StepCall, error: str) -> None:
    """The volume is available again and the server does not list it; the action log keeps the reason."""
    device = step.tx.find(BlockDevice, step.params["device_id"])
    if device is None:
        return
    if device.attachment_id is not None:
        block_storage.detach(step.tx, device.attachment_id)
    step.tx.delete(BlockDevice, device.id)
    servers.touch(step.tx, step.resource_id)


def detached(step: StepCall) -> None:
    device = step.tx.find(BlockDevice, step.params["device_id"])
    if device is None:
        return
    try:
        if device.attachment_id is not None:
            block_storage.detach(step.tx, device.attachment_id)
    except NotFound:
        pass  # the volume is gone already: nothing is left to give back
    step.tx.delete(BlockDevice, device.id)
    row = step.tx.get(Server, step.resource_id)
    servers.touch(step.tx, row.id)
    servers.notify(step.tx, step.cloud, row, "volume.detach", volume_id=device.volume_id)


def detach_failed(step: StepCall, error: str) -> None:
    """The guest did not let go: the volume is in use as before."""
    device = step.tx.find(BlockDevice, step.params["device_id"])
    if device is not None and device.attachment_id is not None:
        block_storage.roll_back_detach(step.tx, device.attachment_id)


def stuck(step: StepCall, error: str) -> None:
    servers.touch(step.tx, step.resource_id, fault=states.fault(500, error, clock.now()))


ATTACH_VOLUME = Job(
    "server.attach_volume",
    resource="server",
    busy="queue",
    steps=[
        Step("plug", local(plug), undo=local(unplug)),
        Step("domain", desire(ask), undo=desire(take_back), deadline_s=300),
        Step("attached", local(attached)),
    ],
    on_failed=attach_failed,
    on_stuck=stuck,
    describe="Give a server a volume.",
)
DETACH_VOLUME = Job(
    "server.detach_volume",
    resource="server",
    busy="queue",
    steps=[
        Step("unplug", local(unplug), undo=local(plug)),
        Step("domain", desire(ask), undo=desire(put_back), deadline_s=300),
        Step("detached", local(detached)),
    ],
    on_failed=detach_failed,
    on_stuck=stuck,
    describe="Take a volume from a server.",
)
