# SPDX-License-Identifier: Apache-2.0
"""What can be done with a volume by `POST /volumes/{id}/action`."""

from typing import Any

from altostratus.kernel.errors import BadRequest, NotFound
from altostratus.kernel.policy import ADMIN, MEMBER, READER, Rule
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Action, Reply
from altostratus.services.block_storage.api import schemas
from altostratus.services.block_storage.api.volumes.resource import delete_row
from altostratus.services.block_storage.jobs import begin
from altostratus.services.block_storage.logic import attachments, scheduling, types, volumes
from altostratus.services.block_storage.models.volumes import Attachment, Volume
from altostratus.services.image import public as image_service

_STATUSES = (
    "available", "attaching", "creating", "deleting", "detaching", "downloading", "error", "error_deleting",
    "error_extending", "error_restoring", "extending", "in-use", "maintenance", "reserved", "restoring-backup",
    "retyping", "uploading", "awaiting-transfer", "backing-up", "error_backing-up", "error_managing", "managing",
)  # fmt: skip


def attach(call: Call) -> None:
    """Note that a server or host has the volume; nothing is plugged by this."""
    mode = call.body.get("mode", "rw")
    if call.row.readonly and mode != "ro":
        raise BadRequest(f"Invalid attaching mode '{mode}' for volume {call.row.id}, which is read-only.")
    if call.row.status not in ("available", "attaching", "reserved") and not call.row.multiattach:
        raise BadRequest(
            f"Invalid volume: volume status must be available or attaching to attach, it is {call.row.status}."
        )
    server_id, host = call.body.get("instance_uuid"), call.body.get("host_name")
    attachment_id = attachments.reserve(
        call.tx, _freed(call), server_id, mountpoint=call.body["mountpoint"], mode=mode, status="attaching"
    )
    call.tx.update(Attachment, attachment_id, host=host)
    attachments.complete(call.tx, attachment_id)


def _freed(call: Call) -> str:
    """A volume that was reserved for this very attachment counts as free."""
    if call.row.status in ("attaching", "reserved"):
        call.tx.update(Volume, call.row.id, status="available")
    return str(call.row.id)


def detach(call: Call) -> None:
    """Forget an attachment; without an id the only one."""
    rows = attachments.of_volume(call.tx, call.row.id)
    wanted = (call.body or {}).get("attachment_id")
    if wanted is not None:
        rows = [one for one in rows if one.id == wanted]
        if not rows:
            raise NotFound(f"Volume attachment could not be found with filter: attachment_id = {wanted}.")
    if len(rows) > 1:
        raise BadRequest("Invalid volume: the volume has several attachments; say which by attachment_id.")
    if not rows:
        attachments.settle(call.tx, call.row.id)
    else:
        attachments.detach(call.tx, rows[0].id)


def reserve(call: Call) -> None:
    allowed = ("available", "in-use") if call.row.multiattach else ("available",)
    if call.row.status not in allowed:
        raise BadRequest(
            f"Invalid volume: Volume status must be {' or '.join(allowed)} to reserve, but the status is "
            f"{call.row.status}."
        )
    volumes.change(call.tx, call.row.id, status="attaching")


def unreserve(call: Call) -> None:
    if call.row.status == "attaching":
        attachments.settle(call.tx, call.row.id)


def begin_detaching(call: Call) -> None:
    attachments.begin_detaching(call.tx, call.row)


def roll_detaching(call: Call) -> None:
    attachments.roll_detaching(call.tx, call.row)


def initialize_connection(call: Call) -> Reply:
    """How a host opens the volume."""
    if not isinstance(call.body["connector"], dict):
        raise BadRequest("Invalid input received: the connector must be an object with the host's properties.")
    if call.row.path is None:
        raise BadRequest(f"Invalid volume: Volume {call.row.id} has no data yet, it is {call.row.status}.")
    info = attachments.connection_info(call.row, None)
    return Reply(200, {"connection_info": info | {"enforce_multipath": False}})


def terminate_connection(call: Call) -> None:
    return None


def extend(call: Call) -> None:
    new_size = schemas.size_gib(call.body["new_size"])
    volumes.begin_extend(call.tx, call.cloud, call.row, new_size)
    begin.extend_volume(call.tx, call.cloud, call.row.id, new_size, schemas.origin_of(call))


