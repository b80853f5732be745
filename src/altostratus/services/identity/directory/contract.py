# SPDX-License-Identifier: Apache-2.0
"""`Directory`: what identity asks of a foreign directory of users and groups, in plain data."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeVar

from altostratus.kernel.errors import Unavailable

EntityKind = Literal["user", "group"]
Right = Literal["create", "update", "delete"]


class DirectoryDown(Unavailable):
    """The directory cannot be asked just now, or it does not let the cloud in: for a while nobody need try."""


class Unanswered(Unavailable):
    """The directory is there, but does not answer this question."""


@dataclass(frozen=True, slots=True)
class UserEntry:
    """A user as the directory has it. `values` are columns of our users table, `extra` further members of replies."""

    local_id: str
    dn: str
    name: str
    values: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GroupEntry:
    """A group; members are asked for apart."""

    local_id: str
    dn: str
    name: str
    values: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)


E_co = TypeVar("E_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Listing(Generic[E_co]):
    """Entries; `whole` is False if there are more than were asked for."""

    entries: list[E_co]
    whole: bool = True


class Condition(NamedTuple):
    """A filter on `name`, `enabled` ...; how: equals, contains, startswith or endswith."""

    field: str
    how: str
    text: str


class Directory(Protocol):
    """All calls may raise DirectoryDown and Unanswered; changes also Forbidden, Conflict, NotFound and BadRequest."""

    def close(self) -> None:
        """Let go of what is not in use just now; calls under way end as usual."""

    def may(self, kind: EntityKind, right: Right) -> bool:
        """Is the cloud allowed to do this? What it is not allowed it never tries."""

    def users_by_id(self, local_ids: Iterable[str]) -> list[UserEntry]:
        """Those that exist, of at most 50."""

    def users_by_name(self, name: str) -> list[UserEntry]:
        """One, or none; more if the directory is not what it should be."""

    def is_password(self, user: UserEntry, password: str) -> bool: ...

    def nobody(self) -> UserEntry:
        """A user who does not exist: whose password is wrong after the same time as everybody's."""

    def list_users(self, conditions: Iterable[Condition], limit: int) -> Listing[UserEntry]:
        """The conditions may be taken wider than they are: the caller filters again."""

    def groups_by_id(self, local_ids: Iterable[str]) -> list[GroupEntry]: ...

    def list_groups(self, conditions: Iterable[Condition], limit: int) -> Listing[GroupEntry]: ...

    def groups_of(self, user: UserEntry) -> list[GroupEntry]: ...

    def members_of(self, group: GroupEntry, limit: int) -> Listing[UserEntry]: ...

    def create_user(self, values: Mapping[str, Any], password: str | None) -> UserEntry: ...

    def update_user(self, user: UserEntry, changes: Mapping[str, Any], password: str | None) -> UserEntry: ...

    def delete_user(self, user: UserEntry) -> None: ...

    def create_group(self, values: Mapping[str, Any]) -> GroupEntry: ...

    def update_group(self, group: GroupEntry, changes: Mapping[str, Any]) -> GroupEntry: ...

    def delete_group(self, group: GroupEntry) -> None: ...

    def add_member(self, group: GroupEntry, user: UserEntry) -> None: ...

    def remove_member(self, group: GroupEntry, user: UserEntry) -> None: ...
