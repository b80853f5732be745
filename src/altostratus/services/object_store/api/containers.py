# SPDX-License-Identifier: Apache-2.0
"""Containers: their settings, who may use them, and what is in them."""

from typing import Any
from urllib.parse import unquote

from sqlalchemy import select

from altostratus.kernel.db import Row, table_of
from altostratus.kernel.errors import BadRequest
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.object_store.api import (
    bulk,
    cors,
    form_parts,
    forms,
    peers,
    policies,
    symlinks,
    versions,
    web,
)
from altostratus.services.object_store.api.listings import format_of, listing_reply, wanted_of
from altostratus.services.object_store.api.metering import metered
from altostratus.services.object_store.api.objects import get_object, head_object
from altostratus.services.object_store.api.pace import pace_account
from altostratus.services.object_store.api.uploading import extract_archive
from altostratus.services.object_store.api.visits import (
    container_for,
    demand_owner,
    finished,
    place_of,
    visitor_of,
)
from altostratus.services.object_store.config import ObjectStoreOptions
from altostratus.services.object_store.errors import not_found
from altostratus.services.object_store.logic import access, containers, listing, metadata, quotas, syncing
from altostratus.services.object_store.logic.access import READ_ACL, WRITE_ACL
from altostratus.services.object_store.logic.temp_urls import KEY_NAMES
from altostratus.services.object_store.logic.times import http_date, iso, stamp
from altostratus.services.object_store.logic.versions import HISTORY, STACK
from altostratus.services.object_store.models import StoredObject
from altostratus.services.object_store.reconcilers.waste import TOPIC as WASTE

_OWNERS = (READ_ACL, WRITE_ACL, syncing.TO, syncing.KEY)


def _container_headers(call: Call, row: Row[Any]) -> dict[str, str]:
    """Keys, and who may do what, are for the owner's eyes."""
    meta, settings = row.meta, row.settings
    if not access.is_owner(visitor_of(call), row.account):
        meta = {name: value for name, value in meta.items() if name not in KEY_NAMES}
        settings = {name: value for name, value in settings.items() if name not in _OWNERS}
    return {
        "X-Container-Object-Count": str(row.object_count),
        "X-Container-Bytes-Used": str(row.bytes_used),
        "X-Timestamp": stamp(row.created_us),
        "Last-Modified": http_date(row.modified_us),
        "X-Storage-Policy": policies.names_by_index(call.cloud)[row.policy],
        "Accept-Ranges": "bytes",
        **metadata.shown(meta, "CONTAINER"),
        **{name.title(): value for name, value in settings.items()},
    }


def _settings_of(call: Call, before: dict[str, Any]) -> dict[str, Any]:
    """Access lists: given ones replace, empty ones and `X-Remove-...` take away."""
    settings = dict(before)
    for name in (READ_ACL, WRITE_ACL):
        text = call.headers.get(name.upper())
        if text is not None:
            settings[name] = access.clean_list(name, text)
        if name.upper().replace("X-", "X-REMOVE-", 1) in call.headers:
            settings[name] = ""
    _set_versions(call, settings)
    versions.set_kept(call, settings)
    peers.set_peer(call, settings)
    return {name: value for name, value in settings.items() if value != ""}


def _set_versions(call: Call, settings: dict[str, Any]) -> None:
    """One way of keeping versions or the other. Raises BadRequest for both, or for what is no container."""
    given = {name: call.headers[name.upper()] for name in (STACK, HISTORY) if name.upper() in call.headers}
    if len([text for text in given.values() if text]) > 1:
        raise BadRequest("Only one of X-Versions-Location and X-History-Location may be given.")
    removed = any(f"X-REMOVE-{name.upper()[2:]}" in call.headers for name in (STACK, HISTORY))
    if given or removed:
        settings.pop(STACK, None)
        settings.pop(HISTORY, None)
    for name, text in given.items():
        keeper = unquote(text).strip("/")
        if "/" in keeper:
            raise BadRequest(f"{name.title()} must name a container, not {text[:100]!r}.")
        settings[name] = keeper


