# SPDX-License-Identifier: Apache-2.0
"""Changes of a directory's users and groups: written there first, where the options allow it, and then copied."""

from collections.abc import Mapping
from typing import Any

from altostratus.kernel import clock
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row
from altostratus.kernel.errors import BadRequest, Forbidden
from altostratus.services.identity.directory.contract import (
    Directory,
    EntityKind,
    GroupEntry,
    Right,
    UserEntry,
)
from altostratus.services.identity.directory.directories import Directories
from altostratus.services.identity.errors import duplicate, not_found
from altostratus.services.identity.logic import mirror, people
from altostratus.services.identity.logic.changes import announce
from altostratus.services.identity.models import Group, User

Values = Mapping[str, Any]
_MODELS: dict[EntityKind, type[User | Group]] = {"user": User, "group": Group}


def create(cloud: Cloud, domain_id: str, kind: EntityKind, values: Values, password: str | None) -> str:
    """The id of the new user or group. Raises Forbidden, Conflict, BadRequest, Unavailable."""
    with cloud.db.read() as tx:
        if tx.find(_MODELS[kind], domain_id=domain_id, name=values["name"]) is not None:
            raise duplicate(kind, values["name"], domain_id)
    moment = clock.now()
    entry: UserEntry | GroupEntry
    with Directories.of(cloud).asking(domain_id) as directory:
        _demand_right(directory, kind, "create")
        entry = directory.create_user(values, password) if kind == "user" else directory.create_group(values)
    with cloud.db.write() as tx:
        made = mirror.store(tx, cloud, domain_id, kind, [entry], moment=moment)
        if not made:
            raise duplicate(kind, values["name"], domain_id)
        announce(tx, cloud, f"identity.{kind}.created", made[0])
    return made[0]


def update(cloud: Cloud, mapping: Row[Any], changes: Values, password: str | None = None) -> None:
    """A new password voids the user's tokens at once, as does `enabled` false."""
    if changes.get("domain_id", mapping.domain_id) != mapping.domain_id:
        raise BadRequest(f"Cannot change Domain ID. The {mapping.kind} belongs to the directory of its domain.")
    moment, kind = clock.now(), mapping.kind
    entry: UserEntry | GroupEntry
    with Directories.of(cloud).asking(mapping.domain_id) as directory:
        _demand_right(directory, kind, "update")
        if kind == "user":
            entry = directory.update_user(_user(directory, mapping), changes, password)
        else:
            entry = directory.update_group(_group(directory, mapping), changes)
    with cloud.db.write() as tx:
        mirror.store(tx, cloud, mapping.domain_id, kind, [entry], moment=moment)
        if password is not None:
            tx.update(User, mapping.public_id, tokens_from=clock.now())
        announce(tx, cloud, f"identity.{kind}.updated", mapping.public_id)


def delete(cloud: Cloud, mapping: Row[Any]) -> None:
    """With all that the cloud knows of it. What the directory has lost already, everybody who may delete forgets."""
    kind: EntityKind = mapping.kind
    if Directories.of(cloud).has(mapping.domain_id):
        with Directories.of(cloud).asking(mapping.domain_id) as directory:
            _delete_entry(directory, kind, mapping)
    with cloud.db.write() as tx:
        (people.delete_user if kind == "user" else people.delete_group)(tx, cloud, mapping.public_id)
        mirror.forget(tx, [mapping.public_id])


def _delete_entry(directory: Directory, kind: EntityKind, mapping: Row[Any]) -> None:
    if kind == "user":
        for user in directory.users_by_id([mapping.local_id]):
            _demand_right(directory, kind, "delete")
            directory.delete_user(user)
    else:
        for group in directory.groups_by_id([mapping.local_id]):
            _demand_right(directory, kind, "delete")
            directory.delete_group(group)


def change_member(cloud: Cloud, group_id: str, user_id: str, *, add: bool) -> bool:
    """Into the directory's group, or out of it. False: neither is a directory's. Raises Forbidden if only one is."""
    with cloud.db.read() as tx:
        group, user = mirror.find_mapping(tx, "group", group_id), mirror.find_mapping(tx, "user", user_id)
    if group is None and user is None:
        return False
    if group is None or user is None or group.domain_id != user.domain_id:
        raise Forbidden(
            "Group membership across backend boundaries is not allowed. Group in question is"
            f" {group_id}, user is {user_id}."
        )
    with Directories.of(cloud).asking(group.domain_id) as directory:
        _demand_right(directory, "group", "update")
        change = directory.add_member if add else directory.remove_member
        change(_group(directory, group), _user(directory, user))
        moment = clock.now()
        groups = directory.groups_of(_user(directory, user))
    with cloud.db.write() as tx:
        known = mirror.store(tx, cloud, group.domain_id, "group", groups, moment=moment)
        mirror.store_groups_of(tx, cloud, group.domain_id, user_id, known, moment=moment)
    return True


def _demand_right(directory: Directory, kind: EntityKind, right: Right) -> None:
    if not directory.may(kind, right):
        raise Forbidden(
            f"LDAP does not support write operations here: set {kind}_allow_{right} in the group ldap of the domain's"
            f" configuration, or {right} the {kind} in the directory itself."
        )


def _user(directory: Directory, mapping: Row[Any]) -> UserEntry:
    found = directory.users_by_id([mapping.local_id])
    if not found:
        raise not_found("user", mapping.public_id)
    return found[0]


def _group(directory: Directory, mapping: Row[Any]) -> GroupEntry:
    found = directory.groups_by_id([mapping.local_id])
    if not found:
        raise not_found("group", mapping.public_id)
    return found[0]
