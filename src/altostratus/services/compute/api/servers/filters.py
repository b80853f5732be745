# SPDX-License-Identifier: Apache-2.0
"""Filters of server lists, as upstream has them: which names count for whom, and what they mean."""

import re
from typing import Any, Final

from sqlalchemy import Select, Text, and_, false, or_, type_coerce

from altostratus.kernel import clock
from altostratus.kernel.db import table_of
from altostratus.kernel.errors import BadRequest, Forbidden
from altostratus.kernel.numbers import whole_number
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.fields import parse_bool
from altostratus.services.compute.api.shared import at
from altostratus.services.compute.logic import servers, states
from altostratus.services.compute.models.servers import Server
from altostratus.services.network import public as network

_ANY: Final = {"type": "string", "maxLength": 255}
_NAMES: Final = [
    "user_id",
    "project_id",
    "tenant_id",
    "launch_index",
    "image_ref",
    "image",
    "kernel_id",
    "ramdisk_id",
    "hostname",
    "key_name",
    "power_state",
    "vm_state",
    "task_state",
    "host",
    "node",
    "flavor",
    "reservation_id",
    "launched_at",
    "terminated_at",
    "availability_zone",
    "name",
    "display_name",
    "description",
    "display_description",
    "locked_by",
    "uuid",
    "root_device_name",
    "config_drive",
    "access_ip_v4",
    "access_ip_v6",
    "auto_disk_config",
    "progress",
    "sort_key",
    "sort_dir",
    "all_tenants",
    "soft_deleted",
    "deleted",
    "status",
    "changes-since",
    "changes-before",
    "ip",
    "ip6",
    "created_at",
    "limit",
    "marker",
    "tags",
    "tags-any",
    "not-tags",
    "not-tags-any",
    "locked",
]
KNOWN_QUERY: Final = dict.fromkeys(_NAMES, _ANY)
_REFUSED: Final = (
    "block_device_mapping", "services", "metadata", "system_metadata", "info_cache", "security_groups", "pci_devices"
)  # fmt: skip
# what everybody may filter by; the rest is for administrators
_OPEN: Final = frozenset(
    [
        "reservation_id",
        "name",
        "display_name",
        "status",
        "image",
        "image_ref",
        "flavor",
        "ip",
        "changes-since",
        "all_tenants",
    ]
)
_OPEN_283: Final = frozenset(
    [
        "availability_zone",
        "config_drive",
        "key_name",
        "created_at",
        "launched_at",
        "terminated_at",
        "power_state",
        "task_state",
        "vm_state",
        "progress",
        "user_id",
    ]
)
_IGNORED_SORT: Final = frozenset(
    [
        "architecture",
        "cell_name",
        "cleaned",
        "default_ephemeral_device",
        "default_swap_device",
        "deleted",
        "deleted_at",
        "disable_terminate",
        "ephemeral_gb",
        "ephemeral_key_uuid",
        "id",
        "key_data",
        "launched_on",
        "locked",
        "memory_mb",
        "os_type",
        "reservation_id",
        "root_gb",
        "shutdown_terminate",
        "user_data",
        "vcpus",
        "vm_mode",
        "kernel_id",
        "ramdisk_id",
        "config_drive",
        "task_state",
    ]
)
_EXACT: Final = {
    "user_id": "user_id",
    "host": "host",
    "node": "host",
    "image": "image_id",
    "image_ref": "image_id",
    "flavor": "flavor_id",
    "reservation_id": "reservation_id",
    "availability_zone": "availability_zone",
    "key_name": "key_name",
    "uuid": "id",
    "vm_state": "vm_state",
    "root_device_name": "root_device_name",
    "access_ip_v4": "access_ip_v4",
    "access_ip_v6": "access_ip_v6",
    "auto_disk_config": "disk_config",
}
_NUMBERS: Final = {"power_state": "power_state", "launch_index": "launch_index", "progress": "progress"}
_PATTERNS: Final = {
    "name": "name",
    "display_name": "name",
    "hostname": "hostname",
    "description": "description",
    "display_description": "description",
}


