# SPDX-License-Identifier: Apache-2.0
"""Volumes: create, show, update, delete."""

from typing import Any

from sqlalchemy import select

from altostratus.kernel import ids
from altostratus.kernel.db import table_of
from altostratus.kernel.errors import BadRequest, Conflict, NotFound
from altostratus.kernel.policy import ADMIN, MEMBER, READER, Rule
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.fields import Field, Id, Time
from altostratus.kernel.resource.operations import Create, Delete, List, Op, Reply, Show, Update
from altostratus.services.block_storage.api import schemas
from altostratus.services.block_storage.api.volumes.listing import list_brief, list_detail, summary
from altostratus.services.block_storage.api.volumes.views import fragments, shown
from altostratus.services.block_storage.jobs import begin
from altostratus.services.block_storage.logic import types, volumes
from altostratus.services.block_storage.models.volumes import Snapshot, Volume
from altostratus.services.image import public as image_service
from altostratus.services.image.public import ImageInfo


def create(call: Call) -> Reply:
    body = call.body
    _check_extra(call)
    if body.get("multiattach") is not None and schemas.truth(body["multiattach"]):
        raise BadRequest(
            "Invalid volume: multiattach is no property of a volume any more. Use a volume type that has the extra "
            "spec multiattach='<is> True'."
        )
    image_ref = body.get("image_id") or body.get("image_ref")
    if image_ref:
        call.demand("volume:create_from_image")
    wanted = volumes.NewVolume(
        project_id=call.ctx.project_id or "",
        user_id=call.ctx.user_id,
        name=_either(body, "name", "display_name"),
        description=_either(body, "description", "display_description"),
        size_gib=None if body.get("size") is None else schemas.size_gib(body["size"]),
        metadata=body.get("metadata") or {},
        kind=types.get_type(call.tx, body["volume_type"], call.ctx) if body.get("volume_type") else None,
        availability_zone=body.get("availability_zone"),
        image=_image(call, image_ref) if image_ref else None,
        snapshot=_own(call, Snapshot, body.get("snapshot_id"), "Snapshot"),
        source=_own(call, Volume, body.get("source_volid"), "Volume"),
    )
    row = volumes.create_volume(call.tx, call.cloud, wanted)
    begin.create_volume(call.tx, call.cloud, row, schemas.origin_of(call))
    return shown(call, row.id, 202)


def _check_extra(call: Call) -> None:
    """Old microversions take members that nobody knows; 3.53 and later do not."""
    if call.extra and call.version is not None and call.version.minor >= 53:
        names = ", ".join(repr(name) for name in sorted(call.extra))
        raise BadRequest(f"Invalid input for field/attribute volume. Additional properties are not allowed ({names}).")
    for name in ("group_id", "consistencygroup_id", "backup_id"):
        if call.body.get(name):
            raise NotFound(f"{name} {call.body[name]} could not be found.")


def _either(body: dict[str, Any], name: str, older: str) -> str | None:
    value = body.get(name, body.get(older))
    return None if value is None else str(value)


def _own(call: Call, model: type[Any], id: str | None, what: str) -> Any:
    """The row of the caller's project (administrators: any). Raises NotFound."""
    if not id:
        return None
    row = call.tx.find(model, id)
    if row is None or not (call.ctx.is_admin or row.project_id == call.ctx.project_id):
        raise NotFound(f"{what} {id} could not be found.")
    return row


def _image(call: Call, reference: str) -> ImageInfo:
    """By id, by a URL that ends in the id, else by name. Raises BadRequest, Conflict."""
    image_id = reference.rstrip("/").rpartition("/")[2]
    if ids.is_uuid(image_id):
        try:
            return image_service.get_image(call.tx, call.ctx, image_id)
        except NotFound:
            pass
    named = image_service.find_by_name(call.tx, call.ctx, reference)
    if len(named) > 1:
        raise Conflict(f"Multiple matches found for '{reference}', use an ID to be more specific.")
    if not named:
        raise BadRequest(f"Invalid image identifier or unable to access requested image: {reference}.")
    return named[0]


def show(call: Call) -> Reply:
    return Reply(200, {"volume": fragments(call, [call.row])[0]})


