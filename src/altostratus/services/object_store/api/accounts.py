# SPDX-License-Identifier: Apache-2.0
"""Accounts: what a project has, and its own metadata."""

from typing import Any

from sqlalchemy import select

from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import Forbidden, MethodNotAllowed
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.object_store.api import bulk, policies
from altostratus.services.object_store.api.listings import format_of, listing_reply, wanted_of
from altostratus.services.object_store.api.metering import metered
from altostratus.services.object_store.api.uploading import extract_archive
from altostratus.services.object_store.api.visits import Place, demand_owner, finished, place_of, visitor_of
from altostratus.services.object_store.config import ObjectStoreOptions
from altostratus.services.object_store.errors import refused
from altostratus.services.object_store.logic import access, containers, listing, metadata, quotas
from altostratus.services.object_store.logic.access import Visitor
from altostratus.services.object_store.logic.temp_urls import KEY_NAMES
from altostratus.services.object_store.logic.times import iso, now_us, stamp
from altostratus.services.object_store.models import Account, Container

_QUOTAS = (quotas.BYTES, quotas.COUNT)


def _account_headers(call: Call, tx: Tx, row: Row[Any] | None, visitor: Visitor) -> dict[str, str]:
    """An account that nothing was written to yet looks like an empty one. Keys are for the owner's eyes."""
    if row is None:
        count, objects, size, created, meta = 0, 0, 0, now_us(), {}
    else:
        count, objects, size = row.container_count, row.object_count, row.bytes_used
        created, meta = row.created_us, row.meta
    if not access.is_owner(visitor, call.params["account"]):
        meta = {name: value for name, value in meta.items() if name not in KEY_NAMES}
    return {
        "X-Account-Container-Count": str(count),
        "X-Account-Object-Count": str(objects),
        "X-Account-Bytes-Used": str(size),
        "X-Timestamp": stamp(created),
        "X-Put-Timestamp": stamp(created),
        "Accept-Ranges": "bytes",
        **metadata.shown({name: text for name, text in meta.items() if not quotas.is_of_policy(name)}, "ACCOUNT"),
        **{f"X-Account-{told}": meta[name] for name, told in _quota_headers(call).items() if name in meta},
        **_counts_by_policy(call, tx, row),
    }


def _counts_by_policy(call: Call, tx: Tx, row: Row[Any] | None) -> dict[str, str]:
    """Of the policies that the account has used."""
    shown: dict[str, str] = {}
    names = policies.names_by_index(call.cloud)
    for policy, counts in containers.counts_by_policy(tx, row).items() if row is not None else ():
        for what, count in zip(("Container-Count", "Object-Count", "Bytes-Used"), counts, strict=True):
            shown[f"X-Account-Storage-Policy-{names[policy]}-{what}"] = str(count)
    return shown


def _reader(call: Call, place: Place) -> Visitor:
    visitor = visitor_of(call)
    if not access.may_look(visitor, place.account):
        raise refused(visitor.ctx is not None, place.account)
    return visitor


def head_account(call: Call) -> Reply:
    place = place_of(call)
    visitor = _reader(call, place)
    with call.cloud.db.read() as tx:
        headers = _account_headers(call, tx, tx.find(Account, place.account), visitor)
    return finished(Reply(204, headers=headers, content_type="text/plain; charset=utf-8"))


def list_containers(call: Call) -> Reply:
    place = place_of(call)
    visitor = _reader(call, place)
    wanted, form = wanted_of(call), format_of(call)
    table, names = table_of(Container), policies.names_by_index(call.cloud)
    with call.cloud.db.read() as tx:
        headers = _account_headers(call, tx, tx.find(Account, place.account), visitor)
        found = listing.page(tx, select(table).where(table.c.account == place.account), table, wanted)
    items = [
        {"subdir": str(item)} if isinstance(item, listing.Subdir) else
        {
            "name": item.name, "count": item.object_count, "bytes": item.bytes_used,
            "last_modified": iso(item.modified_us), "storage_policy": names[item.policy],
        }
        for item in found
    ]  # fmt: skip
    return finished(listing_reply("account", place.account, items, form, headers))


def post_account(call: Call) -> Reply:
    """Change the account's metadata."""
    place = place_of(call)
    if "bulk-delete" in call.query:
        return bulk.delete_many(call, place.account)
    visitor = demand_owner(call, place)
    changes = metadata.given(call.headers, "ACCOUNT") | _given_quotas(call)
    given = tuple(name for name in changes if quotas.is_of_account(name))
    quotas.demand_numbers(changes, given)
    if given and not access.is_reseller_admin(visitor):
        raise Forbidden(f"Only a user with the role {access.RESELLER_ADMIN} sets an account's quota.")
    with call.cloud.db.write() as tx:
        row = containers.ensure_account(tx, place.account)
        meta = metadata.merged(row.meta, changes)
        metadata.demand_limits(call.cloud[ObjectStoreOptions], meta)
        tx.update(Account, place.account, meta=meta)
    return finished(Reply(204))


def _given_quotas(call: Call) -> dict[str, str]:
    """`X-Account-Quota-...` is the newer name of `X-Account-Meta-Quota-...`; `X-Remove-...` takes away."""
    found: dict[str, str] = {}
    for name, told in _quota_headers(call).items():
        if f"X-REMOVE-ACCOUNT-{told.upper()}" in call.headers:
            found[name] = ""
        elif f"X-ACCOUNT-{told.upper()}" in call.headers:
            found[name] = call.headers[f"X-ACCOUNT-{told.upper()}"]
    return found


def _quota_headers(call: Call) -> dict[str, str]:
    """By the names that quotas are kept with: policies by their index, as they may be called otherwise one day."""
    names = policies.names_by_index(call.cloud)
    return {name: name.title() for name in _QUOTAS} | {
        quotas.of_policy(name, index): f"{name.title()}-Policy-{policy}"
        for name in _QUOTAS
        for index, policy in names.items()
    }


def put_account(call: Call) -> Reply:
    """Only with `?extract-archive`: accounts come with projects."""
    place = place_of(call)
    if "extract-archive" in call.query:
        return extract_archive(call, place)
    demand_owner(call, place)
    raise MethodNotAllowed("Accounts belong to projects and are there when they are needed.")


def delete_account(call: Call) -> Reply:
    """Only with `?bulk-delete`."""
    place = place_of(call)
    if "bulk-delete" in call.query:
        return bulk.delete_many(call, place.account)
    demand_owner(call, place)
    raise MethodNotAllowed("Accounts belong to projects. Delete the containers, or the project.")


class AccountOf(Resource, path="/{account}"):
    """A project's account."""

    head = Op("HEAD", "", None, "@", metered(head_account), public=True, tx="none", status=204)
    index = Op("GET", "", None, "@", metered(list_containers), public=True, tx="none", stream="out")
    put = Op("PUT", "", None, "@", metered(put_account), public=True, tx="none", stream="in", status=201)
    post = Op("POST", "", None, "@", metered(post_account), public=True, tx="none", stream="in", status=204)
    remove = Op("DELETE", "", None, "@", metered(delete_account), public=True, tx="none", stream="in", status=204)
