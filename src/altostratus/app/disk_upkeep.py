# SPDX-License-Identifier: Apache-2.0
"""The loops of the control process that look after the disks of the embedded object store."""

from altostratus.app.object_disks import SHARE, rings_of
from altostratus.contracts.object_store import ObjectStore, StoragePolicy
from altostratus.drivers.object_store import policies
from altostratus.drivers.object_store.embedded import EmbeddedStore, quarantine, upkeep
from altostratus.drivers.object_store.embedded.quarantine import SetAside
from altostratus.drivers.object_store.policies import PolicyStores
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.reconcilers import Reconciler
from altostratus.services.object_store.public import is_named

_KEEP_QUARANTINED_S = 30 * 86400.0


def _replicate(cloud: Cloud) -> None:
    for _, store in _rings_in(cloud):
        upkeep.replicate(store, pace=upkeep.Pace(SHARE))


def _audit(cloud: Cloud) -> None:
    for policy, store in _rings_in(cloud):
        upkeep.audit(store, pace=upkeep.Pace(SHARE))

        def is_wanted(copy: SetAside, index: int = policy.index) -> bool:
            if copy.age_s < _KEEP_QUARANTINED_S:
                return True
            return not copy.elsewhere and is_named(cloud, policies.whole_id(index, copy.blob_id))

        quarantine.purge(store, is_wanted)


def _rings_in(cloud: Cloud) -> list[tuple[StoragePolicy, EmbeddedStore]]:
    found = cloud.part(ObjectStore) if cloud.has_part(ObjectStore) else None  # type: ignore[type-abstract]
    return rings_of(found) if isinstance(found, PolicyStores) else []


DISK_UPKEEP = (
    Reconciler("object_store.replicate", 300.0, _replicate),
    Reconciler("object_store.audit", 6 * 3600.0, _audit),
)
