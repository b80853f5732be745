# SPDX-License-Identifier: Apache-2.0
"""Buckets: what an account has, making and deleting them, who may read them, and what nobody has set."""

from typing import Any
from urllib.parse import unquote

from sqlalchemy import select

from altostratus.kernel.db import Row, table_of
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Reply
from altostratus.services.object_store.api.pace import pace_account
from altostratus.services.object_store.api.policies import default_policy
from altostratus.services.object_store.api.visits import one
from altostratus.services.object_store.config import ObjectStoreOptions
from altostratus.services.object_store.logic import access, containers, listing, permission
from altostratus.services.object_store.logic.bucket_policies import Wish
from altostratus.services.object_store.logic.notices import tell_deleted
from altostratus.services.object_store.models import Container
from altostratus.services.object_store.reconcilers.waste import TOPIC as WASTE
from altostratus.services.object_store.s3 import acls
from altostratus.services.object_store.s3.bodies import read_small
from altostratus.services.object_store.s3.errors import S3Error
from altostratus.services.object_store.s3.names import is_bucket_name
from altostratus.services.object_store.s3.shapes import iso_z, number_of, owner
from altostratus.services.object_store.s3.visits import (
    Handler,
    container_for,
    demand_owner,
    denied,
    no_such_bucket,
    visit_of,
)
from altostratus.services.object_store.s3.xml import Member, document


def list_buckets(call: Call) -> Reply:
    """Containers with names that S3 does not know are not shown."""
    visit = visit_of(call)
    if not access.may_look(visit.visitor, visit.account):
        raise denied()
    most = number_of(call, "max-buckets", call.cloud[ObjectStoreOptions].listing_limit, least=1)
    prefix, marker = one(call, "prefix"), unquote(one(call, "continuation-token"))
    table = table_of(Container)
    found: list[Row[Any]] = []
    with call.cloud.db.read() as tx:
        while len(found) <= most:
            wanted = listing.Wanted(most + 1, marker=marker, prefix=prefix)
            page = listing.page(tx, select(table).where(table.c.account == visit.account), table, wanted)
            found += [row for row in page if not isinstance(row, str) and is_bucket_name(row.name)]
            if len(page) <= most:
                break
            last = page[-1]
            marker = last if isinstance(last, str) else last.name
    shown = [("Bucket", [("Name", row.name), ("CreationDate", iso_z(row.created_us))]) for row in found[:most]]
    token = found[most - 1].name if len(found) > most else None
    body = [owner(visit.account), ("Buckets", shown), ("ContinuationToken", token), ("Prefix", prefix or None)]
    return Reply(200, document("ListAllMyBucketsResult", body))


def put_bucket(call: Call) -> Reply:
    """Wherever the client wants it to be: there is one place."""
    visit = visit_of(call)
    demand_owner(visit)
    pace_account(call, visit.account)
    read_small(call, visit.signed)
    lists = acls.lists_asked(call.headers, access.project_of(visit.account) or "")
    settings = acls.with_lists({}, lists or {})
    if call.headers.get("X-AMZ-BUCKET-OBJECT-LOCK-ENABLED", "").lower() == "true":
        raise S3Error("NotImplemented", "This cloud does not offer object locks.")
    with call.cloud.db.write() as tx:
        if containers.find(tx, visit.account, visit.bucket) is not None:
            raise S3Error("BucketAlreadyOwnedByYou", "You have a bucket of this name already.")
        containers.put(tx, visit.account, visit.bucket, {}, settings, policy=default_policy(call.cloud))
    return Reply(200, headers={"Location": f"/{visit.bucket}"})


def head_bucket(call: Call) -> Reply:
    container_for(call, visit_of(call), "list")
    return Reply(200)


def delete_bucket(call: Call) -> Reply:
    visit = visit_of(call)
    demand_owner(visit)
    pace_account(call, visit.account)
    with call.cloud.db.write() as tx:
        row = containers.find(tx, visit.account, visit.bucket)
        if row is None:
            raise no_such_bucket(visit.bucket)
        if permission.is_denied(visit.visitor, row, Wish("DeleteBucket")):
            raise denied()
        containers.delete(tx, row)
        tell_deleted(tx, call.cloud, row)
    call.cloud.bus.wake(WASTE)
    return Reply(204)


# what is always the same


def show_location(call: Call) -> Reply:
    container_for(call, visit_of(call), "list")
    return Reply(200, document("LocationConstraint", []))


def said(root: str, *members: Member) -> Handler:
    """An answer that is the same for every bucket: what it says cannot be set here."""

    def show(call: Call) -> Reply:
        container_for(call, visit_of(call), "list")
        return Reply(200, document(root, members))

    return show


def unset(code: str) -> Handler:
    """For what no bucket has."""

    def show(call: Call) -> Reply:
        container_for(call, visit_of(call), "list")
        raise S3Error(code, "It was never set, for it cannot be set here.", status=404)

    return show
