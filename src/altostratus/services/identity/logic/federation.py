# SPDX-License-Identifier: Apache-2.0
"""Identity providers, their protocols and mappings, and service providers."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import select

from altostratus.kernel import clock
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import BadRequest, Conflict, Forbidden
from altostratus.services.identity.errors import duplicate, not_found
from altostratus.services.identity.federation.config import FederationOptions
from altostratus.services.identity.logic import people
from altostratus.services.identity.logic.changes import announce
from altostratus.services.identity.models import (
    ExpiringMember,
    FederatedUser,
    FederationProtocol,
    IdentityProvider,
    Mapping,
    RemoteId,
    ServiceProvider,
    User,
)

# identity providers


def create_idp(tx: Tx, cloud: Cloud, idp_id: str, values: dict[str, Any], remote_ids: Iterable[str]) -> Row[Any]:
    """`values`: columns, with domain_id. Raises NotFound (domain) or Conflict."""
    if tx.find(IdentityProvider, idp_id) is not None:
        raise duplicate("identity_provider", idp_id)
    people.demand_domain(tx, values["domain_id"])
    tx.insert(IdentityProvider, id=idp_id, **values)
    _set_remote_ids(tx, idp_id, remote_ids)
    announce(tx, cloud, "identity.identity_provider.created", idp_id)
    return tx.get(IdentityProvider, idp_id)


def update_idp(
    tx: Tx, cloud: Cloud, idp: Row[Any], values: dict[str, Any], remote_ids: Iterable[str] | None
) -> Row[Any]:
    """A disabled provider's users lose at once what it gave them: tokens, and groups for a time."""
    if values:
        tx.update(IdentityProvider, idp.id, **values)
    if remote_ids is not None:
        _set_remote_ids(tx, idp.id, remote_ids)
    changed = tx.get(IdentityProvider, idp.id)
    if not changed.enabled:
        tx.delete_where(ExpiringMember, table_of(ExpiringMember).c.idp_id == idp.id)
    elif changed.authorization_ttl != idp.authorization_ttl:
        _date_memberships(tx, cloud, changed)
    announce(tx, cloud, "identity.identity_provider.updated", idp.id)
    return changed


def delete_idp(tx: Tx, cloud: Cloud, idp_id: str) -> None:
    """Its protocols go with it, and the users that nobody else vouches for."""
    gone = table_of(FederatedUser).c.idp_id == idp_id
    tx.delete_where(ExpiringMember, table_of(ExpiringMember).c.idp_id == idp_id)
    _forget_users(tx, cloud, gone)
    tx.delete_where(FederationProtocol, table_of(FederationProtocol).c.idp_id == idp_id)
    tx.delete_where(RemoteId, table_of(RemoteId).c.idp_id == idp_id)
    tx.delete(IdentityProvider, idp_id)
    announce(tx, cloud, "identity.identity_provider.deleted", idp_id)


def delete_idps_of_domain(tx: Tx, cloud: Cloud, domain_id: str) -> None:
    provider = table_of(IdentityProvider).c
    for idp_id in tx.scalars(select(provider.id).where(provider.domain_id == domain_id)):
        delete_idp(tx, cloud, idp_id)


def demand_enabled_idp(tx: Tx, idp_id: str) -> Row[Any]:
    """Raises NotFound, or Forbidden for one that is disabled (or whose domain is)."""
    row = tx.find(IdentityProvider, idp_id)
    if row is None:
        raise not_found("identity provider", idp_id)
    domain = people.demand_domain(tx, row.domain_id)
    if not row.enabled or not domain.enabled:
        raise Forbidden(f"Identity Provider {idp_id} is disabled.")
    return row


def remote_ids_of(tx: Tx, idp_ids: Iterable[str]) -> dict[str, list[str]]:
    """Remote ids by provider, for many providers in one query."""
    remote = table_of(RemoteId)
    found: dict[str, list[str]] = {idp_id: [] for idp_id in idp_ids}
    for row in tx.rows(select(remote).where(remote.c.idp_id.in_(found)).order_by(remote.c.remote_id)):
        found[row.idp_id].append(row.remote_id)
    return found


def membership_end(cloud: Cloud, idp: Row[Any], verified_at: str) -> str | None:
    """Until when the provider's word about groups counts; None if not beyond its own tokens."""
    minutes = idp.authorization_ttl
    if minutes is None:
        minutes = cloud[FederationOptions].default_authorization_ttl
    return clock.plus(verified_at, 60 * minutes) if minutes else None


