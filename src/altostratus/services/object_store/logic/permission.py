# SPDX-License-Identifier: Apache-2.0
"""May somebody do it? Ownership, the container's access lists and its policy together, for every API."""

from typing import Any, Literal

from altostratus.kernel.db import Row
from altostratus.services.object_store.logic import access, bucket_policies
from altostratus.services.object_store.logic.access import READ_ACL, WRITE_ACL, Visitor
from altostratus.services.object_store.logic.bucket_policies import Wish

What = Literal["read", "list", "write", "delete"]
ACTIONS: dict[What, str] = {
    "read": "GetObject", "list": "ListBucket", "write": "PutObject", "delete": "DeleteObject",
}  # fmt: skip


def may(visitor: Visitor, account: str, container: Row[Any] | None, what: What, wish: Wish) -> bool:
    """The container is None where there is none: only who may anyway shall learn that."""
    said = "" if container is None else _said(visitor, container, wish)
    if said:
        return said == "allow"
    if what != "list" and "Version" in wish.action:
        # lists open what is there now; Swift says so, and for S3 it is the same container
        return access.may_look(visitor, account) if what == "read" else access.is_owner(visitor, account)
    settings = {} if container is None else container.settings
    if what in ("write", "delete"):
        return access.may_write(visitor, account, settings.get(WRITE_ACL, ""))
    return access.may_read(visitor, account, settings.get(READ_ACL, ""), listing=what == "list")


def is_denied(visitor: Visitor, container: Row[Any], wish: Wish) -> bool:
    """For those who are allowed by something else: a signed address, say."""
    return _said(visitor, container, wish) == "deny"


def has_policy(container: Row[Any]) -> bool:
    return "policy" in (container.s3 or {})


def _said(visitor: Visitor, container: Row[Any], wish: Wish) -> str:
    if not has_policy(container):
        return ""
    return bucket_policies.verdict(container.s3["policy"], container.name, visitor, wish)
