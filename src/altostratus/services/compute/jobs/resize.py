# SPDX-License-Identifier: Apache-2.0
"""Resizing on the same host: stop, take the new flavor, start; then confirmed or reverted by people.

Disks only grow: reverting gives vCPUs and memory back, the larger disk stays.
"""

from typing import Any

from altostratus.kernel import clock
from altostratus.kernel.jobs import Job, Step, StepCall, Want, desire, local
from altostratus.services.compute.logic import hosts, servers, states
from altostratus.services.compute.logic.scheduling import choose
from altostratus.services.compute.logic.wanted import server_want
from altostratus.services.compute.models.servers import BlockDevice, Server
from altostratus.services.placement import public as placement


def _claim(step: StepCall, flavor: dict[str, Any]) -> None:
    row = step.tx.get(Server, step.resource_id, what="server")
    placement.claim(
        step.tx,
        row.id,
        hosts.provider_id(row.host),
        choose.resources_of(step.tx, row, flavor),
        project_id=row.project_id,
        user_id=row.user_id,
    )


def prepare(step: StepCall) -> None:
    row = step.tx.get(Server, step.resource_id, what="server")
    step.data["before"] = {"wanted_power": row.wanted_power, "vm_state": row.vm_state, "power_token": row.power_token}
    step.data["old"] = {"flavor": row.flavor, "flavor_id": row.flavor_id}
    both = {
        name: max(units, choose.resources_of(step.tx, row).get(name, 0))
        for name, units in choose.resources_of(step.tx, row, step.params["flavor"]).items()
    }
    placement.claim(step.tx, row.id, hosts.provider_id(row.host), both, project_id=row.project_id, user_id=row.user_id)
    servers.touch(step.tx, row.id, wanted_power="stopped")


def unprepare(step: StepCall) -> None:
    """Everything as it was, and the wish for it; nobody waits, because nothing more could be done."""
    old = step.data.get("old")
    if old is None:
        return
    _take(step, old["flavor"], old["flavor_id"], None)
    _claim(step, old["flavor"])
    servers.touch(step.tx, step.resource_id, **step.data["before"])
    step.desired.want(step.tx, server_want(step.tx, step.cloud, step.resource_id))


def ask(step: StepCall) -> list[Want]:
    return [server_want(step.tx, step.cloud, step.resource_id)]


def _take(step: StepCall, flavor: dict[str, Any], flavor_id: str, old: dict[str, Any] | None) -> None:
    row = step.tx.get(Server, step.resource_id, what="server")
    for device in servers.devices_of(step.tx, [row.id])[row.id]:
        if device.boot_index == 0 and device.destination_type == "local":
            step.tx.update(BlockDevice, device.id, size_gib=max(flavor["disk"], device.size_gib or 0))
    servers.touch(
        step.tx,
        row.id,
        flavor=flavor,
        flavor_id=flavor_id,
        vcpus=flavor["vcpus"],
        memory_mib=flavor["ram"],
        old_flavor=old,
    )


def take_new(step: StepCall) -> None:
    before = step.data["before"]
    _take(step, step.params["flavor"], step.params["flavor_id"], step.data["old"] | {"vm_state": before["vm_state"]})
    running = before["vm_state"] == "active"
    servers.touch(
        step.tx,
        step.resource_id,
        wanted_power="running" if running else "stopped",
        power_token=step.job_id if running else None,
    )


def resized(step: StepCall) -> None:
    running = step.data["before"]["vm_state"] == "active"
    servers.touch(
        step.tx,
        step.resource_id,
        vm_state="resized",
        power_state=states.RUNNING if running else states.SHUTDOWN,
        fault=None,
    )
    servers.notify(step.tx, step.cloud, step.tx.get(Server, step.resource_id), "resize.confirm.start")


def failed(step: StepCall, error: str) -> None:
    servers.touch(step.tx, step.resource_id, fault=states.fault(500, error, clock.now()))


def stuck(step: StepCall, error: str) -> None:
    servers.touch(step.tx, step.resource_id, vm_state="error", fault=states.fault(500, error, clock.now()))


def confirm(step: StepCall) -> None:
    row = step.tx.get(Server, step.resource_id, what="server")
    if row.old_flavor is None:
        return
    _claim(step, row.flavor)
    was = row.old_flavor.get("vm_state", "active")
    servers.touch(
        step.tx, row.id, old_flavor=None, vm_state="stopped" if row.power_state == states.SHUTDOWN else "active"
    )
    servers.notify(step.tx, step.cloud, row, "resize.confirm.end", old_state=was)


def stop_for_revert(step: StepCall) -> None:
    servers.touch(step.tx, step.resource_id, wanted_power="stopped")


def revert(step: StepCall) -> None:
    row = step.tx.get(Server, step.resource_id, what="server")
    old = row.old_flavor
    if old is None:
        return
    step.data["was"] = old.get("vm_state", "active")
    _take(step, old["flavor"], old["flavor_id"], None)
    running = step.data["was"] == "active"
    servers.touch(
        step.tx,
        row.id,
        wanted_power="running" if running else "stopped",
        power_token=step.job_id if running else None,
    )
    _claim(step, old["flavor"])


def reverted(step: StepCall) -> None:
    running = step.data.get("was", "active") == "active"
    servers.touch(
        step.tx,
        step.resource_id,
        vm_state="active" if running else "stopped",
        power_state=states.RUNNING if running else states.SHUTDOWN,
        fault=None,
    )
    servers.notify(step.tx, step.cloud, step.tx.get(Server, step.resource_id), "resize.revert.end")


RESIZE = Job(
    "server.resize",
    resource="server",
    busy="queue",
    steps=[
        Step("prepare", local(prepare), undo=local(unprepare)),
        Step("stop", desire(ask), deadline_s=300),
        Step("take", local(take_new)),
        Step("domain", desire(ask), deadline_s=600),
        Step("resized", local(resized)),
    ],
    on_failed=failed,
    on_stuck=stuck,
    describe="Give a server another flavor, until it is confirmed or reverted.",
)
CONFIRM_RESIZE = Job(
    "server.confirm_resize",
    resource="server",
    busy="queue",
    forward_only=True,
    steps=[Step("confirm", local(confirm))],
    on_stuck=stuck,
    describe="Keep the new flavor.",
)
REVERT_RESIZE = Job(
    "server.revert_resize",
    resource="server",
    busy="queue",
    forward_only=True,
    steps=[
        Step("halt", local(stop_for_revert)),
        Step("stop", desire(ask), deadline_s=300),
        Step("revert", local(revert)),
        Step("domain", desire(ask), deadline_s=600),
        Step("reverted", local(reverted)),
    ],
    on_stuck=stuck,
    describe="Go back to the flavor from before.",
)
