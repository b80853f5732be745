# SPDX-License-Identifier: Apache-2.0
"""Deletes objects whose time is over. They are not shown any longer anyway; this gives their room back."""

from sqlalchemy import select

from altostratus.kernel import clock
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import table_of
from altostratus.kernel.reconcilers import Reconciler
from altostratus.services.object_store.logic import objects
from altostratus.services.object_store.models import Container, StoredObject
from altostratus.services.object_store.reconcilers.waste import TOPIC

_AT_ONCE = 100


def delete_expired(cloud: Cloud) -> None:
    item = table_of(StoredObject)
    while True:
        with cloud.db.read() as tx:
            due = tx.rows(select(item).where(item.c.expires_at <= int(clock.unix())).limit(_AT_ONCE))
        if not due:
            return
        with cloud.db.write() as tx:
            for row in due:
                container = tx.find(Container, row.container_id)
                if container is not None:
                    objects.expire(tx, container, row)
        cloud.bus.wake(TOPIC)


DELETE_EXPIRED = Reconciler("object_store.expiry", 5.0, delete_expired)
