# SPDX-License-Identifier: Apache-2.0
"""Access lists of buckets as S3 writes them: grants of READ and WRITE, kept as Swift's lists of readers and writers.

Objects have the list of their bucket. What Swift's lists say beyond that (roles, users, single sites) is not shown by
S3, and ends when S3 sets a list.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element

from altostratus.kernel.db import Row
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Reply
from altostratus.services.object_store.logic import access, containers, objects
from altostratus.services.object_store.logic.access import READ_ACL, WRITE_ACL
from altostratus.services.object_store.s3.bodies import read_xml
from altostratus.services.object_store.s3.errors import S3Error
from altostratus.services.object_store.s3.shapes import owner
from altostratus.services.object_store.s3.visits import (
    Visit,
    container_for,
    demand_owner,
    no_such_bucket,
    no_such_key,
    visit_of,
)
from altostratus.services.object_store.s3.xml import Member, children, document, text_of

_GROUPS = "http://acs.amazonaws.com/groups/global/"
EVERYBODY, AUTHENTICATED = f"{_GROUPS}AllUsers", f"{_GROUPS}AuthenticatedUsers"
_XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type'
_GRANT_HEADER = "X-AMZ-GRANT-"
_GRANTEE = re.compile(r'\s*(id|uri|emailAddress)="?([^",]+)"?\s*', re.IGNORECASE)


class Grant(NamedTuple):
    """who: a group's address, or the id of a project."""

    who: str
    permission: str


_CANNED = {
    "private": (),
    "bucket-owner-read": (),
    "bucket-owner-full-control": (),
    "public-read": (Grant(EVERYBODY, "READ"),),
    "authenticated-read": (Grant(AUTHENTICATED, "READ"),),
}


def lists_asked(headers: Mapping[str, str], project_id: str) -> dict[str, str] | None:
    """Swift's lists for `x-amz-acl` or `x-amz-grant-...`; None if nothing is said. Raises S3Error."""
    canned = headers.get("X-AMZ-ACL")
    named = {name: value for name, value in headers.items() if name.startswith(_GRANT_HEADER)}
    if canned is not None and named:
        raise S3Error("InvalidRequest", "Specifying both Canned ACLs and Header Grants is not allowed.")
    if named:
        return _as_lists([grant for name, text in named.items() for grant in _grants_in(name, text)], project_id)
    if canned is None:
        return None
    if canned not in _CANNED:
        raise S3Error(
            "NotImplemented",
            f"x-amz-acl is {', '.join(_CANNED)}, not {canned[:40]}. To let everybody write, set a bucket policy.",
        )
    return _as_lists(_CANNED[canned], project_id)


def demand_as_bucket(call: Call, container: Row[Any]) -> None:
    """Of an upload: objects are as public as their bucket, so only what is so already can be asked for."""
    _demand_within(container, lists_asked(call.headers, access.project_of(container.account) or "") or {})


def put_object_acl(call: Call) -> Reply:
    """What the bucket's list says anyway."""
    visit = visit_of(call)
    demand_owner(visit)
    row = container_for(call, visit, "read")
    with call.cloud.db.read() as tx:
        if objects.find(tx, row.id, visit.key) is None:
            raise no_such_key(visit.key)
    _demand_within(row, _lists_in(call, visit))
    return Reply(200)


def _demand_within(container: Row[Any], lists: Mapping[str, str]) -> None:
    for name, text in lists.items():
        if text and not set(text.split(",")) <= set(container.settings.get(name, "").split(",")):
            raise S3Error(
                "AccessControlListNotSupported",
                "Objects have no access list of their own. Set that of the bucket, and leave this out.",
            )


def with_lists(settings: Mapping[str, Any], lists: Mapping[str, str]) -> dict[str, Any]:
    return {name: value for name, value in {**settings, **lists}.items() if value != ""}


def put_acl(call: Call) -> Reply:
    visit = visit_of(call)
    demand_owner(visit)
    lists = _lists_in(call, visit)
    with call.cloud.db.write() as tx:
        row = containers.find(tx, visit.account, visit.bucket)
        if row is None:
            raise no_such_bucket(visit.bucket)
        containers.put(tx, visit.account, visit.bucket, row.meta, with_lists(row.settings, lists))
    return Reply(200)