def set_bootable(call: Call) -> Reply:
    volumes.change(call.tx, call.row.id, bootable=schemas.truth(call.body["bootable"]))
    return Reply(200)


def set_readonly(call: Call) -> None:
    if call.row.status != "available":
        raise BadRequest(
            f"Invalid volume: Volume {call.row.id} status must be available to update readonly flag, but current "
            f"status is: {call.row.status}."
        )
    volumes.change(call.tx, call.row.id, readonly=schemas.truth(call.body["readonly"]))


def reset_status(call: Call) -> None:
    """Administrators set the states right by hand."""
    given = {name: value for name, value in call.body.items() if value is not None}
    if not given:
        raise BadRequest("Must specify 'status', 'attach_status' or 'migration_status' for update.")
    changes: dict[str, Any] = {name: value for name, value in given.items() if name != "migration_status"}
    if "migration_status" in given:
        changes["migration_status"] = None if given["migration_status"] == "none" else given["migration_status"]
    volumes.change(call.tx, call.row.id, **changes)


def force_delete(call: Call) -> None:
    row = call.row
    if row.attach_status == "attached":
        for one in attachments.of_volume(call.tx, row.id):
            attachments.detach(call.tx, one.id)
        row = call.tx.get(Volume, row.id)
    delete_row(call, row, force=True, cascade=False)


def force_detach(call: Call) -> None:
    attachment_id = call.body.get("attachment_id")
    rows = attachments.of_volume(call.tx, call.row.id)
    chosen = [one for one in rows if attachment_id in (None, one.id)]
    if attachment_id is not None and not chosen:
        raise BadRequest(f"Volume {call.row.id} has no attachment {attachment_id}.")
    for one in chosen:
        attachments.detach(call.tx, one.id)
    if not rows:
        attachments.settle(call.tx, call.row.id)


def retype(call: Call) -> None:
    """Another type, if the back end that has the volume offers what the new type wants."""
    kind = types.get_type(call.tx, call.body["new_type"], call.ctx)
    row = call.row
    if kind.id == row.volume_type_id:
        raise BadRequest(f"Invalid input received: New volume_type same as original: {kind.name}.")
    if row.status not in ("available", "in-use") or row.host is None:
        raise BadRequest(
            f"Invalid volume: Retype needs volume to be in available or in-use state, not be part of an active "
            f"migration or a consistency group; it is {row.status}."
        )
    request = scheduling.Request(0, row.availability_zone, kind.extra_specs, row.host)
    pools = [pool for pool in scheduling.list_pools(call.tx, call.cloud) if pool.name == row.host]
    pool, reason = scheduling.choose(pools, request)
    if pool is None:
        raise BadRequest(f"Invalid input received: {reason} Volumes are not moved between back ends.")
    volumes.change(call.tx, row.id, volume_type_id=kind.id, multiattach=types.wants_multiattach(kind))
    volumes.emit(call.tx, call.cloud, "volume.retype", call.tx.get(Volume, row.id))


