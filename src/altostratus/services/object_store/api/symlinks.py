# SPDX-License-Identifier: Apache-2.0
"""Objects that stand for others: `X-Symlink-Target: container/object`, perhaps of another account.

Reading follows at most `MOST_HOPS` links, and needs leave to read at each of them. `?symlink=get` is the link itself.
A static link (`X-Symlink-Target-Etag`) is only good for that version of its target.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from altostratus.kernel.db import Row
from altostratus.kernel.errors import ApiError, BadRequest, Conflict, PreconditionFailed, Unauthorized
from altostratus.kernel.resource.call import Call
from altostratus.services.object_store.api import peers, versions
from altostratus.services.object_store.api.visits import Place, container_for, guard_for, one
from altostratus.services.object_store.errors import not_found
from altostratus.services.object_store.logic import access, containers, objects

MOST_HOPS = 2
TARGET, ACCOUNT, ETAG = "x-symlink-target", "x-symlink-target-account", "x-symlink-target-etag"
_OWN = (TARGET, ACCOUNT, ETAG)


class Redirected(ApiError):
    status = 307


@dataclass(frozen=True, slots=True)
class Found:
    """Where the links end."""

    place: Place
    container: Row[Any]
    row: Row[Any]


def resolved(call: Call, place: Place) -> Found:
    """The object, or what it is a link to. Raises what reading there raises, and Conflict for too many links."""

    def read(at: Place) -> Found:
        container = container_for(call, at, "read") if at == place else _container_of_target(call, place, at)
        with call.cloud.db.read() if at.version else call.cloud.db.read_once() as tx:
            row = versions.find(tx, container, at)
        if row is None:
            raise not_found("object", at.name)
        return Found(at, container, row)

    # a peer's signature is for this container only
    is_end = one(call, "symlink") == "get" or peers.AUTH in call.headers
    return read(place) if is_end else followed(place, read)


def followed(place: Place, read: Callable[[Place], Found]) -> Found:
    """Where the links from this place end. `read` raises if the caller may not, or there is nothing."""
    etag = ""
    for _ in range(MOST_HOPS + 1):
        found = read(place)
        if etag and etag != found.row.etag:
            raise Conflict(f"Object Etag {found.row.etag!r} does not match X-Symlink-Target-Etag header {etag!r}.")
        if TARGET not in found.row.headers:
            return found
        etag = found.row.headers.get(ETAG, "")
        place = target_of(found.row.headers, place.account)
    raise Conflict(f"Too many levels of symbolic links, maximum allowed is {MOST_HOPS}.")


def _container_of_target(call: Call, start: Place, place: Place) -> Row[Any]:
    if "reach" not in call.extra:
        return container_for(call, place, "read")
    if place.account != start.account:
        raise Unauthorized("Temp URL invalid: the link leads to another account, which the key does not open.")
    with call.cloud.db.read_once() as tx:
        row = containers.find(tx, place.account, place.container)
    if row is None:
        raise not_found("container", place.container)
    guard_for(call, place.account)(row)
    return row


def kept(headers: dict[str, Any]) -> dict[str, Any]:
    """The part of an object's headers that makes it a link."""
    return {name: headers[name] for name in _OWN if name in headers}


def given(call: Call, place: Place) -> dict[str, str]:
    """The headers of a link that the upload makes; none for another upload. Raises BadRequest, PreconditionFailed."""
    headers = {name: call.headers[name.upper()] for name in _OWN if name.upper() in call.headers}
    if TARGET not in headers:
        return {}
    if call.headers.get("CONTENT-LENGTH") != "0":
        raise BadRequest("Symlink requests require a zero byte body: send Content-Length: 0.")
    headers.setdefault(ACCOUNT, place.account)
    target = target_of(headers, place.account)
    if target == place:
        raise BadRequest("Symlink cannot target itself.")
    if ETAG in headers:
        headers[ETAG] = headers[ETAG].strip('"').lower()
        if peers.moment_us(call) is None:  # what a peer sends may come before its target
            _demand_target(call, target, headers[ETAG])
    return headers


def _demand_target(call: Call, target: Place, etag: str) -> None:
    container = container_for(call, target, "read")
    with call.cloud.db.read() as tx:
        row = objects.find(tx, container.id, target.name)
    if row is None:
        raise Conflict("X-Symlink-Target does not exist. A link with an etag needs its target first.")
    if row.etag != etag:
        raise Conflict(f"Object Etag {row.etag!r} does not match X-Symlink-Target-Etag header {etag!r}.")


def demand_no_target(call: Call) -> None:
    if TARGET.upper() in call.headers:
        raise BadRequest("A PUT request is required to set a symlink target.")


def redirected(call: Call, headers: dict[str, Any], place: Place) -> Redirected:
    """What changing the metadata of a link answers, when it is done."""
    return Redirected(
        "The requested POST was applied to a symlink. POST directly to the target to apply requested metadata.",
        headers={"Location": path_of(call, target_of(headers, place.account))},
    )


def target_of(headers: dict[str, Any], account: str) -> Place:
    """Raises PreconditionFailed for what names no object."""
    container, slash, name = _text(headers[TARGET]).partition("/")
    account = _text(headers.get(ACCOUNT, account))
    if not (container and slash and name) or "\0" in container + name:
        raise PreconditionFailed("X-Symlink-Target header must be of the form <container name>/<object name>.")
    if access.project_of(account) is None or "/" in account or "\0" in account:
        raise PreconditionFailed("X-Symlink-Target-Account must be the name of an account, such as AUTH_<project id>.")
    return Place(account, container, name)


def shown_path(headers: dict[str, Any], account: str) -> str:
    """`symlink_path` of listings."""
    target = target_of(headers, account)
    return f"/v1/{target.account}/{target.container}/{target.name}"


def path_of(call: Call, place: Place) -> str:
    path = quote(f"{call.service.path}/{place.account}/{place.container}/{place.name}")
    return f"{path}?version-id={place.version}" if place.version else path


def _text(header: str) -> str:
    """Percent-encoded, or bytes as they came, a character each."""
    return unquote(header.encode("latin-1", "replace").decode("utf-8", "replace"))
