# SPDX-License-Identifier: Apache-2.0
"""Groups of users."""

from typing import Any

from sqlalchemy import select

from altostratus.kernel.db import table_of
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.fields import Id, Text
from altostratus.kernel.resource.operations import Create, Delete, List, Reply, Show, Update
from altostratus.services.identity import models, policies
from altostratus.services.identity.api.declaring import (
    Description,
    IdentityResource,
    Links,
    Name,
    extra_members,
    list_reply,
)
from altostratus.services.identity.api.targets import (
    body_target,
    domain_of_body,
    existing_target,
    list_target,
    needed,
    row_target,
)
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


def create_group(call: Call) -> Any:
    values = {**call.body, "domain_id": domain_of_body(call), "extra": extra_members(call)}
    values["description"] = values["description"] or ""
    return people.create_group(call.tx, call.cloud, values)


def update_group(call: Call) -> Any:
    row, values = needed(call), dict(call.body)
    if "description" in values:
        values["description"] = values["description"] or ""
    if extra := extra_members(call):
        values["extra"] = row.extra | extra
    return people.update_group(call.tx, call.cloud, row, values)


def delete_group(call: Call) -> None:
    people.delete_group(call.tx, call.cloud, needed(call).id)


class Group(GroupFields, path="/groups"):
    """A set of users that roles are given to at once."""

    index = List("identity:list_groups", policies.reader_of("target.group.domain_id"), list_reply,
                 target=list_target("target.group.domain_id"))  # fmt: skip
    create = Create("identity:create_group", _MANAGER, create_group, target=body_target("group"))
    show = Show("identity:get_group", policies.reader_of("target.group.domain_id"), needed, own_row=False,
                target=_ERRAND)  # fmt: skip
    update = Update("identity:update_group", _MANAGER, update_group, method="PATCH", own_row=False, target=_ERRAND)
    delete = Delete("identity:delete_group", _MANAGER, delete_group, own_row=False,
                    target=existing_target("group", models.Group))  # fmt: skip


def list_user_groups(call: Call) -> Reply:
    if call.row is None:
        raise not_found("user", call.params["user_id"])
    group, member = table_of(models.Group), table_of(models.GroupMember).c
    mine = select(member.group_id).where(member.user_id == call.row.id)
    return list_reply(call, select(group).where(group.c.id.in_(mine)))


class UserGroup(GroupFields, path="/users/{user_id}/groups"):
    """A group that a user is in."""

    index = List("identity:list_groups_for_user", policies.USER_GROUPS, list_user_groups,
                 target=row_target("user", models.User, "user_id"))  # fmt: skip
