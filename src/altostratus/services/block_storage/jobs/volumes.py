# SPDX-License-Identifier: Apache-2.0
"""Jobs of volumes: fill, grow, remove. The hosts do the work; rows say what is wanted."""

from typing import Any

from altostratus.contracts.host_api import Report
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Row, Tx
from altostratus.kernel.jobs import Job, JobFailed, Step, StepCall, Want, desire, local
from altostratus.services.block_storage.logic import messages, snapshots, volumes
from altostratus.services.block_storage.logic.scheduling import host_of
from altostratus.services.block_storage.models.volumes import Snapshot, Volume

_FILL_S, _GROW_S, _REMOVE_S = 7200, 600, 600


def want_of(row: Row[Any]) -> Want:
    """The wanted row of a placed volume, as its last job wrote it."""
    return Want("volume", row.id, host_of(row.host), row.spec)


def _fail(step: StepCall, status: str, event: str, error: str, **values: Any) -> None:
    row = step.tx.find(Volume, step.resource_id)
    if row is None:
        return
    volumes.change(step.tx, row.id, status=status, reason=error, **values)
    messages.tell(step, ("VOLUME", row.id), row.project_id, event=event, reason=error)


# create


def _placed(step: StepCall) -> None:
    row = step.tx.get(Volume, step.resource_id, what="volume")
    if row.host is None:
        raise JobFailed(row.reason or "No valid backend was found for the volume.")


def _fill(step: StepCall) -> list[Want]:
    return [want_of(step.tx.get(Volume, step.resource_id, what="volume"))]


def _unfill(step: StepCall) -> list[Want]:
    row = step.tx.find(Volume, step.resource_id)
    return [] if row is None or row.host is None else [Want("volume", row.id, host_of(row.host), None)]


def _filled(step: StepCall) -> None:
    row = step.tx.find(Volume, step.resource_id)
    if row is not None:
        _take_state(step.tx, step.cloud, row, step.observed("volume", row.id))


def _take_state(tx: Tx, cloud: Cloud, row: Row[Any], state: dict[str, Any]) -> None:
    """What the host has seen of the volume; a filled one is available from that very moment."""
    values = {name: state[name] for name in ("path", "format") if state.get(name) not in (None, row._mapping[name])}
    if row.status == "creating":
        values |= {"status": "available", "reason": None}
    if values:
        volumes.change(tx, row.id, **values)
    if row.status == "creating":
        volumes.emit(tx, cloud, "volume.create.end", tx.get(Volume, row.id))


def on_report(tx: Tx, cloud: Cloud, _row: Any, report: Report) -> None:
    """In the transaction that stores a host's report: whoever waits for the volume finds it available."""
    row = tx.find(Volume, report.id)
    if row is not None and report.error is None and report.state.get("present"):
        _take_state(tx, cloud, row, report.state)


def _create_failed(step: StepCall, error: str) -> None:
    row = step.tx.find(Volume, step.resource_id)
    event = "create" if row is not None and row.host else "schedule"
    _fail(step, "error", event, error)


CREATE_VOLUME = Job(
    "volume.create",
    resource="volume",
    busy="queue",
    steps=[
        Step("place", local(_placed)),
        Step("fill", desire(_fill), undo=desire(_unfill), deadline_s=_FILL_S),
        Step("available", local(_filled), final=True),
    ],
    on_failed=_create_failed,
    describe="Makes a volume and fills it from its image, snapshot or source volume",
)


# delete


def _remove_snapshots(step: StepCall) -> list[Want]:
    wants = []
    for snapshot_id in step.params.get("snapshots", ()):
        row = step.tx.find(Snapshot, snapshot_id)
        if row is not None and row.host is not None:
            wants.append(Want("snapshot", row.id, host_of(row.host), None))
    return wants


def _forget_snapshots(step: StepCall) -> None:
    for snapshot_id in step.params.get("snapshots", ()):
        snapshots.forget(step.tx, step.cloud, snapshot_id)


def _forget(step: StepCall) -> None:
    volumes.forget(step.tx, step.cloud, step.resource_id)


def _delete_stuck(step: StepCall, error: str) -> None:
    _fail(step, "error_deleting", "delete", error)


DELETE_VOLUME = Job(
    "volume.delete",
    resource="volume",
    busy="queue",
    forward_only=True,
    steps=[
        Step("snapshots", desire(_remove_snapshots), deadline_s=_REMOVE_S),
        Step("forget_snapshots", local(_forget_snapshots)),
        Step("data", desire(_unfill), deadline_s=_REMOVE_S),
        Step("forget", local(_forget)),
    ],
    on_stuck=_delete_stuck,
    describe="Removes a volume, with its snapshots if asked to",
)


# extend


def _grow(step: StepCall) -> list[Want]:
    row = step.tx.get(Volume, step.resource_id, what="volume")
    return [Want("volume", row.id, host_of(row.host), row.spec | {"size_gib": step.params["new_size_gib"]})]


def _grown(step: StepCall) -> None:
    row = step.tx.get(Volume, step.resource_id, what="volume")
    size_gib = step.params["new_size_gib"]
    volumes.change(
        step.tx, row.id, size=size_gib, new_size=None, status=row.previous_status or "available",
        spec=row.spec | {"size_gib": size_gib}, reason=None,
    )  # fmt: skip
    volumes.emit(step.tx, step.cloud, "volume.resize.end", step.tx.get(Volume, row.id))


def _extend_failed(step: StepCall, error: str) -> None:
    _fail(step, "error_extending", "extend", error, new_size=None)


EXTEND_VOLUME = Job(
    "volume.extend",
    resource="volume",
    busy="queue",
    steps=[
        # what has grown stays so: drivers never shrink, and the row keeps the smaller size
        Step("grow", desire(_grow), undo=desire(_fill), deadline_s=_GROW_S),
        Step("available", local(_grown), final=True),
    ],
    on_failed=_extend_failed,
    describe="Makes a volume larger",
)
