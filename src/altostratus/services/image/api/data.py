# SPDX-License-Identifier: Apache-2.0
"""Image data: upload, staging, import, download."""

import re
from collections.abc import Callable
from typing import Any

from altostratus.contracts.image_store import ImageStoreError, Readable, StoredImage
from altostratus.kernel import clock
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Tx
from altostratus.kernel.errors import (
    ApiError,
    BadRequest,
    Conflict,
    Forbidden,
    RangeNotSatisfiable,
    UnsupportedMediaType,
)
from altostratus.kernel.numbers import whole_number
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.image.api.images import DOWNLOADS, OWNS, SEES, scope, target
from altostratus.services.image.config import ImageOptions
from altostratus.services.image.content import check_content
from altostratus.services.image.jobs.import_image import IMPORT_IMAGE, task_view
from altostratus.services.image.logic import uploads
from altostratus.services.image.models import ImageRow
from altostratus.services.image.stores import import_methods, refusal_of, store_name, store_of

_SIGN_OF_LIFE_EVERY_S = 20.0
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class _Watched:
    """The request's body; while it flows, it says now and then that the upload lives."""

    def __init__(self, stream: Readable, alive: Callable[[], None]) -> None:
        self._stream, self._alive = stream, alive
        self._next = clock.monotonic() + _SIGN_OF_LIFE_EVERY_S

    def read(self, size: int, /) -> bytes:
        if clock.monotonic() >= self._next:
            self._next = clock.monotonic() + _SIGN_OF_LIFE_EVERY_S
            self._alive()
        try:
            return self._stream.read(size)
        except OSError as error:
            raise ImageStoreError("short", f"The upload was broken off ({error}). Upload the image again.") from error


def upload(call: Call) -> Reply:
    """Receive the data of a queued image, which is active afterwards."""
    cloud, image_id = call.cloud, call.row.id

    def finish(tx: Tx, token: str, stored: StoredImage) -> bool:
        return uploads.finish(tx, cloud, image_id, token, stored)

    _receive(call, "saving", image_id, finish)
    return Reply(204)


def stage(call: Call) -> Reply:
    """Receive data that a later import will take over."""
    image_id = call.row.id

    def finish(tx: Tx, token: str, stored: StoredImage) -> bool:
        return uploads.finish_staging(tx, image_id, token, stored)

    _receive(call, "uploading", f"{image_id}-staged", finish)
    return Reply(204)


def _receive(call: Call, status: str, name: str, finish: Callable[[Tx, str, StoredImage], bool]) -> None:
    """Between two transactions the data flows into the store; whatever goes wrong, the image is queued again."""
    if call.headers.get("CONTENT-TYPE", "").partition(";")[0].strip() != "application/octet-stream":
        raise UnsupportedMediaType("Image data must be sent with Content-Type application/octet-stream.")
    expected = _expected_size(call)
    cloud, image_id, running = call.cloud, call.row.id, call.cloud.part(uploads.Uploads)
    token = running.begin()
    try:
        with cloud.db.write() as tx:
            row = uploads.begin(tx, cloud, image_id, token, status)
        stored: StoredImage | None = None
        try:
            stored = _store(cloud, image_id, token, name, call.stream, expected)
            refusal = check_content(cloud, row, stored) if status == "saving" else None
            if refusal is not None:
                raise UnsupportedMediaType(refusal)
            with cloud.db.write() as tx:
                if not finish(tx, token, stored):
                    raise ApiError(
                        f"Image {image_id} could not be found after upload. The image may have been deleted "
                        f"during the upload, cleaning up the chunks uploaded.",
                        status=410,
                    )
        except BaseException:
            _give_up(cloud, image_id, token, stored)
            raise
    finally:
        running.end(token)


def _store(cloud: Cloud, image_id: str, token: str, name: str, stream: Any, expected: int | None) -> StoredImage:
    def alive() -> None:
        with cloud.db.write() as tx:
            uploads.touch(tx, image_id, token)

    try:
        return store_of(cloud).write(
            name, _Watched(stream, alive), expected_size=expected, max_bytes=cloud[ImageOptions].max_image_bytes
        )
    except ImageStoreError as error:
        raise refusal_of(error) from error


def _give_up(cloud: Cloud, image_id: str, token: str, stored: StoredImage | None) -> None:
    """The row first: without it, data at this location belongs to nobody and may go."""
    with cloud.db.write() as tx:
        uploads.restore(tx, image_id, token)
    if stored is not None:
        store_of(cloud).delete(stored.location)


