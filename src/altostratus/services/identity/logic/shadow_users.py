# SPDX-License-Identifier: Apache-2.0
"""Users that an identity provider vouches for: made at their first login, kept fresh at every other.

All of it happens in the transaction of the login. Groups that are not there are left out and logged, as upstream
documents it; roles and domains that are not there refuse the login.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from sqlalchemy import select

from altostratus.kernel import clock, ids, log
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import ApiError, BadRequest, Conflict
from altostratus.services.identity.federation.mapping import GroupName, Mapped, MappedProject
from altostratus.services.identity.logic import login, people, projects
from altostratus.services.identity.logic.assignments import Place, grant
from altostratus.services.identity.logic.changes import announce, void_cached_tokens
from altostratus.services.identity.logic.federation import membership_end
from altostratus.services.identity.logic.login import LoginError
from altostratus.services.identity.models import (
    ExpiringMember,
    FederatedUser,
    FederationProtocol,
    Group,
    Project,
    Role,
    User,
)

_log = log.get("identity")


@dataclass(frozen=True, slots=True)
class Voucher:
    """Who vouches (a row of identity providers), by which protocol, and for whom: the provider's own id of the user."""

    idp: Row[Any]
    protocol_id: str
    unique_id: str
    name: str


def voucher_for(idp: Row[Any], protocol_id: str, mapped: Mapped, fallback: str | None) -> Voucher:
    """`fallback`: the user's name if the rules gave neither id nor name. Raises LoginError."""
    name = mapped.user.get("name") or mapped.user.get("id") or fallback
    if not name:
        raise LoginError("the mapping gave neither a name nor an id of the user")
    unique_id = quote(mapped.user.get("id") or name)
    if len(unique_id) > 255 or len(name) > 255:
        raise LoginError("the user's name or id has more than 255 characters")
    return Voucher(idp, protocol_id, unique_id, name)


def shadow_user(tx: Tx, cloud: Cloud, voucher: Voucher, mapped: Mapped) -> tuple[Row[Any], tuple[str, ...]]:
    """The user and the ids of the groups that the mapping gave. Raises LoginError."""
    known = tx.find(FederatedUser, idp_id=voucher.idp.id, protocol_id=voucher.protocol_id, unique_id=voucher.unique_id)
    if known is None:
        user = _create(tx, cloud, voucher, mapped)
    else:
        user = _freshen(tx, cloud, known, voucher, mapped)
    group_ids = _existing_groups(tx, mapped)
    _set_memberships(tx, cloud, user.id, voucher.idp, group_ids)
    try:
        _provision(tx, cloud, user, voucher.idp, mapped.projects)
    except ApiError as error:
        raise LoginError(f"the mapping's projects cannot be made: {error.message}") from None
    return user, group_ids


