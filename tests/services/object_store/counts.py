# SPDX-License-Identifier: Apache-2.0
"""Is everything that is counted or kept what the rows say?"""

from sqlalchemy import case, func, select

from altostratus.kernel.db import table_of
from altostratus.services.object_store.models import (
    Account,
    Container,
    MultipartUpload,
    ObjectVersion,
    PolicyCounts,
    StoredObject,
    UploadPart,
    Waste,
)


def _held(table):
    own = table.c.blob_id.is_not(None) | table.c.parts_id.is_not(None)
    return func.coalesce(func.sum(case((own, table.c.size), else_=0)), 0)


def demand_sound(cloud, store):
    item, container, version = table_of(StoredObject), table_of(Container), table_of(ObjectVersion)
    part, upload = table_of(UploadPart), table_of(MultipartUpload)
    with cloud.db.read() as tx:
        kept = [column for table in (item, version, part) for column in tx.scalars(select(table.c.blob_id))]
        assert set(store.blob_ids()) == set(kept) - {None}
        owners = {*tx.scalars(select(item.c.parts_id)), *tx.scalars(select(version.c.parts_id))}
        owners |= set(tx.scalars(select(upload.c.id)))
        assert set(tx.scalars(select(part.c.upload_id))) <= owners
        assert tx.scalar(select(func.count()).select_from(table_of(Waste))) == 0
        for row in tx.rows(select(container)):
            counted = select(func.count(), _held(item)).where(item.c.container_id == row.id)
            objects, size = tx.first(counted)
            size += tx.scalar(select(_held(version)).where(version.c.container_id == row.id))
            coming = select(func.coalesce(func.sum(part.c.size), 0)).join(upload, upload.c.id == part.c.upload_id)
            size += tx.scalar(coming.where(upload.c.container_id == row.id))
            assert (objects, size) == (row.object_count, row.bytes_used)
        sums = select(
            func.count(),
            func.coalesce(func.sum(container.c.object_count), 0),
            func.coalesce(func.sum(container.c.bytes_used), 0),
        )
        for row in tx.rows(select(table_of(Account))):
            counted = sums.where(container.c.account == row.name)
            assert tuple(tx.first(counted)) == (row.container_count, row.object_count, row.bytes_used)
        for row in tx.rows(select(table_of(PolicyCounts))):
            counted = sums.where(container.c.account == row.account, container.c.policy == row.policy)
            assert tuple(tx.first(counted)) == (row.container_count, row.object_count, row.bytes_used)
    assert list(store.pending()) == []
