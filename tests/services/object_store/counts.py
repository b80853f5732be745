# SPDX-License-Identifier: Apache-2.0
"""Is everything that is counted or kept what the rows say?"""

from sqlalchemy import case, func, select

from altostratus.kernel.db import table_of
from altostratus.services.object_store.models import (
    Account,
    Container,
    MultipartUpload,
    StoredObject,
    UploadPart,
    Waste,
)


def demand_sound(cloud, store):
    item, container = table_of(StoredObject), table_of(Container)
    part, upload = table_of(UploadPart), table_of(MultipartUpload)
    with cloud.db.read() as tx:
        kept = [column for table in (item, part) for column in tx.scalars(select(table.c.blob_id))]
        assert set(store.blob_ids()) == set(kept) - {None}
        owners = {*tx.scalars(select(item.c.parts_id)), *tx.scalars(select(upload.c.id))}
        assert set(tx.scalars(select(part.c.upload_id))) <= owners
        assert tx.scalar(select(func.count()).select_from(table_of(Waste))) == 0
        for row in tx.rows(select(container)):
            own = item.c.blob_id.is_not(None) | item.c.parts_id.is_not(None)
            held = case((own, item.c.size), else_=0)
            counted = select(func.count(), func.coalesce(func.sum(held), 0)).where(item.c.container_id == row.id)
            objects, size = tx.first(counted)
            coming = select(func.coalesce(func.sum(part.c.size), 0)).join(upload, upload.c.id == part.c.upload_id)
            size += tx.scalar(coming.where(upload.c.container_id == row.id))
            assert (objects, size) == (row.object_count, row.bytes_used)
        for row in tx.rows(select(table_of(Account))):
            counted = select(
                func.count(),
                func.coalesce(func.sum(container.c.object_count), 0),
                func.coalesce(func.sum(container.c.bytes_used), 0),
            ).where(container.c.account == row.name)
            assert tuple(tx.first(counted)) == (row.container_count, row.object_count, row.bytes_used)
    assert list(store.pending()) == []
