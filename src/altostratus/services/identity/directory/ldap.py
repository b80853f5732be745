# SPDX-License-Identifier: Apache-2.0
"""`LdapDirectory`: a `Directory` that an LDAP server is. Reads are here, changes in `ldap_changes`."""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import ldap3

from altostratus.kernel import ids
from altostratus.services.identity.directory import escaping, ldap_changes
from altostratus.services.identity.directory.connections import Connection, Connections, demand_found
from altostratus.services.identity.directory.contract import (
    Condition,
    EntityKind,
    GroupEntry,
    Listing,
    Right,
    UserEntry,
)
from altostratus.services.identity.directory.settings import Entities, LdapSettings, is_true

Attributes = Mapping[str, list[bytes]]
Found = tuple[str, Attributes]
_DEREFERENCE = {
    "never": ldap3.DEREF_NEVER,
    "default": ldap3.DEREF_NEVER,
    "searching": ldap3.DEREF_SEARCH,
    "finding": ldap3.DEREF_BASE,
    "always": ldap3.DEREF_ALWAYS,
}
_PLAIN_COLUMNS = ("description", "default_project_id")
_EVERYTHING = "(objectClass=*)"
# users or groups asked for by id at once; groups of one user
MOST_IDS, MOST_GROUPS = 50, 1000


