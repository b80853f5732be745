# SPDX-License-Identifier: Apache-2.0
"""What other services and the composition root may use of the object store."""

from altostratus.kernel.cloud import Cloud
from altostratus.services.object_store.logic.stored import unreferenced
from altostratus.services.object_store.reconcilers.waste import settle_leftovers

__all__ = ["is_named", "settle_leftovers"]


def is_named(cloud: Cloud, blob_id: str) -> bool:
    """Whether an object, a version or a part has this blob."""
    with cloud.db.read() as tx:
        return not unreferenced(tx, [blob_id])
