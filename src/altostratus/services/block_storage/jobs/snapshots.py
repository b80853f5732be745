# SPDX-License-Identifier: Apache-2.0
"""Jobs of snapshots. They take the volume's lock, so its data is not removed or moved meanwhile."""

import msgspec

from altostratus.contracts.volume import SnapshotSpec
from altostratus.kernel.jobs import Job, Step, StepCall, Want, desire, local
from altostratus.services.block_storage.logic import messages, snapshots
from altostratus.services.block_storage.logic.scheduling import backend_of, host_of
from altostratus.services.block_storage.models.volumes import Snapshot

_COPY_S, _REMOVE_S = 7200, 600


def _take(step: StepCall) -> list[Want]:
    row = step.tx.get(Snapshot, step.resource_id, what="snapshot")
    spec = SnapshotSpec(id=row.id, volume_id=row.volume_id, size_gib=row.size, backend=backend_of(row.host))
    return [Want("snapshot", row.id, host_of(row.host), msgspec.to_builtins(spec))]


def _remove(step: StepCall) -> list[Want]:
    row = step.tx.find(Snapshot, step.resource_id)
    return [] if row is None or row.host is None else [Want("snapshot", row.id, host_of(row.host), None)]


def _taken(step: StepCall) -> None:
    row = step.tx.find(Snapshot, step.resource_id)
    if row is not None and row.status == "creating":
        snapshots.change(step.tx, row.id, status="available", progress="100%")
        snapshots.emit(step.tx, step.cloud, "snapshot.create.end", step.tx.get(Snapshot, row.id))


def _fail(step: StepCall, status: str, event: str, error: str) -> None:
    row = step.tx.find(Snapshot, step.resource_id)
    if row is None:
        return
    snapshots.change(step.tx, row.id, status=status, reason=error)
    messages.tell(step, ("VOLUME_SNAPSHOT", row.id), row.project_id, event=event, reason=error)


def _create_failed(step: StepCall, error: str) -> None:
    _fail(step, "error", "snapshot", error)


def _delete_stuck(step: StepCall, error: str) -> None:
    _fail(step, "error_deleting", "snapshot_delete", error)


def _forget(step: StepCall) -> None:
    snapshots.forget(step.tx, step.cloud, step.resource_id)


CREATE_SNAPSHOT = Job(
    "snapshot.create",
    resource="snapshot",
    busy="queue",
    steps=[
        Step("take", desire(_take), undo=desire(_remove), deadline_s=_COPY_S),
        Step("available", local(_taken), final=True),
    ],
    on_failed=_create_failed,
    describe="Keeps the content of a volume as it is now",
)

DELETE_SNAPSHOT = Job(
    "snapshot.delete",
    resource="snapshot",
    busy="queue",
    forward_only=True,
    steps=[Step("data", desire(_remove), deadline_s=_REMOVE_S), Step("forget", local(_forget))],
    on_stuck=_delete_stuck,
    describe="Removes a snapshot",
)
