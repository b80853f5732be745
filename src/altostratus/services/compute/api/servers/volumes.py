# SPDX-License-Identifier: Apache-2.0
"""`/servers/{id}/os-volume_attachments`: volumes of a server."""

from typing import Any

from altostratus.kernel.db import Row
from altostratus.kernel.errors import BadRequest, Forbidden, NotFound
from altostratus.kernel.numbers import whole_number
from altostratus.kernel.policy import MEMBER, READER
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.fields import parse_bool
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.block_storage import public as block_storage
from altostratus.services.compute.api.servers.child import ServerChild, demand
from altostratus.services.compute.api.servers.power import start_job
from altostratus.services.compute.api.servers.schemas import TAG
from altostratus.services.compute.api.shared import BOOLEAN, UUID, at, closed, wrapped
from altostratus.services.compute.jobs.volumes import ATTACH_VOLUME, DETACH_VOLUME
from altostratus.services.compute.logic import devices, servers
from altostratus.services.compute.models.servers import BlockDevice

_ATTACHABLE = ("active", "paused", "stopped", "resized", "soft-delete", "shelved", "shelved_offloaded")
_DETACHABLE = ("active", "paused", "suspended", "stopped", "resized", "soft-delete", "shelved", "shelved_offloaded")
_DEVICE = {"type": ["string", "null"], "pattern": r"(^/dev/x{0,1}[a-z]{0,1}d{0,1})([a-z]+)[0-9]*$"}


def _attach_body(*, tag: bool = False, flag: bool = False) -> dict[str, Any]:
    members: dict[str, Any] = {"volumeId": UUID, "device": _DEVICE}
    if tag:
        members["tag"] = TAG
    if flag:
        members["delete_on_termination"] = BOOLEAN
    return wrapped("volumeAttachment", closed(members, "volumeId"))


_SWAP_BODY = wrapped("volumeAttachment", closed({"volumeId": UUID}, "volumeId"))
_UPDATE_BODY = wrapped(
    "volumeAttachment",
    closed(
        {
            "volumeId": UUID,
            "device": _DEVICE,
            "tag": TAG,
            "delete_on_termination": BOOLEAN,
            "serverId": UUID,
            "id": UUID,
        },
        "volumeId",
    ),
)


