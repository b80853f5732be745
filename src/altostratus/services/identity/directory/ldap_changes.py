# SPDX-License-Identifier: Apache-2.0
"""What the cloud changes in an LDAP server, where the options allow it (`user_allow_create` ...)."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import ldap3

from altostratus.kernel import ids
from altostratus.kernel.errors import BadRequest, Forbidden
from altostratus.services.identity.directory import escaping
from altostratus.services.identity.directory.connections import Connection, Connections, as_bytes, demand_done
from altostratus.services.identity.directory.contract import DirectoryDown, GroupEntry, UserEntry
from altostratus.services.identity.directory.settings import Entities, LdapSettings

Values = Mapping[str, Any]
E = TypeVar("E", UserEntry, GroupEntry)
_OBJECT_CLASS_VIOLATION, _CONSTRAINT_VIOLATION = 65, 19
_NO_SUCH_VALUE, _VALUE_THERE = 16, 20
_PROTOCOL_ERROR = 2
# these classes demand both, whatever the options call a name
_PEOPLE = frozenset({"person", "organizationalperson", "inetorgperson", "user"})
_GROUPS_WITH_MEMBERS = frozenset({"groupofnames", "groupofuniquenames"})


def create_user(connections: Connections, settings: LdapSettings, values: Values, password: str | None) -> str:
    """The new user's id in the directory."""
    users = settings.users
    attributes = _attributes(users, _with_enabled(settings, values, None))
    local_id = _new_id(users, values["name"], attributes)
    if users.object_class.lower() in _PEOPLE:
        attributes = {"cn": values["name"], "sn": values["name"]} | attributes
    dn = escaping.named(users.id_attribute, local_id, users.tree_dn)

    def change(connection: Connection) -> None:
        connection.add(dn, _classes(users), attributes)
        demand_done(connection, f"Cannot create user {values['name']}")
        try:
            if password:
                _set_password(connection, settings, dn, password)
            if values.get("enabled", True):
                _emulate_enabled(connection, settings, dn, True)
        except BaseException:
            # half a user would keep the name for ever
            connection.delete(dn)
            raise

    connections.change(change)
    return local_id


def update_user(
    connections: Connections, settings: LdapSettings, user: UserEntry, changes: Values, password: str | None
) -> None:
    if changes.get("name", user.name) != user.name:
        _demand_name_is_no_id(settings.users, "user")

    def change(connection: Connection) -> None:
        changed = _with_enabled(settings, changes, _enabled_now(connection, settings, user.dn))
        _modify(connection, user.dn, settings.users, changed, f"Cannot update user {user.name}")
        if password is not None:
            _set_password(connection, settings, user.dn, password)
        if "enabled" in changes:
            _emulate_enabled(connection, settings, user.dn, bool(changes["enabled"]))

    connections.change(change)


def delete_user(
    connections: Connections, settings: LdapSettings, user: UserEntry, groups: Iterable[GroupEntry]
) -> None:
    """The user leaves the groups first: few servers do that by themselves."""
    if "update" in settings.groups.rights and not settings.nested_groups:
        for group in groups:
            remove_member(connections, settings, group, user)
    if settings.enabled.group_dn is not None:
        connections.change(lambda connection: _emulate_enabled(connection, settings, user.dn, False))
    delete(connections, user.dn)


def create_group(connections: Connections, settings: LdapSettings, values: Values) -> str:
    groups = settings.groups
    attributes = _attributes(groups, values)
    local_id = _new_id(groups, values["name"], attributes)
    dn = escaping.named(groups.id_attribute, local_id, groups.tree_dn)
    if groups.object_class.lower() in _GROUPS_WITH_MEMBERS:
        # such a group cannot be empty: it is its own member, and no user
        attributes = {"cn": values["name"]} | attributes | {settings.member_attribute: dn}

    def change(connection: Connection) -> None:
        connection.add(dn, [groups.object_class], attributes)
        demand_done(connection, f"Cannot create group {values['name']}")

    connections.change(change)
    return local_id


def update_group(connections: Connections, settings: LdapSettings, group: GroupEntry, changes: Values) -> None:
    if changes.get("name", group.name) != group.name:
        _demand_name_is_no_id(settings.groups, "group")
    words = f"Cannot update group {group.name}"
    connections.change(lambda connection: _modify(connection, group.dn, settings.groups, changes, words))


def delete(connections: Connections, dn: str) -> None:
    def change(connection: Connection) -> None:
        connection.delete(dn)
        demand_done(connection, "Cannot delete the entry")

    connections.change(change)


def add_member(connections: Connections, settings: LdapSettings, group: GroupEntry, user: UserEntry) -> None:
    """Adding somebody again changes nothing."""
    member = user.local_id if settings.members_are_ids else user.dn

    def change(connection: Connection) -> None:
        connection.modify(group.dn, {settings.member_attribute: [(ldap3.MODIFY_ADD, [member])]})
        if connection.result["result"] != _VALUE_THERE:
            demand_done(connection, f"Cannot add user {user.name} to group {group.name}")

    connections.change(change)


