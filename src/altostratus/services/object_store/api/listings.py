# SPDX-License-Identifier: Apache-2.0
"""Listings as plain text, JSON and XML."""

from typing import Any
from xml.sax.saxutils import escape, quoteattr

import msgspec

from altostratus.kernel.errors import BadRequest, NotAcceptable, PreconditionFailed
from altostratus.kernel.numbers import whole_number
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Reply
from altostratus.services.object_store.api.visits import YES, one
from altostratus.services.object_store.config import ObjectStoreOptions
from altostratus.services.object_store.logic.listing import Wanted

_TYPES = {"json": "application/json", "xml": "application/xml", "plain": "text/plain"}
_ACCEPTED = {
    "*/*": "plain", "text/*": "plain", "text/plain": "plain", "application/*": "json", "application/json": "json",
    "application/xml": "xml", "text/xml": "xml",
}  # fmt: skip


def wanted_of(call: Call) -> Wanted:
    """The page that the query asks for. Raises PreconditionFailed for a limit above the most."""
    most = call.cloud[ObjectStoreOptions].listing_limit
    text = one(call, "limit")
    given = whole_number(text)
    limit = most if given is None else given
    if limit > most:
        raise PreconditionFailed(f"Maximum limit is {most}.")
    if "path" in call.query:
        folder = one(call, "path").rstrip("/")
        prefix, delimiter = f"{folder}/" if folder else "", "/"
    else:
        prefix, delimiter = one(call, "prefix"), one(call, "delimiter")
    if len(delimiter) > 1024 or len(prefix.encode()) > 4096:
        raise BadRequest("The prefix or the delimiter is too long.")
    return Wanted(
        limit, one(call, "marker"), one(call, "end_marker"), prefix, delimiter,
        one(call, "reverse").lower() in YES, "path" in call.query,
    )  # fmt: skip


def format_of(call: Call) -> str:
    """json, xml or plain: `format=` first, then `Accept`."""
    asked = one(call, "format").lower()
    if asked:
        return asked if asked in _TYPES else "plain"
    accept = call.headers.get("ACCEPT", "").strip()
    if not accept:
        return "plain"
    ranked = []
    for position, part in enumerate(accept.split(",")):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
        try:
            ranked.append((-float(weight), position, kind))
        except ValueError:
            raise BadRequest(f"Accept cannot be read: {accept!r}.") from None
    for _, _, kind in sorted(ranked):
        if kind in _ACCEPTED:
            return _ACCEPTED[kind]
    raise NotAcceptable("Listings come as text/plain, application/json and application/xml.")


def listing_reply(root: str, name: str, items: list[dict[str, Any]], form: str, headers: dict[str, str]) -> Reply:
    """items: of a container `{"name", "hash", ...}` or `{"subdir"}`, of an account `{"name", "count", ...}`."""
    content_type = f"{_TYPES[form]}; charset=utf-8"
    if form == "json":
        return Reply(200, msgspec.json.encode(items), headers=headers, content_type=content_type)
    if form == "xml":
        return Reply(200, _xml(root, name, items).encode(), headers=headers, content_type=content_type)
    if not items:
        return Reply(204, headers=headers, content_type=content_type)
    lines = "".join(f"{item.get('name') or item['subdir']}\n" for item in items)
    return Reply(200, lines.encode(), headers=headers, content_type=content_type)


def _xml(root: str, name: str, items: list[dict[str, Any]]) -> str:
    one_of = {"account": "container", "container": "object"}[root]
    parts = ['<?xml version="1.0" encoding="UTF-8"?>', f"<{root} name={quoteattr(name)}>"]
    for item in items:
        if "subdir" in item:
            text = item["subdir"]
            parts.append(f"<subdir name={quoteattr(text)}><name>{escape(text)}</name></subdir>")
        else:
            members = "".join(f"<{key}>{escape(str(value))}</{key}>" for key, value in item.items())
            parts.append(f"<{one_of}>{members}</{one_of}>")
    parts.append(f"</{root}>")
    return "\n".join(parts[:2]) + "".join(parts[2:])