def vouchers_of(tx: Tx, user_ids: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """By user: `[{"idp_id", "protocols": [{"protocol_id", "unique_id"}]}]`, in one query."""
    federated = table_of(FederatedUser)
    statement = select(federated).where(federated.c.user_id.in_(list(user_ids)))
    found: dict[str, dict[str, list[dict[str, str]]]] = {}
    for row in tx.rows(statement.order_by(federated.c.idp_id, federated.c.protocol_id, federated.c.unique_id)):
        ways = found.setdefault(row.user_id, {}).setdefault(row.idp_id, [])
        ways.append({"protocol_id": row.protocol_id, "unique_id": row.unique_id})
    return {
        user_id: [{"idp_id": idp_id, "protocols": ways} for idp_id, ways in by_idp.items()]
        for user_id, by_idp in found.items()
    }


def set_vouchers(tx: Tx, user_id: str, given: list[dict[str, Any]]) -> None:
    """Who may vouch for a user, as an administrator says. Raises BadRequest or Conflict."""
    ways = {(one["idp_id"], way["protocol_id"], way["unique_id"]) for one in given for way in one["protocols"]}
    federated = table_of(FederatedUser).c
    tx.delete_where(FederatedUser, federated.user_id == user_id)
    for idp_id, protocol_id, unique_id in sorted(ways):
        if tx.find(FederationProtocol, idp_id, protocol_id) is None:
            raise BadRequest(f"Identity provider {idp_id} has no protocol {protocol_id}. Create it first.")
        if tx.find(FederatedUser, idp_id=idp_id, protocol_id=protocol_id, unique_id=unique_id) is not None:
            raise Conflict(f"{unique_id} of identity provider {idp_id} is another user here already.")
        tx.insert(FederatedUser, user_id=user_id, idp_id=idp_id, protocol_id=protocol_id, unique_id=unique_id)


def find_domain(tx: Tx, named: dict[str, str] | None, default_id: str) -> str:
    """Raises LoginError for a domain that is not there, or is disabled."""
    try:
        domain_id = login.find_domain_id(tx, named) if named else default_id
    except ApiError:
        domain_id = None
    if domain_id is None:
        raise LoginError(f"the mapping names domain {named}, which does not exist or is disabled")
    return domain_id


# the user


def _create(tx: Tx, cloud: Cloud, voucher: Voucher, mapped: Mapped) -> Row[Any]:
    domain_id = find_domain(tx, mapped.user.get("domain"), voucher.idp.domain_id)
    user_id = ids.new_hex_id()
    email = mapped.user.get("email")
    tx.insert(
        User,
        id=user_id,
        domain_id=domain_id,
        name=_free_name(tx, domain_id, voucher, user_id),
        enabled=True,
        options={},
        extra={"email": email} if email else {},
        created_at=clock.now(),
    )
    tx.insert(
        FederatedUser,
        user_id=user_id, idp_id=voucher.idp.id, protocol_id=voucher.protocol_id, unique_id=voucher.unique_id,
        display_name=voucher.name,
    )  # fmt: skip
    announce(tx, cloud, "identity.user.created", user_id)
    return tx.get(User, user_id)


def _freshen(tx: Tx, cloud: Cloud, known: Row[Any], voucher: Voucher, mapped: Mapped) -> Row[Any]:
    user = tx.get(User, known.user_id)
    changed: dict[str, Any] = {}
    if known.display_name not in (None, voucher.name):
        changed["name"] = _free_name(tx, user.domain_id, voucher, user.id)
        tx.update(FederatedUser, user.id, known.idp_id, known.protocol_id, known.unique_id, display_name=voucher.name)
    email = mapped.user.get("email")
    if email and user.extra.get("email") != email:
        changed["extra"] = {**user.extra, "email": email}
    return people.update_user(tx, cloud, user, changed) if changed else user


def _free_name(tx: Tx, domain_id: str, voucher: Voucher, user_id: str) -> str:
    """Two providers may know a Jane Doe each, or one provider two; names stay unique in a domain."""
    user = table_of(User).c
    room = voucher.name[: 255 - len(user_id) - 1]
    for name in (voucher.name, f"{room[:190]}@{voucher.idp.id}", f"{room}@{user_id}"):
        taken = select(user.id).where(user.domain_id == domain_id, user.name == name, user.id != user_id)
        if tx.first(taken) is None:
            return name
    raise LoginError(f"no name is free for {voucher.name!r}")


# groups


def _existing_groups(tx: Tx, mapped: Mapped) -> tuple[str, ...]:
    group = table_of(Group).c
    found = set(tx.scalars(select(group.id).where(group.id.in_(mapped.group_ids))))
    for missing in set(mapped.group_ids) - found:
        _log.warning("group %s of a mapping does not exist", missing)
    for domain, names in _by_domain(mapped.group_names).items():
        try:
            domain_id = login.find_domain_id(tx, dict(domain))
        except ApiError:
            domain_id = None
        rows = tx.rows(select(group.id, group.name).where(group.domain_id == domain_id, group.name.in_(names)))
        found |= {row.id for row in rows}
        for name in names - {row.name for row in rows}:
            _log.warning("group %r of a mapping does not exist in domain %s", name, dict(domain))
    return tuple(sorted(found))


def _by_domain(groups: Iterable[GroupName]) -> dict[tuple[tuple[str, str], ...], set[str]]:
    names: dict[tuple[tuple[str, str], ...], set[str]] = {}
    for group in groups:
        names.setdefault(group.domain, set()).add(group.name)
    return names


def _set_memberships(tx: Tx, cloud: Cloud, user_id: str, idp: Row[Any], group_ids: tuple[str, ...]) -> None:
    """Groups that last beyond the tokens of this login, if the provider has such a time."""
    now, member = clock.now(), table_of(ExpiringMember).c
    end = membership_end(cloud, idp, now)
    wanted = set(group_ids) if end is not None else set()
    of_idp = (member.user_id == user_id, member.idp_id == idp.id)
    current = {row.group_id: row for row in tx.rows(select(table_of(ExpiringMember)).where(*of_idp))}
    tx.delete_where(ExpiringMember, *of_idp, member.group_id.not_in(wanted))
    for group_id in sorted(wanted & set(current)):
        tx.update(ExpiringMember, group_id, user_id, idp.id, verified_at=now, expires_at=end)
    new = [
        {"group_id": group_id, "user_id": user_id, "idp_id": idp.id, "verified_at": now, "expires_at": end}
        for group_id in sorted(wanted - set(current))
    ]
    tx.insert_many(ExpiringMember, new)
    in_force = {group_id for group_id, row in current.items() if row.expires_at > now}
    if in_force != wanted:
        void_cached_tokens(tx, cloud)


# projects


def _provision(tx: Tx, cloud: Cloud, user: Row[Any], idp: Row[Any], wanted: Iterable[MappedProject]) -> None:
    """Projects that are not there are made; roles add to what the user has. Raises ApiError, LoginError."""
    for one in wanted:
        role_ids = [_role_id(tx, name, user.domain_id) for name in one.roles]
        domain_id = find_domain(tx, one.domain, idp.domain_id)
        project = tx.find(Project, domain_id=domain_id, name=one.name.strip())
        if project is None:
            values = {"domain_id": domain_id, "name": one.name, "description": "", "enabled": True}
            project = projects.create_project(tx, cloud, values | {"options": {}, "extra": {}})
        for role_id in role_ids:
            grant(tx, cloud, Place("user", user.id, "project", project.id), role_id)


def _role_id(tx: Tx, name: str, domain_id: str) -> str:
    role = table_of(Role)
    named = tx.rows(select(role).where(role.c.name == name))
    fitting = [row for row in named if row.domain_id in (None, domain_id)]
    if not fitting:
        raise LoginError(f"role {name!r} of the mapping does not exist, or belongs to another domain")
    return str(min(fitting, key=lambda row: row.domain_id is not None).id)
