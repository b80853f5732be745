# SPDX-License-Identifier: Apache-2.0
"""`FakeDirectory`: a `Directory` in memory, for tests and for trying things without a server."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from altostratus.kernel.errors import Conflict
from altostratus.services.identity.directory.contract import (
    Condition,
    DirectoryDown,
    EntityKind,
    GroupEntry,
    Listing,
    Right,
    UserEntry,
)

_MATCHES = {
    "equals": str.__eq__,
    "contains": str.__contains__,
    "startswith": str.startswith,
    "endswith": str.endswith,
}


class FakeDirectory:
    """`down` makes it unreachable; `asked` counts questions and changes."""

    def __init__(self, rights: Iterable[tuple[EntityKind, Right]] = ()) -> None:
        self.users: dict[str, UserEntry] = {}
        self.groups: dict[str, GroupEntry] = {}
        self.passwords: dict[str, str] = {}
        self.members: dict[str, list[str]] = {}
        self.rights = set(rights)
        self.down = False
        self.asked = 0

    def add_user(self, name: str, password: str | None = None, **values: Any) -> UserEntry:
        """A user whose id is the name, with the password `<name>-password`."""
        email = values.pop("email", f"{name}@example.org")
        known = {"description": None, "enabled": True} | values
        user = self.users[name] = UserEntry(name, f"uid={name}", name, known, {"email": email})
        self.passwords[name] = f"{name}-password" if password is None else password
        return user

    def add_group(self, name: str, *members: str) -> GroupEntry:
        group = self.groups[name] = GroupEntry(name, f"cn={name}", name, {"description": None})
        self.members[name] = list(members)
        return group

    def close(self) -> None:
        return None

    def may(self, kind: EntityKind, right: Right) -> bool:
        return (kind, right) in self.rights

    def users_by_id(self, local_ids: Iterable[str]) -> list[UserEntry]:
        self._asked()
        return [self.users[one] for one in local_ids if one in self.users]

    def users_by_name(self, name: str) -> list[UserEntry]:
        self._asked()
        return [one for one in self.users.values() if one.name == name]

    def is_password(self, user: UserEntry, password: str) -> bool:
        self._asked()
        return bool(password) and self.passwords.get(user.local_id) == password

    def nobody(self) -> UserEntry:
        return UserEntry("", "", "")

    def list_users(self, conditions: Iterable[Condition], limit: int) -> Listing[UserEntry]:
        self._asked()
        wanted = list(conditions)
        found = [one for one in self.users.values() if _fits(one, wanted)]
        return Listing(found[:limit], len(found) <= limit)

    def groups_by_id(self, local_ids: Iterable[str]) -> list[GroupEntry]:
        self._asked()
        return [self.groups[one] for one in local_ids if one in self.groups]

    def list_groups(self, conditions: Iterable[Condition], limit: int) -> Listing[GroupEntry]:
        self._asked()
        wanted = list(conditions)
        found = [one for one in self.groups.values() if _fits(one, wanted)]
        return Listing(found[:limit], len(found) <= limit)

    def groups_of(self, user: UserEntry) -> list[GroupEntry]:
        self._asked()
        return [self.groups[name] for name, members in self.members.items() if user.local_id in members]

    def members_of(self, group: GroupEntry, limit: int) -> Listing[UserEntry]:
        self._asked()
        found = [self.users[one] for one in self.members[group.local_id] if one in self.users]
        return Listing(found[:limit], len(found) <= limit)

    def create_user(self, values: Mapping[str, Any], password: str | None) -> UserEntry:
        self._asked()
        if values["name"] in self.users:
            raise Conflict("Cannot create the user: the directory has such an entry already.")
        self.add_user(values["name"], password or "")
        return self.update_user(self.users[values["name"]], values, None)

    def update_user(self, user: UserEntry, changes: Mapping[str, Any], password: str | None) -> UserEntry:
        self._asked()
        plain = {name: changes[name] for name in ("description", "enabled") if name in changes}
        extra = {"email": changes["email"]} if "email" in changes else {}
        changed = replace(user, values={**user.values, **plain}, extra={**user.extra, **extra})
        self.users[user.local_id] = changed
        if password is not None:
            self.passwords[user.local_id] = password
        return changed

    def delete_user(self, user: UserEntry) -> None:
        self._asked()
        del self.users[user.local_id]
        for members in self.members.values():
            members[:] = [one for one in members if one != user.local_id]

    def create_group(self, values: Mapping[str, Any]) -> GroupEntry:
        self._asked()
        if values["name"] in self.groups:
            raise Conflict("Cannot create the group: the directory has such an entry already.")
        return self.update_group(self.add_group(values["name"]), values)

    def update_group(self, group: GroupEntry, changes: Mapping[str, Any]) -> GroupEntry:
        self._asked()
        plain = {"description": changes["description"]} if "description" in changes else {}
        changed = self.groups[group.local_id] = replace(group, values={**group.values, **plain})
        return changed

    def delete_group(self, group: GroupEntry) -> None:
        self._asked()
        del self.groups[group.local_id], self.members[group.local_id]

    def add_member(self, group: GroupEntry, user: UserEntry) -> None:
        self._asked()
        self.members[group.local_id] = list(dict.fromkeys([*self.members[group.local_id], user.local_id]))

    def remove_member(self, group: GroupEntry, user: UserEntry) -> None:
        self._asked()
        self.members[group.local_id].remove(user.local_id)

    def _asked(self) -> None:
        self.asked += 1
        if self.down:
            raise DirectoryDown("The directory of this domain's users cannot be asked just now. Try again in a while.")


def _fits(entry: UserEntry | GroupEntry, conditions: list[Condition]) -> bool:
    known = {"name": entry.name, **entry.values}
    return all(_MATCHES[one.how](str(known.get(one.field) or ""), one.text) for one in conditions)
