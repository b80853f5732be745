# SPDX-License-Identifier: Apache-2.0
"""What identity providers said, when its time is over: groups of their users, and assertions that were used."""

from altostratus.kernel import clock
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import table_of
from altostratus.kernel.reconcilers import Reconciler
from altostratus.services.identity.logic.changes import void_cached_tokens
from altostratus.services.identity.models import ExpiringMember, UsedAssertion


def expire(cloud: Cloud) -> None:
    """Tokens are looked up again when a membership ends."""
    over = table_of(ExpiringMember).c.expires_at <= clock.now()
    with cloud.db.read() as tx:
        if tx.first(table_of(ExpiringMember).select().where(over).limit(1)) is None:
            return
    with cloud.db.write() as tx:
        tx.delete_where(ExpiringMember, over)
        void_cached_tokens(tx, cloud)


def forget_assertions(cloud: Cloud) -> None:
    with cloud.db.write() as tx:
        tx.delete_where(UsedAssertion, table_of(UsedAssertion).c.ends_at <= clock.now())


FORGET_ASSERTIONS = Reconciler("identity.forget_assertions", every_s=3600, run=forget_assertions)
EXPIRE_MEMBERSHIPS = Reconciler("identity.expire_memberships", every_s=15, run=expire)
