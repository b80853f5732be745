# SPDX-License-Identifier: Apache-2.0
"""Attaching network interfaces to servers, and detaching them."""

from altostratus.kernel import clock
from altostratus.kernel.jobs import Job, Step, StepCall, Want, desire, local
from altostratus.services.compute.logic import servers, states
from altostratus.services.compute.logic.wanted import server_want
from altostratus.services.compute.models.servers import Server
from altostratus.services.network import public as network


def wire(step: StepCall) -> list[Want]:
    row = step.tx.get(Server, step.resource_id, what="server")
    return network.port_wants(step.tx, step.cloud, [step.params["port_id"]], row.host) if row.host else []


def unwire(step: StepCall) -> list[Want]:
    row = step.tx.get(Server, step.resource_id, what="server")
    return network.unplug_wants(step.tx, step.cloud, [step.params["port_id"]], row.host) if row.host else []


def plug(step: StepCall) -> None:
    row = step.tx.get(Server, step.resource_id, what="server")
    port_id = step.params["port_id"]
    nics = [*(one for one in row.nics if one != port_id), port_id]
    servers.touch(step.tx, row.id, nics=nics)


def unplug(step: StepCall) -> None:
    row = step.tx.get(Server, step.resource_id, what="server")
    servers.touch(step.tx, row.id, nics=[one for one in row.nics if one != step.params["port_id"]])


def ask(step: StepCall) -> list[Want]:
    row = step.tx.get(Server, step.resource_id, what="server")
    return [server_want(step.tx, step.cloud, row.id)] if row.host else []


def take_back(step: StepCall) -> list[Want]:
    """Undo of an attach: the card leaves the guest before its tap goes."""
    unplug(step)
    return ask(step)


def put_back(step: StepCall) -> list[Want]:
    """Undo of a detach."""
    plug(step)
    return ask(step)


def attached(step: StepCall) -> None:
    network.set_ports_status(step.tx, [step.params["port_id"]], "ACTIVE")
    row = step.tx.get(Server, step.resource_id)
    servers.notify(step.tx, step.cloud, row, "interface.attach", port_id=step.params["port_id"])


def attach_failed(step: StepCall, error: str) -> None:
    network.detach_port(step.tx, step.cloud, step.params["port_id"])


def detached(step: StepCall) -> None:
    network.detach_port(step.tx, step.cloud, step.params["port_id"])
    row = step.tx.get(Server, step.resource_id)
    nics = [one for one in row.requested_nics if one.get("bound") != step.params["port_id"]]
    servers.touch(step.tx, row.id, requested_nics=nics)
    servers.notify(step.tx, step.cloud, row, "interface.detach", port_id=step.params["port_id"])


def stuck(step: StepCall, error: str) -> None:
    servers.touch(step.tx, step.resource_id, fault=states.fault(500, error, clock.now()))


ATTACH_INTERFACE = Job(
    "server.attach_interface",
    resource="server",
    busy="queue",
    steps=[
        Step("wire", desire(wire), undo=desire(unwire), deadline_s=300),
        Step("plug", local(plug), undo=local(unplug)),
        Step("domain", desire(ask), undo=desire(take_back), deadline_s=300),
        Step("attached", local(attached)),
    ],
    on_failed=attach_failed,
    on_stuck=stuck,
    describe="Give a server a network card.",
)
DETACH_INTERFACE = Job(
    "server.detach_interface",
    resource="server",
    busy="queue",
    steps=[
        Step("unplug", local(unplug), undo=local(plug)),
        Step("domain", desire(ask), undo=desire(put_back), deadline_s=300),
        Step("unwire", desire(unwire), undo=desire(wire), deadline_s=300),
        Step("detached", local(detached)),
    ],
    on_stuck=stuck,
    describe="Take a network card from a server.",
)
