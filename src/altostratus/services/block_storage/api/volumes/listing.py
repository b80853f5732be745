# SPDX-License-Identifier: Apache-2.0
"""Lists of volumes, and their sum."""

from typing import Any

from sqlalchemy import func, or_, select

from altostratus.kernel.db import table_of
from altostratus.kernel.resource import lists
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Reply
from altostratus.services.block_storage.api import filters
from altostratus.services.block_storage.api.volumes.views import fragments, shape_of
from altostratus.services.block_storage.logic import volumes
from altostratus.services.block_storage.logic.views import volume_brief
from altostratus.services.block_storage.models.types import VolumeType
from altostratus.services.block_storage.models.volumes import Volume


def list_detail(call: Call) -> Reply:
    table = table_of(Volume).c
    page, count = _page(call, select(table.id, table.etag))
    return _reply(call, page, fragments(call, page.rows), count)


def list_brief(call: Call) -> Reply:
    table = table_of(Volume).c
    page, count = _page(call, select(table.id, table.name))
    shape = shape_of(call)
    return _reply(call, page, [volume_brief(row, shape) for row in page.rows], count)


def _page(call: Call, columns: Any) -> tuple[lists.Page, int | None]:
    found = conditions(call)
    page = filters.page(call, columns.where(*found))
    counting = call.version is not None and call.version.minor >= 45 and _says_yes(call, "with_count")
    if not counting:
        return page, None
    table = table_of(Volume)
    statement = call.scoped(select(func.count()).select_from(table).where(*found), listing=True)
    return page, int(call.tx.scalar(statement))


def _says_yes(call: Call, name: str) -> bool:
    return call.query.get(name, ["false"])[-1].lower() in ("true", "1", "yes", "on", "t")


def _reply(call: Call, page: lists.Page, items: list[Any], count: int | None) -> Reply:
    ids = [row.id for row in (*page.rows[:1], *page.rows[-1:])]
    body = lists.wrap(call, call.resource, items, ids, page.more, call.service.style)
    return Reply(200, body if count is None else body | {"count": count})


def conditions(call: Call) -> list[Any]:
    """The filters of the query. Raises BadRequest."""
    table = table_of(Volume).c
    minor = call.version.minor if call.version else 0
    known: dict[str, filters.Make] = {
        name: filters.equals(table[name])
        for name in ("name", "status", "availability_zone", "migration_status", "user_id", "image_id", "snapshot_id")
    }
    known |= {
        "display_name": filters.equals(table.name),
        "bootable": filters.flag(table.bootable, "bootable"),
        "multiattach": filters.flag(table.multiattach, "multiattach"),
        "metadata": filters.pairs(table.metadata),
        "volume_type": _of_type,
        "volume_type_id": filters.equals(table.volume_type_id),
        "id": filters.equals(table.id),
        "size": filters.equals(table.size),
    }
    if minor >= 4:
        known["glance_metadata"] = filters.pairs(table.image_metadata)
    if minor >= 10:
        known["group_id"] = filters.equals(table.group_id)
    if minor >= 60:
        known |= {name: filters.moments(table[name], name) for name in ("created_at", "updated_at")}
    if minor >= 65:
        known["consumes_quota"] = lambda text: None if _true(text) else table.id.is_(None)
    if call.ctx.is_admin:
        known |= {"host": filters.equals(table.host), "project_id": filters.equals(table.project_id)}
    likes = {name: table[name] for name in ("name", "status", "availability_zone")}
    return filters.conditions(call, known, likes=likes)


def _true(text: str) -> bool:
    return text.lower() not in ("false", "0", "no", "off")


def _of_type(text: str) -> Any:
    kind = table_of(VolumeType).c
    return table_of(Volume).c.volume_type_id.in_(select(kind.id).where(or_(kind.id == text, kind.name == text)))


def summary(call: Call) -> Reply:
    """Number and size of the caller's volumes (all of them for administrators who say all_tenants)."""
    table = table_of(Volume)
    found = conditions(call)
    if not (call.ctx.is_admin and call.wants_all_projects()):
        found.append(table.c.project_id == call.ctx.project_id)
    count, size_gib = volumes.summary(call.tx, *found)
    shown: dict[str, Any] = {"total_count": count, "total_size": size_gib}
    if call.version is not None and call.version.minor >= 36:
        metadata: dict[str, list[str]] = {}
        for row in call.tx.rows(select(table.c.metadata).where(*found)):
            for name, value in row[0].items():
                if value not in metadata.setdefault(name, []):
                    metadata[name].append(value)
        shown["metadata"] = metadata
    return Reply(200, {"volume-summary": shown})