class LdapDirectory:
    """See `contract.Directory`."""

    def __init__(self, settings: LdapSettings) -> None:
        self._settings = settings
        self._connections = Connections(settings)

    def close(self) -> None:
        self._connections.close()

    def may(self, kind: EntityKind, right: Right) -> bool:
        entities = self._settings.users if kind == "user" else self._settings.groups
        return right in entities.rights

    # users

    def users_by_id(self, local_ids: Iterable[str]) -> list[UserEntry]:
        wanted = [escaping.equals(self._settings.users.id_attribute, local_id) for local_id in local_ids]
        return self._users(escaping.some(*wanted), MOST_IDS).entries if wanted else []

    def users_by_name(self, name: str) -> list[UserEntry]:
        if not name.strip():
            return []
        return self._users(escaping.equals(self._settings.users.attributes["name"], name), 2).entries

    def list_users(self, conditions: Iterable[Condition], limit: int) -> Listing[UserEntry]:
        return self._users(_filter_of(self._settings.users, conditions), limit)

    def is_password(self, user: UserEntry, password: str) -> bool:
        return self._connections.is_let_in(user.dn, password)

    def nobody(self) -> UserEntry:
        users, name = self._settings.users, ids.new_hex_id()
        return UserEntry(name, escaping.named(users.id_attribute, name, users.tree_dn), name)

    def _users(self, condition: str, limit: int) -> Listing[UserEntry]:
        def question(connection: Connection) -> Listing[UserEntry]:
            found = self._search(connection, self._settings.users, condition, limit)
            return Listing(self._as_users(connection, found.entries), found.whole)

        return self._connections.ask(question)

    def _as_users(self, connection: Connection, found: list[Found]) -> list[UserEntry]:
        enabled_dns = self._enabled_dns(connection, found)
        return [user for dn, attributes in found if (user := self._user(dn, attributes, enabled_dns)) is not None]

    def _user(self, dn: str, attributes: Attributes, enabled_dns: set[str] | None) -> UserEntry | None:
        entities = self._settings.users
        local_id, name = _own_id(entities, dn, attributes), _text(attributes, entities.attributes["name"])
        if not local_id or not name or not name.strip():
            return None
        enabled = _plain_dn(dn) in enabled_dns if enabled_dns is not None else self._is_enabled(attributes)
        email = _text(attributes, entities.attributes.get("email"))
        return UserEntry(
            local_id, dn, name, _columns(entities, attributes) | {"enabled": enabled},
            ({"email": email} if email else {}) | _additional(entities, attributes),
        )  # fmt: skip

    def _is_enabled(self, attributes: Attributes) -> bool:
        enabled = self._settings.enabled
        text = _text(attributes, self._settings.users.attributes.get("enabled"))
        if enabled.mask:
            return enabled.number(text) & enabled.mask != enabled.mask
        return is_true(text or enabled.default) != enabled.invert

    def _enabled_dns(self, connection: Connection, found: list[Found]) -> set[str] | None:
        """With emulation: the plain names of those who are in the group of enabled users; else None."""
        enabled = self._settings.enabled
        if enabled.group_dn is None:
            return None
        if len(found) > 1:
            _, members = self._read(connection, enabled.group_dn, [enabled.group_member_attribute]) or ("", {})
            return {_plain_dn(text) for text in _texts(members, enabled.group_member_attribute)}
        for dn, _ in found:
            is_member = escaping.equals(enabled.group_member_attribute, dn)
            if self._read(connection, enabled.group_dn, ["1.1"], is_member) is not None:
                return {_plain_dn(dn)}
        return set()

    # groups

    def groups_by_id(self, local_ids: Iterable[str]) -> list[GroupEntry]:
        wanted = [escaping.equals(self._settings.groups.id_attribute, local_id) for local_id in local_ids]
        return self._groups(escaping.some(*wanted), MOST_IDS).entries if wanted else []

    def list_groups(self, conditions: Iterable[Condition], limit: int) -> Listing[GroupEntry]:
        return self._groups(_filter_of(self._settings.groups, conditions), limit)

    def groups_of(self, user: UserEntry) -> list[GroupEntry]:
        settings = self._settings
        member = user.local_id if settings.members_are_ids else user.dn
        is_in = escaping.equals(settings.member_attribute, member, nested=settings.nested_groups)
        return self._groups(is_in, MOST_GROUPS).entries

    def members_of(self, group: GroupEntry, limit: int) -> Listing[UserEntry]:
        settings = self._settings
        if settings.nested_groups:
            return self._users(escaping.equals("memberOf", group.dn, nested=True), limit)

        def question(connection: Connection) -> Listing[UserEntry]:
            _, attributes = self._read(connection, group.dn, [settings.member_attribute]) or ("", {})
            members = _texts(attributes, settings.member_attribute)
            found = self._members(connection, members[:limit])
            return Listing(self._as_users(connection, found), len(members) <= limit)

        return self._connections.ask(question)

    def _members(self, connection: Connection, members: list[str]) -> list[Found]:
        users = self._settings.users
        if not self._settings.members_are_ids:
            wanted, condition = _wanted(users), _filter_of(users, ())
            below = [dn for dn in members if _plain_dn(dn).endswith(_plain_dn(users.tree_dn))]
            return [one for dn in below if (one := self._read(connection, dn, wanted, condition)) is not None]
        found: list[Found] = []
        for start in range(0, len(members), MOST_IDS):
            ids = [escaping.equals(users.id_attribute, one) for one in members[start : start + MOST_IDS]]
            found += self._search(connection, users, escaping.some(*ids), MOST_IDS).entries
        return found

    def _groups(self, condition: str, limit: int) -> Listing[GroupEntry]:
        entities = self._settings.groups

        def question(connection: Connection) -> Listing[GroupEntry]:
            found = self._search(connection, entities, condition, limit)
            groups = [group for one in found.entries if (group := _group(entities, *one)) is not None]
            return Listing(groups, found.whole)

        return self._connections.ask(question)

    # changes

    def create_user(self, values: Mapping[str, Any], password: str | None) -> UserEntry:
        local_id = ldap_changes.create_user(self._connections, self._settings, values, password)
        return ldap_changes.demand_readable("user", self.users_by_id([local_id]))

    def update_user(self, user: UserEntry, changes: Mapping[str, Any], password: str | None) -> UserEntry:
        ldap_changes.update_user(self._connections, self._settings, user, changes, password)
        return ldap_changes.demand_readable("user", self.users_by_id([user.local_id]))

    def delete_user(self, user: UserEntry) -> None:
        ldap_changes.delete_user(self._connections, self._settings, user, self.groups_of(user))

    def create_group(self, values: Mapping[str, Any]) -> GroupEntry:
        local_id = ldap_changes.create_group(self._connections, self._settings, values)
        return ldap_changes.demand_readable("group", self.groups_by_id([local_id]))

    def update_group(self, group: GroupEntry, changes: Mapping[str, Any]) -> GroupEntry:
        ldap_changes.update_group(self._connections, self._settings, group, changes)
        return ldap_changes.demand_readable("group", self.groups_by_id([group.local_id]))

    def delete_group(self, group: GroupEntry) -> None:
        ldap_changes.delete(self._connections, group.dn)

    def add_member(self, group: GroupEntry, user: UserEntry) -> None:
        ldap_changes.add_member(self._connections, self._settings, group, user)

    def remove_member(self, group: GroupEntry, user: UserEntry) -> None:
        ldap_changes.remove_member(self._connections, self._settings, group, user)

    # searches

    def _search(self, connection: Connection, entities: Entities, condition: str, limit: int) -> Listing[Found]:
        """Entries that also meet the options' own filter."""
        settings = self._settings
        found: list[Found] = []
        asked: dict[str, Any] = {
            "search_base": entities.tree_dn,
            "search_filter": _filter_of(entities, (), condition),
            "search_scope": ldap3.SUBTREE if settings.subtree else ldap3.LEVEL,
            "dereference_aliases": _DEREFERENCE[settings.dereference],
            "attributes": _wanted(entities),
            "time_limit": settings.timeout_s,
        }
        if settings.page_size:
            asked["paged_size"] = settings.page_size
        else:
            asked["size_limit"] = limit + 1
        while True:
            connection.search(**asked)
            whole = demand_found(connection)
            found += _entries(connection)
            cookie = _cookie(connection) if settings.page_size else None
            if not cookie or len(found) > limit:
                break
            asked["paged_cookie"] = cookie
        return Listing(found[:limit], whole and not cookie and len(found) <= limit)

    def _read(
        self, connection: Connection, dn: str, attributes: list[str], condition: str = _EVERYTHING
    ) -> Found | None:
        connection.search(dn, condition, search_scope=ldap3.BASE, attributes=attributes)
        demand_found(connection)
        return next(iter(_entries(connection)), None)


