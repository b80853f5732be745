# SPDX-License-Identifier: Apache-2.0
"""Pure: what to do so that a server becomes what its spec says."""

from dataclasses import dataclass
from typing import Literal

from altostratus.contracts.hypervisor import DiskSpec, HypervisorError, NicSpec, ServerSpec

from .devices import disk_id, nic_id
from .disks import is_optical, wanted_bytes
from .record import Record

Observed = Literal["running", "paused", "suspended", "down"]
Verb = Literal[
    "start",
    "restore",
    "stop",
    "kill",
    "pause",
    "unpause",
    "suspend",
    "forget_saved_state",
    "attach_disk",
    "detach_disk",
    "resize_disk",
    "attach_nic",
    "detach_nic",
    "snapshot",
]


@dataclass(frozen=True)
class Step:
    verb: Verb
    disk: DiskSpec | None = None
    nic: NicSpec | None = None
    name: str | None = None


@dataclass(frozen=True)
class Devices:
    """What the running guest has: ids of devices, and sizes of disks in bytes by serial."""

    attached: frozenset[str] = frozenset()
    sizes_bytes: dict[str, int] | None = None


def plan_server(spec: ServerSpec, record: Record, observed: Observed, devices: Devices) -> list[Step]:
    """Steps in order. Tokens are compared with the record; nothing is asked of the machine here."""
    steps = _plan_power(spec, record, observed)
    goes_on = observed in {"running", "paused"} and not any(step.verb in {"stop", "kill"} for step in steps)
    if goes_on:
        # A suspended guest keeps the devices that it was saved with, so they are put right before.
        steps = _plan_devices(spec, record, devices) + steps
    elif any(step.verb == "restore" for step in steps) and record.booted is not None:
        then_has = {disk_id(disk.serial) for disk in record.booted.disks}
        then_has |= {nic_id(nic.port_id) for nic in record.booted.nics}
        # Growing waits for the next pass, when the sizes can be seen.
        steps += _plan_devices(spec, record, Devices(frozenset(then_has)))
    if spec.snapshot_token is not None and spec.snapshot_token != record.snapshot_token:
        steps = _with_snapshot(steps)
    return steps


def _with_snapshot(steps: list[Step]) -> list[Step]:
    """The copy is of the server as it is to be, except that a suspend would be in the way of a live copy."""
    snapshot = Step("snapshot")
    if any(step.verb == "suspend" for step in steps):
        return [snapshot, *steps]
    return [*steps, snapshot]


def stays_down(spec: ServerSpec, record: Record) -> bool:
    """Whether a guest that ended by itself is to be left so: nobody has asked anew since."""
    return (
        record.ended is not None
        and record.power_done != "stopped"
        and spec.reboot_token == record.reboot_token
        and spec.power_token == record.power_token
        and not _refilled(spec, record)
    )


def _plan_power(spec: ServerSpec, record: Record, observed: Observed) -> list[Step]:
    if spec.power == "stopped":
        return _plan_stopped(spec, record, observed)
    if observed == "down":
        return _plan_from_down(spec, record)
    if observed == "suspended":
        return _plan_from_suspended(spec, record)
    then = _then(spec.power)
    if _refilled(spec, record):
        return [Step("kill"), Step("start"), *then]
    if spec.reboot_token != record.reboot_token:
        return [Step("kill" if spec.reboot_kind == "hard" else "stop"), Step("start"), *then]
    if spec.power == "running":
        return [Step("unpause")] if observed == "paused" else []
    return [] if spec.power == "paused" and observed == "paused" else then


def _plan_from_suspended(spec: ServerSpec, record: Record) -> list[Step]:
    if spec.power == "suspended":
        return []
    if _wants_fresh_start(spec, record):
        return [Step("forget_saved_state"), Step("start"), *_then(spec.power)]
    return [Step("restore"), *_then(spec.power)]


def _plan_stopped(spec: ServerSpec, record: Record, observed: Observed) -> list[Step]:
    if observed == "down":
        return []
    if observed == "suspended":
        return [Step("forget_saved_state")]
    return [Step("kill" if _refilled(spec, record) else "stop")]


def _plan_from_down(spec: ServerSpec, record: Record) -> list[Step]:
    if stays_down(spec, record):
        return []
    if spec.power == "suspended" and record.power_done is not None:
        raise HypervisorError("The server is not running, so there is no memory to save. Start it first.", final=True)
    return [Step("start"), *_then(spec.power)]


def _then(wanted: str) -> list[Step]:
    if wanted == "paused":
        return [Step("pause")]
    if wanted == "suspended":
        return [Step("suspend")]
    return []


def _wants_fresh_start(spec: ServerSpec, record: Record) -> bool:
    return spec.reboot_token != record.reboot_token or _refilled(spec, record)


def _refilled(spec: ServerSpec, record: Record) -> bool:
    """Whether a local disk is to get new content, which no running guest could bear."""
    for disk in spec.disks:
        known = record.local_disks.get(disk.serial)
        if disk.source == "volume" or known is None:
            continue
        origin = disk.image.checksum if disk.image is not None else disk.guest_format
        if known.fill_token != disk.fill_token or (disk.source == "image" and known.origin != origin):
            return True
    return False


def _plan_devices(spec: ServerSpec, record: Record, devices: Devices) -> list[Step]:
    """Hot plug. What the guest was booted with and still matches is left alone."""
    booted = record.booted or record.spec
    wanted = {disk.serial for disk in spec.disks} | {nic.port_id for nic in spec.nics}
    sizes = devices.sizes_bytes or {}

    def has_grown(disk: DiskSpec) -> bool:
        fixed = disk.read_only or is_optical(disk)
        return not fixed and wanted_bytes(disk) > sizes.get(disk.serial, 1 << 62)

    present, attached = devices.attached, [disk for disk in spec.disks if disk_id(disk.serial) in devices.attached]
    return [
        *(Step("detach_disk", name=disk.serial) for disk in booted.disks if disk.serial not in wanted),
        *(Step("detach_nic", name=nic.port_id) for nic in booted.nics if nic.port_id not in wanted),
        *(Step("resize_disk", disk=disk) for disk in attached if has_grown(disk)),
        *(Step("attach_disk", disk=disk) for disk in spec.disks if disk_id(disk.serial) not in present),
        *(Step("attach_nic", nic=nic) for nic in spec.nics if nic_id(nic.port_id) not in present),
    ]