def permitted(call: Call) -> dict[str, list[str]]:
    """The filters that count for this caller. Raises BadRequest for forbidden names."""
    for name in call.query:
        if name in _REFUSED or name.startswith("_"):
            raise BadRequest(f"Invalid filter field: {name}.")
    if call.may("os_compute_api:servers:allow_all_filters"):
        return dict(call.query)
    known = set(_OPEN)
    if at(call, 5):
        known.add("ip6")
    if at(call, 26):
        known |= {"tags", "tags-any", "not-tags", "not-tags-any"}
    if at(call, 66):
        known.add("changes-before")
    if at(call, 73):
        known.add("locked")
    if at(call, 83):
        known |= _OPEN_283
    return {name: values for name, values in call.query.items() if name in known}


def drop_ignored_sorts(call: Call) -> None:
    keys = call.query.get("sort_key")
    if not keys:
        return
    ignored = _IGNORED_SORT - ({"locked"} if at(call, 73) else set())
    directions = call.query.get("sort_dir", [])
    kept = [(key, directions[place] if place < len(directions) else None) for place, key in enumerate(keys)]
    if not call.ctx.is_admin:
        for key, _ in kept:
            if key in ("host", "node"):
                raise Forbidden(f"Only administrators can sort servers by {key!r}.")
    kept = [("locked_by" if key == "locked" else key, way) for key, way in kept if key not in ignored]
    call.query["sort_key"] = [key for key, _ in kept]
    call.query["sort_dir"] = [way for _, way in kept if way is not None]
    if not kept:
        call.query.pop("sort_key")
        call.query.pop("sort_dir")


def conditions(call: Call, query: dict[str, list[str]]) -> list[Any]:
    server = table_of(Server).c
    found: list[Any] = [*_whose(call, query), *_deleted_and_times(call, query), *_tagged(call, query)]
    for name, column in _EXACT.items():
        if name in query:
            values = query[name]
            found.append(server[column] == values[0] if len(values) == 1 else server[column].in_(values))
    for name, column in _NUMBERS.items():
        if name in query:
            number = whole_number(query[name][-1])
            found.append(false() if number is None else server[column] == number)
    for name, column in _PATTERNS.items():
        if name in query:
            found.append(server[column].regexp_match(_pattern(query[name][-1])))
    found += [
        server[name].like(_escape(query[name][-1].rstrip("Z")) + "%", escape="\\")
        for name in ("created_at", "launched_at", "terminated_at")
        if name in query
    ]
    if "config_drive" in query:
        found.append(server.config_drive.is_(_truth(query["config_drive"][-1], "config_drive")))
    if "locked" in query:
        is_locked = _truth(query["locked"][-1], "locked")
        found.append(server.locked_by.is_not(None) if is_locked else server.locked_by.is_(None))
    return found


def _whose(call: Call, query: dict[str, list[str]]) -> list[Any]:
    server = table_of(Server).c
    everybody = False
    if "all_tenants" in query:
        word = query["all_tenants"][-1]
        everybody = True if word == "" else _truth(word, "all_tenants")
    if everybody:
        brief = "index" if call.op.path != "/detail" else "detail"
        call.demand(f"os_compute_api:servers:{brief}:get_all_tenants")
        chosen = query.get("project_id") or query.get("tenant_id")
        return [server.project_id.in_(chosen)] if chosen else []
    if call.ctx.is_admin and "project_id" in query:
        return [server.project_id.in_(query["project_id"])]
    return [server.project_id == call.ctx.project_id]


def _deleted_and_times(call: Call, query: dict[str, list[str]]) -> list[Any]:
    server = table_of(Server).c
    since, before = _moment(query, "changes-since"), _moment(query, "changes-before")
    if since and before and since > before:
        raise BadRequest("The value of changes-since must be less than or equal to changes-before.")
    found: list[Any] = []
    if since:
        found.append(server.updated_at >= since)
    if before:
        found.append(server.updated_at <= before)
    wants_deleted = False
    if "deleted" in query:
        word = query["deleted"][-1].lower()
        wants_deleted = word in ("1", "true", "t", "yes", "y", "on")
        found.append(server.deleted.is_(wants_deleted))
    elif not since and not before:
        wants_deleted = _status_is_deleted(call, query)
        found.append(server.deleted.is_(wants_deleted))
    return found


