# SPDX-License-Identifier: Apache-2.0
"""Turns staged data into an active image (import method glance-direct)."""

from typing import Any

from altostratus.contracts.image_store import ImageStoreError
from altostratus.kernel.errors import Conflict
from altostratus.kernel.jobs import Job, JobFailed, Step, StepCall, local, remote
from altostratus.services.image.content import check_content
from altostratus.services.image.logic import images, uploads
from altostratus.services.image.models import ImageRow
from altostratus.services.image.stores import refusal_of, store_of


def _begin(step: StepCall) -> None:
    row = step.tx.get(ImageRow, step.resource_id, what="image")
    if row.status != "uploading" or row.staged_location is None:
        raise Conflict(f"Image {row.id} has no staged data any more.")
    images.change(step.tx, row.id, status="importing")
    step.data["staged"] = row.staged_location
    step.data["path"] = store_of(step.cloud).local_path(row.staged_location)


def _undo_begin(step: StepCall) -> None:
    row = step.tx.find(ImageRow, step.resource_id)
    if row is not None and row.status == "importing":
        properties = row.properties | {"os_glance_failed_import": store_of(step.cloud).name}
        images.change(step.tx, row.id, status="queued", staged_location=None, size=None, properties=properties)


def _store(step: StepCall) -> dict[str, Any]:
    """Looks at the data first; then it is moved, not copied, and the staged copy is no more."""
    store = store_of(step.cloud)
    with step.db.read() as tx:
        row = tx.get(ImageRow, step.resource_id, what="image")
    try:
        stored = store.adopt(row.id, step.data["path"])
    except ImageStoreError as error:
        raise JobFailed(refusal_of(error).message) from error
    refusal = check_content(step.cloud, row, stored)
    if refusal is not None:
        raise JobFailed(refusal)
    store.delete(step.data["staged"])
    return {"stored": uploads.facts(stored) | {"location": stored.location}}


def _undo_store(step: StepCall) -> None:
    store = store_of(step.cloud)
    store.delete(f"{store.name}:{step.resource_id}")
    store.delete(step.data["staged"])


def _activate(step: StepCall) -> None:
    row = step.tx.get(ImageRow, step.resource_id, what="image")
    properties = {name: value for name, value in row.properties.items() if name != "os_glance_failed_import"}
    images.change(step.tx, row.id, status="active", staged_location=None, properties=properties, **step.data["stored"])
    images.emit(step.tx, step.cloud, "image.activate", step.tx.get(ImageRow, row.id))


IMPORT_IMAGE = Job(
    "image.import",
    resource="image",
    steps=[
        Step("begin", local(_begin), undo=local(_undo_begin)),
        Step("store", remote(_store), undo=remote(_undo_store)),
        Step("activate", local(_activate), final=True),
    ],
    describe="Takes staged data over into the image store",
)


def task_view(row: Any) -> dict[str, Any]:
    """A job as a task of the image API."""
    states = {"done": "success", "failed": "failure", "stuck": "failure", "queued": "pending"}
    failed = row.state in ("failed", "stuck")
    return {
        "id": row.id,
        "image_id": row.resource_id,
        "request_id": row.request_id,
        "user_id": row.user_id,
        "owner": row.project_id,
        "type": "api_image_import",
        "status": states.get(row.state, "processing"),
        "input": {"image_id": row.resource_id, "import_req": row.params.get("import_req", {}), "backend": ["file"]},
        "result": {"image_id": row.resource_id} if row.state == "done" else None,
        "message": (row.error or "") if failed else "",
        "created_at": row.created_at[:19] + "Z",
        "updated_at": (row.finished_at or row.created_at)[:19] + "Z",
        "expires_at": None,
        "deleted": False,
        "deleted_at": None,
    }
