# SPDX-License-Identifier: Apache-2.0
"""Containers that are copied to another one, perhaps of another cloud: `X-Container-Sync-To` and `-Key`.

Clouds that trust each other share a realm and its key, users share the key of the two containers; a request is signed
with both, as upstream's container sync does it, so that either side may be an upstream Swift. What changes in such a
container is noted in the transaction that changes it (`note`).
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from sqlalchemy import select

from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import BadRequest
from altostratus.services.object_store.config import ContainerSyncOptions, Realm
from altostratus.services.object_store.logic.times import now_us
from altostratus.services.object_store.models import Container, ContainerSync, StoredObject, SyncChange

TO, KEY = "x-container-sync-to", "x-container-sync-key"
_RETRY_US = 60_000_000


class Target(NamedTuple):
    """`url` is that of the container, without a slash at its end."""

    url: str
    realm: str
    realm_key: str


def realm_of(options: ContainerSyncOptions, name: str) -> Realm | None:
    """In letters of any case."""
    return next((realm for known, realm in options.realms.items() if known.upper() == name.upper()), None)


def target_of(options: ContainerSyncOptions, text: str) -> Target:
    """What `//realm/cluster/account/container` names. Raises BadRequest; the sentences are upstream's."""
    if not text.startswith("//"):
        raise BadRequest(
            "Full URLs are not allowed for X-Container-Sync-To values. Only realm values of the format"
            " //realm/cluster/account/container are allowed."
        )
    parts = text[2:].rstrip("/").split("/")
    if len(parts) != 4 or not all(parts):
        raise BadRequest(f"Invalid X-Container-Sync-To format {text[:200]!r}: //realm/cluster/account/container.")
    name, cluster, account, container = parts
    realm = realm_of(options, name)
    if realm is None:
        raise BadRequest(f"No realm key for {name!r}. See `container_sync` in /info.")
    for known, base in realm.clusters.items():
        if known.upper() == cluster.upper():
            return Target(f"{base.rstrip('/')}/{quote(account)}/{quote(container)}", name.upper(), realm.key)
    raise BadRequest(f"No cluster endpoint for {name!r} {cluster!r}. See `container_sync` in /info.")


def url_of(target: Target, name: str) -> str:
    return f"{target.url}/{quote(name)}"


def path_in(url: str) -> str:
    """What is signed of an address."""
    return urlsplit(url).path


def signature(method: str, path: str, timestamp: str, nonce: str, realm_key: str, user_key: str) -> str:
    """path: percent-encoded. The form is upstream's."""
    text = f"{method}\n{path}\n{timestamp}\n{nonce}\n{user_key}"
    return hmac.new(realm_key.encode(), text.encode(), hashlib.sha1).hexdigest()


def watch(tx: Tx, container_id: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """When settings of a container change: begin to note its changes, or end it. A new target gets everything."""
    if before.get(TO) == after.get(TO):
        return
    forget(tx, container_id)
    if TO in after:
        tx.insert(ContainerSync, container_id=container_id)


def forget(tx: Tx, container_id: str) -> None:
    tx.delete(ContainerSync, container_id)
    tx.delete_where(SyncChange, table_of(SyncChange).c.container_id == container_id)


def note(tx: Tx, container: Row[Any], name: str, moment_us: int | None = None) -> None:
    """The object changed; for one that is gone `moment_us` says since when, if not since now."""
    if TO not in container.settings:
        return
    values = {"changed_us": moment_us or now_us(), "due_us": 0}
    if not tx.update(SyncChange, container.id, name, **values):
        tx.insert(SyncChange, container_id=container.id, name=name, **values)


def postpone(tx: Tx, container_id: str, name: str, changed_us: int) -> None:
    """It went wrong; another time, behind the others."""
    values = {"changed_us": changed_us, "due_us": now_us() + _RETRY_US}
    if not tx.update(SyncChange, container_id, name, **values):
        tx.insert(SyncChange, container_id=container_id, name=name, **values)


def done(tx: Tx, container_id: str, name: str, changed_us: int) -> None:
    """Unless it changed again meanwhile."""
    change = table_of(SyncChange).c
    tx.delete_where(
        SyncChange, change.container_id == container_id, change.name == name, change.changed_us == changed_us
    )


def synced(tx: Tx) -> list[tuple[Row[Any], Row[Any]]]:
    """(container, its `ContainerSync`) of all that are copied."""
    container, sync = table_of(Container), table_of(ContainerSync)
    rows = {row.container_id: row for row in tx.rows(select(sync))}
    copied = select(container).join(sync, sync.c.container_id == container.c.id)
    return [(found, rows[found.id]) for found in tx.rows(copied) if found.id in rows]


def has_same_target(tx: Tx, container: Row[Any]) -> bool:
    """Is it copied to where it was when its row was read?"""
    now = tx.find(Container, container.id)
    return now is not None and now.settings.get(TO) == container.settings[TO]


def to_walk(tx: Tx, container_id: str, after: str, most: int) -> list[tuple[str, int]]:
    """(name, moment) of the next objects of the first walk."""
    item = table_of(StoredObject).c
    page = select(item.name, item.modified_us).where(item.container_id == container_id, item.name > after)
    return [(one.name, one.modified_us) for one in tx.rows(page.order_by(item.name).limit(most))]


def due_changes(tx: Tx, container_id: str, most: int) -> list[tuple[str, int]]:
    """(name, moment) of changes to copy now."""
    change = table_of(SyncChange).c
    due = select(change.name, change.changed_us).where(change.container_id == container_id, change.due_us <= now_us())
    return [(one.name, one.changed_us) for one in tx.rows(due.order_by(change.due_us, change.changed_us).limit(most))]
