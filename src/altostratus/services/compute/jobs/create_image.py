# SPDX-License-Identifier: Apache-2.0
"""`server.create_image`: the guest's root disk as an image. The guest goes on running."""

from altostratus.kernel import clock
from altostratus.kernel.jobs import Job, Step, StepCall, Want, desire, local, remote
from altostratus.services.compute.logic import servers, states
from altostratus.services.compute.logic.wanted import server_want
from altostratus.services.compute.models.servers import Server
from altostratus.services.image import public as image


def begin(step: StepCall) -> None:
    row = step.tx.get(Server, step.resource_id, what="server")
    servers.notify(step.tx, step.cloud, row, "snapshot.start", snapshot_image_id=step.params["image_id"])


def order(step: StepCall) -> None:
    row = step.tx.get(Server, step.resource_id, what="server")
    path = image.staging_path(step.cloud, step.params["image_id"])
    servers.touch(step.tx, row.id, snapshot_token=step.job_id, snapshot_path=path)


def forget_order(step: StepCall) -> None:
    """The host is asked for no snapshot any more; nobody waits, because nothing depends on it."""
    servers.touch(step.tx, step.resource_id, snapshot_token=None, snapshot_path=None)
    step.desired.want(step.tx, server_want(step.tx, step.cloud, step.resource_id))


def ask(step: StepCall) -> list[Want]:
    return [server_want(step.tx, step.cloud, step.resource_id)]


def upload(step: StepCall) -> None:
    image.finish_snapshot_image(step.cloud, step.params["image_id"])


def discard(step: StepCall) -> None:
    image.discard_snapshot_image(step.cloud, step.params["image_id"])


def rotate(step: StepCall) -> None:
    """Of backups, only the newest are kept; protected ones stay."""
    keep = step.params.get("rotation")
    if keep is None:
        return
    whose = {"request_id": step.request_id, "project_id": step.project_id, "user_id": step.user_id}
    backups = image.list_backups(step.tx, step.resource_id, step.params["backup_type"])
    for old in backups[keep:]:
        if not old.protected:
            image.delete_image(step.tx, step.cloud, old.id, **whose)


def done(step: StepCall) -> None:
    row = step.tx.get(Server, step.resource_id)
    servers.notify(step.tx, step.cloud, row, "snapshot.end", snapshot_image_id=step.params["image_id"])


def stuck(step: StepCall, error: str) -> None:
    servers.touch(step.tx, step.resource_id, fault=states.fault(500, error, clock.now()))


CREATE_IMAGE = Job(
    "server.create_image",
    resource="server",
    busy="queue",
    steps=[
        # whatever fails later, the image that the request made goes away last
        Step("begin", local(begin), undo=remote(discard)),
        Step("order", local(order), undo=local(forget_order)),
        Step("snapshot", desire(ask), deadline_s=1800),
        Step("upload", remote(upload)),
        Step("rotate", local(rotate)),
        Step("done", local(done)),
    ],
    on_stuck=stuck,
    describe="Make an image of a server's root disk.",
)
