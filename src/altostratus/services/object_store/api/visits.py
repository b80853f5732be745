# SPDX-License-Identifier: Apache-2.0
"""What every operation begins and ends with: the names of the path, who asks, the usual headers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from altostratus.contracts.object_store import ObjectStore
from altostratus.kernel import clock, ids
from altostratus.kernel.auth import Context
from altostratus.kernel.db import Row
from altostratus.kernel.errors import BadRequest, PreconditionFailed, Unauthorized
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Reply
from altostratus.kernel.together import WritesTogether
from altostratus.services.object_store.api import peers
from altostratus.services.object_store.api.pace import pace_container
from altostratus.services.object_store.config import ObjectStoreOptions
from altostratus.services.object_store.errors import not_found, refused
from altostratus.services.object_store.logic import access, containers, permission, temp_urls
from altostratus.services.object_store.logic.access import Visitor
from altostratus.services.object_store.logic.bucket_policies import Wish
from altostratus.services.object_store.logic.permission import What
from altostratus.services.object_store.logic.times import http_date, now_us
from altostratus.services.object_store.models import Account

# of an object that is not named itself: a segment of another one
_WHATEVER = Wish("GetObject", None)
YES = frozenset({"true", "1", "yes", "on", "t", "y"})
_LOOPBACK = frozenset({"127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Place:
    """What the path names; empty parts are not named. `version` is the id of one of the object's versions."""

    account: str
    container: str = ""
    name: str = ""
    version: str = ""


def place_of(call: Call) -> Place:
    """Raises PreconditionFailed, BadRequest or NotFound for names that cannot be."""
    options = call.cloud[ObjectStoreOptions]
    name = call.params.get("object", "")
    # an address opens what its path names, as upstream's: a version is no part of what was signed
    version = one(call, "version-id") if name and "temp_url_sig" not in call.query else ""
    place = Place(call.params["account"], call.params.get("container", ""), name, version)
    if access.project_of(place.account) is None:
        raise not_found("account", place.account)
    _demand_name("container", place.container, options.max_container_name_length)
    _demand_name("object", place.name, options.max_object_name_length)
    return place


def _demand_name(what: str, name: str, longest: int) -> None:
    if "\0" in name or "\ufffd" in name:
        raise PreconditionFailed(f"Invalid UTF8 or contains NULL: the {what}'s name must be valid UTF-8.")
    if len(name.encode()) > longest:
        raise BadRequest(f"{what.title()} name length of {len(name.encode())} longer than {longest}.")
    if what == "container" and "/" in name:
        raise BadRequest("A container's name cannot contain slashes.")


def visitor_of(call: Call) -> Visitor:
    """Raises Unauthorized for a token that is not valid; none at all is fine here. Asked once a request."""
    known = call.extra.get("visitor")
    if known is None:
        token = call.headers.get("X-AUTH-TOKEN") or call.headers.get("X-STORAGE-TOKEN")
        ctx = call.authenticate(token) if token else None
        known = call.extra["visitor"] = seen(call, ctx)
    return cast("Visitor", known)


def seen(call: Call, ctx: Context | None) -> Visitor:
    """What is to be seen of whoever asks. TLS ends at a proxy on this machine, if anywhere."""
    proxied = call.peer in _LOOPBACK and call.headers.get("X-FORWARDED-PROTO", "").lower() == "https"
    secure = proxied or call.host_url.startswith("https:")
    return Visitor(ctx, call.headers.get("REFERER", ""), call.headers.get("USER-AGENT", ""), call.peer, secure)


def demand_owner(call: Call, place: Place) -> Visitor:
    """May the caller change the account and its containers?"""
    visitor = visitor_of(call)
    if not access.is_owner(visitor, place.account):
        raise refused(visitor.ctx is not None, place.account)
    return visitor


