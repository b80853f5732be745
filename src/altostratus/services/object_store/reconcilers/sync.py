# SPDX-License-Identifier: Apache-2.0
"""Copies containers to others (`X-Container-Sync-To`): first everything that is there, then what changes.

How far it is are rows, so it goes on where it was. What a peer refuses is tried again a minute later, behind the
others; a peer that cannot be reached is left alone until the next pass. Large objects of the static kind go as their
list, as upstream sends it: their segments are a matter of their own container.
"""

from typing import Any

import msgspec

from altostratus.contracts.object_peer import ObjectPeer, PeerAnswer, PeerError
from altostratus.contracts.object_store import ObjectStore, ObjectStoreError, Readable
from altostratus.kernel import clock, ids, log
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row
from altostratus.kernel.errors import ApiError
from altostratus.kernel.reconcilers import Reconciler
from altostratus.services.object_store.api import manifests
from altostratus.services.object_store.api.receiving import Pieces
from altostratus.services.object_store.config import ContainerSyncOptions
from altostratus.services.object_store.logic import metadata, objects, syncing
from altostratus.services.object_store.logic.contents import DYNAMIC, contents_of
from altostratus.services.object_store.logic.syncing import Target
from altostratus.services.object_store.logic.times import stamp
from altostratus.services.object_store.models import ContainerSync

_EVERY_S = 10.0
_CONTAINER_S = 60.0
_AT_ONCE = 100
_SAME = 304
_log = log.get("object_store")


class RefusedError(Exception):
    """The peer does not take an object."""


def copy_containers(cloud: Cloud) -> None:
    """One pass over all containers that are copied."""
    if not cloud.has_part(ObjectPeer):
        return
    with cloud.db.read() as tx:
        found = syncing.synced(tx)
    for container, row in found:
        try:
            target = syncing.target_of(cloud[ContainerSyncOptions], container.settings[syncing.TO])
        except ApiError as error:
            _log.warning("container %s/%s is not copied: %s", container.account, container.name, error.message)
            continue
        if container.settings.get(syncing.KEY):
            _Copying(cloud, container, target).run(row)


class _Copying:
    """Of one container, in one pass."""

    def __init__(self, cloud: Cloud, container: Row[Any], target: Target) -> None:
        self._cloud, self._container, self._target = cloud, container, target
        self._peer = cloud.part(ObjectPeer)  # type: ignore[type-abstract]
        self._until = clock.monotonic() + _CONTAINER_S

    def run(self, row: Row[Any]) -> None:
        try:
            if self._walk(row):
                self._follow()
        except PeerError as error:
            _log.warning("container %s/%s is not copied: %s", self._container.account, self._container.name, error)

    def _walk(self, row: Row[Any]) -> bool:
        """Everything that was there at first. Whether it is over."""
        walked_to = row.walked_to
        while walked_to is not None and clock.monotonic() < self._until:
            with self._cloud.db.read() as tx:
                page = syncing.to_walk(tx, row.container_id, walked_to, _AT_ONCE)
            for name, moment_us in page:
                self._copy(name, moment_us)
            walked_to = page[-1][0] if len(page) == _AT_ONCE else None
            with self._cloud.db.write() as tx:
                if not syncing.has_same_target(tx, self._container):
                    return False
                tx.update(ContainerSync, row.container_id, walked_to=walked_to)
        return walked_to is None

    def _follow(self) -> None:
        while clock.monotonic() < self._until:
            with self._cloud.db.read() as tx:
                changes = syncing.due_changes(tx, self._container.id, _AT_ONCE)
            for name, moment_us in changes:
                self._copy(name, moment_us)
            if len(changes) < _AT_ONCE:
                return

    def _copy(self, name: str, moment_us: int) -> None:
        """The object as it is now, or that it is gone since that moment. Raises PeerError."""
        try:
            self._send(name, moment_us)
        except (RefusedError, ObjectStoreError, ApiError) as error:
            _log.warning("%s/%s/%s is not copied: %s", self._container.account, self._container.name, name, error)
            with self._cloud.db.write() as tx:
                syncing.postpone(tx, self._container.id, name, moment_us)
        else:
            with self._cloud.db.write() as tx:
                syncing.done(tx, self._container.id, name, moment_us)

    def _send(self, name: str, moment_us: int) -> None:
        with self._cloud.db.read() as tx:
            row = objects.find(tx, self._container.id, name)
        if row is None:
            self._demand(self._ask("DELETE", name, {"X-Timestamp": stamp(moment_us)}), 404, 409)
            return
        told = {"X-Timestamp": stamp(row.modified_us)}
        there = self._demand(self._ask("HEAD", name, told), 404, 409)  # 409: its segments are not there yet
        if there.status < _SAME and float(there.headers.get("x-timestamp", "0")) >= float(told["X-Timestamp"]):
            return
        headers, body = self._described(row)
        self._demand(self._ask("PUT", name, told | headers, body), 409)

    def _described(self, row: Row[Any]) -> tuple[dict[str, str], Readable]:
        headers = {
            "Content-Type": row.content_type,
            **metadata.shown(row.meta, "OBJECT"),
            **{name.title(): str(value) for name, value in row.headers.items()},
        }
        if row.expires_at is not None:
            headers["X-Delete-At"] = str(row.expires_at)
        if row.segments is not None:
            data = msgspec.json.encode(manifests.shown(row.segments, {}))
            headers |= {"X-Static-Large-Object": "True", "Content-Length": str(len(data))}
            return headers, Pieces(iter([data]))
        if DYNAMIC in row.headers:
            return headers | {"Content-Length": "0"}, Pieces(iter(()))
        with self._cloud.db.read() as tx:
            contents = contents_of(tx, self._container.account, row, lambda _container: None)
        if row.blob_id is not None:
            headers["ETag"] = row.etag
        store = self._cloud.part(ObjectStore)  # type: ignore[type-abstract]
        pieces = (piece for span in contents.spans for piece in store.read(span.blob_id, span.offset, span.length))
        return headers | {"Content-Length": str(contents.size)}, Pieces(pieces)

    def _ask(self, method: str, name: str, headers: dict[str, str], body: Readable | None = None) -> PeerAnswer:
        url, key = syncing.url_of(self._target, name), self._container.settings[syncing.KEY]
        nonce = ids.new_hex_id()
        signed = syncing.signature(
            method, syncing.path_in(url), headers["X-Timestamp"], nonce, self._target.realm_key, key
        )
        auth = {"X-Container-Sync-Auth": f"{self._target.realm} {nonce} {signed}"}
        return self._peer.request(method, url, headers | auth, body)

    def _demand(self, answer: PeerAnswer, *also: int) -> PeerAnswer:
        if answer.status >= _SAME and answer.status not in also:
            raise RefusedError(f"{self._target.url} answers {answer.status}")
        return answer


COPY_CONTAINERS = Reconciler("object_store.container_sync", _EVERY_S, copy_containers)