def _status_is_deleted(call: Call, query: dict[str, list[str]]) -> bool:
    if [status.lower() for status in query.get("status", [])] != ["deleted"]:
        return False
    if not call.ctx.is_admin:
        raise Forbidden("Only administrators may list deleted servers. Ask with changes-since instead.")
    return True


def _tagged(call: Call, query: dict[str, list[str]]) -> list[Any]:
    if not at(call, 26):
        return []
    tags = table_of(Server).c.tags

    def has(tag: str) -> Any:
        # tags are stored as a JSON list, so a whole tag stands between quotation marks
        quoted = '"' + tag.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return type_coerce(tags, Text).like("%" + _escape(quoted) + "%", escape="\\")

    found: list[Any] = []
    for name in ("tags", "tags-any", "not-tags", "not-tags-any"):
        if name not in query:
            continue
        each = [has(tag) for tag in query[name][-1].split(",")]
        joined = or_(*each) if name.endswith("any") else and_(*each)
        found.append(~joined if name.startswith("not") else joined)
    return found


def narrowed(call: Call, query: dict[str, list[str]], statement: Select[Any]) -> Select[Any]:
    """Filters that need more than the row: `status` with its tasks, `task_state`, `ip` and `ip6`."""
    table = table_of(Server)
    tasks: set[str | None] = {None}
    if "status" in query:
        vm_states, tasks = states.states_of_status(query["status"])
        if not vm_states:
            if at(call, 38):
                raise BadRequest(f"Invalid status value: {', '.join(query['status'])}.")
            return statement.where(false())
        statement = statement.where(table.c.vm_state.in_(vm_states))
    exact_tasks = set(query.get("task_state", ()))
    by_ip = [(name, query[name][-1]) for name in query if name in ("ip", "ip6")]
    if None in tasks and not exact_tasks and not by_ip:
        return statement
    rows = call.tx.rows(statement.where(table.c.deleted.is_(False)))
    going_on = servers.progress_of(call.tx, rows)
    ids = {row.id for row in rows}
    if None not in tasks:
        ids = {key for key in ids if going_on[key].task_state in tasks}
    if exact_tasks:
        ids = {key for key in ids if going_on[key].task_state in exact_tasks}
    ids = _with_addresses(call, ids, by_ip)
    return statement.where(table.c.id.in_(ids)) if ids else statement.where(false())


def _with_addresses(call: Call, ids: set[str], by_ip: list[tuple[str, str]]) -> set[str]:
    if not by_ip:
        return ids
    ports = network.ports_of_servers(call.tx, list(ids))
    patterns = [(4 if name == "ip" else 6, re.compile(_pattern(text))) for name, text in by_ip]
    found = set()
    for key in ids:
        addresses = [(ip[2], ip[0]) for port in ports.get(key, ()) for ip in port.fixed_ips]
        addresses += [(4, floating) for port in ports.get(key, ()) for floating in port.floating_ips.values()]
        if all(any(v == version and p.search(ip) for v, ip in addresses) for version, p in patterns):
            found.add(key)
    return found


def _moment(query: dict[str, list[str]], name: str) -> str | None:
    if name not in query:
        return None
    try:
        return clock.to_timestamp(clock.parse(query[name][-1].replace(" ", "+")))
    except ValueError:
        raise BadRequest(f"Invalid filter field: {name}. Give a time such as 2026-01-31T12:00:00Z.") from None


def _truth(word: str, name: str) -> bool:
    try:
        return bool(parse_bool(word))
    except ValueError:
        raise BadRequest(f"Invalid value for query parameter {name}: {word!r} is neither true nor false.") from None


def _pattern(text: str) -> str:
    """The text as a regular expression if it is one, else as plain characters."""
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError):
        return re.escape(text)
    return text


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