def upload_image(call: Call) -> Reply:
    """Make an image of the volume's content."""
    body, row = call.body, call.row
    force = schemas.truth(body.get("force", False))
    allowed = ("available", "in-use") if force else ("available",)
    visibility = body.get("visibility", "private")
    if visibility == "public":
        call.demand("volume_extension:volume_actions:upload_public")
    if row.status not in allowed or row.host is None:
        raise BadRequest(f"Invalid volume: Volume {row.id} status must be {' or '.join(allowed)}, it is {row.status}.")
    disk_format = body.get("disk_format", "raw")
    if disk_format == "ploop":
        raise BadRequest("The disk format ploop cannot be written. Use raw, qcow2, vmdk, vdi, vhd or vhdx.")
    container_format = body.get("container_format") or "bare"
    known = ("image_id", "image_name", "checksum", "container_format", "disk_format", "min_disk", "min_ram", "size")
    properties = {name: value for name, value in row.image_metadata.items() if name not in known}
    image_id = image_service.create_snapshot_image(
        call.tx, call.cloud, call.ctx, name=body["image_name"], disk_format=disk_format, properties=properties,
        min_disk_gib=row.size, min_ram_mib=int(row.image_metadata.get("min_ram", 0)), visibility=visibility,
        container_format=container_format, protected=schemas.truth(body.get("protected", False)),
    )  # fmt: skip
    volumes.change(call.tx, row.id, status="uploading", previous_status=row.status)
    begin.upload_volume(call.tx, call.cloud, row.id, image_id, disk_format, schemas.origin_of(call))
    kind = types.get_type(call.tx, row.volume_type_id) if row.volume_type_id else None
    answer: dict[str, Any] = {
        "id": row.id,
        "updated_at": row.updated_at,
        "status": "uploading",
        "display_description": row.description,
        "size": row.size,
        "volume_type": None if kind is None else {"id": kind.id, "name": kind.name},
        "image_id": image_id,
        "container_format": container_format,
        "disk_format": disk_format,
        "image_name": body["image_name"],
    }
    if call.version is not None and call.version.minor >= 1:
        answer |= {"visibility": visibility, "protected": schemas.truth(body.get("protected", False))}
    return Reply(202, {"os-volume_upload_image": answer})


def set_image_metadata(call: Call) -> Reply:
    merged = call.row.image_metadata | call.body["metadata"]
    volumes.change(call.tx, call.row.id, image_metadata=merged)
    return Reply(200, {"metadata": merged})


def show_image_metadata(call: Call) -> Reply:
    return Reply(200, {"metadata": call.row.image_metadata})


def unset_image_metadata(call: Call) -> Reply:
    key = call.body["key"]
    if key not in call.row.image_metadata:
        raise NotFound(f"Metadata item {key} was not found in the image metadata of volume {call.row.id}.")
    kept = {name: value for name, value in call.row.image_metadata.items() if name != key}
    volumes.change(call.tx, call.row.id, image_metadata=kept)
    return Reply(200)


def _body(action: str, inner: dict[str, Any] | None = None) -> dict[str, Any]:
    return schemas.wrapped(action, inner)


_ATTACH = schemas.closed(
    ("mountpoint",),
    instance_uuid=schemas.UUID,
    host_name={"type": "string", "maxLength": 255},
    mountpoint={"type": "string", "minLength": 1, "maxLength": 255},
    mode={"enum": ["rw", "ro"]},
) | {"anyOf": [{"required": ["instance_uuid"]}, {"required": ["host_name"]}]}
_DETACH = schemas.closed(attachment_id=schemas.UUID_OR_NULL) | {"type": ["object", "null"]}
_CONNECTOR: dict[str, Any] = schemas.closed(("connector",), connector={"type": ["object", "string", "null"]})
_RESET = schemas.closed(
    status={"enum": [*_STATUSES, None]},
    attach_status={"enum": ["attached", "detached", "attaching", "detaching", "reserved", "error_attaching", None]},
    migration_status={"type": ["string", "null"], "maxLength": 255},
)
_UPLOAD = {
    "image_name": {"type": "string", "minLength": 1, "maxLength": 255},
    "force": schemas.BOOLEAN,
    "disk_format": {"enum": ["raw", "vmdk", "vdi", "qcow2", "vhd", "vhdx", "ploop"]},
    "container_format": {"type": ["string", "null"], "maxLength": 255},
}
_UPLOAD_31 = _UPLOAD | {
    "visibility": {"enum": ["community", "public", "private", "shared"]},
    "protected": schemas.BOOLEAN,
}
_RETYPE = schemas.closed(
    ("new_type",), new_type={"type": "string"}, migration_policy={"enum": ["on-demand", "never", None]}
)
_ACTIONS = "volume_extension:volume_actions:"
_ADMINISTRATION = "volume_extension:volume_admin_actions:"
_IMAGE_METADATA = "volume_extension:volume_image_metadata:"


