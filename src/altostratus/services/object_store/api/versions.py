# SPDX-License-Identifier: Apache-2.0
"""Versions of objects by Swift's newer way: `X-Versions-Enabled` of a container, then `?version-id=` and `?versions`.

As upstream's middleware object_versioning: versions can be read, deleted and made the current one again, not changed.
"""

from collections.abc import Callable
from typing import Any

from altostratus.kernel.db import Row, Tx
from altostratus.kernel.errors import BadRequest, NotAcceptable, NotFound
from altostratus.kernel.resource.call import Call
from altostratus.services.object_store.api.visits import YES, Place, one, writes_of
from altostratus.services.object_store.errors import LengthRequired
from altostratus.services.object_store.logic import listing, objects, quotas, versioning, versions
from altostratus.services.object_store.logic.listing import Subdir, Wanted
from altostratus.services.object_store.logic.times import iso
from altostratus.services.object_store.models import StoredObject

VERSION_ID = "X-Object-Version-Id"


def set_kept(call: Call, settings: dict[str, Any]) -> None:
    """`X-Versions-Enabled`. Raises BadRequest together with the older ways, which use another container."""
    given = call.headers.get(versioning.ENABLED.upper())
    if given is not None:
        settings[versioning.ENABLED] = str(given.strip().lower() in YES)
    if versioning.keeps(settings) and any(settings.get(name) for name in (versions.STACK, versions.HISTORY)):
        raise BadRequest(
            "Cannot enable object versioning on a container that is already using the legacy versioned writes feature:"
            " X-Versions-Enabled goes without X-Versions-Location and X-History-Location."
        )


def find(tx: Tx, container: Row[Any], place: Place) -> Row[Any] | None:
    """The object, or the version of it that is named. Raises BadRequest, and NotFound for a marker."""
    if not place.version:
        return objects.find(tx, container.id, place.name)
    _demand_id(container, place)
    row = versioning.find(tx, container.id, place.name, place.version)
    if row is not None and versioning.is_marker(row):
        raise NotFound(
            "The resource could not be found: this version says that the object was deleted.",
            headers={VERSION_ID: place.version, "Content-Type": row.content_type},
        )
    return row


def told(row: Row[Any], container: Row[Any], place: Place) -> dict[str, str]:
    """The id of what is read, where there are versions. `place` is what was asked for, perhaps by a link."""
    if place.version:
        return {VERSION_ID: place.version}
    return {VERSION_ID: versioning.id_of(row)} if versioning.keeps(container.settings) else {}


def demand_none(place: Place) -> None:
    if place.version:
        raise BadRequest("POST to a specific version is not allowed. Versions stay as they are.")


def removal(container: Row[Any], place: Place) -> Callable[[Tx], objects.Deleted]:
    """What deletes one version, for good."""
    _demand_id(container, place)

    def remove(tx: Tx) -> objects.Deleted:
        deleted = objects.delete_version(tx, container, place.name, place.version, brings_back=False)
        if not deleted.found and place.version == versioning.NULL:
            # upstream takes it for the current object, which has an id here: only its versions are left
            return objects.hide(tx, container, place.name)
        return deleted

    return remove


def told_deleted(deleted: objects.Deleted) -> dict[str, str]:
    """Headers: which marker or version it is about, and which one is current then."""
    ids = {VERSION_ID: deleted.version_id, "X-Object-Current-Version-Id": deleted.current_id}
    return {name: version_id for name, version_id in ids.items() if version_id is not None}


def make_current(call: Call, place: Place, container: Row[Any]) -> Row[Any]:
    """A version is the current object again; returns its row. What was current stays as a version."""
    if call.headers.get("TRANSFER-ENCODING") is None and call.headers.get("CONTENT-LENGTH") is None:
        raise LengthRequired("Missing Content-Length header. Send Content-Length: 0.")
    if call.stream.read(1):
        raise BadRequest("PUT version-id requests require a zero byte body.")

    def change(tx: Tx) -> Row[Any]:
        version = find(tx, container, place)
        if version is None:
            raise NotFound("The specified version does not exist. ?versions of the container lists those that do.")
        if versioning.is_version(version):
            before = tx.find(StoredObject, container.id, place.name)
            quotas.demand(tx, quotas.counts_of(tx, container), int(before is None), 0)
            versioning.make_current(tx, container, version, before)
        return version

    return writes_of(call).run(change)


def listed(call: Call, container: Row[Any], wanted: Wanted) -> list[dict[str, Any]]:
    """`?versions`: all that there is of each name, the newest first. Raises NotAcceptable: it comes as JSON only."""
    _demand_json(call)
    marker, after = one(call, "version_marker"), None
    if marker and not wanted.marker:
        raise BadRequest("version_marker param requires marker.")
    with call.cloud.db.read() as tx:
        if marker:
            try:
                after = versioning.position(tx, container.id, wanted.marker, marker)
            except ValueError:
                raise BadRequest(f"Invalid version_marker param {marker[:60]!r}.") from None
        return [_shown(item) for item in versioning.page(tx, container.id, wanted, after)]


def _shown(item: Row[Any] | listing.Subdir) -> dict[str, Any]:
    if isinstance(item, Subdir):
        return {"subdir": str(item)}
    return {
        "name": item.name, "hash": item.etag, "bytes": item.size, "content_type": item.content_type,
        "last_modified": iso(item.modified_us), "version_id": versioning.id_of(item),
        "is_latest": versioning.is_latest(item),
    }  # fmt: skip


def _demand_json(call: Call) -> None:
    asked = one(call, "format").lower()
    accepted = call.headers.get("ACCEPT", "") or "*/*"
    if asked not in ("", "json") or (
        not asked and not any(kind in accepted for kind in ("application/json", "application/*", "*/*"))
    ):
        raise NotAcceptable("Listings of versions come as application/json.")


def _demand_id(container: Row[Any], place: Place) -> None:
    if not versioning.keeps(container.settings) and place.version != versioning.NULL:
        raise BadRequest("version-aware operations require that the container is versioned: X-Versions-Enabled: true.")
    try:
        versioning.moment_of(place.version)
    except ValueError:
        raise BadRequest(f"Invalid version parameter {place.version[:60]!r}.") from None