def update(call: Call) -> Reply:
    body = call.body
    if not body and call.version is not None and call.version.minor >= 53:
        raise BadRequest("Invalid input for field/attribute volume. Give a name, a description or metadata to change.")
    _refuse_extra(call)
    changes: dict[str, Any] = {}
    for name, older in (("name", "display_name"), ("description", "display_description")):
        if name in body or older in body:
            changes[name] = _either(body, name, older)
    if body.get("metadata") is not None:
        changes["metadata"] = body["metadata"]
    volumes.change(call.tx, call.row.id, **changes)
    volumes.emit(call.tx, call.cloud, "volume.update.end", call.tx.get(Volume, call.row.id))
    return shown(call, call.row.id)


def _refuse_extra(call: Call) -> None:
    if call.extra:
        names = ", ".join(repr(name) for name in sorted(call.extra))
        raise BadRequest(f"Invalid input for field/attribute volume. Additional properties are not allowed ({names}).")


def delete(call: Call) -> Reply:
    cascade = call.query.get("cascade", ["false"])[-1].lower() in ("true", "1", "yes")
    minor = call.version.minor if call.version else 0
    force = minor >= 23 and call.query.get("force", ["false"])[-1].lower() in ("true", "1", "yes")
    if force:
        call.demand("volume:force_delete", {"project_id": call.row.project_id})
    delete_row(call, call.row, force=force, cascade=cascade)
    return Reply(202)


def delete_row(call: Call, row: Any, *, force: bool, cascade: bool) -> None:
    """Begin the deletion of one volume."""
    snapshots = volumes.begin_delete(call.tx, call.cloud, row, force=force, cascade=cascade)
    snapshot_ids = [one.id for one in snapshots]
    begin.delete_volume(call.tx, call.cloud, row.id, snapshot_ids, schemas.origin_of(call))


def show_encryption(call: Call) -> Reply:
    """Volumes are not encrypted by this service."""
    return Reply(200, {"encryption_key_id": None})


def list_metadata(call: Call) -> Reply:
    return Reply(200, {"metadata": call.row._mapping["metadata"]})


def add_metadata(call: Call) -> Reply:
    """Add to the metadata; others stay."""
    merged = call.row._mapping["metadata"] | call.body["metadata"]
    volumes.change(call.tx, call.row.id, metadata=merged)
    return Reply(200, {"metadata": merged})


def set_metadata(call: Call) -> Reply:
    """Replace the metadata."""
    volumes.change(call.tx, call.row.id, metadata=call.body["metadata"])
    return Reply(200, {"metadata": call.body["metadata"]})


def show_metadata_item(call: Call) -> Reply:
    key = call.params["key"]
    metadata = call.row._mapping["metadata"]
    if key not in metadata:
        raise NotFound(f"Volume {call.row.id} has no metadata with key {key}.")
    return Reply(200, {"meta": {key: metadata[key]}})


def set_metadata_item(call: Call) -> Reply:
    key, given = call.params["key"], call.body["meta"]
    if key not in given or len(given) != 1:
        raise BadRequest("Request body and URI mismatch: the body must have exactly the key that the URL names.")
    volumes.change(call.tx, call.row.id, metadata=call.row._mapping["metadata"] | given)
    return Reply(200, {"meta": given})


def delete_metadata_item(call: Call) -> Reply:
    key = call.params["key"]
    metadata = call.row._mapping["metadata"]
    if key not in metadata:
        raise NotFound(f"Volume {call.row.id} has no metadata with key {key}.")
    volumes.change(call.tx, call.row.id, metadata={name: value for name, value in metadata.items() if name != key})
    return Reply(200)


_METADATA_BODY = schemas.wrapped("metadata", schemas.METADATA)