class VolumeActions(Resource, path="/volumes", one="volume"):
    """Actions on a volume."""

    row = Volume
    what = "volume"
    attach = Action("os-attach", _ACTIONS + "attach", MEMBER, attach, body=_body("os-attach", _ATTACH))
    detach = Action("os-detach", _ACTIONS + "detach", MEMBER, detach, body=_body("os-detach", _DETACH))
    reserve = Action("os-reserve", _ACTIONS + "reserve", MEMBER, reserve, body=_body("os-reserve"))
    unreserve = Action("os-unreserve", _ACTIONS + "unreserve", MEMBER, unreserve, body=_body("os-unreserve"))
    begin_detaching = Action(
        "os-begin_detaching", _ACTIONS + "begin_detaching", MEMBER, begin_detaching, body=_body("os-begin_detaching")
    )
    roll_detaching = Action(
        "os-roll_detaching", _ACTIONS + "roll_detaching", MEMBER, roll_detaching, body=_body("os-roll_detaching")
    )
    initialize = Action(
        "os-initialize_connection", _ACTIONS + "initialize_connection", MEMBER, initialize_connection, status=200,
        body=_body("os-initialize_connection", _CONNECTOR),
    )  # fmt: skip
    terminate = Action(
        "os-terminate_connection", _ACTIONS + "terminate_connection", MEMBER, terminate_connection,
        body=_body("os-terminate_connection", _CONNECTOR),
    )  # fmt: skip
    extend = Action(
        "os-extend", "volume:extend", MEMBER, extend,
        body=_body("os-extend", schemas.closed(("new_size",), new_size=schemas.SIZE)),
    )  # fmt: skip
    set_bootable = Action(
        "os-set_bootable", "volume:update", MEMBER, set_bootable, status=200,
        body=_body("os-set_bootable", schemas.closed(("bootable",), bootable=schemas.BOOLEAN)),
    )  # fmt: skip
    set_readonly = Action(
        "os-update_readonly_flag", "volume:update_readonly_flag", MEMBER, set_readonly,
        body=_body("os-update_readonly_flag", schemas.closed(("readonly",), readonly=schemas.BOOLEAN)),
    )  # fmt: skip
    reset_status = Action(
        "os-reset_status", _ADMINISTRATION + "reset_status", ADMIN, reset_status, body=_body("os-reset_status", _RESET)
    )
    force_delete = Action(
        "os-force_delete", _ADMINISTRATION + "force_delete", ADMIN, force_delete, body=_body("os-force_delete")
    )
    force_detach = Action(
        "os-force_detach", _ADMINISTRATION + "force_detach", ADMIN, force_detach,
        body=_body(
            "os-force_detach",
            schemas.closed(attachment_id=schemas.UUID_OR_NULL, connector={"type": ["object", "string", "null"]}),
        ),
    )  # fmt: skip
    retype = Action("os-retype", "volume:retype", MEMBER, retype, body=_body("os-retype", _RETYPE))
    upload = Action(
        "os-volume_upload_image", _ACTIONS + "upload_image", MEMBER, upload_image, until="3.0",
        body=_body("os-volume_upload_image", schemas.closed(("image_name",), **_UPLOAD)),
    )  # fmt: skip
    upload_newer = Action(
        "os-volume_upload_image", _ACTIONS + "upload_image", MEMBER, upload_image, since="3.1",
        body=_body("os-volume_upload_image", schemas.closed(("image_name",), **_UPLOAD_31)),
    )  # fmt: skip
    set_image_metadata = Action(
        "os-set_image_metadata", _IMAGE_METADATA + "set", MEMBER, set_image_metadata, status=200,
        body=_body("os-set_image_metadata", schemas.closed(("metadata",), metadata=schemas.IMAGE_METADATA)),
    )  # fmt: skip
    show_image_metadata = Action(
        "os-show_image_metadata", _IMAGE_METADATA + "show", READER, show_image_metadata, status=200, tx="read",
        body=_body("os-show_image_metadata"),
    )  # fmt: skip
    unset_image_metadata = Action(
        "os-unset_image_metadata", _IMAGE_METADATA + "remove", MEMBER, unset_image_metadata, status=200,
        body=_body(
            "os-unset_image_metadata",
            schemas.closed(("key",), key={"type": "string", "minLength": 1, "maxLength": 255}),
        ),
    )  # fmt: skip


RULES = (Rule("volume_extension:volume_actions:upload_public", ADMIN.check, "Make a public image of a volume"),)