def _shown(call: Call, row: Row[Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if not at(call, 89):
        shown["id"] = row.volume_id
    shown |= {
        "serverId": row.server_id,
        "volumeId": row.volume_id,
        "device": "/dev/" + row.device_name if row.device_name else None,
    }
    if at(call, 70):
        shown["tag"] = row.tag
    if at(call, 79):
        shown["delete_on_termination"] = row.delete_on_termination
    if at(call, 89):
        shown["attachment_id"] = row.attachment_id
        shown["bdm_uuid"] = row.id
    return shown


def _volumes(call: Call) -> list[Row[Any]]:
    return [row for row in servers.devices_of(call.tx, [call.row.id])[call.row.id] if row.volume_id]


def _get(call: Call) -> Row[Any]:
    volume_id = call.params["volume_id"]
    for row in _volumes(call):
        if row.volume_id == volume_id:
            return row
    raise NotFound(f"Instance {call.row.id} is not attached to volume {volume_id}.")


def list_attachments(call: Call) -> Reply:
    """Volumes of the server, in the order of attachment."""
    rows = _volumes(call)
    offset = whole_number(call.query.get("offset", ["0"])[-1])
    limit = whole_number(call.query.get("limit", [""])[-1] or str(len(rows)))
    if offset is None or limit is None:
        raise BadRequest("limit and offset must be whole numbers that are not negative.")
    rows = rows[offset:][:limit]
    return Reply(200, {"volumeAttachments": [_shown(call, row) for row in rows]})


def show_attachment(call: Call) -> Reply:
    return Reply(200, {"volumeAttachment": _shown(call, _get(call))})


def attach_volume(call: Call) -> Reply:
    """Give the server a volume. Several at once wait for each other and all succeed."""
    given = call.body["volumeAttachment"]
    demand(call, "attach_volume", _ATTACHABLE)
    volume_id = given["volumeId"]
    own = servers.devices_of(call.tx, [call.row.id])[call.row.id]
    try:
        volume = block_storage.get_volume(call.tx, call.ctx, volume_id)
    except NotFound:
        raise NotFound(f"Volume {volume_id} could not be found.") from None
    if any(row.volume_id == volume_id for row in own):
        raise BadRequest(f"Invalid volume: volume {volume_id} is already attached to instance {call.row.id}.")
    if volume.multiattach and not at(call, 60):
        raise BadRequest("Volumes with multiattach can be attached from microversion 2.60 on.")
    row = devices.add_volume(
        call.tx,
        call.row.id,
        own,
        {
            "volume_id": volume_id,
            "delete_on_termination": bool(parse_bool(given.get("delete_on_termination", False))),
            "tag": given.get("tag"),
            "size_gib": volume.size_gib,
        },
    )
    attachment_id = block_storage.reserve(call.tx, volume_id, call.row.id, "/dev/" + row.device_name)
    call.tx.update(BlockDevice, row.id, attachment_id=attachment_id)
    servers.touch(call.tx, call.row.id)
    start_job(call, ATTACH_VOLUME, {"device_id": row.id, "volume_id": volume_id})
    return Reply(200, {"volumeAttachment": _shown(call, call.tx.get(BlockDevice, row.id))})


def detach_volume(call: Call) -> Reply:
    """Take a volume from the server; the boot disk cannot be taken."""
    row = _get(call)
    demand(call, "detach_volume", _DETACHABLE)
    if row.boot_index == 0 and call.row.vm_state != "shelved_offloaded":
        raise Forbidden("Cannot detach a root device volume")
    if row.attachment_id is None or not row.wired:
        raise BadRequest(f"Volume {row.volume_id} is still being attached or detached. Wait until it is in-use.")
    block_storage.begin_detach(call.tx, row.attachment_id)
    start_job(call, DETACH_VOLUME, {"device_id": row.id, "volume_id": row.volume_id})
    return Reply(202)


def update_attachment(call: Call) -> Reply:
    """Change what happens to the volume when the server is deleted."""
    given = call.body["volumeAttachment"]
    row = _get(call)
    if given["volumeId"] != row.volume_id:
        call.demand("os_compute_api:os-volumes-attachments:swap")
        raise BadRequest(
            "Swapping a server's volume for another is not offered. Detach the old one and attach the new one."
        )
    if "delete_on_termination" in given:
        flag = bool(parse_bool(given["delete_on_termination"]))
        call.tx.update(BlockDevice, row.id, delete_on_termination=flag)
    return Reply(202)


def _rule(name: str) -> str:
    return f"os_compute_api:os-volumes-attachments:{name}"


class ServerVolumes(ServerChild, path="/servers"):
    """Volumes of a server."""

    index = Op("GET", "/{id}/os-volume_attachments", _rule("index"), READER, list_attachments)
    show = Op("GET", "/{id}/os-volume_attachments/{volume_id}", _rule("show"), READER, show_attachment)
    attach = Op(
        "POST", "/{id}/os-volume_attachments", _rule("create"), MEMBER, attach_volume, body=_attach_body(), until="2.48"
    )
    attach_49 = Op(
        "POST", "/{id}/os-volume_attachments", _rule("create"), MEMBER, attach_volume, body=_attach_body(tag=True),
        since="2.49", until="2.78",
    )  # fmt: skip
    attach_79 = Op(
        "POST", "/{id}/os-volume_attachments", _rule("create"), MEMBER, attach_volume, since="2.79",
        body=_attach_body(tag=True, flag=True),
    )  # fmt: skip
    swap = Op(
        "PUT", "/{id}/os-volume_attachments/{volume_id}", _rule("swap"), "rule:service_or_admin", update_attachment,
        body=_SWAP_BODY, until="2.84",
    )  # fmt: skip
    update = Op(
        "PUT",
        "/{id}/os-volume_attachments/{volume_id}",
        _rule("update"),
        MEMBER,
        update_attachment,
        body=_UPDATE_BODY,
        since="2.85",
    )
    detach = Op("DELETE", "/{id}/os-volume_attachments/{volume_id}", _rule("delete"), MEMBER, detach_volume)
