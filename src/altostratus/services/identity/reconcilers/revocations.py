# SPDX-License-Identifier: Apache-2.0
"""Forgets revocations of tokens that have expired by now."""

from altostratus.kernel import clock
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import table_of
from altostratus.kernel.reconcilers import Reconciler
from altostratus.services.identity.config import IdentityOptions
from altostratus.services.identity.models import Revocation


def prune(cloud: Cloud) -> None:
    """Kept a while longer for those who look at expired tokens."""
    horizon = clock.after(-cloud[IdentityOptions].expired_window_s)
    with cloud.db.write() as tx:
        tx.delete_where(Revocation, table_of(Revocation).c.expires_at < horizon)


PRUNE_REVOCATIONS = Reconciler("identity.prune_revocations", every_s=3600, run=prune)
