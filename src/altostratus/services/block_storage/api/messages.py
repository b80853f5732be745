# SPDX-License-Identifier: Apache-2.0
"""Messages: why something went wrong (3.3 and later)."""

from typing import Any

from sqlalchemy import select

from altostratus.kernel.db import table_of
from altostratus.kernel.policy import MEMBER, READER
from altostratus.kernel.resource import lists
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.fields import Id, Text, Time
from altostratus.kernel.resource.operations import Delete, List, Reply, Show
from altostratus.services.block_storage.api import filters
from altostratus.services.block_storage.models.others import Message


def _view(call: Call, row: Any) -> dict[str, Any]:
    project = f"/{call.ctx.project_id}" if call.ctx.project_id else ""
    links = [
        {"rel": "self", "href": f"{call.host_url}{call.service.path}{project}/messages/{row.id}"},
        {"rel": "bookmark", "href": f"{call.host_url}{call.service.root}{project}/messages/{row.id}"},
    ]
    return {
        "id": row.id,
        "event_id": row.event_id,
        "user_message": row.user_message,
        "message_level": "ERROR",
        "created_at": row.created_at,
        "guaranteed_until": row.guaranteed_until,
        "request_id": row.request_id,
        "resource_type": row.resource_type,
        "resource_uuid": row.resource_uuid,
        "links": links,
    }


def list_messages(call: Call) -> Reply:
    table = table_of(Message).c
    known: dict[str, filters.Make] = {
        name: filters.equals(table[name]) for name in ("resource_uuid", "resource_type", "event_id", "request_id")
    }
    known["message_level"] = lambda text: None if text == "ERROR" else table.id.is_(None)
    found = filters.conditions(call, known, likes={})
    page = call.list_rows(select(table_of(Message)).where(*found))
    ids = [row.id for row in (*page.rows[:1], *page.rows[-1:])]
    items = [_view(call, row) for row in page.rows]
    return Reply(200, lists.wrap(call, call.resource, items, ids, page.more, call.service.style))


def show(call: Call) -> Reply:
    return Reply(200, {"message": _view(call, call.row)})


class MessageResource(Resource, path="/messages", one="message", many="messages"):
    """Why something went wrong."""

    row = Message
    what = "message"
    default_sort = (("created_at", "desc"),)
    id = Id("s")
    event_id = Text(0, 255, "s")
    resource_type = Text(0, 255, "s")
    resource_uuid = Text(0, 255, "s")
    request_id = Text(0, 255, "s")
    created_at = Time("s")
    guaranteed_until = Time("s")

    index = List("message:get_all", READER, list_messages, since="3.3")
    show = Show("message:get", READER, show, since="3.3")
    remove = Delete("message:delete", MEMBER, since="3.3")
