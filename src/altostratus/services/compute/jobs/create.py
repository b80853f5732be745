# SPDX-License-Identifier: Apache-2.0
"""`server.create`: find a host, make volumes and ports, start the guest; undone in ERROR if anything fails."""

from typing import Any

from altostratus.kernel import clock
from altostratus.kernel.auth import Context
from altostratus.kernel.db import Row, table_of
from altostratus.kernel.errors import Unavailable
from altostratus.kernel.jobs import Job, JobFailed, Step, StepCall, Want, desire, local
from altostratus.services.block_storage import public as block_storage
from altostratus.services.compute.guestdata import drive
from altostratus.services.compute.logic import devices, servers, states
from altostratus.services.compute.logic.scheduling import choose
from altostratus.services.compute.logic.wanted import absent_want, server_want
from altostratus.services.compute.models.servers import BlockDevice, Server
from altostratus.services.image import public as image
from altostratus.services.network import public as network
from altostratus.services.network.public import RequestedNic
from altostratus.services.placement import public as placement


def get_server(step: StepCall) -> Row[Any]:
    return step.tx.get(Server, step.resource_id, what="server")


def schedule(step: StepCall) -> None:
    row = get_server(step)
    chosen = choose.place(step.tx, step.cloud, row)
    if isinstance(chosen, str):
        raise JobFailed(chosen)
    servers.touch(step.tx, row.id, host=chosen.name, availability_zone=chosen.host.zone)


def unschedule(step: StepCall) -> None:
    placement.release(step.tx, step.resource_id)
    servers.touch(step.tx, step.resource_id, host=None)


def make_volumes(step: StepCall) -> list[Want]:
    """Start the volumes that the request wants made; wait for them."""
    row = get_server(step)
    wants: list[Want] = []
    for device in servers.devices_of(step.tx, [row.id])[row.id]:
        if device.destination_type != "volume" or device.volume_id is not None:
            continue
        volume_id = block_storage.create_volume(
            step.tx,
            step.cloud,
            Context(user_id=row.user_id, project_id=row.project_id, roles=frozenset({"member", "reader"})),
            name="",
            size_gib=device.size_gib,
            image_id=device.image_id if device.source_type == "image" else None,
            snapshot_id=device.snapshot_id if device.source_type == "snapshot" else None,
            volume_type=device.volume_type,
            request_id=step.request_id,
        )
        step.tx.update(BlockDevice, device.id, volume_id=volume_id)
        step.data.setdefault("made_volumes", []).append(volume_id)
        wants.append(block_storage.volume_want(step.tx, step.cloud, volume_id))
    return wants


def discard_volumes(step: StepCall) -> None:
    made = step.data.get("made_volumes", [])
    device = table_of(BlockDevice).c
    for volume_id in made:
        step.tx.update_where(BlockDevice, device.volume_id == volume_id, volume_id=None, attachment_id=None)
        block_storage.delete_volume(step.tx, step.cloud, volume_id, step.request_id)


def reserve_volumes(step: StepCall) -> None:
    """Every volume of the server belongs to it from now on."""
    row = get_server(step)
    own = [one for one in servers.devices_of(step.tx, [row.id])[row.id] if one.volume_id]
    found = block_storage.find_volumes(step.tx, [one.volume_id for one in own])
    for device in own:
        if device.attachment_id is not None:
            continue
        volume = found.get(device.volume_id)
        if volume is None:
            raise JobFailed(f"Volume {device.volume_id} is gone.")
        if volume.status in ("creating", "downloading"):
            raise Unavailable(f"Volume {volume.id} is still {volume.status}.")
        if volume.status == "error":
            raise JobFailed(f"Volume {volume.id} could not be made; look at: volume show {volume.id}")
        attachment_id = block_storage.reserve(step.tx, device.volume_id, row.id, "/dev/" + (device.device_name or ""))
        step.tx.update(BlockDevice, device.id, attachment_id=attachment_id)


def release_volumes(step: StepCall) -> None:
    """Give the volumes back; they stay listed with the server, as upstream keeps them until it is deleted."""
    for device in servers.devices_of(step.tx, [step.resource_id])[step.resource_id]:
        if device.attachment_id is not None:
            block_storage.detach(step.tx, device.attachment_id)
            step.tx.update(BlockDevice, device.id, attachment_id=None, wired=False)


