# SPDX-License-Identifier: Apache-2.0
"""Asking directories, and keeping what they say. Every function here asks first and opens a transaction then."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from altostratus.kernel import clock, log
from altostratus.kernel.clock import Timestamp
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import ApiError, Unavailable
from altostratus.services.identity.config import IdentityOptions
from altostratus.services.identity.directory.contract import (
    Condition,
    Directory,
    EntityKind,
    GroupEntry,
    UserEntry,
)
from altostratus.services.identity.directory.directories import Directories
from altostratus.services.identity.logic import login, mirror
from altostratus.services.identity.logic.assignment_lists import Question, leads_there
from altostratus.services.identity.logic.login import LoginError
from altostratus.services.identity.models import IdMapping, RoleAssignment, User

_log = log.get("identity.directory")
_IDS_AT_ONCE = 50
_MOST_GROUPS = 100
T = TypeVar("T")
# by our id: users with their groups
Found = dict[str, tuple[UserEntry, list[GroupEntry]]]


# logging in


@dataclass(frozen=True, slots=True)
class Proof:
    """What a directory says to a name and a password. `user` is our copy, if there is one that may log in."""

    user: Row[Any] | None
    right: bool


def prove_password(cloud: Cloud, named: dict[str, Any], password: str) -> Proof | None:
    """None: no directory knows this user, ours or nobody does. Raises DirectoryDown, BadRequest."""
    asked = _whom(cloud, named)
    if asked is None:
        return None
    domain_id, local_id = asked
    moment = clock.now()
    with Directories.of(cloud).asking(domain_id) as directory:
        found = directory.users_by_id([local_id]) if local_id is not None else directory.users_by_name(named["name"])
        if len(found) > 1:
            _log.warning("domain %s: several users have one name; none of them can log in by it", domain_id)
        user = found[0] if len(found) == 1 else directory.nobody()
        right = bool(password) and directory.is_password(user, password) and len(found) == 1
        groups = directory.groups_of(found[0]) if right else []
    if len(found) != 1:
        return Proof(None, right=False)
    user_id = mirror.public_id(domain_id, "user", found[0].local_id)
    with cloud.db.read() as tx:
        is_new = tx.find(IdMapping, user_id) is None
    if right:
        entries = {user_id: (found[0], groups)}
        _keep(cloud, lambda tx: _store(tx, cloud, domain_id, entries, moment))
    elif is_new:
        # so that wrong passwords count from the first one on
        _keep(cloud, lambda tx: mirror.store(tx, cloud, domain_id, "user", found, moment=moment))
    with cloud.db.read() as tx:
        return Proof(login.find_login_user(tx, {"id": user_id}), right)


def _whom(cloud: Cloud, named: dict[str, Any]) -> tuple[str, str | None] | None:
    """Domain, and the directory's id if it is known. Local users of a directory's domain stay what they are."""
    with cloud.db.read() as tx:
        if "id" in named:
            mapping = mirror.find_mapping(tx, "user", named["id"])
            if mapping is None or Directories.of(cloud).options_of(tx, mapping.domain_id) is None:
                return None
            return mapping.domain_id, mapping.local_id
        if "name" not in named or "domain" not in named:
            return None
        domain_id = login.find_domain_id(tx, named["domain"])
        if domain_id is None:
            return None
        local = tx.find(User, domain_id=domain_id, name=named["name"])
        if local is not None and tx.find(IdMapping, local.id) is None:
            return None
        return (domain_id, None) if Directories.of(cloud).options_of(tx, domain_id) is not None else None


def keep_fresh(cloud: Cloud, user_id: str, *, may_be_dead: bool) -> None:
    """Before a token for this user is made: what we know of the user is young, and stays so.

    may_be_dead: a directory that does not answer is no hindrance, for the user has a valid token already. Raises
    LoginError, DirectoryDown.
    """
    options = cloud[IdentityOptions]
    with cloud.db.read() as tx:
        mapping = mirror.find_mapping(tx, "user", user_id)
    if mapping is None:
        return
    if mapping.gone_at is not None or mapping.checked_at < clock.after(-options.directory_refresh_s):
        try:
            refresh(cloud, "user", user_id)
        except Unavailable:
            if not may_be_dead:
                raise
    half_s = options.token_lifetime_s / 2
    with cloud.db.read() as tx:
        mapping = mirror.find_mapping(tx, "user", user_id)
    if mapping is None or mapping.gone_at is not None:
        raise LoginError(f"the directory does not have user {user_id} any more")
    if (mapping.watched_until or "") < clock.after(2 * half_s):
        with cloud.db.write() as tx:
            # half a life more than needed, so that not every login writes
            mirror.watch(tx, mapping, clock.after(3 * half_s))


# looking


def refresh(cloud: Cloud, kind: EntityKind, identifier: str) -> bool:
    """Look at a user or group again, if it is a directory's. False if the directory does not have it any more."""
    mapping = _mapping_in_use(cloud, kind, identifier)
    if mapping is None:
        return True
    if not Directories.of(cloud).has(mapping.domain_id):
        return False
    return identifier in (refresh_users if kind == "user" else _refresh_groups)(cloud, mapping.domain_id, [mapping])


