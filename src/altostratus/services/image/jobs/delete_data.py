# SPDX-License-Identifier: Apache-2.0
"""Removes the data of images that are gone. Forward only: the image itself was deleted by the request."""

from altostratus.kernel.auth import Context
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Tx
from altostratus.kernel.jobs import Job, Step, StepCall, remote
from altostratus.services.image.stores import store_of


def _delete(step: StepCall) -> None:
    for location in step.params["locations"]:
        store_of(step.cloud).delete(location)


DELETE_DATA = Job(
    "image.delete_data",
    resource="image_data",
    busy="queue",
    forward_only=True,
    steps=[Step("delete", remote(_delete))],
    describe="Removes the stored data of a deleted image",
)


def start_delete_data(tx: Tx, cloud: Cloud, image_id: str, locations: list[str], request_id: str, ctx: Context) -> None:
    """Once the transaction is on disk, the data goes."""
    cloud.jobs.start(
        tx,
        DELETE_DATA,
        image_id,
        {"locations": locations},
        request_id=request_id,
        project_id=ctx.project_id,
        user_id=ctx.user_id,
    )