def make_ports(step: StepCall) -> None:
    row = get_server(step)
    if not row.requested_nics:
        return
    requested = [
        RequestedNic(
            port_id=nic.get("port_id"),
            network_id=nic.get("network_id"),
            fixed_ip=nic.get("fixed_ip"),
            tag=nic.get("tag"),
        )
        for nic in row.requested_nics
    ]
    ports = network.create_or_bind_ports(
        step.tx,
        step.cloud,
        row.project_id,
        row.user_id,
        server_id=row.id,
        server_name=row.hostname,
        host=row.host,
        availability_zone=row.availability_zone or "",
        requested=requested,
        security_groups=list(row.requested_groups),
    )
    nics = [{**nic, "bound": port.id} for nic, port in zip(row.requested_nics, ports, strict=True)]
    servers.touch(step.tx, row.id, nics=[port.id for port in ports], requested_nics=nics)


def release_ports(step: StepCall) -> None:
    network.release_ports(step.tx, step.cloud, step.resource_id)
    servers.touch(step.tx, step.resource_id, nics=[])


def wire(step: StepCall) -> list[Want]:
    row = get_server(step)
    return network.port_wants(step.tx, step.cloud, row.nics, row.host) if row.nics else []


def unwire(step: StepCall) -> list[Want]:
    row = step.tx.get(Server, step.resource_id, what="server")
    return network.unplug_wants(step.tx, step.cloud, row.nics, row.host) if row.nics and row.host else []


def start_guest(step: StepCall) -> list[Want]:
    row = get_server(step)
    for device in servers.devices_of(step.tx, [row.id])[row.id]:
        base = None
        if device.source_type == "image" and device.destination_type == "local":
            base = devices.base_of(image.local_source(step.cloud, step.tx, device.image_id))
        step.tx.update(BlockDevice, device.id, base_image=base, wired=True)
    if row.config_drive:
        drive.ensure_drive(step.tx, step.cloud, row)
    return [server_want(step.tx, step.cloud, row.id)]


def remove_guest(step: StepCall) -> list[Want]:
    return absent_want(step.tx.get(Server, step.resource_id, what="server"))


def activate(step: StepCall) -> None:
    row = get_server(step)
    for device in servers.devices_of(step.tx, [row.id])[row.id]:
        if device.attachment_id is not None:
            block_storage.complete(step.tx, device.attachment_id)
    network.set_ports_status(step.tx, row.nics, "ACTIVE")
    servers.touch(
        step.tx,
        row.id,
        vm_state="active",
        power_state=states.RUNNING,
        launched_at=clock.now(),
        fault=None,
        progress=0,
    )
    servers.notify(step.tx, step.cloud, step.tx.get(Server, row.id), "create.end", message="Success")


def failed(step: StepCall, error: str) -> None:
    """The server stays, in ERROR, and says why; deleting it is left to its owner."""
    row = step.tx.find(Server, step.resource_id)
    if row is None:
        return
    servers.touch(
        step.tx, row.id, vm_state="error", power_state=states.NO_STATE, fault=states.fault(500, error, clock.now())
    )
    servers.notify(step.tx, step.cloud, row, "create.error", message=error)


def stuck(step: StepCall, error: str) -> None:
    servers.touch(step.tx, step.resource_id, vm_state="error", fault=states.fault(500, error, clock.now()))


CREATE = Job(
    "server.create",
    resource="server",
    busy="queue",
    steps=[
        Step("schedule", local(schedule), undo=local(unschedule)),
        Step("volumes", desire(make_volumes), undo=local(discard_volumes), deadline_s=1800),
        Step("reserve", local(reserve_volumes), undo=local(release_volumes)),
        Step("ports", local(make_ports), undo=local(release_ports)),
        Step("wire", desire(wire), undo=desire(unwire), deadline_s=300),
        Step("domain", desire(start_guest), undo=desire(remove_guest), deadline_s=900),
        Step("active", local(activate)),
    ],
    on_failed=failed,
    on_stuck=stuck,
    describe="Find a host for a server, give it volumes and ports, and start it.",
)
