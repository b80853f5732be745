# SPDX-License-Identifier: Apache-2.0
"""Is everything that is counted or kept what the rows say?"""

from sqlalchemy import case, func, select

from altostratus.kernel.db import table_of
from altostratus.services.object_store.models import Account, Container, StoredObject, Waste


def demand_sound(cloud, store):
    item, container = table_of(StoredObject), table_of(Container)
    with cloud.db.read() as tx:
        assert set(store.blob_ids()) == set(tx.scalars(select(item.c.blob_id).where(item.c.blob_id.is_not(None))))
        assert tx.scalar(select(func.count()).select_from(table_of(Waste))) == 0
        for row in tx.rows(select(container)):
            held = case((item.c.blob_id.is_not(None), item.c.size), else_=0)
            counted = select(func.count(), func.coalesce(func.sum(held), 0)).where(item.c.container_id == row.id)
            assert tuple(tx.first(counted)) == (row.object_count, row.bytes_used)
        for row in tx.rows(select(table_of(Account))):
            counted = select(
                func.count(),
                func.coalesce(func.sum(container.c.object_count), 0),
                func.coalesce(func.sum(container.c.bytes_used), 0),
            ).where(container.c.account == row.name)
            assert tuple(tx.first(counted)) == (row.container_count, row.object_count, row.bytes_used)
    assert list(store.pending()) == []