def _lists_in(call: Call, visit: Visit) -> dict[str, str]:
    """Of the request's headers, or else its body."""
    project_id = access.project_of(visit.account) or ""
    lists = lists_asked(call.headers, project_id)
    if lists is None:
        lists = _as_lists(_granted(read_xml(call, visit.signed, "AccessControlPolicy")), project_id)
    return lists


def show_acl(call: Call) -> Reply:
    """Of a bucket, or of an object: then without WRITE, which is not about it."""
    visit = visit_of(call)
    demand_owner(visit)
    row = container_for(call, visit, "list")
    with call.cloud.db.read() as tx:
        if visit.key and objects.find(tx, row.id, visit.key) is None:
            raise no_such_key(visit.key)
    grants = [Grant(access.project_of(visit.account) or "", "FULL_CONTROL")]
    grants += _grants_of(row.settings.get(READ_ACL, ""), "READ")
    grants += [] if visit.key else _grants_of(row.settings.get(WRITE_ACL, ""), "WRITE")
    shown = [("AccessControlList", [_shown(grant) for grant in grants])]
    return Reply(200, document("AccessControlPolicy", [owner(visit.account), *shown]))


def _as_lists(grants: Iterable[Grant], project_id: str) -> dict[str, str]:
    entries: dict[str, list[str]] = {"READ": [], "WRITE": []}
    for who, permission in grants:
        if (who, permission) == (project_id, "FULL_CONTROL"):
            continue  # the owner has it anyway
        if permission not in entries:
            raise S3Error("NotImplemented", f"Others are granted READ or WRITE, not {permission[:40]}.")
        if who == EVERYBODY and permission == "WRITE":
            raise S3Error("NotImplemented", "Everybody cannot be granted WRITE. Set a bucket policy instead.")
        entries[permission] += _entries_for(who)
    return {
        READ_ACL: ",".join(dict.fromkeys(entries["READ"])),
        WRITE_ACL: ",".join(dict.fromkeys(entries["WRITE"])),
    }


def _entries_for(who: str) -> list[str]:
    if who == EVERYBODY:
        return [".r:*", ".rlistings"]
    if who == AUTHENTICATED:
        return ["*:*"]
    if not who or not who.replace("-", "").isalnum():
        raise S3Error("InvalidArgument", f"A grantee is the id of a project, or a group; {who[:80]!r} is neither.")
    return [f"{who}:*"]


def _grants_of(text: str, permission: str) -> list[Grant]:
    found = []
    for entry in text.split(","):
        project_id, colon, user = entry.partition(":")
        if entry == ".r:*":
            found.append(Grant(EVERYBODY, permission))
        elif colon and user == "*" and not entry.startswith("."):
            found.append(Grant(AUTHENTICATED if project_id == "*" else project_id, permission))
    return found


def _granted(asked: Element) -> list[Grant]:
    found = []
    for part in children(asked, "AccessControlList"):
        for grant in children(part, "Grant"):
            who = next(children(grant, "Grantee"), None)
            if who is None:
                raise S3Error("MalformedXML", "Every Grant has a Grantee.")
            found.append(Grant(text_of(who, "URI") or text_of(who, "ID"), text_of(grant, "Permission")))
    return found


def _grants_in(name: str, text: str) -> list[Grant]:
    """`id="PROJECT", uri="GROUP"`"""
    permission = name.removeprefix(_GRANT_HEADER).replace("-", "_").upper()
    found = []
    for one in text.split(","):
        grantee = _GRANTEE.fullmatch(one)
        if grantee is None or grantee[1].lower() == "emailaddress":
            raise S3Error("InvalidArgument", f'{name.lower()} names grantees as id="PROJECT" or uri="GROUP".')
        found.append(Grant(grantee[2], permission))
    return found


def _shown(grant: Grant) -> Member:
    if grant.who.startswith(_GROUPS):
        kind, who = "Group", [("URI", grant.who)]
    else:
        kind, who = "CanonicalUser", [("ID", grant.who), ("DisplayName", grant.who)]
    return ("Grant", [(f'Grantee {_XSI}="{kind}"', who), ("Permission", grant.permission)])
