# SPDX-License-Identifier: Apache-2.0
"""Rescue and shelving: servers that are set aside, and taken up again."""

from altostratus.kernel.errors import BadRequest
from altostratus.kernel.policy import ADMIN, MEMBER
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Action, Reply
from altostratus.services.compute.api.servers.changes import new_password
from altostratus.services.compute.api.servers.child import ServerChild, demand
from altostratus.services.compute.api.servers.power import start_job
from altostratus.services.compute.api.servers.schemas import FQDN
from altostratus.services.compute.api.shared import NAME, UUID, wrapped
from altostratus.services.compute.jobs.rescue import RESCUE, UNRESCUE
from altostratus.services.compute.jobs.shelve import SHELVE, UNSHELVE
from altostratus.services.compute.logic import servers, snapshots
from altostratus.services.compute.logic.building import images, request

_RESCUE = wrapped(
    "rescue",
    {
        "type": ["object", "null"],
        "properties": {"adminPass": {"type": "string"}, "rescue_image_ref": UUID},
        "additionalProperties": False,
    },
)


def _unshelve_body(*, host: bool = False, zone: bool = False) -> dict[str, object]:
    members: dict[str, object] = {}
    if zone:
        members["availability_zone"] = {**NAME, "type": ["string", "null"]} if host else NAME
    if host:
        members["host"] = FQDN
    return wrapped(
        "unshelve",
        {"type": ["object", "null"], "properties": members, "additionalProperties": False, "minProperties": 1}
        if members
        else {},
    )


def rescue(call: Call) -> Reply:
    """Start the server from a rescue image, its own disk beside it."""
    demand(call, "rescue", ("active", "stopped", "error"))
    row, given = call.row, call.body or {}
    root = next((one for one in servers.devices_of(call.tx, [row.id])[row.id] if one.boot_index == 0), None)
    if root is None or root.destination_type != "local":
        raise BadRequest(f"Instance {row.id} cannot be rescued: Cannot rescue a volume-backed instance")
    if row.host is None:
        raise BadRequest(f"Instance {row.id} cannot be rescued: it is not on any host.")
    found = images.get_usable(call.tx, call.ctx, given.get("rescue_image_ref") or row.image_id)
    start_job(call, RESCUE, {"image_id": found.id})
    return Reply(200, {"adminPass": given.get("adminPass") or new_password()})


def unrescue(call: Call) -> None:
    """Start the server from its own disk again."""
    demand(call, "unrescue", ("rescued", "error"))
    start_job(call, UNRESCUE)


def shelve(call: Call) -> None:
    """Keep the server as an image and free its host."""
    demand(call, "shelve", ("active", "stopped", "paused", "suspended"))
    row = call.row
    root = next((one for one in servers.devices_of(call.tx, [row.id])[row.id] if one.boot_index == 0), None)
    image_id = None
    if root is not None and root.destination_type == "local":
        image_id = snapshots.new_image(call.tx, call.cloud, call.ctx, row, f"{row.name}-shelved", {})
    start_job(call, SHELVE, {"image_id": image_id})


def shelve_offload(call: Call) -> None:
    """Shelved servers leave their host by themselves, so there is never one to send away."""
    demand(call, "shelveOffload", ("shelved",))


def take_up(call: Call) -> None:
    """Bring a shelved server back, on any host that fits."""
    demand(call, "unshelve", ("shelved", "shelved_offloaded"))
    given = call.body if isinstance(call.body, dict) else {}
    params: dict[str, object] = {}
    if given.get("host"):
        call.demand("os_compute_api:os-shelve:unshelve_to_host", dict(call.row._mapping))
        params["host"] = given["host"]
    if "availability_zone" in given:
        params["zone"] = given["availability_zone"]
    zone = request.Zone(given.get("availability_zone"), given.get("host"))
    request.demand_zone(call.tx, call.cloud, zone)
    start_job(call, UNSHELVE, params)


_SHELVE = "os_compute_api:os-shelve"


class ServerSettingAside(ServerChild, path="/servers"):
    """Rescue and shelving."""

    rescue = Action("rescue", "os_compute_api:os-rescue", MEMBER, rescue, status=200, body=_RESCUE)
    unrescue = Action("unrescue", "os_compute_api:os-unrescue", MEMBER, unrescue, body=wrapped("unrescue", {}))
    shelve = Action("shelve", f"{_SHELVE}:shelve", MEMBER, shelve, body=wrapped("shelve", {}))
    offload = Action(
        "shelveOffload", f"{_SHELVE}:shelve_offload", ADMIN, shelve_offload, body=wrapped("shelveOffload", {})
    )
    unshelve = Action("unshelve", f"{_SHELVE}:unshelve", MEMBER, take_up, body=_unshelve_body(), until="2.76")
    unshelve_77 = Action(
        "unshelve", f"{_SHELVE}:unshelve", MEMBER, take_up, body=_unshelve_body(zone=True), since="2.77", until="2.90"
    )
    unshelve_91 = Action(
        "unshelve", f"{_SHELVE}:unshelve", MEMBER, take_up, body=_unshelve_body(zone=True, host=True), since="2.91"
    )
