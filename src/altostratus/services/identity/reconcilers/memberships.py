# SPDX-License-Identifier: Apache-2.0
"""Takes users out of the groups that an identity provider put them in for a time, and has tokens looked up again."""

from altostratus.kernel import clock
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import table_of
from altostratus.kernel.reconcilers import Reconciler
from altostratus.services.identity.logic.changes import void_cached_tokens
from altostratus.services.identity.models import ExpiringMember


def expire(cloud: Cloud) -> None:
    over = table_of(ExpiringMember).c.expires_at <= clock.now()
    with cloud.db.read() as tx:
        if tx.first(table_of(ExpiringMember).select().where(over).limit(1)) is None:
            return
    with cloud.db.write() as tx:
        tx.delete_where(ExpiringMember, over)
        void_cached_tokens(tx, cloud)


EXPIRE_MEMBERSHIPS = Reconciler("identity.expire_memberships", every_s=15, run=expire)
