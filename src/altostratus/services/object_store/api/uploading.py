# SPDX-License-Identifier: Apache-2.0
"""Objects that come into being: uploads, copies, manifests of large objects. All end in `commit`."""

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from altostratus.contracts.object_store import Readable
from altostratus.kernel.db import Row, Tx
from altostratus.kernel.errors import BadRequest, PreconditionFailed
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Reply
from altostratus.services.object_store.api import bulk, manifests, peers, receiving, symlinks, temp_urls, versions
from altostratus.services.object_store.api.conditions import demand_conditions
from altostratus.services.object_store.api.policies import default_policy
from altostratus.services.object_store.api.readers import lasting_bytes_of
from altostratus.services.object_store.api.visits import (
    Place,
    container_for,
    demand_owner,
    finished,
    guard_for,
    one,
    place_of,
    store_of,
    writes_of,
)
from altostratus.services.object_store.errors import Unprocessable
from altostratus.services.object_store.logic import containers, metadata, objects, quotas
from altostratus.services.object_store.logic.contents import DYNAMIC, contents_of, static_etag
from altostratus.services.object_store.logic.times import http_date, now_us
from altostratus.services.object_store.reconcilers.waste import TOPIC as WASTE


def put_object(call: Call) -> Reply:
    """Store an object. `X-Copy-From` takes another object's bytes instead of the body."""
    place = place_of(call)
    if "extract-archive" in call.query:
        return extract_archive(call, place)
    container = container_for(call, place, "write")
    temp_urls.demand_plain(call)
    if "X-COPY-FROM" in call.headers:
        return _copy(call, place, container)
    if place.version:
        return _put_version(call, place, container)
    if "X-STATIC-LARGE-OBJECT" in call.headers and peers.moment_us(call) is not None:
        return _put_manifest_of_peer(call, place, container)
    if one(call, "multipart-manifest") == "put":
        return _put_manifest(call, place, container)
    expected = receiving.expected_size(call)
    described = receiving.described(call)
    described["headers"] |= symlinks.given(call, place)
    _demand_may_replace(call, container, place)
    quotas.demand_early(call.cloud.db, container, expected)
    values = store(call, container, place.name, call.stream, expected, described)
    return _stored(values)


def store(
    call: Call, container: Row[Any], name: str, stream: Readable, expected: int | None, described: dict[str, Any]
) -> dict[str, Any]:
    """Bytes first, then the row; the row's values, and `version_id`. `described`: columns that are not of the bytes."""
    blob_id, size, md5 = receiving.receive(call, container.policy, stream, expected)
    values = {
        "name": name, "size": size, "etag": md5, "blob_id": blob_id, "segments": None, "modified_us": now_us(),
        "content_type": receiving.content_type_of(call, name), **described, **peers.moment_kept(call),
    }  # fmt: skip
    with receiving.given_back(call, blob_id):
        receiving.demand_etag(call, md5)
        version_id = commit(call, container, values, peers.newer_only(call, container, name))
    return {**values, "version_id": version_id}


def commit(
    call: Call, container: Row[Any], values: dict[str, Any], demand: Callable[[Tx], None] = lambda _tx: None
) -> str | None:
    """The version's id, if it has one. `demand(tx)` raises if the object may not be written now."""

    def write(tx: Tx) -> str | None:
        demand(tx)
        return objects.put(tx, container, values)

    version_id = writes_of(call).run(write)
    if values["blob_id"] is not None:
        store_of(call).settle(values["blob_id"])
    call.cloud.bus.wake(WASTE)
    return version_id


def _demand_may_replace(call: Call, container: Row[Any], place: Place) -> None:
    """Conditions of an upload, asked before its bytes come."""
    if "IF-NONE-MATCH" not in call.headers:
        return
    if call.headers["IF-NONE-MATCH"].strip() != "*":
        raise BadRequest("If-None-Match of an upload can only be *.")
    with call.cloud.db.read() as tx:
        if objects.find(tx, container.id, place.name) is not None:
            raise PreconditionFailed("If-None-Match: there is an object of this name.")


def _stored(values: dict[str, Any], headers: dict[str, str] | None = None) -> Reply:
    etag = f'"{values["etag"]}"' if values["segments"] is not None else values["etag"]
    shown = {"ETag": etag, "Last-Modified": http_date(values["modified_us"]), **(headers or {})}
    if values["version_id"] is not None:
        shown[versions.VERSION_ID] = values["version_id"]
    return finished(Reply(201, headers=shown))


def _put_version(call: Call, place: Place, container: Row[Any]) -> Reply:
    """A version becomes the current object again."""
    row = versions.make_current(call, place, container)
    return _stored({**row._mapping, "version_id": place.version})


