# SPDX-License-Identifier: Apache-2.0
"""Server groups: members, and the hint that makes a new server one."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import func, select

from altostratus.kernel.auth import Context
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Tx, table_of
from altostratus.kernel.errors import BadRequest, OverQuota
from altostratus.services.compute.models.hosts import ServerGroup
from altostratus.services.compute.models.servers import Server


def members_of(tx: Tx, group_ids: Collection[str]) -> dict[str, list[str]]:
    """Group id -> ids of its servers; one query."""
    server = table_of(Server).c
    found: dict[str, list[str]] = {group_id: [] for group_id in group_ids}
    statement = (
        select(server.server_group_id, server.id)
        .where(server.server_group_id.in_(list(group_ids)), server.deleted.is_(False))
        .order_by(server.created_at, server.id)
    )
    for row in tx.rows(statement):
        found[row.server_group_id].append(row.id)
    return found


def count_groups(tx: Tx, projects: Sequence[str]) -> int:
    group = table_of(ServerGroup).c
    return int(tx.scalar(select(func.count()).where(group.project_id.in_(projects))) or 0)


def hinted_group(tx: Tx, cloud: Cloud, ctx: Context, hints: dict[str, Any], more: int) -> str | None:
    """The group of the hint `group`. Raises BadRequest if there is none, OverQuota if it is full."""
    value = hints.get("group")
    if not value:
        return None
    group_id = value if isinstance(value, str) else value[0]
    row = tx.find(ServerGroup, group_id)
    if row is None or row.project_id != ctx.project_id:
        raise BadRequest(f"Instance group {group_id} could not be found.", kind="InstanceGroupNotFound")
    limit = cloud.quotas("compute").limits(tx, str(ctx.project_id))["server_group_members"]
    members = len(members_of(tx, [group_id])[group_id])
    if 0 <= limit < members + more:
        raise OverQuota(f"Quota exceeded, too many servers in group: {members} of {limit} are members already.")
    return str(group_id)
