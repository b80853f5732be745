# SPDX-License-Identifier: Apache-2.0
"""Buckets: what an account has, making and deleting them, who may read them, and what nobody has set."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from sqlalchemy import select

from altostratus.kernel.db import Row, table_of
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Reply
from altostratus.services.object_store.api.pace import pace_account
from altostratus.services.object_store.api.policies import default_policy
from altostratus.services.object_store.api.visits import one
from altostratus.services.object_store.config import ObjectStoreOptions
from altostratus.services.object_store.logic import access, containers, listing, objects, permission
from altostratus.services.object_store.logic.access import READ_ACL
from altostratus.services.object_store.logic.bucket_policies import Wish
from altostratus.services.object_store.logic.notices import tell_deleted
from altostratus.services.object_store.models import Container
from altostratus.services.object_store.reconcilers.waste import TOPIC as WASTE
from altostratus.services.object_store.s3.bodies import read_small, read_xml
from altostratus.services.object_store.s3.errors import S3Error
from altostratus.services.object_store.s3.names import is_bucket_name
from altostratus.services.object_store.s3.shapes import iso_z, number_of
from altostratus.services.object_store.s3.visits import (
    Handler,
    container_for,
    demand_owner,
    denied,
    no_such_bucket,
    no_such_key,
    visit_of,
)
from altostratus.services.object_store.s3.xml import Member, children, document, text_of

# S3's name of an access list -> the container's own list of readers
_CANNED = {"private": "", "public-read": ".r:*,.rlistings"}
_EVERYBODY = "http://acs.amazonaws.com/groups/global/AllUsers"
_XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type'


def owner(account: str) -> Member:
    project = access.project_of(account)
    return ("Owner", [("ID", project), ("DisplayName", project)])


def list_buckets(call: Call) -> Reply:
    """Containers with names that S3 does not know are not shown."""
    visit = visit_of(call)
    if not access.may_look(visit.visitor, visit.account):
        raise denied()
    most = number_of(call, "max-buckets", call.cloud[ObjectStoreOptions].listing_limit, least=1)
    prefix, marker = one(call, "prefix"), unquote(one(call, "continuation-token"))
    table = table_of(Container)
    found: list[Row[Any]] = []
    with call.cloud.db.read_in_turn() as tx:
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
    settings = _with_readers({}, _canned_of(call.headers))
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


# access lists


def show_acl(call: Call) -> Reply:
    """Of a bucket; objects have that of their bucket."""
    visit = visit_of(call)
    demand_owner(visit)
    row = container_for(call, visit, "list")
    with call.cloud.db.read() as tx:
        if visit.key and objects.find(tx, row.id, visit.key) is None:
            raise no_such_key(visit.key)
    project = access.project_of(visit.account)
    owner_id = [("ID", project), ("DisplayName", project)]
    grants: list[Member] = [_grant("CanonicalUser", owner_id, "FULL_CONTROL")]
    if ".r:*" in row.settings.get(READ_ACL, "").split(","):
        grants.append(_grant("Group", [("URI", _EVERYBODY)], "READ"))
    return Reply(200, document("AccessControlPolicy", [owner(visit.account), ("AccessControlList", grants)]))


def _grant(kind: str, who: list[Member], permission: str) -> Member:
    return ("Grant", [(f'Grantee {_XSI}="{kind}"', who), ("Permission", permission)])


def put_acl(call: Call) -> Reply:
    """`x-amz-acl: private` or `public-read`, or XML that means the same."""
    visit = visit_of(call)
    demand_owner(visit)
    canned = _canned_of(call.headers)
    if canned is None:
        canned = _granted(read_xml(call, visit.signed, "AccessControlPolicy"), access.project_of(visit.account) or "")
    with call.cloud.db.write() as tx:
        row = containers.find(tx, visit.account, visit.bucket)
        if row is None:
            raise no_such_bucket(visit.bucket)
        containers.put(tx, visit.account, visit.bucket, row.meta, _with_readers(row.settings, canned))
    return Reply(200)


def _granted(asked: Element, project_id: str) -> str:
    """The canned list that the grants amount to. Raises S3Error for others."""
    grants = {
        (text_of(who, "URI") or text_of(who, "ID"), text_of(grant, "Permission"))
        for part in children(asked, "AccessControlList")
        for grant in children(part, "Grant")
        for who in children(grant, "Grantee")
    } - {(project_id, "FULL_CONTROL")}
    if grants - {(_EVERYBODY, "READ")}:
        raise S3Error("NotImplemented", "Only everybody can be granted READ. Grant more by Swift's access lists.")
    return _CANNED["public-read" if grants else "private"]


def demand_no_acl(call: Call) -> None:
    """Of an upload: objects are as public as their bucket."""
    if _canned_of(call.headers):
        raise S3Error("NotImplemented", "Objects have no access list of their own. Make the bucket public-read.")


def _canned_of(headers: Mapping[str, str]) -> str | None:
    """None if nothing is said."""
    if any(name.startswith("X-AMZ-GRANT-") for name in headers):
        raise S3Error("NotImplemented", "Access is granted by x-amz-acl: private or public-read.")
    name = headers.get("X-AMZ-ACL")
    if name in ("bucket-owner-full-control", "bucket-owner-read"):
        name = "private"
    if name is not None and name not in _CANNED:
        raise S3Error("NotImplemented", f"x-amz-acl is private or public-read, not {name}.")
    return None if name is None else _CANNED[name]


def _with_readers(settings: Mapping[str, Any], readers: str | None) -> dict[str, Any]:
    if readers is None:
        return dict(settings)
    others = {name: value for name, value in settings.items() if name != READ_ACL}
    return {**others, READ_ACL: readers} if readers else others


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
