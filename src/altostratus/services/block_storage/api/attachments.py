# SPDX-License-Identifier: Apache-2.0
"""The attachments API (3.27 and later)."""

from typing import Any

from sqlalchemy import select

from altostratus.kernel.db import table_of
from altostratus.kernel.errors import BadRequest
from altostratus.kernel.policy import MEMBER, READER, Rule
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.fields import Field, Id, Time
from altostratus.kernel.resource.operations import Action, Create, Delete, List, Reply, Show, Update
from altostratus.services.block_storage.api import filters, schemas
from altostratus.services.block_storage.api.volumes.resource import find_row
from altostratus.services.block_storage.logic import attachments
from altostratus.services.block_storage.logic.views import attachment_view
from altostratus.services.block_storage.models.volumes import Attachment

_CONNECTOR = {"type": "object"}


def create(call: Call) -> Reply:
    """Reserve a volume for a server; with a connector it is connected at once."""
    body = call.body
    volume = find_row(call, body["volume_uuid"])
    if "error" in volume.status:
        raise BadRequest(
            f"Invalid volume: Volume attachments can not be created if the volume is in an error state. "
            f"The Volume {volume.id} currently has a status of: {volume.status}."
        )
    mode = body.get("mode")
    attachment_id = attachments.reserve(
        call.tx, volume.id, body.get("instance_uuid"), mountpoint=None, mode=None if mode == "null" else mode
    )
    if body.get("connector"):
        attachments.connect(call.tx, attachments.get_attachment(call.tx, attachment_id), body["connector"])
    return _shown(call, attachment_id)


def _shown(call: Call, attachment_id: str) -> Reply:
    row = attachments.get_attachment(call.tx, attachment_id)
    return Reply(200, {"attachment": attachment_view(row, detail=True)})


def _list(call: Call, *, detail: bool) -> Reply:
    table = table_of(Attachment).c
    known: dict[str, filters.Make] = {
        "volume_id": filters.equals(table.volume_id),
        "instance_id": filters.equals(table.server_id),
        "status": filters.equals(table.status),
        "attach_status": filters.equals(table.status),
    }
    found = filters.conditions(call, known, likes={})
    page = call.list_rows(select(table_of(Attachment)).where(*found))
    return Reply(200, {"attachments": [attachment_view(row, detail=detail) for row in page.rows]})


def list_brief(call: Call) -> Reply:
    return _list(call, detail=False)


def list_detail(call: Call) -> Reply:
    return _list(call, detail=True)


def show(call: Call) -> Reply:
    return _shown(call, call.row.id)


def update(call: Call) -> Reply:
    """Say which host connects; the answer says how."""
    attachments.connect(call.tx, call.row, call.body["attachment"]["connector"])
    return _shown(call, call.row.id)


def delete(call: Call) -> Reply:
    attachments.detach(call.tx, call.row.id)
    left = attachments.of_volume(call.tx, call.row.volume_id)
    return Reply(200, {"attachments": [attachment_view(row, detail=False) for row in left]})


def complete(call: Call) -> None:
    attachments.complete(call.tx, call.row.id)


class AttachmentResource(Resource, path="/attachments", one="attachment", many="attachments"):
    """A volume given to a server."""

    row = Attachment
    what = "attachment"
    default_sort = (("created_at", "desc"),)
    id = Id("s")
    volume_uuid = Field(schemas.UUID, "c", required=True)
    instance_uuid = Field(schemas.UUID, "c", nullable=True)
    connector = Field(_CONNECTOR, "cu", nullable=True)
    mode: Any = Field({"enum": ["rw", "ro", "null", None]}, "c", since="3.54")
    created_at = Time("s")

    make = Create("volume:attachment_create", MEMBER, create, status=200, since="3.27")
    index = List("volume:get_all", READER, list_brief, since="3.27")
    detail = List("volume:get_all", READER, list_detail, path="/detail", since="3.27")
    show = Show("volume:get", READER, show, since="3.27")
    change = Update(
        "volume:attachment_update", MEMBER, update, since="3.27",
        body=schemas.wrapped("attachment", schemas.closed(("connector",), connector=_CONNECTOR | {"minProperties": 1})),
    )  # fmt: skip
    remove = Delete("volume:attachment_delete", MEMBER, delete, status=200, since="3.27")
    complete = Action(
        "os-complete", "volume:attachment_complete", MEMBER, complete, status=204, since="3.44",
        body=schemas.wrapped("os-complete", None),
    )  # fmt: skip


RULES = (Rule("volume:multiattach_bootable_volume", MEMBER.check, "Attach a bootable volume to several servers"),)
