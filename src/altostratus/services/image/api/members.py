# SPDX-License-Identifier: Apache-2.0
"""Members: the projects that an image is shared with."""

from typing import Any

from sqlalchemy import func, select

from altostratus.kernel import clock
from altostratus.kernel.db import table_of
from altostratus.kernel.errors import BadRequest, Conflict, Forbidden, NotFound, TooLarge
from altostratus.kernel.policy import Persona
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.image.api.images import OWNS, scope, target
from altostratus.services.image.config import ImageOptions
from altostratus.services.image.models import ImageMember, ImageRow

_READS = Persona(
    "a reader of the owner, or the member",
    "rule:context_is_admin or (role:reader and (project_id:%(project_id)s or project_id:%(member_id)s))",
)
_ACCEPTS = Persona("the member", "rule:context_is_admin or (role:member and project_id:%(member_id)s)")
STATUSES = ("pending", "accepted", "rejected")


def _view(row: Any) -> dict[str, Any]:
    return {
        "member_id": row.member_id,
        "image_id": row.image_id,
        "status": row.status,
        "created_at": clock.iso_z(row.created_at),
        "updated_at": clock.iso_z(row.updated_at),
        "schema": "/v2/schemas/member",
    }


def _member_target(call: Call) -> dict[str, Any]:
    return target(call) | {"member_id": call.params["member_id"]}


def _demand_shared(call: Call) -> None:
    if call.row.visibility != "shared":
        raise Forbidden(f"Only shared images have members. Image {call.row.id} is {call.row.visibility}.")


def _get(call: Call) -> Any:
    member_id = call.params["member_id"]
    row = call.tx.find(ImageMember, call.row.id, member_id)
    own = call.ctx.is_admin or call.ctx.project_id in (call.row.owner, member_id)
    if row is None or not own:
        raise NotFound(f"{member_id} not found in the member list of the image {call.row.id}.")
    return row


def list_members(call: Call) -> Reply:
    _demand_shared(call)
    table = table_of(ImageMember)
    statement = select(table).where(table.c.image_id == call.row.id).order_by(table.c.created_at, table.c.member_id)
    if not call.ctx.is_admin and call.row.owner != call.ctx.project_id:
        statement = statement.where(table.c.member_id == call.ctx.project_id)
    return Reply(200, {"members": [_view(row) for row in call.tx.rows(statement)], "schema": "/v2/schemas/members"})


def show_member(call: Call) -> Reply:
    if call.row.visibility != "shared":
        raise NotFound(f"Only shared images have members. Image {call.row.id} is {call.row.visibility}.")
    return Reply(200, _view(_get(call)))


def add_member(call: Call) -> Reply:
    _demand_shared(call)
    member_id = call.body.get("member") if isinstance(call.body, dict) else None
    if not isinstance(member_id, str) or not 0 < len(member_id) <= 255:
        raise BadRequest('Member to be added not specified. Send {"member": "<project id>"}.')
    if call.tx.find(ImageMember, call.row.id, member_id) is not None:
        raise Conflict(f"Member {member_id} is duplicated for image {call.row.id}")
    member = table_of(ImageMember).c
    limit = call.cloud[ImageOptions].member_limit
    if int(call.tx.scalar(select(func.count()).where(member.image_id == call.row.id))) >= limit:
        raise TooLarge(f"Image member limit exceeded for image {call.row.id}: the limit is {limit}.")
    moment = clock.now()
    call.tx.insert(
        ImageMember, image_id=call.row.id, member_id=member_id, status="pending", created_at=moment, updated_at=moment
    )
    _emit(call, "image.member.create", member_id, "pending")
    return Reply(200, _view(call.tx.get(ImageMember, call.row.id, member_id)))


def set_status(call: Call) -> Reply:
    _demand_shared(call)
    status = call.body.get("status") if isinstance(call.body, dict) else None
    if status not in STATUSES:
        raise BadRequest(f"Incorrect request: status must be one of {', '.join(STATUSES)}, not {status!r}.")
    row = _get(call)
    call.tx.update(ImageMember, call.row.id, row.member_id, status=status, updated_at=clock.now())
    _emit(call, "image.member.update", row.member_id, status)
    return Reply(200, _view(_get(call)))


def remove_member(call: Call) -> None:
    _demand_shared(call)
    row = _get(call)
    call.tx.delete(ImageMember, call.row.id, row.member_id)
    _emit(call, "image.member.delete", row.member_id, row.status)


def _emit(call: Call, event_type: str, member_id: str, status: str) -> None:
    payload = {"image_id": call.row.id, "member_id": member_id, "status": status}
    call.cloud.events.emit(call.tx, event_type, payload, publisher_id="image.altostratus")


class Members(Resource, path="/images"):
    """A project that an image is shared with."""

    row = ImageRow
    what = "image"
    scope = scope
    index = Op("GET", "/{id}/members", "get_members", _READS, list_members, target=target)
    add = Op("POST", "/{id}/members", "add_member", OWNS, add_member, target=target)
    show = Op("GET", "/{id}/members/{member_id}", "get_member", _READS, show_member, target=target)
    set_status = Op("PUT", "/{id}/members/{member_id}", "modify_member", _ACCEPTS, set_status, target=_member_target)
    remove = Op("DELETE", "/{id}/members/{member_id}", "delete_member", OWNS, remove_member, status=204, target=target)
