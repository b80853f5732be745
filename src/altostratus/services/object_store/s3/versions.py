# SPDX-License-Identifier: Apache-2.0
"""Versions of objects: whether a bucket keeps them, and one of them by `versionId`. The rows are Swift's, too."""

from typing import Any
from xml.etree.ElementTree import Element

from altostratus.kernel.db import Row, Tx
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Reply
from altostratus.services.object_store.logic import containers, objects, syncing, versioning, versions
from altostratus.services.object_store.logic.times import http_date
from altostratus.services.object_store.s3.bodies import read_xml
from altostratus.services.object_store.s3.errors import S3Error
from altostratus.services.object_store.s3.visits import (
    Visit,
    container_for,
    demand_owner,
    no_such_bucket,
    no_such_key,
    visit_of,
)
from altostratus.services.object_store.s3.xml import document, text_of

VERSION_ID, SOURCE_VERSION_ID, MARKER = "x-amz-version-id", "x-amz-copy-source-version-id", "x-amz-delete-marker"
_STATES = {"Enabled": str(True), "Suspended": str(False)}


def show_versioning(call: Call) -> Reply:
    """No status for a bucket that never kept versions."""
    settings = container_for(call, visit_of(call), "list").settings
    status = next((name for name, value in _STATES.items() if settings.get(versioning.ENABLED) == value), None)
    return Reply(200, document("VersioningConfiguration", [("Status", status)]))


def put_versioning(call: Call) -> Reply:
    visit = visit_of(call)
    demand_owner(visit)
    state = _state_in(read_xml(call, visit.signed, "VersioningConfiguration"))
    with call.cloud.db.write() as tx:
        row = containers.find(tx, visit.account, visit.bucket)
        if row is None:
            raise no_such_bucket(visit.bucket)
        if versions.keeps(row.settings) or syncing.TO in row.settings:
            raise S3Error(
                "InvalidBucketState",
                "The bucket keeps versions in another one, or is copied to another one, by Swift's X-Versions-Location,"
                " X-History-Location or X-Container-Sync-To. Take that away first.",
            )
        settings = {**row.settings, versioning.ENABLED: state}
        containers.put(tx, visit.account, visit.bucket, row.meta, settings)
    return Reply(200)


def _state_in(asked: Element) -> str:
    if text_of(asked, "MfaDelete", "Disabled") != "Disabled":
        raise S3Error("NotImplemented", "This cloud does not offer MFA delete. Leave MfaDelete out.")
    status = text_of(asked, "Status")
    if status not in _STATES:
        raise S3Error("IllegalVersioningConfigurationException", "The Status of versioning is Enabled or Suspended.")
    return _STATES[status]


def at(tx: Tx, container: Row[Any], visit: Visit) -> Row[Any]:
    """The object or the version that is meant. Raises S3Error; it tells of markers."""
    if not visit.version:
        row = objects.find(tx, container.id, visit.key)
        if row is None:
            raise _gone(tx, container, visit.key)
        return row
    try:
        found = versioning.find(tx, container.id, visit.key, visit.version)
    except ValueError:
        found = None
    if found is None:
        raise S3Error("NoSuchVersion", f"The specified version does not exist: {visit.version[:100]}.")
    if versioning.is_marker(found):
        raise S3Error(
            "MethodNotAllowed",
            "The specified method is not allowed against this resource: this version is a delete marker.",
            headers={
                MARKER: "true",
                VERSION_ID: visit.version,
                "Allow": "DELETE",
                "Last-Modified": http_date(found.modified_us),
            },
        )
    return found


def _gone(tx: Tx, container: Row[Any], key: str) -> S3Error:
    marker = versioning.find_marker(tx, container.id, key) if versioning.keeps(container.settings) else None
    told = {} if marker is None else {MARKER: "true", VERSION_ID: versioning.id_of(marker)}
    return no_such_key(key, headers=told)


def told(container: Row[Any], row: Row[Any]) -> dict[str, str]:
    """The header that says which version it is, where there are versions."""
    return {VERSION_ID: versioning.id_of(row)} if versioning.keeps(container.settings) else {}


def told_new(row: Row[Any]) -> dict[str, str]:
    """The same of an object that was made just now: S3 does not call it `null`."""
    return {} if row.version_us is None else {VERSION_ID: versioning.id_of(row)}


def told_deleted(deleted: objects.Deleted) -> dict[str, str]:
    shown = {} if deleted.version_id is None else {VERSION_ID: deleted.version_id}
    return {**shown, MARKER: "true"} if deleted.was_marker else shown


def delete(tx: Tx, container: Row[Any], key: str, version: str) -> objects.Deleted:
    """Deleting what is not there is fine."""
    if not version:
        return objects.delete(tx, container, key, leaves_null=True)
    try:
        deleted = objects.delete_version(tx, container, key, version, brings_back=True)
    except ValueError:
        raise S3Error("NoSuchVersion", f"The specified version does not exist: {version[:100]}.") from None
    return deleted._replace(version_id=version)
