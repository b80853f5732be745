# SPDX-License-Identifier: Apache-2.0
"""Containers as web sites, for people without a token (or with `X-Web-Mode: true`).

`X-Container-Meta-Web-Index` names the page of a folder, `Web-Error` the end of the names of error pages (`404` and
`error.html`: `404error.html`), `Web-Listings` shows folders without a page, in the style of `Web-Listings-CSS`. Empty
objects of the type `Web-Directory-Type` count as folders. Who may see what is decided as always: `X-Container-Read`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import quote

from sqlalchemy import select

from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import ApiError, Forbidden, NotFound, Unauthorized
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Reply
from altostratus.services.object_store.api.reading import bytes_of
from altostratus.services.object_store.api.visits import YES, Place, container_for, finished, place_of
from altostratus.services.object_store.config import ObjectStoreOptions
from altostratus.services.object_store.errors import not_found
from altostratus.services.object_store.logic import containers, listing, objects
from altostratus.services.object_store.logic.contents import contents_of
from altostratus.services.object_store.logic.listing import Wanted
from altostratus.services.object_store.logic.times import iso
from altostratus.services.object_store.models import StoredObject

Handler = Callable[[Call], Reply]
_HTML = "text/html; charset=UTF-8"


@dataclass(frozen=True, slots=True)
class Site:
    """A container's settings as a web site."""

    container: Row[Any]
    index: str
    error: str
    listings: bool
    css: str
    directory_type: str


def of_container(call: Call, plain: Handler, show: Handler) -> Reply:
    """`plain` is the usual answer, `show` that of an object."""
    site = _site_of(call)
    if site is None:
        return plain(call)
    if call.ends_with_slash:
        return _or_error_page(call, site, lambda: _folder(call, site, "", show))
    return _or_error_page(call, site, lambda: _moved(call))


def of_object(call: Call, plain: Handler) -> Reply:
    site = _site_of(call)
    if site is None:
        return plain(call)
    return _or_error_page(call, site, lambda: _object(call, site, plain))


def _object(call: Call, site: Site, plain: Handler) -> Reply:
    name = call.params["object"]
    try:
        reply = plain(call)
        if not _is_directory(site, reply):
            return reply
    except NotFound:
        pass
    if name.endswith("/"):
        return _folder(call, site, name, plain)
    if _has_index(call, site, name) or _has_objects(call, site, f"{name}/"):
        return _moved(call)
    raise not_found("object", name)


def _site_of(call: Call) -> Site | None:
    """None: the request wants no web site, or there is none."""
    has_token = "X-AUTH-TOKEN" in call.headers or "X-STORAGE-TOKEN" in call.headers
    asked = call.headers.get("X-WEB-MODE", "f" if has_token else "t").lower()
    if asked not in YES or "temp_url_sig" in call.query:
        return None
    place = place_of(call)
    with call.cloud.db.read_once() as tx:
        row = containers.find(tx, place.account, place.container)
    if row is None:
        return None
    index, error = row.meta.get("web-index", "").strip(), row.meta.get("web-error", "").strip()
    listings = row.meta.get("web-listings", "").strip().lower() in YES
    if not (index or listings or error):
        return None
    kind = row.meta.get("web-directory-type", "").strip() or "application/directory"
    return Site(row, index, error, listings, row.meta.get("web-listings-css", "").strip(), kind)


def _or_error_page(call: Call, site: Site, act: Callable[[], Reply]) -> Reply:
    """What is refused is answered with the site's page for it, if there is one."""
    try:
        return act()
    except (NotFound, Unauthorized, Forbidden) as error:
        page = _error_page(call, site, error) if site.error else None
        if page is None:
            raise
        return page


def _error_page(call: Call, site: Site, error: ApiError) -> Reply | None:
    """It may be shown to everybody; only its own container's bytes are."""
    container = site.container

    def guard(other: Row[Any]) -> None:
        if other.id != container.id:
            raise not_found("container", other.name)

    with call.cloud.db.read() as tx:
        row = objects.find(tx, container.id, f"{error.status}{site.error}")
        if row is None:
            return None
        contents = contents_of(tx, container.account, row, guard)
    data = bytes_of(call, contents.spans, 0, contents.size)
    headers = {name: value for name, value in error.headers.items() if name.lower() != "content-length"}
    return finished(
        Reply(error.status, headers=headers, stream=data, length=contents.size, content_type=row.content_type)
    )


