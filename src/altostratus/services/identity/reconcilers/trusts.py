# SPDX-License-Identifier: Apache-2.0
"""Forgets trusts that ended long ago: nobody can show or delete them any more."""

from altostratus.kernel import clock
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import table_of
from altostratus.kernel.reconcilers import Reconciler
from altostratus.services.identity.config import IdentityOptions
from altostratus.services.identity.models import Trust


def prune(cloud: Cloud) -> None:
    """Lists show them for a while, so that people see why a program stopped."""
    horizon = clock.after(-cloud[IdentityOptions].expired_window_s)
    with cloud.db.write() as tx:
        tx.delete_where(Trust, table_of(Trust).c.expires_at < horizon)


PRUNE_TRUSTS = Reconciler("identity.prune_trusts", every_s=3600, run=prune)
