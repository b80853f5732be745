# SPDX-License-Identifier: Apache-2.0
"""`/os-server-groups`: servers that must, or must not, share a host."""

from typing import Any

from sqlalchemy import select

from altostratus.kernel import clock, ids
from altostratus.kernel.db import Row, table_of
from altostratus.kernel.errors import BadRequest
from altostratus.kernel.numbers import whole_number
from altostratus.kernel.policy import MEMBER, READER
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.compute.api.shared import NAME, at, closed, wrapped
from altostratus.services.compute.logic import groups
from altostratus.services.compute.models.hosts import ServerGroup as GroupRow
from altostratus.services.compute.models.servers import Server

_RULE = "os_compute_api:os-server-groups"
_LONGEST = 1000
_OLD = ["anti-affinity", "affinity"]
_SOFT = [*_OLD, "soft-anti-affinity", "soft-affinity"]


def _old_body(policies: list[str]) -> dict[str, Any]:
    many = {"type": "array", "minItems": 1, "maxItems": 1, "items": {"enum": policies}}
    return wrapped("server_group", closed({"name": NAME, "policies": many}, "name", "policies"))


_RULES = closed({"max_server_per_host": {"type": ["integer", "string"], "pattern": "^[0-9]+$", "minimum": 1}})
_NEW_BODY = wrapped(
    "server_group", closed({"name": NAME, "policy": {"enum": _SOFT}, "rules": _RULES}, "name", "policy")
)


def _shown(call: Call, row: Row[Any], members: list[str]) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": row.id, "name": row.name, "members": members}
    if at(call, 64):
        shown |= {"policy": row.policy, "rules": row.rules}
    else:
        shown |= {"policies": [row.policy], "metadata": {}}
    if at(call, 13):
        shown |= {"project_id": row.project_id, "user_id": row.user_id}
    return shown


def _number(call: Call, name: str, default: int) -> int:
    found = whole_number(call.query.get(name, [""])[-1] or str(default))
    if found is None:
        raise BadRequest(f"{name} must be a whole number that is not negative, not {call.query[name][-1]!r}.")
    return found


def list_groups(call: Call) -> Reply:
    """Groups of the project; with `all_projects` of all, for administrators."""
    table = table_of(GroupRow)
    statement = select(table).order_by(table.c.created_at, table.c.id)
    if not (call.wants_all_projects() and call.may(f"{_RULE}:index:all_projects")):
        statement = statement.where(table.c.project_id == call.ctx.project_id)
    statement = statement.offset(_number(call, "offset", 0)).limit(min(_number(call, "limit", _LONGEST), _LONGEST))
    rows = call.tx.rows(statement)
    members = groups.members_of(call.tx, [row.id for row in rows])
    return Reply(200, {"server_groups": [_shown(call, row, members[row.id]) for row in rows]})


def create_group(call: Call) -> Reply:
    given, project_id = call.body["server_group"], str(call.ctx.project_id)
    call.cloud.quotas("compute").demand(call.tx, project_id, {"server_groups": 1})
    policy = given["policy"] if at(call, 64) else given["policies"][0]
    rules = {name: int(value) for name, value in (given.get("rules") or {}).items()}
    if rules and policy != "anti-affinity":
        raise BadRequest("Only anti-affinity policy supports rules.")
    group_id = ids.new_id()
    call.tx.insert(
        GroupRow,
        id=group_id,
        project_id=project_id,
        user_id=call.ctx.user_id,
        name=given["name"],
        policy=policy,
        rules=rules,
        created_at=clock.now(),
    )
    call.cloud.events.emit(
        call.tx, "servergroup.create", {"server_group_id": group_id, "name": given["name"]}, publisher_id="compute"
    )
    return Reply(200, {"server_group": _shown(call, call.tx.get(GroupRow, group_id), [])})


def show_group(call: Call) -> Reply:
    members = groups.members_of(call.tx, [call.row.id])[call.row.id]
    return Reply(200, {"server_group": _shown(call, call.row, members)})


def delete_group(call: Call) -> Reply:
    server = table_of(Server).c
    call.tx.update_where(Server, server.server_group_id == call.row.id, server_group_id=None)
    call.tx.delete(GroupRow, call.row.id)
    call.cloud.events.emit(call.tx, "servergroup.delete", {"server_group_id": call.row.id}, publisher_id="compute")
    return Reply(204)


class ServerGroups(Resource, path="/os-server-groups"):
    """Groups of servers with a policy."""

    row = GroupRow
    what = "instance group"
    index = Op("GET", "", f"{_RULE}:index", READER, list_groups)
    create = Op("POST", "", f"{_RULE}:create", MEMBER, create_group, body=_old_body(_OLD), until="2.14")
    create_15 = Op(
        "POST", "", f"{_RULE}:create", MEMBER, create_group, body=_old_body(_SOFT), since="2.15", until="2.63"
    )
    create_64 = Op("POST", "", f"{_RULE}:create", MEMBER, create_group, body=_NEW_BODY, since="2.64")
    show = Op("GET", "/{id}", f"{_RULE}:show", READER, show_group)
    delete = Op("DELETE", "/{id}", f"{_RULE}:delete", MEMBER, delete_group)
