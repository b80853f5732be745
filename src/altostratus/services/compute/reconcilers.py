# SPDX-License-Identifier: Apache-2.0
"""Loops of compute: hosts that announced themselves, and records that are old enough to go."""

from sqlalchemy import select

from altostratus.kernel import clock
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import table_of
from altostratus.kernel.reconcilers import Reconciler
from altostratus.services.compute.config import ComputeOptions
from altostratus.services.compute.logic import hosts
from altostratus.services.compute.models.hosts import ConsoleToken
from altostratus.services.compute.models.servers import BlockDevice, Server

_SECONDS_PER_DAY = 86400.0


def announce_hosts(cloud: Cloud) -> None:
    """Service rows and placement providers follow what hosts say of themselves."""
    with cloud.db.write() as tx:
        hosts.announce(tx, cloud)


def forget_old(cloud: Cloud) -> None:
    """Drop deleted servers after their time, and console tokens that expired."""
    oldest = clock.after(-_SECONDS_PER_DAY * cloud[ComputeOptions].keep_deleted_days)
    server = table_of(Server).c
    with cloud.db.write() as tx:
        gone = tx.scalars(select(server.id).where(server.deleted.is_(True), server.deleted_at < oldest).limit(500))
        if gone:
            tx.delete_where(BlockDevice, table_of(BlockDevice).c.server_id.in_(gone))
            tx.delete_where(Server, server.id.in_(gone))
        tx.delete_where(ConsoleToken, table_of(ConsoleToken).c.expires_at < clock.now())


ANNOUNCE_HOSTS = Reconciler("compute.hosts", 10.0, announce_hosts, wake_topic="hosts")
FORGET_OLD = Reconciler("compute.forget_old", 3600.0, forget_old)