def _expected_size(call: Call) -> int | None:
    text = call.headers.get("X-OPENSTACK-IMAGE-SIZE") or call.headers.get("CONTENT-LENGTH")
    if not text:
        return None
    size = whole_number(text)
    if size is None:
        raise BadRequest(f"Invalid or missing image size in request headers: {text!r} is no whole number.")
    return size


def download(call: Call) -> Reply:
    """The data, whole or a range of it; 204 without data."""
    row = call.row
    if row.status == "deactivated" and not call.ctx.is_admin:
        raise Forbidden("The requested image has been deactivated. Image data download is forbidden.")
    if row.location is None:
        return Reply(204)
    status, offset, length, headers = 200, 0, row.size, {}
    asked = call.headers.get("RANGE")
    if asked:
        offset, length = _range(asked, row.size)
        status, headers["Content-Range"] = 206, f"bytes {offset}-{offset + length - 1}/{row.size}"
    elif row.checksum:
        headers["Content-MD5"] = row.checksum
    try:
        data = store_of(call.cloud).read(row.location, offset=offset, length=length)
    except ImageStoreError as error:
        raise refusal_of(error) from error
    return Reply(status, headers=headers, stream=data, length=length, content_type="application/octet-stream")


def _range(text: str, size: int) -> tuple[int, int]:
    """(offset, length) of `bytes=a-b`, `a-` or `-n`. Raises RangeNotSatisfiable."""
    found = _RANGE.fullmatch(text.strip())
    if found is None or not (found[1] or found[2]):
        raise RangeNotSatisfiable(f"Invalid range {text!r}. Ask for one range such as bytes=0-99.")
    if not found[1]:
        length = min(int(found[2]), size)
        offset = size - length
    else:
        offset = int(found[1])
        end = min(int(found[2]), size - 1) if found[2] else size - 1
        length = end - offset + 1
    if length <= 0 or offset >= size:
        raise RangeNotSatisfiable(
            f"The range {text!r} is not within the image's {size} bytes.", headers={"Content-Range": f"bytes */{size}"}
        )
    return offset, length


def import_image(call: Call) -> Reply:
    """Start the import of staged data."""
    body = call.body if isinstance(call.body, dict) else {}
    method = body.get("method")
    if not isinstance(method, dict):
        raise BadRequest("Import request requires a 'method' field.")
    if "name" not in method:
        raise BadRequest("Import request requires a 'name' field.")
    if method["name"] not in import_methods():
        raise BadRequest(f"Unknown import method name '{method['name']}'. Known: {', '.join(import_methods())}.")
    for name in ("all_stores", "all_stores_must_succeed"):
        if not isinstance(body.get(name, True), bool):
            raise BadRequest(f"'{name}' must be boolean value only.")
    unknown = [store for store in body.get("stores") or [] if store != store_name(call.cloud)]
    if unknown:
        raise Conflict(f"The store {unknown[0]!r} is not available here. Use {store_name(call.cloud)!r}.")
    row = call.row
    if row.status == "active":
        raise Conflict("Image with status active cannot be target for import")
    if row.status != "uploading" or row.staged_location is None:
        raise Conflict("Image needs to be staged before 'glance-direct' method can be used.")
    call.cloud.jobs.start(
        call.tx, IMPORT_IMAGE, row.id, {"import_req": body},
        request_id=call.request_id, project_id=call.ctx.project_id, user_id=call.ctx.user_id,
    )  # fmt: skip
    return Reply(202)


def list_tasks_of_image(call: Call) -> Reply:
    history = call.cloud.jobs.history(call.tx, call.row.id)
    return Reply(200, {"tasks": [task_view(row) for row in history if row.kind == IMPORT_IMAGE.kind]})


class ImageData(Resource, path="/images"):
    """The data of an image."""

    row = ImageRow
    what = "image"
    scope = scope
    upload = Op("PUT", "/{id}/file", "upload_image", OWNS, upload, status=204, tx="none", stream="in", target=target)
    stage = Op("PUT", "/{id}/stage", "modify_image", OWNS, stage, status=204, tx="none", stream="in", target=target)
    download = Op("GET", "/{id}/file", "download_image", DOWNLOADS, download, tx="none", stream="out", target=target)
    import_ = Op("POST", "/{id}/import", "modify_image", OWNS, import_image, status=202, target=target)
    tasks = Op("GET", "/{id}/tasks", "get_image", SEES, list_tasks_of_image, target=target)
