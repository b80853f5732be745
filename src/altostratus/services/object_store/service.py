# SPDX-License-Identifier: Apache-2.0
"""The manifest of the object store."""

from altostratus.kernel.resource.service import Service
from altostratus.services.object_store.api.accounts import AccountOf
from altostratus.services.object_store.api.containers import ContainerOf
from altostratus.services.object_store.api.edge import Edge
from altostratus.services.object_store.api.endpoints import Endpoints, OwnEndpoints
from altostratus.services.object_store.api.info import Crossdomain, Health, Info
from altostratus.services.object_store.api.metering import ensure_meter
from altostratus.services.object_store.api.objects import ObjectOf
from altostratus.services.object_store.api.pace import ensure_paces
from altostratus.services.object_store.api.readers import ensure_readers
from altostratus.services.object_store.config import ContainerSyncOptions, ObjectStoreOptions, RateLimitOptions
from altostratus.services.object_store.errors import envelope
from altostratus.services.object_store.logic.access import ensure_reseller_admin
from altostratus.services.object_store.reconcilers.expiry import DELETE_EXPIRED
from altostratus.services.object_store.reconcilers.lifecycle import CARRY_OUT_LIFECYCLES
from altostratus.services.object_store.reconcilers.metering import TELL_TRAFFIC, TELL_USAGE
from altostratus.services.object_store.reconcilers.orphans import REMOVE_ORPHANS
from altostratus.services.object_store.reconcilers.sync import COPY_CONTAINERS
from altostratus.services.object_store.reconcilers.waste import REMOVE_WASTE
from altostratus.services.object_store.s3.resources import Bucket, BucketObject, S3Account

SERVICE = Service(
    type="object_store",
    name="swift",
    title="Object store",
    path="/object-store/v1",
    root="/object-store",
    catalog_path="/object-store/v1/AUTH_$(project_id)s",
    classic_port=8080,
    policy_namespace="swift",
    envelope=envelope,
    resources=(
        Info,
        Health,
        Crossdomain,
        OwnEndpoints,
        Endpoints,
        AccountOf,
        ContainerOf,
        ObjectOf,
        S3Account,
        Bucket,
        BucketObject,
    ),
    options=(ObjectStoreOptions, RateLimitOptions, ContainerSyncOptions),
    edge=Edge,
    seeds=(ensure_reseller_admin, ensure_paces, ensure_meter, ensure_readers),
    reconcilers=(
        DELETE_EXPIRED,
        CARRY_OUT_LIFECYCLES,
        REMOVE_WASTE,
        REMOVE_ORPHANS,
        TELL_USAGE,
        TELL_TRAFFIC,
        COPY_CONTAINERS,
    ),
)
