# SPDX-License-Identifier: Apache-2.0
"""`server.delete`: only ever forward. The guest first, then its taps, then everything that it held."""

from altostratus.kernel import clock
from altostratus.kernel.errors import NotFound
from altostratus.kernel.jobs import Job, Step, StepCall, Want, desire, local
from altostratus.services.block_storage import public as block_storage
from altostratus.services.compute.logic import servers, states
from altostratus.services.compute.logic.wanted import absent_want
from altostratus.services.compute.models.servers import BlockDevice, ConfigDrive, Server
from altostratus.services.network import public as network
from altostratus.services.placement import public as placement


def remove_guest(step: StepCall) -> list[Want]:
    return absent_want(step.tx.get(Server, step.resource_id, what="server"))


def unwire(step: StepCall) -> list[Want]:
    row = step.tx.get(Server, step.resource_id, what="server")
    return network.unplug_wants(step.tx, step.cloud, row.nics, row.host) if row.nics and row.host else []


def release_volumes(step: StepCall) -> None:
    for device in servers.devices_of(step.tx, [step.resource_id])[step.resource_id]:
        if device.volume_id is None:
            continue
        try:
            if device.attachment_id is not None:
                block_storage.detach(step.tx, device.attachment_id)
                step.tx.update(BlockDevice, device.id, attachment_id=None)
            if device.delete_on_termination:
                block_storage.delete_volume(step.tx, step.cloud, device.volume_id, step.request_id)
        except NotFound:
            # somebody was faster: what is gone needs no release
            step.tx.update(BlockDevice, device.id, attachment_id=None)


def forget(step: StepCall) -> None:
    """The row stays, marked deleted, for usage records and `changes-since`."""
    row = step.tx.get(Server, step.resource_id, what="server")
    network.release_ports(step.tx, step.cloud, row.id)
    network.quarantines.forget(step.tx, row.id)
    placement.release(step.tx, row.id)
    step.tx.delete(ConfigDrive, row.id)
    moment = clock.now()
    servers.touch(
        step.tx,
        row.id,
        deleted=True,
        deleted_at=moment,
        terminated_at=moment,
        vm_state="deleted",
        power_state=states.NO_STATE,
        nics=[],
        server_group_id=None,
    )
    servers.notify(step.tx, step.cloud, step.tx.get(Server, row.id), "delete.end")


def stuck(step: StepCall, error: str) -> None:
    servers.touch(
        step.tx,
        step.resource_id,
        vm_state="error",
        delete_requested=False,
        fault=states.fault(500, f"The server could not be deleted: {error}", clock.now()),
    )


DELETE = Job(
    "server.delete",
    resource="server",
    busy="queue",
    cancels=True,
    forward_only=True,
    steps=[
        Step("domain", desire(remove_guest), deadline_s=600),
        Step("unwire", desire(unwire), deadline_s=300),
        Step("volumes", local(release_volumes)),
        Step("forget", local(forget)),
    ],
    on_stuck=stuck,
    describe="Take a server off its host and give back everything that it held.",
)
