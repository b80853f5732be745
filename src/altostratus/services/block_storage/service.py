# SPDX-License-Identifier: Apache-2.0
"""The manifest of block storage."""

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Tx
from altostratus.kernel.quota import UNLIMITED, Countable
from altostratus.kernel.resource.fragments import Fragments
from altostratus.kernel.resource.lists import Style
from altostratus.kernel.resource.service import Service
from altostratus.kernel.resource.versions import Microversions
from altostratus.services.block_storage.api import attachments, hosts, quotas, snapshots, type_encryption, types
from altostratus.services.block_storage.api.discovery import Extensions, ResourceFilters, Versions
from altostratus.services.block_storage.api.messages import MessageResource
from altostratus.services.block_storage.api.qos_specs import QosSpecsResource
from altostratus.services.block_storage.api.transfers import NewTransfers, Transfers
from altostratus.services.block_storage.api.volumes import actions, resource
from altostratus.services.block_storage.config import BlockStorageOptions
from altostratus.services.block_storage.errors import envelope
from altostratus.services.block_storage.jobs.snapshots import CREATE_SNAPSHOT, DELETE_SNAPSHOT
from altostratus.services.block_storage.jobs.upload import UPLOAD_VOLUME
from altostratus.services.block_storage.jobs.volumes import CREATE_VOLUME, DELETE_VOLUME, EXTEND_VOLUME, on_report
from altostratus.services.block_storage.logic.types import ensure_default_type
from altostratus.services.block_storage.reconcilers import RECONCILERS


def prepare(tx: Tx, cloud: Cloud) -> None:
    """The default type, and the rendered rows that this process keeps in memory."""
    ensure_default_type(tx, cloud)
    if not cloud.has_part(Fragments):
        cloud.add_part(Fragments, Fragments())


SERVICE = Service(
    type="block_storage",
    name="cinderv3",
    title="Block Storage",
    catalog_type="volumev3",
    also_as=("block-storage",),
    path="/volume/v3",
    root="/volume",
    project_in_path=True,
    strict_paths=True,
    versions=Microversions("volume", "3.0", "3.71"),
    style=Style(links="nova", admin_all=False),
    resources=(
        Versions, resource.VolumeResource, actions.VolumeActions, snapshots.SnapshotResource,
        types.VolumeTypeResource, type_encryption.TypeEncryption, types.DefaultTypes,
        attachments.AttachmentResource, quotas.QuotaSets, quotas.QuotaClasses, quotas.Limits, hosts.Services,
        hosts.Pools, hosts.Capabilities, hosts.Zones, hosts.Hosts, MessageResource, QosSpecsResource, Transfers,
        NewTransfers, Extensions, ResourceFilters,
    ),
    envelope=envelope,
    policy_namespace="cinder",
    jobs=(CREATE_VOLUME, DELETE_VOLUME, EXTEND_VOLUME, UPLOAD_VOLUME, CREATE_SNAPSHOT, DELETE_SNAPSHOT),
    reconcilers=RECONCILERS,
    quotas=(
        Countable("volumes", 10),
        Countable("snapshots", 10),
        Countable("gigabytes", 1000),
        Countable("backups", 10),
        Countable("backup_gigabytes", 1000),
        Countable("per_volume_gigabytes", UNLIMITED),
        Countable("groups", 10),
    ),
    options=(BlockStorageOptions,),
    rules=(
        *resource.RULES, *actions.RULES, *snapshots.RULES, *attachments.RULES, *types.RULES, *quotas.RULES,
    ),
    reports=(("volume", on_report),),
    seeds=(prepare,),
    classic_port=8776,
)  # fmt: skip