def container_for(call: Call, place: Place, what: What, *, prefix: str = "") -> Row[Any]:
    """The container, if the caller may do that there. Who may not learns nothing of it. prefix: of a listing."""
    wish = _wish(call, place, what, prefix)
    if "temp_url_sig" in call.query and what != "list":
        return _container_by_address(call, place, wish)
    if peers.AUTH in call.headers:
        kept_here = peers.container_of_peer(call)
        demand_not_denied(call, seen(call, None), kept_here, wish)
        return kept_here
    visitor = visitor_of(call)
    with call.cloud.db.read_once() as tx:
        row = containers.find(tx, place.account, place.container)
    if not permission.may(visitor, place.account, row, what, wish):
        raise refused(visitor.ctx is not None, place.account)
    if row is None:
        raise not_found("container", place.container)
    pace_container(call, row)
    return row


def _wish(call: Call, place: Place, what: What, prefix: str) -> Wish:
    """As policies call it. Without a name in the path any object may be meant."""
    action = permission.ACTIONS[what]
    if what == "list":
        return Wish(f"{action}Versions" if "versions" in call.query else action, prefix=prefix)
    if place.version:
        action += "Version" if what in ("read", "delete") else ""
    return Wish(action, place.name or None)


def demand_not_denied(call: Call, visitor: Visitor, container: Row[Any], wish: Wish) -> None:
    """For those whom something else than an access list allows it: policies have the last word."""
    if permission.is_denied(visitor, container, wish):
        raise refused(visitor.ctx is not None, container.account)


def _container_by_address(call: Call, place: Place, wish: Wish) -> Row[Any]:
    """For a temporary URL. Raises Unauthorized if it is not good for this, or not any longer."""
    with call.cloud.db.read() as tx:
        row = containers.find(tx, place.account, place.container)
    keys = signing_keys(call, place)
    path = f"/v1/{place.account}/{place.container}/{place.name}"
    reach = temp_urls.reach_of(call.query, call.op.method, path, call.peer, keys)
    if reach is None or row is None:
        raise Unauthorized("Temp URL invalid: it was not signed for this, or its time is over. Ask for another one.")
    demand_not_denied(call, seen(call, None), row, wish)
    call.extra["reach"] = reach, row.id
    pace_container(call, row)
    return row


def signing_keys(call: Call, place: Place) -> list[tuple[str, temp_urls.Reach]]:
    """Keys that sign addresses and forms, and what each of them opens."""
    with call.cloud.db.read() as tx:
        account = tx.find(Account, place.account)
        row = containers.find(tx, place.account, place.container)
    keys: list[tuple[str, temp_urls.Reach]] = []
    keys += [(key, "account") for key in temp_urls.keys_of({} if account is None else account.meta)]
    keys += [(key, "container") for key in temp_urls.keys_of({} if row is None else row.meta)]
    return keys


def guard_for(call: Call, account: str) -> Callable[[Row[Any]], None]:
    """For containers that an object leads to (segments): may the caller read there as well?"""
    if "reach" in call.extra:
        reach, container_id = call.extra["reach"]

        def guard_address(container: Row[Any]) -> None:
            if reach == "container" and container.id != container_id:
                raise Unauthorized("Temp URL invalid: the container's key does not open the other container.")
            demand_not_denied(call, seen(call, None), container, _WHATEVER)

        return guard_address
    if peers.moment_us(call) is not None:
        return peers.guard(call)

    def guard(container: Row[Any]) -> None:
        visitor = visitor_of(call)
        if not permission.may(visitor, account, container, "read", _WHATEVER):
            raise refused(visitor.ctx is not None, account)

    return guard


def store_of(call: Call) -> ObjectStore:
    return call.cloud.part(ObjectStore)  # type: ignore[type-abstract]


def writes_of(call: Call) -> WritesTogether:
    return call.cloud.part(WritesTogether)


def finished(reply: Reply) -> Reply:
    """With the headers that every answer of Swift has."""
    reply.headers["X-Trans-Id"] = f"tx{ids.new_label()[:21]}-{int(clock.unix()):010x}"
    reply.headers["Date"] = http_date(now_us())
    if reply.content_type is None:
        reply.content_type = "text/html; charset=UTF-8"
    if reply.body is None and reply.stream is None:
        reply.body = b""  # told with its type: clients look for one, even where nothing comes
    return reply


def one(call: Call, name: str, default: str = "") -> str:
    """The last value of a query parameter."""
    return call.query[name][-1] if name in call.query else default
