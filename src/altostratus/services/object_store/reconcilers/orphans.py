# SPDX-License-Identifier: Apache-2.0
"""Removes blobs that no row names: what a power cut kept of deleted ones, what came back with a disk.

Only old ones: a young one may belong to an upload whose row is being written. Each batch stands for itself, so a
sweep may be ended at any time.
"""

from collections.abc import Iterator

from altostratus.contracts.object_store import ObjectStore
from altostratus.kernel import log
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.reconcilers import Reconciler
from altostratus.services.object_store.api.readers import BlobReaders
from altostratus.services.object_store.logic import stored
from altostratus.services.object_store.reconcilers.waste import settle_pending

_log = log.get("object_store")
_OLD_S = 3600.0
_AT_ONCE = 500


def remove_orphans(cloud: Cloud, *, older_than_s: float = _OLD_S) -> int:
    """How many went."""
    if not cloud.has_part(ObjectStore):
        return 0
    store = cloud.part(ObjectStore)  # type: ignore[type-abstract]
    removed = 0
    for batch in _batches(store.blob_ids()):
        with cloud.db.read() as tx:
            nobodys = stored.unreferenced(tx, batch)
        for blob_id in cloud.part(BlobReaders).unread(nobodys):
            age_s = store.age_s(blob_id)
            if age_s is not None and age_s >= older_than_s:
                store.delete(blob_id)
                removed += 1
    if removed:
        _log.warning("%d blobs that no object has were removed", removed)
    return removed


def _batches(blob_ids: Iterator[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    for blob_id in blob_ids:
        batch.append(blob_id)
        if len(batch) == _AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _sweep(cloud: Cloud) -> None:
    """What is pending first: of an upload that met a trouble nobody knew whether its row was written."""
    settle_pending(cloud, older_than_s=_OLD_S)
    remove_orphans(cloud)


REMOVE_ORPHANS = Reconciler("object_store.orphans", 6 * 3600.0, _sweep)
