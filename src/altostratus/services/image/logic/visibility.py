# SPDX-License-Identifier: Apache-2.0
"""Who can see an image, and what a policy rule is asked about it."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select

from altostratus.kernel.auth import Context
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import BadRequest
from altostratus.services.image.models import ImageMember, ImageRow

VISIBILITIES = ("private", "shared", "community", "public")


def visible_by_id(ctx: Context) -> ColumnElement[bool] | None:
    """Condition for reading an image whose id is known; None: everything."""
    if ctx.is_admin:
        return None
    image = table_of(ImageRow).c
    return or_(
        image.owner == ctx.project_id,
        image.visibility.in_(("public", "community")),
        and_(image.visibility == "shared", image.id.in_(_shared_with(ctx.project_id, None))),
    )


def visible_in_lists(ctx: Context, query: Mapping[str, list[str]]) -> list[ColumnElement[bool]]:
    """Conditions for lists: `visibility` and `member_status` of the query count. Raises BadRequest.

    Images of the community are listed only when asked for: everybody may publish there.
    """
    image = table_of(ImageRow).c
    asked = query.get("visibility", [""])[-1]
    status = query.get("member_status", ["accepted"])[-1]
    if asked and asked not in (*VISIBILITIES, "all"):
        raise BadRequest(f"Invalid visibility value: {asked}. Use one of {', '.join(VISIBILITIES)} or all.")
    if status not in ("pending", "accepted", "rejected", "all"):
        raise BadRequest(f"Invalid status: {status}. Use pending, accepted, rejected or all.")
    conditions: list[ColumnElement[bool]] = []
    if not ctx.is_admin:
        shared = _shared_with(ctx.project_id, None if status == "all" else status)
        conditions.append(
            or_(
                image.owner == ctx.project_id,
                image.visibility.in_(("public", "community")),
                and_(image.visibility == "shared", image.id.in_(shared)),
            )
        )
    if not asked:
        conditions.append(or_(image.visibility != "community", image.owner == ctx.project_id))
    elif asked != "all":
        conditions.append(image.visibility == asked)
    return conditions


def _shared_with(project_id: str | None, status: str | None) -> Any:
    member = table_of(ImageMember).c
    statement = select(member.image_id).where(member.member_id == project_id)
    return statement if status is None else statement.where(member.status == status)


def policy_target(tx: Tx, ctx: Context, row: Row[Any]) -> dict[str, Any]:
    """What upstream's rules ask of an image: its owner, visibility, and the caller's membership."""
    target = {"image_id": row.id, "visibility": row.visibility, "user_id": ctx.user_id}
    if row.owner is not None:
        target |= {"project_id": row.owner, "tenant_id": row.owner, "owner": row.owner}
    may_be_member = row.visibility == "shared" and ctx.project_id not in (None, row.owner)
    if may_be_member and tx.find(ImageMember, row.id, ctx.project_id) is not None:
        target["member_id"] = ctx.project_id
    return target
