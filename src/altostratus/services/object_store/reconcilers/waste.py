# SPDX-License-Identifier: Apache-2.0
"""Removes bytes that no object has: of replaced and deleted ones, and of uploads that a crash cut off."""

from sqlalchemy import select

from altostratus.contracts.object_store import ObjectStore, ObjectStoreError
from altostratus.kernel import log
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import table_of
from altostratus.kernel.reconcilers import Reconciler
from altostratus.services.object_store.api.readers import BlobReaders
from altostratus.services.object_store.logic import stored
from altostratus.services.object_store.models import Waste

_log = log.get("object_store")
TOPIC = "object_store.waste"
_AT_ONCE = 500


def remove_waste(cloud: Cloud) -> None:
    """The bytes first: as long as its row is there, a blob is tried again. What somebody still reads stays for now."""
    if not cloud.has_part(ObjectStore):
        return
    store = cloud.part(ObjectStore)  # type: ignore[type-abstract]
    waste, last = table_of(Waste), ""
    while True:
        with cloud.db.read() as tx:
            blob_ids = tx.scalars(
                select(waste.c.blob_id).where(waste.c.blob_id > last).order_by(waste.c.blob_id).limit(_AT_ONCE)
            )
        unread = cloud.part(BlobReaders).unread(blob_ids)
        for blob_id in unread:
            store.delete(blob_id)
        if unread:
            with cloud.db.write() as tx:
                tx.delete_where(Waste, waste.c.blob_id.in_(unread))
        if len(blob_ids) < _AT_ONCE:
            return
        last = blob_ids[-1]


def settle_leftovers(cloud: Cloud) -> int:
    """At the start, before any upload. How many went; none while the store does not work: then the sweep does it."""
    try:
        return settle_pending(cloud, older_than_s=0.0)
    except ObjectStoreError as error:
        _log.error("what was pending stays so for now: %s", error)
        return 0


def settle_pending(cloud: Cloud, *, older_than_s: float) -> int:
    """What is pending belongs to a row, or to nobody, unless it is young and its upload under way. How many went."""
    if not cloud.has_part(ObjectStore):
        return 0
    store = cloud.part(ObjectStore)  # type: ignore[type-abstract]
    pending, removed = list(dict.fromkeys(store.pending())), 0
    for start in range(0, len(pending), _AT_ONCE):
        batch = pending[start : start + _AT_ONCE]
        with cloud.db.read() as tx:
            nobodys = stored.unreferenced(tx, batch)
        for blob_id in batch:
            if blob_id not in nobodys:
                store.settle(blob_id)
            elif not older_than_s or (store.age_s(blob_id) or 0.0) >= older_than_s:
                store.delete(blob_id)
                removed += 1
    return removed


REMOVE_WASTE = Reconciler("object_store.waste", 60.0, remove_waste, wake_topic=TOPIC)