def _changed(call: Call, row: Row[Any] | None) -> tuple[dict[str, Any], dict[str, Any]]:
    changes = metadata.given(call.headers, "CONTAINER")
    quotas.demand_numbers(changes, (quotas.BYTES, quotas.COUNT))
    meta = metadata.merged({} if row is None else row.meta, changes)
    metadata.demand_limits(call.cloud[ObjectStoreOptions], meta)
    return meta, _settings_of(call, {} if row is None else row.settings)


def put_container(call: Call) -> Reply:
    """Create it, or change the one that is there."""
    place = place_of(call)
    if "extract-archive" in call.query:
        return extract_archive(call, place)
    demand_owner(call, place)
    pace_account(call, place.account)
    with call.cloud.db.write() as tx:
        row = containers.find(tx, place.account, place.container)
        policy = policies.policy_for(call, row)
        meta, settings = _changed(call, row)
        _, is_new = containers.put(tx, place.account, place.container, meta, settings, policy=policy)
    return finished(Reply(201 if is_new else 202))


def post_container(call: Call) -> Reply:
    """Change its settings, or take the files of a form."""
    if form_parts.is_form(call):
        return forms.post_form(call)
    place = place_of(call)
    demand_owner(call, place)
    with call.cloud.db.write() as tx:
        row = containers.find(tx, place.account, place.container)
        if row is None:
            raise not_found("container", place.container)
        containers.put(tx, place.account, place.container, *_changed(call, row))
    return finished(Reply(204))


def head_container(call: Call) -> Reply:
    return web.of_container(call, _head, head_object)


def show_container(call: Call) -> Reply:
    """What is in it, or the page that it shows as a web site."""
    return web.of_container(call, list_objects, get_object)


def _head(call: Call) -> Reply:
    row = container_for(call, place_of(call), "list")
    return finished(Reply(204, headers=_container_headers(call, row), content_type="text/plain; charset=utf-8"))


def list_objects(call: Call) -> Reply:
    place = place_of(call)
    wanted, form = wanted_of(call), format_of(call)
    row = container_for(call, place, "list", prefix=wanted.prefix)
    table = table_of(StoredObject)
    if "versions" in call.query:
        items = versions.listed(call, row, wanted)
        return finished(listing_reply("container", place.container, items, "json", _container_headers(call, row)))
    with call.cloud.db.read() as tx:
        found = listing.page(tx, select(table).where(table.c.container_id == row.id), table, wanted)
    items = [
        {"subdir": str(item)} if isinstance(item, listing.Subdir) else
        {
            "name": item.name, "hash": item.etag, "bytes": item.size, "content_type": item.content_type,
            "last_modified": iso(item.modified_us), **_link(item, form, place.account),
        }
        for item in found
    ]  # fmt: skip
    return finished(listing_reply("container", place.container, items, form, _container_headers(call, row)))


def _link(row: Row[Any], form: str, account: str) -> dict[str, str]:
    """Only JSON tells where links lead to, as in Swift."""
    if form != "json" or symlinks.TARGET not in row.headers:
        return {}
    return {"symlink_path": symlinks.shown_path(row.headers, account)}


def delete_container(call: Call) -> Reply:
    bulk.delete_at(call, place_of(call))
    call.cloud.bus.wake(WASTE)
    return finished(Reply(204))


class ContainerOf(Resource, path="/{account}/{container}"):
    """A container."""

    head = Op("HEAD", "", None, "@", metered(cors.told(head_container)), public=True, tx="none", status=204)
    index = Op("GET", "", None, "@", metered(cors.told(show_container)), public=True, tx="none", stream="out")
    put = Op("PUT", "", None, "@", metered(cors.told(put_container)), public=True, tx="none", stream="in", status=201)
    post = Op(
        "POST", "", None, "@", metered(cors.told(post_container)), public=True, tx="none", stream="in", status=204
    )
    remove = Op(
        "DELETE", "", None, "@", metered(cors.told(delete_container)), public=True, tx="none", stream="in", status=204
    )
    preflight = Op("OPTIONS", "", None, "@", metered(cors.preflight), public=True, tx="none")
