# SPDX-License-Identifier: Apache-2.0
"""Shelving: the root disk becomes an image and the server leaves its host; unshelving brings it back.

While a server is shelved its root block device names the image that was made of it, and the server its own.
Volumes and ports stay the server's.
"""

from typing import Any

from altostratus.kernel import clock
from altostratus.kernel.db import Row
from altostratus.kernel.errors import NotFound
from altostratus.kernel.jobs import Job, Step, StepCall, Want, desire, local, remote
from altostratus.services.compute.jobs import create
from altostratus.services.compute.jobs.power import failed as remember
from altostratus.services.compute.logic import servers, states
from altostratus.services.compute.logic.wanted import absent_want, server_want
from altostratus.services.compute.models.servers import BlockDevice, Server
from altostratus.services.image import public as image
from altostratus.services.network import public as network
from altostratus.services.network.public import RequestedNic
from altostratus.services.placement import public as placement


def _server(step: StepCall) -> Row[Any]:
    return step.tx.get(Server, step.resource_id, what="server")


def _root(step: StepCall) -> Row[Any] | None:
    own = servers.devices_of(step.tx, [step.resource_id])[step.resource_id]
    return next((one for one in own if one.boot_index == 0), None)


def halt(step: StepCall) -> None:
    row = _server(step)
    step.data["before"] = {"wanted_power": row.wanted_power, "power_token": row.power_token}
    servers.touch(step.tx, row.id, wanted_power="stopped")


def unhalt(step: StepCall) -> None:
    """The wish for what was before; nobody waits, because nothing more could be done."""
    servers.touch(step.tx, step.resource_id, **step.data.get("before", {}), snapshot_token=None, snapshot_path=None)
    step.desired.want(step.tx, server_want(step.tx, step.cloud, step.resource_id))


def discard(step: StepCall) -> None:
    if step.params.get("image_id"):
        image.discard_snapshot_image(step.cloud, step.params["image_id"])


def ask(step: StepCall) -> list[Want]:
    return [server_want(step.tx, step.cloud, step.resource_id)]


def order(step: StepCall) -> None:
    if step.params.get("image_id"):
        path = image.staging_path(step.cloud, step.params["image_id"])
        servers.touch(step.tx, step.resource_id, snapshot_token=step.job_id, snapshot_path=path)


def upload(step: StepCall) -> None:
    if step.params.get("image_id"):
        image.finish_snapshot_image(step.cloud, step.params["image_id"])


def shelved(step: StepCall) -> None:
    root = _root(step)
    if root is not None and step.params.get("image_id"):
        step.tx.update(BlockDevice, root.id, image_id=step.params["image_id"])
    servers.touch(step.tx, step.resource_id, vm_state="shelved", power_state=states.SHUTDOWN, fault=None)


def leave(step: StepCall) -> list[Want]:
    return absent_want(_server(step))


def unwire(step: StepCall) -> list[Want]:
    row = _server(step)
    return network.unplug_wants(step.tx, step.cloud, row.nics, row.host) if row.nics and row.host else []


def offloaded(step: StepCall) -> None:
    row = _server(step)
    placement.release(step.tx, row.id)
    network.set_ports_status(step.tx, row.nics, "DOWN")
    for device in servers.devices_of(step.tx, [row.id])[row.id]:
        step.tx.update(BlockDevice, device.id, wired=False, base_image=None)
    servers.touch(
        step.tx,
        row.id,
        host=None,
        vm_state="shelved_offloaded",
        power_state=states.NO_STATE,
        snapshot_token=None,
        snapshot_path=None,
    )
    servers.notify(step.tx, step.cloud, _server(step), "shelve_offload.end")


def schedule(step: StepCall) -> None:
    if "zone" in step.params:
        servers.touch(step.tx, step.resource_id, pinned_zone=step.params["zone"])
    servers.touch(step.tx, step.resource_id, requested_host=step.params.get("host"))
    create.schedule(step)


def bind(step: StepCall) -> None:
    """The server's own ports, on the new host."""
    row = _server(step)
    ports = network.create_or_bind_ports(
        step.tx,
        step.cloud,
        row.project_id,
        row.user_id,
        server_id=row.id,
        server_name=row.hostname,
        host=row.host,
        availability_zone=row.availability_zone or "",
        requested=[RequestedNic(port_id=port_id) for port_id in row.nics],
        security_groups=[],
    )
    servers.touch(step.tx, row.id, nics=[port.id for port in ports], wanted_power="running", power_token=step.job_id)


def go(step: StepCall) -> list[Want]:
    """Undo of the start: nothing of the guest is left on the host."""
    for device in servers.devices_of(step.tx, [step.resource_id])[step.resource_id]:
        step.tx.update(BlockDevice, device.id, wired=False, base_image=None)
    return leave(step)


def back(step: StepCall) -> None:
    row = _server(step)
    network.set_ports_status(step.tx, row.nics, "ACTIVE")
    root = _root(step)
    if root is not None and root.image_id is not None and root.image_id != row.image_id:
        step.tx.update(BlockDevice, root.id, image_id=row.image_id)
        try:
            image.delete_image(
                step.tx,
                step.cloud,
                root.image_id,
                request_id=step.request_id,
                project_id=step.project_id,
                user_id=step.user_id,
            )
        except NotFound:
            servers.touch(step.tx, row.id)  # somebody deleted it while the server was coming back
    servers.touch(step.tx, row.id, vm_state="active", power_state=states.RUNNING, fault=None)
    servers.notify(step.tx, step.cloud, _server(step), "unshelve.end")


def unshelve_failed(step: StepCall, error: str) -> None:
    servers.touch(step.tx, step.resource_id, vm_state="shelved_offloaded", fault=states.fault(500, error, clock.now()))


def stuck(step: StepCall, error: str) -> None:
    servers.touch(step.tx, step.resource_id, vm_state="error", fault=states.fault(500, error, clock.now()))


SHELVE = Job(
    "server.shelve",
    resource="server",
    busy="queue",
    steps=[
        Step("halt", local(halt), undo=remote(discard)),
        Step("stop", desire(ask), undo=local(unhalt), deadline_s=300),
        Step("order", local(order)),
        Step("snapshot", desire(ask), deadline_s=1800),
        Step("upload", remote(upload)),
        Step("shelved", local(shelved), final=True),
        Step("offload", desire(leave), deadline_s=600),
        Step("unwire", desire(unwire), deadline_s=300),
        Step("offloaded", local(offloaded)),
    ],
    on_failed=remember,
    on_stuck=stuck,
    describe="Keep a server as an image and free its host.",
)
UNSHELVE = Job(
    "server.unshelve",
    resource="server",
    busy="queue",
    steps=[
        Step("schedule", local(schedule), undo=local(create.unschedule)),
        Step("bind", local(bind)),
        Step("wire", desire(create.wire), undo=desire(create.unwire), deadline_s=300),
        Step("domain", desire(create.start_guest), undo=desire(go), deadline_s=900),
        Step("back", local(back)),
    ],
    on_failed=unshelve_failed,
    on_stuck=stuck,
    describe="Bring a shelved server back.",
)