def _filter_of(entities: Entities, conditions: Iterable[Condition], *more: str) -> str:
    wanted = [
        escaping.matches(entities.attributes[one.field], one)
        for one in conditions
        if one.field in entities.attributes and one.field != "enabled"
    ]
    own = (escaping.equals("objectClass", entities.object_class), escaping.present(entities.id_attribute))
    return escaping.every(*own, entities.filter, *wanted, *more)


def _wanted(entities: Entities) -> list[str]:
    return sorted({entities.id_attribute, *entities.attributes.values(), *entities.additional})


def _entries(connection: Connection) -> list[Found]:
    """Referrals to other servers are left out."""
    return [
        (one["dn"], {name.lower(): values for name, values in one["raw_attributes"].items()})
        for one in connection.response or ()
        if one["type"] == "searchResEntry"
    ]


def _cookie(connection: Connection) -> bytes | None:
    controls = connection.result.get("controls") or {}
    paging = controls.get("1.2.840.113556.1.4.319") or {}
    cookie: bytes | None = (paging.get("value") or {}).get("cookie")
    return cookie


def _group(entities: Entities, dn: str, attributes: Attributes) -> GroupEntry | None:
    local_id, name = _own_id(entities, dn, attributes), _text(attributes, entities.attributes["name"])
    if not local_id or not name or not name.strip():
        return None
    return GroupEntry(local_id, dn, name, _columns(entities, attributes), _additional(entities, attributes))


def _columns(entities: Entities, attributes: Attributes) -> dict[str, Any]:
    return {
        column: _text(attributes, entities.attributes[column])
        for column in _PLAIN_COLUMNS
        if column in entities.attributes
    }


def _additional(entities: Entities, attributes: Attributes) -> dict[str, Any]:
    found = {ours: _text(attributes, theirs) for theirs, ours in entities.additional.items()}
    return {name: text for name, text in found.items() if text is not None}


def _own_id(entities: Entities, dn: str, attributes: Attributes) -> str | None:
    """The id attribute; of several values the one in the entry's name, as upstream has it."""
    texts = _texts(attributes, entities.id_attribute)
    in_name = [one for one in texts if _plain_dn(dn).startswith(_plain_dn(f"{entities.id_attribute}={one},"))]
    return next(iter(in_name or texts), None)


def _text(attributes: Attributes, name: str | None) -> str | None:
    return next(iter(_texts(attributes, name)), None) if name else None


def _texts(attributes: Attributes, name: str) -> list[str]:
    return [text for value in attributes.get(name.lower(), ()) if (text := _decoded(value)) is not None]


def _decoded(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        # ids of Active Directory are 16 bytes
        return str(uuid.UUID(bytes_le=value)) if len(value) == 16 else None


def _plain_dn(dn: str) -> str:
    """Good for comparing names that the same server wrote."""
    return ",".join(part.strip() for part in dn.lower().split(","))
