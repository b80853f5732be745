# SPDX-License-Identifier: Apache-2.0
"""Messages to users: why a volume went into error."""

from altostratus.kernel import clock, ids
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Tx
from altostratus.kernel.jobs import StepCall
from altostratus.services.block_storage.config import BlockStorageOptions
from altostratus.services.block_storage.models.others import Message

# (action, detail) numbers that upstream's event ids are made of
_EVENTS = {
    "schedule": "VOLUME_VOLUME_001_002",
    "create": "VOLUME_VOLUME_001_001",
    "delete": "VOLUME_VOLUME_007_001",
    "extend": "VOLUME_VOLUME_004_001",
    "upload": "VOLUME_VOLUME_003_001",
    "snapshot": "VOLUME_VOLUME_SNAPSHOT_008_001",
    "snapshot_delete": "VOLUME_VOLUME_SNAPSHOT_009_001",
}
_DAY_S = 86400


def tell(step: StepCall, resource: tuple[str, str], project_id: str, *, event: str, reason: str) -> None:
    """Keep a message of a job that failed; `resource` is (VOLUME or VOLUME_SNAPSHOT, id)."""
    keep(step.tx, step.cloud, resource, (project_id, step.request_id), event, reason)


def keep(
    tx: Tx, cloud: Cloud, resource: tuple[str, str], asked: tuple[str, str], event: str, reason: str
) -> None:  # fmt: skip
    """Keep a message; `asked` is (project id, request id)."""
    tx.insert(
        Message,
        id=ids.new_id(),
        project_id=asked[0],
        request_id=asked[1],
        resource_type=resource[0],
        resource_uuid=resource[1],
        event_id=_EVENTS[event],
        user_message=reason,
        created_at=clock.now(),
        guaranteed_until=clock.after(cloud[BlockStorageOptions].message_days * _DAY_S),
    )
