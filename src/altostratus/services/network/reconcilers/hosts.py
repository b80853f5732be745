# SPDX-License-Identifier: Apache-2.0
"""Hosts that are new: they are told of everything that exists, once."""

from sqlalchemy import select

from altostratus.kernel import clock
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import table_of
from altostratus.kernel.desired import Want
from altostratus.kernel.reconcilers import Reconciler
from altostratus.services.network.logic import dhcp, router_wants, wants
from altostratus.services.network.models import Router, SyncedHost


def sync_new_hosts(cloud: Cloud) -> None:
    """Write all wanted rows for hosts that have never had them. Changes reach every known host anyway."""
    with cloud.db.read() as tx:
        synced = set(tx.scalars(select(table_of(SyncedHost).c.host)))
        new = [host for host in wants.network_hosts(tx, cloud) if host.name not in synced]
    for host in new:
        with cloud.db.write() as tx:
            dhcp.settle_on(tx, cloud, host.name)
            for want in wants.host_wants(tx, cloud, host):
                cloud.desired.want(tx, want)
            for router in tx.rows(select(table_of(Router))):
                cloud.desired.want(tx, Want("router", router.id, host.name, router_wants.router_spec(tx, router)))
            tx.insert(SyncedHost, host=host.name, synced_at=clock.now())


SYNC_NEW_HOSTS = Reconciler("network.new_hosts", 30.0, sync_new_hosts, wake_topic="hosts")