def extract_archive(call: Call, place: Place) -> Reply:
    """Every file of the archive becomes an object; containers that are missing are made, where the caller may."""

    def put(target: Place, stream: Any, size: int) -> None:
        if not target.name:
            raise BadRequest("A file of the archive must be below a container.")
        with call.cloud.db.read() as tx:
            missing = containers.find(tx, target.account, target.container) is None
        if missing:
            demand_owner(call, target)
            with call.cloud.db.write() as tx:
                if containers.find(tx, target.account, target.container) is None:
                    policy = default_policy(call.cloud)
                    containers.put(tx, target.account, target.container, {}, {}, policy=policy)
        container = container_for(call, target, "write")
        described = receiving.described(call) | {"content_type": receiving.guessed_type(target.name)}
        store(call, container, target.name, stream, size, described)

    return bulk.extract(call, place, one(call, "extract-archive"), put)


# static large objects


def _put_manifest(call: Call, place: Place, container: Row[Any]) -> Reply:
    described = receiving.described(call)
    segments = manifests.read_segments(call, place.account)
    etag = static_etag(segments)
    given = call.headers.get("ETAG", "").strip('"')
    if given and given != etag:
        raise Unprocessable(f"The ETag {given} is not that of these segments, {etag}.")
    values = {
        "name": place.name, "size": sum(manifests.length_of(segment) for segment in segments), "etag": etag,
        "blob_id": None, "segments": segments, "modified_us": now_us(),
        "content_type": receiving.content_type_of(call, place.name), **described,
    }  # fmt: skip
    return _stored({**values, "version_id": commit(call, container, values)})


def _put_manifest_of_peer(call: Call, place: Place, container: Row[Any]) -> Reply:
    """As the peer has it: its segments may come later."""
    segments = manifests.read_shown(call)
    values = {
        "name": place.name, "size": sum(manifests.length_of(segment) for segment in segments),
        "etag": static_etag(segments), "blob_id": None, "segments": segments,
        "content_type": receiving.content_type_of(call, place.name), **receiving.described(call),
        **peers.moment_kept(call),
    }  # fmt: skip
    version_id = commit(call, container, values, peers.newer_only(call, container, place.name))
    return _stored({**values, "version_id": version_id})


# copies


def _copy(call: Call, place: Place, container: Row[Any]) -> Reply:
    """A large object is copied as the bytes it shows; with `multipart-manifest=get` as the list that it is."""
    source = _source_of(call, place)
    found = symlinks.resolved(call, source)
    row, account = found.row, found.place.account
    with call.cloud.db.read() as tx:
        contents = contents_of(tx, account, row, guard_for(call, account))
    demand_conditions(call.headers, contents.etag.strip('"'), contents.modified_us)
    described = receiving.described(call)
    kept = dict(row.headers) if one(call, "multipart-manifest") == "get" else _without_manifest(row.headers)
    if call.headers.get("X-FRESH-METADATA", "").lower() not in ("true", "1", "yes", "on"):
        described["meta"] = {**row.meta, **described["meta"]}
        described["headers"] = {**kept, **described["headers"]}
        described["expires_at"] = described["expires_at"] or row.expires_at
    described["headers"] |= symlinks.kept(row.headers)
    described["content_type"] = call.headers.get("CONTENT-TYPE") or row.content_type
    if row.segments is not None and one(call, "multipart-manifest") == "get":
        values = {
            "name": place.name, "size": row.size, "etag": row.etag, "blob_id": None, "segments": row.segments,
            "modified_us": now_us(), **described,
        }  # fmt: skip
        values["version_id"] = commit(call, container, values)
    else:
        pieces = receiving.Pieces(lasting_bytes_of(call, contents.spans, 0, contents.size))
        values = store(call, container, place.name, pieces, contents.size, described)
    headers = {
        "X-Copied-From": f"{source.container}/{source.name}",
        "X-Copied-From-Account": source.account,
        "X-Copied-From-Last-Modified": http_date(row.modified_us),
        **metadata.shown(described["meta"], "OBJECT"),
    }
    return _stored(values, headers)


def _without_manifest(headers: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in headers.items() if name != DYNAMIC}


def _source_of(call: Call, place: Place) -> Place:
    """`?version-id=` at its end names a version, as does that parameter of a COPY."""
    given, _, version = call.headers["X-COPY-FROM"].partition("?version-id=")
    text = unquote(given.encode("latin-1", "replace").decode("utf-8", "replace"))
    container, slash, name = text.lstrip("/").partition("/")
    if not (container and slash and name):
        raise PreconditionFailed(
            "X-Copy-From and Destination headers must have the form <container name>/<object name>."
        )
    account = call.headers.get("X-COPY-FROM-ACCOUNT") or place.account
    return Place(account, container, name, unquote(version) or place.version)