def _set_remote_ids(tx: Tx, idp_id: str, remote_ids: Iterable[str]) -> None:
    remote = table_of(RemoteId).c
    wanted = list(dict.fromkeys(remote_ids))
    tx.delete_where(RemoteId, remote.idp_id == idp_id)
    taken = tx.first(select(remote.remote_id).where(remote.remote_id.in_(wanted)))
    if taken is not None:
        raise Conflict(
            f"Conflict occurred attempting to store identity_provider - Duplicate remote ID: {taken.remote_id}."
        )
    tx.insert_many(RemoteId, [{"remote_id": remote_id, "idp_id": idp_id} for remote_id in wanted])


def _date_memberships(tx: Tx, cloud: Cloud, idp: Row[Any]) -> None:
    member = table_of(ExpiringMember).c
    for verified_at in tx.scalars(select(member.verified_at).where(member.idp_id == idp.id).distinct()):
        same = (member.idp_id == idp.id, member.verified_at == verified_at)
        end = membership_end(cloud, idp, verified_at)
        if end is None:
            tx.delete_where(ExpiringMember, *same)
        else:
            tx.update_where(ExpiringMember, *same, expires_at=end)


def _forget_users(tx: Tx, cloud: Cloud, gone: Any) -> None:
    federated, user = table_of(FederatedUser).c, table_of(User).c
    concerned = set(tx.scalars(select(federated.user_id).where(gone)))
    tx.delete_where(FederatedUser, gone)
    kept = set(tx.scalars(select(federated.user_id).where(federated.user_id.in_(concerned))))
    own = set(tx.scalars(select(user.id).where(user.id.in_(concerned), user.password_hash.is_not(None))))
    for user_id in sorted(concerned - kept - own):
        people.delete_user(tx, cloud, user_id)


# protocols


def get_protocol(tx: Tx, idp_id: str, protocol_id: str) -> Row[Any]:
    row = tx.find(FederationProtocol, idp_id, protocol_id)
    if row is None:
        raise not_found(f"federated protocol {protocol_id} for Identity Provider", idp_id)
    return row


def create_protocol(tx: Tx, cloud: Cloud, idp_id: str, protocol_id: str, values: dict[str, Any]) -> Row[Any]:
    _demand_mapping(tx, values["mapping_id"])
    if tx.find(IdentityProvider, idp_id) is None:
        raise not_found("identity provider", idp_id)
    if tx.find(FederationProtocol, idp_id, protocol_id) is not None:
        raise duplicate("federation_protocol", protocol_id)
    tx.insert(FederationProtocol, idp_id=idp_id, id=protocol_id, **values)
    announce(tx, cloud, "identity.federation_protocol.created", protocol_id)
    return get_protocol(tx, idp_id, protocol_id)


def update_protocol(tx: Tx, cloud: Cloud, protocol: Row[Any], values: dict[str, Any]) -> Row[Any]:
    if "mapping_id" in values:
        _demand_mapping(tx, values["mapping_id"])
    if values:
        tx.update(FederationProtocol, protocol.idp_id, protocol.id, **values)
    announce(tx, cloud, "identity.federation_protocol.updated", protocol.id)
    return get_protocol(tx, protocol.idp_id, protocol.id)


def delete_protocol(tx: Tx, cloud: Cloud, protocol: Row[Any]) -> None:
    federated = table_of(FederatedUser).c
    _forget_users(tx, cloud, (federated.idp_id == protocol.idp_id) & (federated.protocol_id == protocol.id))
    tx.delete(FederationProtocol, protocol.idp_id, protocol.id)
    announce(tx, cloud, "identity.federation_protocol.deleted", protocol.id)


def _demand_mapping(tx: Tx, mapping_id: str) -> None:
    if tx.find(Mapping, mapping_id) is None:
        raise BadRequest(f"Invalid mapping id: {mapping_id}. Create the mapping first.")


# what a token and the catalog show


def enabled_service_providers(tx: Tx) -> list[dict[str, str]]:
    provider = table_of(ServiceProvider).c
    statement = select(provider.auth_url, provider.id, provider.sp_url).where(provider.enabled).order_by(provider.id)
    return [dict(row._mapping) for row in tx.rows(statement)]
