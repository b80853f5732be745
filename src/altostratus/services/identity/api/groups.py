# SPDX-License-Identifier: Apache-2.0
"""Groups of users."""

from typing import Any

from sqlalchemy import select

from altostratus.kernel import clock
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.fields import MISSING, Computed, Id, Text
from altostratus.kernel.resource.operations import Create, Delete, List, Reply, Show, Update
from altostratus.services.identity import models, policies
from altostratus.services.identity.api import directories
from altostratus.services.identity.api.declaring import (
    Description,
    IdentityResource,
    Links,
    Name,
    extra_members,
    list_reply,
)
from altostratus.services.identity.api.federated_users import expiring_groups, with_ends
from altostratus.services.identity.api.targets import (
    body_target,
    domain_of_body,
    existing_target,
    list_target,
    needed,
    row_target,
)
from altostratus.services.identity.directory import looking
from altostratus.services.identity.errors import not_found
from altostratus.services.identity.logic import people

_ERRAND = row_target("group", models.Group)
_MANAGER = policies.manager_of("target.group.domain_id")


class GroupFields(IdentityResource, one="group", many="groups"):
    """What a group looks like."""

    row = models.Group
    id = Id("rs")
    name = Name(required=True)
    domain_id = Text(1, 64, "crufs")
    description = Description(default="")
    links = Links("/groups")


def list_groups(call: Call) -> Reply:
    return directories.list_all(call, "group", select(table_of(models.Group)))


def create_group(call: Call) -> Reply:
    domain_id = domain_of_body(call)
    foreign = directories.create(call, domain_id)
    if foreign is not None:
        return foreign
    values = {**call.body, "domain_id": domain_id, "extra": extra_members(call)}
    values["description"] = values["description"] or ""
    with call.cloud.db.write() as tx:
        made = people.create_group(tx, call.cloud, values)
    return directories.reply_with(call, 201, made.id)


def update_group(call: Call) -> Reply:
    known, values = needed(call), dict(call.body)
    foreign = directories.update(call)
    if foreign is not None:
        return foreign
    if "description" in values:
        values["description"] = values["description"] or ""
    extra = extra_members(call)
    with call.cloud.db.write() as tx:
        row = _existing(tx, known.id)
        if extra:
            values["extra"] = row.extra | extra
        people.update_group(tx, call.cloud, row, values)
    return directories.reply_with(call, 200, known.id)


def delete_group(call: Call) -> None:
    known = needed(call)
    if directories.delete(call):
        return
    with call.cloud.db.write() as tx:
        people.delete_group(tx, call.cloud, _existing(tx, known.id).id)


def _existing(tx: Tx, group_id: str) -> Row[Any]:
    row = tx.find(models.Group, group_id)
    if row is None:
        raise not_found("group", group_id)
    return row


class Group(GroupFields, path="/groups"):
    """A set of users that roles are given to at once."""

    index = List("identity:list_groups", policies.reader_of("target.group.domain_id"), list_groups,
                 tx="none", target=list_target("target.group.domain_id"))  # fmt: skip
    create = Create("identity:create_group", _MANAGER, create_group, tx="none", target=body_target("group"))
    show = Show("identity:get_group", policies.reader_of("target.group.domain_id"), directories.show, tx="none",
                own_row=False, target=_ERRAND)  # fmt: skip
    update = Update("identity:update_group", _MANAGER, update_group, method="PATCH", tx="none", own_row=False,
                    target=_ERRAND)  # fmt: skip
    delete = Delete("identity:delete_group", _MANAGER, delete_group, tx="none", own_row=False,
                    target=existing_target("group", models.Group))  # fmt: skip


def list_user_groups(call: Call) -> Reply:
    if call.row is None:
        raise not_found("user", call.params["user_id"])
    if not looking.refresh(call.cloud, "user", call.row.id):
        raise not_found("user", call.row.id)
    group, member = table_of(models.Group), table_of(models.GroupMember).c
    mine = select(member.group_id).where(member.user_id == call.row.id)
    with call.cloud.db.read() as call.tx:
        mine_too = expiring_groups(call.row.id)
        return list_reply(call, select(group).where(group.c.id.in_(mine) | group.c.id.in_(mine_too)))


class UserGroup(GroupFields, path="/users/{user_id}/groups"):
    """A group that a user is in."""

    load = with_ends
    membership_expires_at = Computed(lambda group, call: clock.iso_micro_z(group["ends_at"]) or MISSING)
    index = List("identity:list_groups_for_user", policies.USER_GROUPS, list_user_groups,
                 tx="none", target=row_target("user", models.User, "user_id"))  # fmt: skip
