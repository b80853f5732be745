# SPDX-License-Identifier: Apache-2.0
"""The `[rados]` section."""

from typing import Annotated

from altostratus.kernel.config import Meta, Section


class RadosOptions(Section, frozen=True, kw_only=True, name="rados"):
    """Where the objects lie if `[cloud] objects` is rados."""

    conf: Annotated[str, Meta(description="Ceph's configuration file")] = "/etc/ceph/ceph.conf"
    user: Annotated[str, Meta(description="name of the Ceph user, without `client.`")] = "altostratus"
    pool: Annotated[str, Meta(description="name of the pool", min_length=1)] = "altostratus"
    index_pool: Annotated[
        str, Meta(description="a replicated pool for the index, where `pool` is an erasure-coded one")
    ] = ""
    namespace: Annotated[str, Meta(description="part of the pool that is this cloud's own", min_length=1)] = "objects"
    timeout_s: Annotated[int, Meta(description="seconds until Ceph is taken for gone", ge=1, le=600)] = 20
