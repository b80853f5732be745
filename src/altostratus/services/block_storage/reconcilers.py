# SPDX-License-Identifier: Apache-2.0
"""What must stay true of block storage: old messages and accepted transfers go."""

from altostratus.kernel import clock
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import table_of
from altostratus.kernel.reconcilers import Reconciler
from altostratus.services.block_storage.models.others import Message, Transfer

_TRANSFER_S = 30 * 86400


def forget_old(cloud: Cloud) -> None:
    """One pass."""
    with cloud.db.write() as tx:
        tx.delete_where(Message, table_of(Message).c.guaranteed_until < clock.now())
        transfer = table_of(Transfer).c
        tx.delete_where(Transfer, transfer.accepted, transfer.created_at < clock.after(-_TRANSFER_S))


RECONCILERS = (Reconciler("block_storage.expiry", 3600.0, forget_old),)
