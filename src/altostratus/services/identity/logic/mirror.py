# SPDX-License-Identifier: Apache-2.0
"""Copies of a directory's users and groups among our own, so that everything else finds them where it looks anyway.

Their ids are upstream's: the hash of domain, kind and the directory's own id. What the directory does not show any more
is kept, disabled and hidden, with its roles: a wrong option must not cost them (`directory_forget_days`).
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import select, update

from altostratus.kernel import clock, log
from altostratus.kernel.clock import Timestamp
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.services.identity.directory.contract import EntityKind, GroupEntry, UserEntry
from altostratus.services.identity.logic.changes import announce
from altostratus.services.identity.models import Group, GroupMember, IdMapping, User

T = TypeVar("T")
Entry = UserEntry | GroupEntry
_log = log.get("identity.directory")
# the most values of one IN list
_CHUNK = 500
_LONGEST_NAME = 255
_MODELS: dict[EntityKind, type[User | Group]] = {"user": User, "group": Group}


def public_id(domain_id: str, kind: EntityKind, local_id: str) -> str:
    """64 hexadecimal digits, the same in every cloud that has this domain id (upstream's generator `sha256`)."""
    return hashlib.sha256(f"{domain_id}{kind}{local_id}".encode()).hexdigest()


def store(
    tx: Tx, cloud: Cloud, domain_id: str, kind: EntityKind, entries: Iterable[Entry], *, moment: Timestamp
) -> list[str]:
    """Make the copies what the directory said at `moment`; their ids. Names that a local row has are left out."""
    wanted = _with_free_names(tx, cloud, domain_id, kind, entries)
    table = table_of(_MODELS[kind])
    known = {row.id: row for row in _rows_in(tx, select(table), table.c.id, wanted)}
    mapped = _mapped(tx, wanted)
    tx.insert_many(
        _MODELS[kind], [_new(kind, domain_id, one, entry) for one, entry in wanted.items() if one not in known]
    )
    tx.insert_many(IdMapping, [
        {"public_id": one, "domain_id": domain_id, "kind": kind, "local_id": entry.local_id, "seen_at": moment}
        for one, entry in wanted.items() if one not in mapped
    ])  # fmt: skip
    for one, row in known.items():
        _bring_up_to_date(tx, cloud, kind, row, wanted[one])
    mapping = table_of(IdMapping)
    for chunk in _chunks(mapped):
        # whoever asked later knows better
        older = (mapping.c.public_id.in_(chunk), mapping.c.seen_at < moment)
        tx.execute(update(mapping).where(*older).values(seen_at=moment, gone_at=None))
    return list(wanted)


def store_groups_of(
    tx: Tx, cloud: Cloud, domain_id: str, user_id: str, group_ids: Iterable[str], *, moment: Timestamp
) -> None:
    """Of the directory's groups the user is in these and no other."""
    member, mapping = table_of(GroupMember).c, table_of(IdMapping).c
    of_directory = select(mapping.public_id).where(mapping.domain_id == domain_id, mapping.kind == "group")
    mine = select(member.group_id).where(member.user_id == user_id, member.group_id.in_(of_directory))
    before, after = set(tx.scalars(mine)), set(group_ids)
    tx.update(IdMapping, user_id, checked_at=moment)
    _change_members(tx, cloud, {(one, user_id) for one in after - before}, {(one, user_id) for one in before - after})


def store_members_of(tx: Tx, cloud: Cloud, group_id: str, user_ids: Iterable[str], *, whole: bool) -> None:
    """The group has these members; without `whole` it may have others too."""
    member = table_of(GroupMember).c
    before, after = set(tx.scalars(select(member.user_id).where(member.group_id == group_id))), set(user_ids)
    gone = {(group_id, one) for one in before - after} if whole else set()
    _change_members(tx, cloud, {(group_id, one) for one in after - before}, gone)


def mark_gone(tx: Tx, cloud: Cloud, kind: EntityKind, public_ids: Iterable[str]) -> None:
    """The directory does not have these (any more): tokens are void, groups give nothing, nobody is listed."""
    mapping, member = table_of(IdMapping), table_of(GroupMember).c
    for chunk in _chunks(public_ids):
        still = select(mapping.c.public_id).where(mapping.c.public_id.in_(chunk), mapping.c.gone_at.is_(None))
        fresh = tx.scalars(still)
        if not fresh:
            continue
        moment = clock.now()
        tx.update_where(IdMapping, mapping.c.public_id.in_(fresh), gone_at=moment)
        tx.delete_where(GroupMember, (member.user_id if kind == "user" else member.group_id).in_(fresh))
        if kind == "user":
            tx.update_where(User, table_of(User).c.id.in_(fresh), enabled=False, tokens_from=moment)
        for one in fresh:
            announce(tx, cloud, f"identity.{kind}.updated", one)


def find_mapping(tx: Tx, kind: EntityKind, identifier: str) -> Row[Any] | None:
    row = tx.find(IdMapping, identifier)
    return row if row is not None and row.kind == kind else None


def watch(tx: Tx, mapping: Row[Any], until: Timestamp) -> None:
    """Look at the user again and again until then."""
    if (mapping.watched_until or "") < until:
        tx.update(IdMapping, mapping.public_id, watched_until=until)


def shown_since(kind: EntityKind, domain_id: str, moment: Timestamp) -> Any:
    """Select of ids that the directory has shown at `moment` or later."""
    mapping = table_of(IdMapping).c
    return select(mapping.public_id).where(
        mapping.domain_id == domain_id, mapping.kind == kind, mapping.seen_at >= moment, mapping.gone_at.is_(None)
    )


def not_shown_since(kind: EntityKind, domain_id: str, moment: Timestamp) -> Any:
    """Select of ids that the directory has not shown for so long, and is not known to have lost."""
    mapping = table_of(IdMapping).c
    return select(mapping.public_id).where(
        mapping.domain_id == domain_id, mapping.kind == kind, mapping.seen_at < moment, mapping.gone_at.is_(None)
    )


def gone_ids(kind: EntityKind) -> Any:
    """Select of ids that no list shows."""
    mapping = table_of(IdMapping).c
    return select(mapping.public_id).where(mapping.kind == kind, mapping.gone_at.is_not(None))


def mirrored_ids(kind: EntityKind, domain_id: str) -> Any:
    mapping = table_of(IdMapping).c
    return select(mapping.public_id).where(mapping.kind == kind, mapping.domain_id == domain_id)


def forget(tx: Tx, public_ids: Iterable[str]) -> None:
    """The mappings only; the copies are deleted like any user or group."""
    for chunk in _chunks(public_ids):
        tx.delete_where(IdMapping, table_of(IdMapping).c.public_id.in_(chunk))


def _with_free_names(
    tx: Tx, cloud: Cloud, domain_id: str, kind: EntityKind, entries: Iterable[Entry]
) -> dict[str, Entry]:
    """Entries by public id, whose names nobody else has: copies that are out of date lose theirs."""
    by_name: dict[str, tuple[str, Entry]] = {}
    for entry in entries:
        if len(entry.name) > _LONGEST_NAME or entry.name in by_name:
            _log.warning("%s %s is left out: its name is too long, or another entry's too", kind, entry.dn)
        else:
            by_name[entry.name] = public_id(domain_id, kind, entry.local_id), entry
    table = table_of(_MODELS[kind])
    statement = select(table.c.id, table.c.name).where(table.c.domain_id == domain_id)
    others = [row for row in _rows_in(tx, statement, table.c.name, by_name) if row.id != by_name[row.name][0]]
    copies = _mapped(tx, [row.id for row in others])
    for row in others:
        if row.id in copies:
            tx.update(_MODELS[kind], row.id, name=row.id)
        else:
            _log.warning("%s %s is left out: a local %s has its name", kind, by_name.pop(row.name)[1].dn, kind)
    return dict(by_name.values())


def _new(kind: EntityKind, domain_id: str, identifier: str, entry: Entry) -> dict[str, Any]:
    values = {"id": identifier, "domain_id": domain_id, "name": entry.name, "extra": dict(entry.extra)}
    if kind == "group":
        return values | {"description": entry.values.get("description") or ""}
    plain = {"description": None, "default_project_id": None}
    # the directory's own rules say who was away for too long
    own = {"options": {"ignore_user_inactivity": True}}
    return values | plain | own | {"created_at": clock.now(), "tokens_from": ""} | dict(entry.values)


def _bring_up_to_date(tx: Tx, cloud: Cloud, kind: EntityKind, row: Row[Any], entry: Entry) -> None:
    values = {"name": entry.name, "extra": dict(entry.extra), **entry.values}
    if kind == "group":
        values["description"] = values.get("description") or ""
    changes = {name: value for name, value in values.items() if row._mapping[name] != value}
    if not changes:
        return
    if changes.get("enabled") is False:
        changes["tokens_from"] = clock.now()
    tx.update(_MODELS[kind], row.id, **changes)
    announce(tx, cloud, f"identity.{kind}.updated", row.id)


def _change_members(tx: Tx, cloud: Cloud, new: set[tuple[str, str]], gone: set[tuple[str, str]]) -> None:
    """Pairs of group and user."""
    tx.insert_many(GroupMember, [{"group_id": group_id, "user_id": user_id} for group_id, user_id in sorted(new)])
    for group_id, user_id in gone:
        tx.delete(GroupMember, group_id, user_id)
    for word, pairs in (("added_to", new), ("removed_from", gone)):
        for group_id in sorted({group_id for group_id, _ in pairs}):
            announce(tx, cloud, f"identity.group.{word}", group_id)


def _mapped(tx: Tx, public_ids: Iterable[str]) -> set[str]:
    mapping = table_of(IdMapping).c
    return {row.public_id for row in _rows_in(tx, select(mapping.public_id), mapping.public_id, public_ids)}


def _rows_in(tx: Tx, statement: Any, column: Any, values: Iterable[str]) -> Iterator[Row[Any]]:
    for chunk in _chunks(values):
        yield from tx.rows(statement.where(column.in_(chunk)))


def _chunks(values: Iterable[T]) -> Iterator[Sequence[T]]:
    rest = iter(values)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk
