# SPDX-License-Identifier: Apache-2.0
"""A volume becomes an image: the host writes a file, the image store takes it over."""

from typing import Any

from altostratus.kernel.jobs import Job, Step, StepCall, Want, desire, local, remote
from altostratus.services.block_storage.jobs.volumes import want_of
from altostratus.services.block_storage.logic import messages, volumes
from altostratus.services.block_storage.logic.scheduling import host_of
from altostratus.services.block_storage.models.volumes import Volume
from altostratus.services.image import public as image_service

_EXPORT_S = 7200


def _nothing(_step: StepCall) -> None:
    """The image's row was made by the request; this step is here for its undo."""


def _export(step: StepCall) -> list[Want]:
    row = step.tx.get(Volume, step.resource_id, what="volume")
    image_id = step.params["image_id"]
    spec = row.spec | {
        "export_token": step.key,
        "export_path": image_service.staging_path(step.cloud, image_id),
        "export_format": step.params["disk_format"],
    }
    return [Want("volume", row.id, host_of(row.host), spec)]


def _end_export(step: StepCall) -> list[Want]:
    row = step.tx.find(Volume, step.resource_id)
    return [] if row is None else [want_of(row)]


def _adopt(step: StepCall) -> None:
    image_service.finish_snapshot_image(step.cloud, step.params["image_id"])


def _discard(step: StepCall) -> None:
    image_service.discard_snapshot_image(step.cloud, step.params["image_id"])


def _give_back(step: StepCall) -> None:
    row = step.tx.find(Volume, step.resource_id)
    if row is not None and row.status == "uploading":
        volumes.change(step.tx, row.id, status=row.previous_status or "available")


def _failed(step: StepCall, error: str) -> None:
    row: Any = step.tx.find(Volume, step.resource_id)
    if row is None:
        return
    _give_back(step)
    messages.tell(step, ("VOLUME", row.id), row.project_id, event="upload", reason=error)


UPLOAD_VOLUME = Job(
    "volume.upload_image",
    resource="volume",
    busy="queue",
    steps=[
        Step("image", local(_nothing), undo=remote(_discard)),
        Step("export", desire(_export), undo=desire(_end_export), deadline_s=_EXPORT_S),
        Step("store", remote(_adopt), undo=remote(_discard)),
        Step("end_export", desire(_end_export), deadline_s=600, final=True),
        Step("available", local(_give_back)),
    ],
    on_failed=_failed,
    describe="Copies a volume into a new image",
)
