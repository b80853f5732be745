# SPDX-License-Identifier: Apache-2.0
"""Objects in pools of Ceph: which pool a storage policy has, and whether the cloud can use it."""

import msgspec

from altostratus.app.options import CloudOptions, Paths
from altostratus.app.privileges import control_identity, drop_privileges
from altostratus.drivers.object_store.policies import PolicyStores
from altostratus.drivers.object_store.rados import Connection, RadosOptions, RadosStore
from altostratus.kernel.config import load


def rados_stores(paths: Paths, options: RadosOptions) -> PolicyStores:
    """The first policy has the pool of the options, policy 1 the pool `<pool>-1`, and so on."""

    def open_store(policy: int) -> RadosStore:
        pool = f"{options.pool}-{policy}" if policy else options.pool
        return RadosStore(Connection(msgspec.structs.replace(options, pool=pool)))

    return PolicyStores(paths.object_policies, open_store)


def pool_state(paths: Paths, options: CloudOptions) -> str:
    """What there is, in words. As the user of the control process from here on. Raises RadosError with what to do."""
    rados = load(paths.config, (RadosOptions,), only=False)[RadosOptions]
    drop_privileges(control_identity(options))
    free, whole = Connection(rados).pool().room()
    room = f", {free / 2**30:.1f} of {whole / 2**30:.1f} GiB free in the cluster" if whole else ""
    return f"the pool {rados.pool} of Ceph answers{room}"
