# SPDX-License-Identifier: Apache-2.0
"""Delegation by OAuth 1: a consumer asks, a user authorizes, the consumer exchanges the answer for an access token."""

import secrets
from typing import Any

from sqlalchemy import select

from altostratus.kernel import clock, ids
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import NotFound, Unauthorized
from altostratus.services.identity.config import IdentityOptions
from altostratus.services.identity.errors import not_found
from altostratus.services.identity.logic.changes import announce
from altostratus.services.identity.logic.effective import effective_roles
from altostratus.services.identity.models import (
    AccessToken,
    CatalogService,
    Consumer,
    Endpoint,
    Project,
    RequestToken,
    Role,
    UsedNonce,
)

# without those that people take for one another: i, I, l, 1, o, O, 0 and j
_VERIFIER_CHARACTERS = "abcdefghkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_VERIFIER_LENGTH = 8


# consumers


def create_consumer(tx: Tx, cloud: Cloud, values: dict[str, Any]) -> Row[Any]:
    """`values`: description, extra and encrypted_secret."""
    consumer_id = ids.new_hex_id()
    tx.insert(Consumer, id=consumer_id, **values)
    announce(tx, cloud, "identity.OS-OAUTH1:consumer.created", consumer_id)
    return tx.get(Consumer, consumer_id)


def update_consumer(tx: Tx, cloud: Cloud, consumer_id: str, values: dict[str, Any]) -> Row[Any]:
    if values:
        tx.update(Consumer, consumer_id, **values)
    announce(tx, cloud, "identity.OS-OAUTH1:consumer.updated", consumer_id)
    return tx.get(Consumer, consumer_id)


def delete_consumer(tx: Tx, cloud: Cloud, consumer_id: str) -> None:
    """What users gave to the consumer goes with it, and so do all tokens made of that."""
    for model in (RequestToken, AccessToken, UsedNonce):
        tx.delete_where(model, table_of(model).c.consumer_id == consumer_id)
    tx.delete(Consumer, consumer_id)
    announce(tx, cloud, "identity.OS-OAUTH1:consumer.deleted", consumer_id)


# from the question to the access token


def places(tx: Tx) -> list[str]:
    """Where the catalog says that identity is: "https://cloud.example"."""
    service, endpoint = table_of(CatalogService).c, table_of(Endpoint).c
    statement = select(endpoint.url).join(table_of(CatalogService), service.id == endpoint.service_id)
    urls = tx.scalars(statement.where(service.type == "identity", service.enabled, endpoint.enabled))
    return sorted({"/".join(url.split("/")[:3]) for url in urls})


def use_nonce(tx: Tx, consumer_id: str, digest: str, keep_s: int) -> None:
    """A signed request counts once. Raises Unauthorized the second time."""
    if tx.find(UsedNonce, consumer_id, digest) is not None:
        raise Unauthorized("This signed request was used before. Sign a new one with another nonce.")
    tx.insert(UsedNonce, consumer_id=consumer_id, digest=digest, expires_at=clock.after(keep_s))


def create_request_token(tx: Tx, cloud: Cloud, consumer_id: str, project_id: str, encrypted_secret: str) -> Row[Any]:
    """Raises NotFound for the project."""
    if tx.find(Project, project_id) is None:
        raise not_found("project", project_id)
    request_id = ids.new_hex_id()
    tx.insert(
        RequestToken, id=request_id, consumer_id=consumer_id, project_id=project_id, role_ids=[],
        encrypted_secret=encrypted_secret, expires_at=_end(cloud[IdentityOptions].request_token_lifetime_s),
    )  # fmt: skip
    announce(tx, cloud, "identity.OS-OAUTH1:request_token.created", request_id)
    return tx.get(RequestToken, request_id)