def _mapping_in_use(cloud: Cloud, kind: EntityKind, identifier: str) -> Row[Any] | None:
    """None for what is our own. With its domain's directory everything in it is gone."""
    with cloud.db.read() as tx:
        mapping = mirror.find_mapping(tx, kind, identifier)
    if mapping is None or mapping.gone_at is not None or Directories.of(cloud).has(mapping.domain_id):
        return mapping
    with cloud.db.write() as tx:
        mirror.mark_gone(tx, cloud, kind, [identifier])
        return mirror.find_mapping(tx, kind, identifier)


def refresh_users(cloud: Cloud, domain_id: str, mappings: Sequence[Row[Any]]) -> set[str]:
    """Users with their groups; those who are not there any more are marked as gone. Ids of those who are."""
    there: set[str] = set()
    for start in range(0, len(mappings), _IDS_AT_ONCE):
        some = {row.public_id: row.local_id for row in mappings[start : start + _IDS_AT_ONCE]}
        moment = clock.now()
        with Directories.of(cloud).asking(domain_id) as directory:
            entries = directory.users_by_id(some.values())
            found = {
                mirror.public_id(domain_id, "user", one.local_id): (one, directory.groups_of(one)) for one in entries
            }
        there |= _keep_users(cloud, domain_id, set(some), found, moment)
    return there


def _keep_users(cloud: Cloud, domain_id: str, wanted: set[str], found: Found, moment: Timestamp) -> set[str]:
    def keep(tx: Tx) -> set[str]:
        there = set(_store(tx, cloud, domain_id, found, moment))
        mirror.mark_gone(tx, cloud, "user", wanted - there)
        return there

    return _keep(cloud, keep)


def _refresh_groups(cloud: Cloud, domain_id: str, mappings: Sequence[Row[Any]]) -> set[str]:
    moment = clock.now()
    wanted = {row.public_id: row.local_id for row in mappings}
    with Directories.of(cloud).asking(domain_id) as directory:
        entries = directory.groups_by_id(wanted.values())

    def keep(tx: Tx) -> set[str]:
        there = set(mirror.store(tx, cloud, domain_id, "group", entries, moment=moment))
        mirror.mark_gone(tx, cloud, "group", wanted.keys() - there)
        return there

    return _keep(cloud, keep)


def refresh_members(cloud: Cloud, group_id: str) -> bool:
    """The members of a directory's group, as far as the limit goes. False if there is no such group any more."""
    mapping = _mapping_in_use(cloud, "group", group_id)
    if mapping is None or mapping.gone_at is not None:
        return mapping is None
    moment, domain_id = clock.now(), mapping.domain_id
    limit = Directories.of(cloud).limit_of(domain_id)
    with Directories.of(cloud).asking(domain_id) as directory:
        groups = directory.groups_by_id([mapping.local_id])
        members = directory.members_of(groups[0], limit) if groups else None

    def keep(tx: Tx) -> bool:
        if members is None:
            mirror.mark_gone(tx, cloud, "group", [group_id])
            return False
        mirror.store(tx, cloud, domain_id, "group", groups, moment=moment)
        users = mirror.store(tx, cloud, domain_id, "user", members.entries, moment=moment)
        mirror.store_members_of(tx, cloud, group_id, users, whole=members.whole)
        return True

    return _keep(cloud, keep)