# folders


def _is_directory(site: Site, reply: Reply) -> bool:
    """An object that only stands for a folder."""
    kind = (reply.content_type or "").partition(";")[0]
    return reply.status == 200 and kind == site.directory_type and (reply.length or 0) <= 1


def _folder(call: Call, site: Site, name: str, show: Handler) -> Reply:
    """Its page, or what is in it. `name` is empty, or ends with a slash."""
    if site.index:
        call.params["object"] = name + site.index
        try:
            return show(call)
        except NotFound:
            call.params["object"] = name
    if not site.listings:
        raise NotFound("Web listings are disabled. Set X-Container-Meta-Web-Listings: true, or add a page.")
    container_for(call, Place(site.container.account, site.container.name), "list", prefix=name)
    with call.cloud.db.read() as tx:
        items = _items(tx, site, name, call.cloud[ObjectStoreOptions].listing_limit)
    if not items:
        raise not_found("object", name)
    return finished(Reply(200, _listing(call, site, name, items).encode(), content_type=_HTML))


def _items(tx: Tx, site: Site, prefix: str, most: int) -> list[Row[Any] | listing.Subdir]:
    table = table_of(StoredObject)
    wanted = Wanted(most, prefix=prefix, delimiter="/")
    return listing.page(tx, select(table).where(table.c.container_id == site.container.id), table, wanted)


def _has_index(call: Call, site: Site, name: str) -> bool:
    if not site.index:
        return False
    with call.cloud.db.read() as tx:
        return objects.find(tx, site.container.id, f"{name}/{site.index}") is not None


def _has_objects(call: Call, site: Site, prefix: str) -> bool:
    with call.cloud.db.read() as tx:
        return bool(_items(tx, site, prefix, 1))


def _moved(call: Call) -> Reply:
    """Relative links of a folder's page only work below a slash. Only told to those who may read there."""
    place = place_of(call)
    container_for(call, Place(place.account, place.container), "read")
    return finished(Reply(301, headers={"Location": quote(call.path) + "/"}))


_STYLE = """<style type="text/css">
h1 {font-size: 1em; font-weight: bold;}
th {text-align: left; padding: 0px 1em 0px 1em;}
td {padding: 0px 1em 0px 1em;}
a {text-decoration: none;}
</style>"""


def _listing(call: Call, site: Site, prefix: str, items: list[Row[Any] | listing.Subdir]) -> str:
    title = escape(f"Listing of {call.path}/")
    style = _STYLE
    if site.css:
        address = site.css if "://" in site.css else "../" * prefix.count("/") + quote(site.css)
        style = f'<link rel="stylesheet" type="text/css" href="{escape(address)}" />'
    rows = [_row("item", "../", "", "")] if prefix else []
    rows += [_row("item subdir", item[len(prefix) :], "", "") for item in items if isinstance(item, listing.Subdir)]
    for item in items:
        if not isinstance(item, listing.Subdir) and item.name != prefix:
            kinds = " ".join(f"type-{part}" for part in item.content_type.lower().split("/"))
            moment = iso(item.modified_us)[:19].replace("T", " ")
            rows.append(_row(f"item {kinds}", item.name[len(prefix) :], str(item.size), moment))
    return (
        f"<!DOCTYPE html>\n<html>\n<head>\n<title>{title}</title>\n{style}\n</head>\n<body>\n"
        f'<h1 id="title">{title}</h1>\n<table id="listing">\n<tr id="heading"><th class="colname">Name</th>'
        '<th class="colsize">Size</th><th class="coldate">Date</th></tr>\n'
        f"{''.join(rows)}</table>\n</body>\n</html>\n"
    )


def _row(kind: str, name: str, size: str, date: str) -> str:
    """The link begins with `./`, so that no name can lead elsewhere."""
    link = name if name == "../" else f"./{quote(name)}"
    return (
        f'<tr class="{escape(kind)}"><td class="colname"><a href="{escape(link)}">{escape(name)}</a></td>'
        f'<td class="colsize">{size or "&nbsp;"}</td><td class="coldate">{date or "&nbsp;"}</td></tr>\n'
    )