def get_request_token(tx: Tx, request_id: str) -> Row[Any]:
    """Raises NotFound, or Unauthorized when it has expired."""
    row = tx.find(RequestToken, request_id)
    if row is None:
        raise NotFound("Request token not found. Ask the consumer for a new one.")
    if is_over(row):
        raise Unauthorized("Request token is expired. Ask the consumer for a new one.")
    return row


def authorize(tx: Tx, cloud: Cloud, request_id: str, user_id: str, named_roles: list[dict[str, str]]) -> str:
    """The user lets the consumer act in the project with these roles; returns the verifier that says so.

    Raises NotFound (request token, a role's name), Unauthorized (expired, or roles that the user has not there).
    """
    request = get_request_token(tx, request_id)
    wanted = {_role_id(tx, named) for named in named_roles}
    own = {role.id for role in effective_roles(tx, user_id, "project", request.project_id)}
    if not wanted <= own:
        raise Unauthorized(
            "authorizing user does not have role required: only roles that you have on the project"
            f" {request.project_id} can be given on."
        )
    verifier = "".join(secrets.choice(_VERIFIER_CHARACTERS) for _ in range(_VERIFIER_LENGTH))
    tx.update(RequestToken, request_id, user_id=user_id, role_ids=sorted(wanted), verifier=verifier)
    announce(tx, cloud, "identity.OS-OAUTH1:request_token.authorized", request_id)
    return verifier


def _role_id(tx: Tx, named: dict[str, str]) -> str:
    if "id" in named:
        return named["id"]
    row = tx.first(select(table_of(Role).c.id).where(table_of(Role).c.name == named["name"], _of_no_domain()))
    if row is None:
        raise not_found("role", named["name"])
    return str(row.id)


def _of_no_domain() -> Any:
    return table_of(Role).c.domain_id.is_(None)


def exchange(tx: Tx, cloud: Cloud, request_id: str, encrypted_secret: str) -> Row[Any]:
    """The access token for an authorized request token, which is used up. Raises NotFound, Unauthorized."""
    request = get_request_token(tx, request_id)
    if request.user_id is None:
        raise Unauthorized("Request Token does not have an authorizing user id: no user has authorized it yet.")
    access_id = ids.new_hex_id()
    tx.insert(
        AccessToken, id=access_id, consumer_id=request.consumer_id, user_id=request.user_id,
        project_id=request.project_id, role_ids=request.role_ids, encrypted_secret=encrypted_secret,
        expires_at=_end(cloud[IdentityOptions].access_token_lifetime_s),
    )  # fmt: skip
    tx.delete(RequestToken, request_id)
    announce(tx, cloud, "identity.OS-OAUTH1:access_token.created", access_id)
    return tx.get(AccessToken, access_id)


def delete_access_token(tx: Tx, cloud: Cloud, access_id: str) -> None:
    """Every token that was made of it is void from now on."""
    tx.delete(AccessToken, access_id)
    announce(tx, cloud, "identity.OS-OAUTH1:access_token.deleted", access_id)


def is_over(token: Row[Any]) -> bool:
    """Of a request token or an access token: has it expired?"""
    return token.expires_at is not None and token.expires_at <= clock.now()


def _end(lifetime_s: int) -> str | None:
    return clock.after(lifetime_s) if lifetime_s else None


# what goes with others


def forget_users(tx: Tx, user_ids: Any) -> None:
    """What these users (ids, or a select of ids) gave to consumers."""
    for model in (RequestToken, AccessToken):
        tx.delete_where(model, table_of(model).c.user_id.in_(user_ids))


def forget_projects(tx: Tx, project_ids: list[str]) -> None:
    for model in (RequestToken, AccessToken):
        tx.delete_where(model, table_of(model).c.project_id.in_(project_ids))


def prune(cloud: Cloud) -> None:
    """Expired request and access tokens, and nonces of requests that are too old to be taken again."""
    with cloud.db.write() as tx:
        for model in (RequestToken, AccessToken, UsedNonce):
            tx.delete_where(model, table_of(model).c.expires_at < clock.now())