def refresh_actors(cloud: Cloud, question: Question) -> None:
    """Before effective roles are listed: the members of the directories' groups in question, or the user's groups.

    Best effort: a list of the whole cloud does not fail because one directory is down.
    """
    assignment, mapping = table_of(RoleAssignment).c, table_of(IdMapping).c
    granted = select(assignment.actor_id).where(assignment.actor_kind == "group", *leads_there(question))
    with cloud.db.read() as tx:
        groups = select(mapping.public_id).where(mapping.kind == "group", mapping.public_id.in_(granted))
        group_ids = [] if question.user_id else tx.scalars(groups.limit(_MOST_GROUPS))
    try:
        if question.user_id:
            refresh(cloud, "user", question.user_id)
        for group_id in group_ids:
            refresh_members(cloud, group_id)
    except Unavailable as error:
        _log.warning("groups of directories were not looked at: %s", error)


@dataclass(frozen=True, slots=True)
class Shown:
    """A directory's answer to a list is kept: what it has shown at `moment` or later. `whole`: nothing is missing."""

    moment: Timestamp
    whole: bool


def look_through(cloud: Cloud, domain_id: str, kind: EntityKind, conditions: Iterable[Condition]) -> Shown:
    """Users or groups of a directory's domain. The conditions are the directory's to take: filter again."""
    moment, limit, asked = clock.now(), Directories.of(cloud).limit_of(domain_id), list(conditions)
    with Directories.of(cloud).asking(domain_id) as directory:
        listing = _listing(directory, kind, asked, limit)

    def keep(tx: Tx) -> None:
        mirror.store(tx, cloud, domain_id, kind, listing.entries, moment=moment)
        if listing.entries and listing.whole and not asked:
            mirror.mark_gone(tx, cloud, kind, tx.scalars(mirror.not_shown_since(kind, domain_id, moment)))

    _keep(cloud, keep)
    return Shown(moment, listing.whole)


def _listing(directory: Directory, kind: EntityKind, conditions: Iterable[Condition], limit: int) -> Any:
    ask = directory.list_users if kind == "user" else directory.list_groups
    return ask(conditions, limit)


def _keep(cloud: Cloud, change: Callable[[Tx], T]) -> T:
    """In a transaction; in a second one if another process has just seen the same users for the first time."""
    try:
        with cloud.db.write() as tx:
            return change(tx)
    except IntegrityError:
        with cloud.db.write() as tx:
            return change(tx)


def _store(tx: Tx, cloud: Cloud, domain_id: str, found: Found, moment: Timestamp) -> list[str]:
    """Users and all their groups."""
    users = mirror.store(tx, cloud, domain_id, "user", [user for user, _ in found.values()], moment=moment)
    groups = {group.local_id: group for _, some in found.values() for group in some}
    known = set(mirror.store(tx, cloud, domain_id, "group", groups.values(), moment=moment))
    for user_id in users:
        mine = {mirror.public_id(domain_id, "group", group.local_id) for group in found[user_id][1]}
        mirror.store_groups_of(tx, cloud, domain_id, user_id, mine & known, moment=moment)
    return users


# from time to time


def refresh_watched(cloud: Cloud) -> None:
    """Everybody who has a valid token and was not seen lately. If a directory is down, its users stay."""
    mapping = table_of(IdMapping)
    is_due = (
        mapping.c.kind == "user",
        mapping.c.watched_until > clock.now(),
        mapping.c.gone_at.is_(None),
        mapping.c.checked_at < clock.after(-cloud[IdentityOptions].directory_refresh_s),
    )
    with cloud.db.read() as tx:
        watched = tx.rows(select(mapping).where(*is_due))
    by_domain: dict[str, list[Row[Any]]] = {}
    for row in watched:
        by_domain.setdefault(row.domain_id, []).append(row)
    for domain_id, rows in by_domain.items():
        if not Directories.of(cloud).has(domain_id):
            with cloud.db.write() as tx:
                mirror.mark_gone(tx, cloud, "user", [row.public_id for row in rows])
            continue
        try:
            refresh_users(cloud, domain_id, rows)
        except ApiError as error:
            _log.warning("users of domain %s were not looked at: %s", domain_id, error)
