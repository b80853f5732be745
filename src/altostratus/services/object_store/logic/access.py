# SPDX-License-Identifier: Apache-2.0
"""Who may do what with an account, a container and its objects: Swift's rules and access lists.

The owner is whoever has one of `OWNER_ROLES` on the account's project; `reader` may look. Containers are opened to
others by lists: `project:user` by id (`*` for any), names of roles, `.r:*` and `.r:[-]host` for web pages that refer
to an object, `.rlistings` to let those see the listing as well.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

from altostratus.kernel.auth import Context
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Tx
from altostratus.kernel.errors import BadRequest
from altostratus.services.identity import public as identity

OWNER_ROLES = frozenset({"admin", "manager", "member", "swiftoperator", "service"})
RESELLER_ADMIN = "ResellerAdmin"
READ_ACL, WRITE_ACL = "x-container-read", "x-container-write"
_PREFIX = "AUTH_"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks; `ctx` is None for somebody without a token. `referrer` is the page that the browser came from.

    agent: the program, as it calls itself. peer: the address. secure: does nobody on the way read along?
    """

    ctx: Context | None
    referrer: str = ""
    agent: str = ""
    peer: str = ""
    secure: bool = False


def account_of(project_id: str) -> str:
    return _PREFIX + project_id


def project_of(account: str) -> str | None:
    """The project of an account's name, or None for a name that is none."""
    return account.removeprefix(_PREFIX) if account.startswith(_PREFIX) and account != _PREFIX else None


def ensure_reseller_admin(tx: Tx, _cloud: Cloud) -> None:
    """At every start: the role is there, so that it can be given."""
    identity.ensure_role(tx, RESELLER_ADMIN)


def is_reseller_admin(visitor: Visitor) -> bool:
    """May do everything in every account, and set quotas."""
    return visitor.ctx is not None and RESELLER_ADMIN in visitor.ctx.roles


def is_owner(visitor: Visitor, account: str) -> bool:
    if visitor.ctx is None:
        return False
    if is_reseller_admin(visitor):
        return True
    return _is_of_project(visitor.ctx, account) and not OWNER_ROLES.isdisjoint(visitor.ctx.roles)


def may_look(visitor: Visitor, account: str) -> bool:
    """Read everything of the account without a list that says so."""
    if is_owner(visitor, account):
        return True
    return visitor.ctx is not None and _is_of_project(visitor.ctx, account) and "reader" in visitor.ctx.roles


def may_read(visitor: Visitor, account: str, read_acl: str, *, listing: bool) -> bool:
    return may_look(visitor, account) or _is_listed(visitor, read_acl, web=True, listing=listing)


def may_write(visitor: Visitor, account: str, write_acl: str) -> bool:
    return is_owner(visitor, account) or _is_listed(visitor, write_acl, web=False, listing=False)


def clean_list(header: str, text: str) -> str:
    """The list in its usual form. Raises BadRequest for entries that mean nothing."""
    entries = []
    for raw in text.split(","):
        entry = raw.strip()
        if not entry:
            continue
        if entry.startswith("."):
            entry = _clean_referrer(header, entry)
        entries.append(entry)
    return ",".join(entries)


def _clean_referrer(header: str, entry: str) -> str:
    if entry == ".rlistings":
        return entry
    kind, colon, host = entry.partition(":")
    if kind not in (".r", ".ref", ".referer", ".referrer") or not colon:
        raise BadRequest(f"Unknown designator {kind!r} in ACL {entry!r} of {header}. Use .r:HOST or .rlistings.")
    if "WRITE" in header.upper():
        raise BadRequest(f"Referrers not allowed in write ACL: {entry}.")
    host = host.strip()
    negated = host.startswith("-")
    host = host.removeprefix("-").strip()
    if host not in ("", "*") and host.startswith("*"):
        host = host[1:].strip()
    if not host or host == ".":
        raise BadRequest(f"No host/domain value after referrer designation in ACL: {entry!r}.")
    return f".r:{'-' if negated else ''}{host}"


def _is_listed(visitor: Visitor, text: str, *, web: bool, listing: bool) -> bool:
    entries = text.split(",") if text else []
    ctx = visitor.ctx
    for entry in entries if ctx is not None else ():
        assert ctx is not None
        project, colon, user = entry.partition(":")
        if not colon:
            if not entry.startswith(".") and entry in ctx.roles:
                return True
        elif not entry.startswith(".") and is_named(project, user, ctx):
            return True
    if not web or (listing and ".rlistings" not in entries):
        return False
    return _referrer_fits(visitor.referrer, [entry[3:] for entry in entries if entry.startswith(".r:")])


def is_named(project: str, user: str, ctx: Context) -> bool:
    """Ids; names as well for people of the default domain, as in Swift."""
    projects, users = {"*", ctx.project_id}, {"*", ctx.user_id}
    if ctx.names.get("project_domain_id") == "default":
        projects.add(ctx.names["project_name"])
    if ctx.names.get("user_domain_id") == "default":
        users.add(ctx.names["user_name"])
    return project in projects and user in users


def _referrer_fits(referrer: str, hosts: list[str]) -> bool:
    """The last entry that fits decides: `.r:*,.r:-bad.example` lets all in but one."""
    try:
        came_from = urlsplit(referrer).hostname or "unknown"
    except ValueError:
        came_from = "unknown"
    allowed = False
    for entry in hosts:
        host = entry.removeprefix("-")
        if host in ("*", came_from) or (host.startswith(".") and came_from.endswith(host)):
            allowed = not entry.startswith("-")
    return allowed


def _is_of_project(ctx: Context, account: str) -> bool:
    return ctx.project_id is not None and account == _PREFIX + ctx.project_id
