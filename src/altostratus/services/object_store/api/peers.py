# SPDX-License-Identifier: Apache-2.0
"""The receiving side of container sync, and its settings: who signs with the keys of realm and container may write.

An object that a peer sends keeps the moment at which it was changed there, and never takes the place of a newer one.
"""

import hmac
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx
from altostratus.kernel.errors import BadRequest, Conflict, Unauthorized
from altostratus.kernel.resource.call import Call
from altostratus.services.object_store.config import ContainerSyncOptions
from altostratus.services.object_store.logic import containers, syncing, versioning
from altostratus.services.object_store.models import StoredObject

AUTH = "X-CONTAINER-SYNC-AUTH"
_ROOTS = ("/object-store/v1", "/v1")


def container_of_peer(call: Call) -> Row[Any]:
    """The container that the signature is for. Raises Unauthorized."""
    account, name = call.params["account"], call.params.get("container", "")
    with call.cloud.db.read() as tx:
        row = containers.find(tx, account, name)
    path = "/".join(("", account, name, *([call.params["object"]] if "object" in call.params else ())))
    if row is None or not _is_signed(call, row, path):
        raise Unauthorized(
            "X-Container-Sync-Auth header not valid; contact cluster operator for support.",
            headers={"WWW-Authenticate": f'SwiftContainerSync realm="{account}"'},
        )
    call.extra["peer_moment_us"] = _moment_of(call)
    return row


def _is_signed(call: Call, row: Row[Any], path: str) -> bool:
    realm_name, _, rest = call.headers[AUTH].partition(" ")
    nonce, _, given = rest.partition(" ")
    realm, user_key = syncing.realm_of(call.cloud[ContainerSyncOptions], realm_name), row.settings.get(syncing.KEY)
    if realm is None or not user_key:
        return False
    timestamp, right = call.headers.get("X-TIMESTAMP", "0"), False
    for key in filter(None, (realm.key, realm.key2)):
        for root in _ROOTS:
            made = syncing.signature(call.asked.method, quote(root + path), timestamp, nonce, key, user_key)
            right |= hmac.compare_digest(made.encode(), given.encode("latin-1", "replace"))
    return right


def _moment_of(call: Call) -> int:
    try:
        return round(float(call.headers.get("X-TIMESTAMP", "0").partition("_")[0]) * 1_000_000)
    except ValueError:
        raise BadRequest("X-Timestamp is seconds since 1970.") from None


def moment_us(call: Call) -> int | None:
    """When the peer changed what it sends; None for everybody else."""
    moment: int | None = call.extra.get("peer_moment_us")
    return moment


def guard(call: Call) -> Callable[[Row[Any]], None]:
    """A peer may know of a large object, but not read segments from other containers: it has no key of them."""

    def demand(_container: Row[Any]) -> None:
        if call.op.method != "HEAD":
            raise Unauthorized("The container's key does not open its segments' containers.")

    return demand


def moment_kept(call: Call) -> dict[str, int]:
    """The column of an object that a peer sends."""
    moment = moment_us(call)
    return {} if moment is None else {"modified_us": moment}


def newer_only(call: Call, container: Row[Any], name: str) -> Callable[[Tx], None]:
    """For the transaction that writes: raises Conflict if what is there is not older than what a peer sends."""

    def demand(tx: Tx) -> None:
        moment = moment_us(call)
        row = tx.find(StoredObject, container.id, name) if moment is not None else None
        if row is not None and moment is not None and row.modified_us >= moment:
            raise Conflict("There was a conflict: the object here is as new, or newer.")

    return demand


def set_peer(call: Call, settings: dict[str, Any]) -> None:
    """The headers of a container. Raises BadRequest for what is no container of a known realm."""
    for name in (syncing.TO, syncing.KEY):
        if name.upper() in call.headers:
            settings[name] = call.headers[name.upper()].strip()
        if f"X-REMOVE-{name.upper()[2:]}" in call.headers:
            settings[name] = ""
    if not settings.get(syncing.TO):
        return
    if versioning.keeps(settings):
        raise BadRequest("Cannot configure container sync on a container with object versioning configured.")
    if syncing.TO.upper() in call.headers:
        syncing.target_of(call.cloud[ContainerSyncOptions], settings[syncing.TO])


def info(cloud: Cloud) -> dict[str, Any]:
    """Of realms, as `/info` tells it; names in capitals."""
    options = cloud[ContainerSyncOptions]
    realms: dict[str, Any] = {
        name.upper(): {"clusters": {cluster.upper(): {} for cluster in realm.clusters}}
        for name, realm in options.realms.items()
    }
    realm_name, _, cluster = options.current.upper().strip("/").partition("/")
    if cluster in realms.get(realm_name, {}).get("clusters", {}):
        realms[realm_name]["clusters"][cluster]["current"] = True
    return {"realms": realms}