def remove_member(connections: Connections, settings: LdapSettings, group: GroupEntry, user: UserEntry) -> None:
    """The last member of a group that cannot be empty is replaced by the group itself."""
    attribute = settings.member_attribute
    gone = (ldap3.MODIFY_DELETE, [user.local_id if settings.members_are_ids else user.dn])

    def change(connection: Connection) -> None:
        connection.modify(group.dn, {attribute: [gone]})
        if connection.result["result"] in (_OBJECT_CLASS_VIOLATION, _CONSTRAINT_VIOLATION):
            connection.modify(group.dn, {attribute: [gone, (ldap3.MODIFY_ADD, [group.dn])]})
        demand_done(connection, f"Cannot remove user {user.name} from group {group.name}")

    connections.change(change)


def demand_readable(what: str, found: list[E]) -> E:
    """What was just written must be found where the options look for it. Raises DirectoryDown."""
    if not found:
        raise DirectoryDown(
            f"The {what} was written, but cannot be found in the directory: [ldap] {what}_filter or another option"
            " leaves out what the cloud writes. Correct the options, or the entry in the directory."
        )
    return found[0]


def _modify(connection: Connection, dn: str, entities: Entities, changes: Values, words: str) -> None:
    modifications = {
        entities.attributes[name]: [(ldap3.MODIFY_REPLACE, [] if value in (None, "") else [_as_text(value)])]
        for name, value in changes.items()
        if name in entities.attributes
    }
    if modifications:
        connection.modify(dn, modifications)
        demand_done(connection, words)


def _set_password(connection: Connection, settings: LdapSettings, dn: str, password: str) -> None:
    """By the server's own operation (RFC 3062), which hashes it; by the attribute where that is not offered."""
    attribute = settings.password_attribute
    if attribute.lower() == "userpassword":
        connection.extend.standard.modify_password(dn, None, as_bytes(password))
        if connection.result["result"] != _PROTOCOL_ERROR:
            demand_done(connection, "Cannot set the password")
            return
    value = f'"{password}"'.encode("utf-16-le") if attribute.lower() == "unicodepwd" else as_bytes(password)
    connection.modify(dn, {attribute: [(ldap3.MODIFY_REPLACE, [value])]})
    demand_done(connection, "Cannot set the password")


def _emulate_enabled(connection: Connection, settings: LdapSettings, dn: str, is_enabled: bool) -> None:
    """With emulation: into the group of enabled users, or out of it."""
    group_dn, attribute = settings.enabled.group_dn, settings.enabled.group_member_attribute
    if group_dn is None:
        return
    operation = ldap3.MODIFY_ADD if is_enabled else ldap3.MODIFY_DELETE
    connection.modify(group_dn, {attribute: [(operation, [dn])]})
    if connection.result["result"] in (_OBJECT_CLASS_VIOLATION, _CONSTRAINT_VIOLATION):
        both = [(operation, [dn]), (ldap3.MODIFY_ADD, [group_dn])]
        connection.modify(group_dn, {attribute: both})
    if connection.result["result"] not in (_VALUE_THERE, _NO_SUCH_VALUE):
        demand_done(connection, "Cannot change who is enabled")


def _enabled_now(connection: Connection, settings: LdapSettings, dn: str) -> str:
    """The attribute as it is, for its other bits; empty if there is none."""
    attribute = settings.users.attributes.get("enabled")
    if attribute is None or not settings.enabled.mask:
        return ""
    connection.search(dn, "(objectClass=*)", search_scope=ldap3.BASE, attributes=[attribute])
    found = [one["raw_attributes"].get(attribute) for one in connection.response or () if "raw_attributes" in one]
    return found[0][0].decode() if found and found[0] else ""


def _with_enabled(settings: LdapSettings, values: Values, now: str | None) -> dict[str, Any]:
    """`enabled` as the directory writes it; left out where a group says it instead.

    now: the attribute's present text; None for a new user, who gets none if the default says the same
    """
    enabled, shown = settings.enabled, dict(values)
    if "enabled" not in shown:
        return shown
    wanted = bool(shown.pop("enabled"))
    if enabled.group_dn is not None:
        return shown
    if "enabled" not in settings.users.attributes:
        if not wanted:
            raise Forbidden(
                "Disabling an entity where the 'enable' attribute is ignored by configuration. Take enabled out of"
                " [ldap] user_attribute_ignore."
            )
        return shown
    if enabled.mask:
        number = enabled.number(now)
        text = str(number & ~enabled.mask if wanted else number | enabled.mask)
    else:
        text = "TRUE" if wanted != enabled.invert else "FALSE"
    if now is not None or text.lower() != enabled.default.lower():
        shown["enabled"] = text
    return shown


def _attributes(entities: Entities, values: Values) -> dict[str, Any]:
    return {
        entities.attributes[name]: _as_text(value)
        for name, value in values.items()
        if name in entities.attributes and value not in (None, "")
    }


def _new_id(entities: Entities, name: str, attributes: dict[str, Any]) -> str:
    """The name, where the directory has one attribute for both; else an id of ours."""
    if entities.id_attribute.lower() == entities.attributes["name"].lower():
        return name
    attributes[entities.id_attribute] = ids.new_hex_id()
    return str(attributes[entities.id_attribute])


def _classes(entities: Entities) -> list[str]:
    person = entities.object_class.lower() in _PEOPLE
    return list(dict.fromkeys((*(("person",) if person else ()), entities.object_class)))


def _demand_name_is_no_id(entities: Entities, what: str) -> None:
    if entities.id_attribute.lower() == entities.attributes["name"].lower():
        raise BadRequest(
            f"Cannot change {what} name: it is also the id of the entry. Rename the entry in the directory itself."
        )


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    return str(value)
