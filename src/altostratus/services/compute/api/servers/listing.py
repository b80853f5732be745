# SPDX-License-Identifier: Apache-2.0
"""Lists of servers and one of them: which members are shown to whom."""

from typing import Any, Final

from sqlalchemy import Text, select, type_coerce

from altostratus.kernel.db import Row, table_of
from altostratus.kernel.resource import lists
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Reply
from altostratus.kernel.resource.versions import Version
from altostratus.kernel.resource.view import render
from altostratus.services.compute.api.servers import filters, view
from altostratus.services.compute.api.servers.memo import Memo
from altostratus.services.compute.api.shared import at
from altostratus.services.compute.logic.views import JSON_COLUMNS
from altostratus.services.compute.models.servers import Server

_EXTENDED: Final = frozenset(
    "OS-EXT-SRV-ATTR:" + name
    for name in (
        "host", "instance_name", "hypervisor_hostname", "hostname", "kernel_id", "launch_index", "ramdisk_id",
        "reservation_id", "root_device_name", "user_data",
    )
)  # fmt: skip
_BRIEF: Final = ("id", "name", "links")


_shown: dict[tuple[type[Resource], Version, bool, bool], tuple[str, ...]] = {}


def shown_members(resource: type[Resource], version: Version, *, extended: bool, groups: bool) -> tuple[str, ...]:
    """Wire names that a view shows. `extended`: what only administrators see; `groups`: server groups too."""
    known = _shown.get((resource, version, extended, groups))
    if known is not None:
        return known
    left_out = set() if extended else set(_EXTENDED)
    if version.minor >= 90:
        left_out.discard("OS-EXT-SRV-ATTR:hostname")
    if not groups:
        left_out.add("server_groups")
    members = tuple(field.wire for field in resource.fields_on("r", version) if field.wire not in left_out)
    _shown[resource, version, extended, groups] = members
    return members


def render_one(call: Call, row: Row[Any], resource: type[Resource]) -> dict[str, Any]:
    """The full view of one server."""
    if call.version is None:
        raise TypeError("compute is always called with a version")
    only = shown_members(resource, call.version, extended=call.may(view.EXTENDED), groups=True)
    return render(call, resource, [row], only=only)[0]


_NOT_WHEN_CHANGED = ("security_groups", "OS-EXT-AZ:availability_zone", "config_drive", "key_name", "host_status")
_NOT_WHEN_CHANGED_PREFIXES = ("OS-EXT-S", "OS-SRV-USG", "os-extended-volumes")


def render_changed(call: Call, row: Row[Any], resource: type[Resource]) -> dict[str, Any]:
    """The view of a server that was updated or rebuilt: before 2.75 it has fewer members."""
    shown = render_one(call, row, resource)
    if at(call, 75):
        return shown
    if "addresses" in shown:
        shown["addresses"] = {
            name: [{"version": one["version"], "addr": one["addr"]} for one in lines]
            for name, lines in shown["addresses"].items()
        }
    return {
        name: value
        for name, value in shown.items()
        if name not in _NOT_WHEN_CHANGED and not name.startswith(_NOT_WHEN_CHANGED_PREFIXES)
    }


def show_server(call: Call) -> Reply:
    """One server with all that the caller may see."""
    return Reply(200, {"server": render_one(call, call.row, call.resource)})


def list_servers(call: Call) -> Reply:
    """Servers of the project; with `all_tenants` of all."""
    query = filters.permitted(call)
    filters.drop_ignored_sorts(call)
    statement = select(*_columns(call))
    for condition in filters.conditions(call, query):
        statement = statement.where(condition)
    statement = filters.narrowed(call, query, statement)
    page = call.list_rows(statement)
    if call.op.path != "/detail":
        items: list[Any] = [
            {"id": row.id, "name": row.name, "links": view.own_links(row._mapping, call)} for row in page.rows
        ]
    else:
        if call.version is None:
            raise TypeError("compute is always called with a version")
        extended = call.may(view.EXTENDED)
        only = shown_members(call.resource, call.version, extended=extended, groups=False)
        items = _memo.render(call, page.rows, only)
    ids = [row.id for row in (*page.rows[:1], *page.rows[-1:])]
    return Reply(200, lists.wrap(call, call.resource, items, ids, page.more, call.service.style))


_WIDE: Final = ("user_data",)
_UNSEEN: Final = frozenset(
    (
        "old_flavor", "image_properties", "key_data", "personality", "posted_password", "scheduler_hints", "nics",
        "requested_nics", "requested_groups", "requested_host", "wanted_power", "power_token", "reboot_token",
        "reboot_kind", "snapshot_token", "snapshot_path", "fill_token", "vcpus", "memory_mib", "server_group_id",
    )
)  # fmt: skip


def _columns(call: Call) -> list[Any]:
    """What a list needs of each row, and no more: decoding the rest would cost most of the time."""
    if call.op.path != "/detail":
        return _BRIEF_COLUMNS
    return _WIDE_COLUMNS if at(call, 3) and call.may(view.EXTENDED) else _DETAIL_COLUMNS


_memo: Final = Memo()
_server = table_of(Server).c
_WIDE_COLUMNS: Final[list[Any]] = [
    type_coerce(column, Text).label(column.name) if column.name in JSON_COLUMNS else column
    for column in _server
    if column.name not in _UNSEEN
]
_DETAIL_COLUMNS: Final[list[Any]] = [column for column in _WIDE_COLUMNS if column.name not in _WIDE]
_BRIEF_COLUMNS: Final[list[Any]] = [
    _server.id, _server.name, _server.vm_state, _server.deleted, _server.delete_requested
]  # fmt: skip