class VolumeResource(Resource, path="/volumes", one="volume", many="volumes"):
    """A disk that outlives the servers it is attached to."""

    row = Volume
    what = "volume"
    unknown = "keep"
    default_sort = (("created_at", "desc"),)
    id = Id("s")
    name = Field(schemas.NAME, "cus", parse=schemas.stripped)
    display_name = Field(schemas.NAME, "cus", parse=schemas.stripped, source="name")
    description = Field(schemas.NAME, "cu", parse=schemas.stripped)
    display_description = Field(schemas.NAME, "cu", parse=schemas.stripped)
    size = Field(schemas.SIZE, "cs", nullable=True)
    volume_type = Field({"type": "string", "maxLength": 255}, "c", nullable=True)
    metadata = Field(schemas.METADATA, "cu", nullable=True)
    snapshot_id = Field(schemas.UUID, "c", nullable=True)
    source_volid = Field(schemas.UUID, "c", nullable=True)
    consistencygroup_id = Field(schemas.UUID, "c", nullable=True)
    group_id = Field({"type": "string", "maxLength": 255}, "c", nullable=True, since="3.13")
    backup_id = Field(schemas.UUID, "c", nullable=True, since="3.47")
    availability_zone = Field({"type": "string", "minLength": 1, "maxLength": 255}, "cs", nullable=True)
    multiattach = Field(schemas.BOOLEAN, "c", nullable=True)
    image_id = Field({"type": "string", "maxLength": 255}, "c", nullable=True)
    image_ref = Field({"type": "string", "maxLength": 255}, "c", nullable=True, wire="imageRef")
    status = Field({"type": "string"}, "s")
    bootable = Field({"type": "string"}, "s")
    host = Field({"type": "string"}, "s")
    created_at = Time("s")
    updated_at = Time("s")

    make = Create("volume:create", MEMBER, create, status=202)
    index = List("volume:get_all", READER, list_brief)
    detail = List("volume:get_all", READER, list_detail, path="/detail")
    summary = Op("GET", "/summary", "volume:get_all", READER, summary, since="3.12", own_row=False)
    show = Show("volume:get", READER, show)
    change = Update("volume:update", MEMBER, update)
    remove = Delete("volume:delete", MEMBER, delete, status=202)
    encryption = Op("GET", "/{id}/encryption", "volume_extension:volume_encryption_metadata", READER, show_encryption)
    list_metadata = Op("GET", "/{id}/metadata", "volume:get_volume_metadata", READER, list_metadata)
    add_metadata = Op(
        "POST", "/{id}/metadata", "volume:create_volume_metadata", MEMBER, add_metadata, body=_METADATA_BODY
    )
    set_metadata = Op(
        "PUT", "/{id}/metadata", "volume:update_volume_metadata", MEMBER, set_metadata, body=_METADATA_BODY
    )
    show_item = Op("GET", "/{id}/metadata/{key}", "volume:get_volume_metadata", READER, show_metadata_item)
    set_item = Op(
        "PUT", "/{id}/metadata/{key}", "volume:update_volume_metadata", MEMBER, set_metadata_item,
        body=schemas.wrapped("meta", schemas.METADATA),
    )  # fmt: skip
    delete_item = Op("DELETE", "/{id}/metadata/{key}", "volume:delete_volume_metadata", MEMBER, delete_metadata_item)


RULES = (
    Rule("volume:create_from_image", MEMBER.check, "Create a volume from an image"),
    Rule("volume:force_delete", ADMIN.check, "Delete a volume in any state"),
    Rule("volume:multiattach", MEMBER.check, "Create a volume that several servers may use"),
    Rule("volume_extension:volume_host_attribute", ADMIN.check, "See the host of volumes"),
    Rule("volume_extension:volume_tenant_attribute", READER.check, "See the project of volumes"),
    Rule("volume_extension:volume_mig_status_attribute", ADMIN.check, "See the migration status of volumes"),
    Rule("volume_extension:volume_image_metadata:show", READER.check, "See the image metadata of volumes"),
)


def find_row(call: Call, volume_id: str | None) -> Any:
    """A volume that the caller can see. Raises NotFound."""
    table = table_of(Volume)
    statement = select(table).where(table.c.id == volume_id)
    if not call.ctx.is_admin:
        statement = statement.where(table.c.project_id == call.ctx.project_id)
    row = call.tx.first(statement)
    if row is None:
        raise NotFound(f"Volume {volume_id} could not be found.")
    return row
