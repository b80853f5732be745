# SPDX-License-Identifier: Apache-2.0
"""Starting the jobs of block storage, with the locks that each needs."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx
from altostratus.kernel.jobs import Job
from altostratus.services.block_storage.jobs.snapshots import CREATE_SNAPSHOT, DELETE_SNAPSHOT
from altostratus.services.block_storage.jobs.upload import UPLOAD_VOLUME
from altostratus.services.block_storage.jobs.volumes import CREATE_VOLUME, DELETE_VOLUME, EXTEND_VOLUME


class Origin(NamedTuple):
    """Who asked, for the job's record."""

    request_id: str
    project_id: str | None
    user_id: str | None


def create_volume(tx: Tx, cloud: Cloud, row: Row[Any], origin: Origin) -> None:
    """The source is locked as well: it must not go while it is copied."""
    locks = [f"volume:{row.id}"]
    if row.snapshot_id:
        locks.append(f"snapshot:{row.snapshot_id}")
    if row.source_volid:
        locks.append(f"volume:{row.source_volid}")
    _start(tx, cloud, (CREATE_VOLUME, {}), row.id, origin, locks)


def delete_volume(tx: Tx, cloud: Cloud, volume_id: str, snapshot_ids: Iterable[str], origin: Origin) -> None:
    """A deletion that got stuck earlier goes on."""
    snapshots = list(snapshot_ids)
    if _mend(tx, cloud, volume_id, DELETE_VOLUME):
        return
    locks = [f"volume:{volume_id}", *(f"snapshot:{snapshot_id}" for snapshot_id in snapshots)]
    _start(tx, cloud, (DELETE_VOLUME, {"snapshots": snapshots}), volume_id, origin, locks)


def extend_volume(tx: Tx, cloud: Cloud, volume_id: str, new_size_gib: int, origin: Origin) -> None:
    _start(tx, cloud, (EXTEND_VOLUME, {"new_size_gib": new_size_gib}), volume_id, origin, [f"volume:{volume_id}"])


def upload_volume(tx: Tx, cloud: Cloud, volume_id: str, image_id: str, disk_format: str, origin: Origin) -> None:
    params = {"image_id": image_id, "disk_format": disk_format}
    _start(tx, cloud, (UPLOAD_VOLUME, params), volume_id, origin, [f"volume:{volume_id}"])


def create_snapshot(tx: Tx, cloud: Cloud, row: Row[Any], origin: Origin) -> None:
    _start(tx, cloud, (CREATE_SNAPSHOT, {}), row.id, origin, [f"snapshot:{row.id}", f"volume:{row.volume_id}"])


def delete_snapshot(tx: Tx, cloud: Cloud, row: Row[Any], origin: Origin) -> None:
    """As `delete_volume`."""
    if _mend(tx, cloud, row.id, DELETE_SNAPSHOT):
        return
    _start(tx, cloud, (DELETE_SNAPSHOT, {}), row.id, origin, [f"snapshot:{row.id}"])


def _mend(tx: Tx, cloud: Cloud, resource_id: str, deletion: Job) -> bool:
    """Whether the deletion got stuck earlier; then it is tried again."""
    stuck = [job for job in cloud.jobs.history(tx, resource_id) if job.state == "stuck" and job.kind == deletion.kind]
    for job in stuck:
        tx.after_commit(lambda job_id=job.id: cloud.jobs.retry(job_id))  # type: ignore[misc]
    return bool(stuck)


def _start(
    tx: Tx, cloud: Cloud, job: tuple[Job, dict[str, Any]], resource_id: str, origin: Origin, locks: list[str]
) -> None:
    """`job` is the job and its parameters."""
    cloud.jobs.start(
        tx, job[0], resource_id, job[1], request_id=origin.request_id, project_id=origin.project_id,
        user_id=origin.user_id, lock=locks,
    )  # fmt: skip
