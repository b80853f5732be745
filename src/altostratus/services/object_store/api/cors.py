# SPDX-License-Identifier: Apache-2.0
"""Scripts of other web sites in a browser: which of them may use a container, `X-Container-Meta-Access-Control-...`.

`Allow-Origin` lists sites (or `*`), `Expose-Headers` what their scripts may read besides the usual, `Max-Age` how long
a browser may remember. The rights of whoever asks are not changed by this: it is the browser that obeys.
"""

from collections.abc import Callable
from functools import wraps

from altostratus.kernel.errors import ApiError, Unauthorized
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Reply
from altostratus.services.object_store.api.visits import finished, place_of
from altostratus.services.object_store.logic import containers

_METHODS = ("HEAD", "GET", "PUT", "POST", "DELETE", "OPTIONS")
_READABLE = (
    "cache-control", "content-language", "content-type", "expires", "last-modified", "pragma", "etag", "x-timestamp",
    "x-trans-id", "x-openstack-request-id",
)  # fmt: skip
_CROSSDOMAIN = b"""<?xml version="1.0"?>
<!DOCTYPE cross-domain-policy SYSTEM "http://www.adobe.com/xml/dtds/cross-domain-policy.dtd" >
<cross-domain-policy>
<allow-access-from domain="*" secure="false" />
</cross-domain-policy>"""


def told(handler: Callable[[Call], Reply]) -> Callable[[Call], Reply]:
    """The handler, whose answers and refusals tell the browser that the script may read them."""

    @wraps(handler)
    def answer(call: Call) -> Reply:
        if "ORIGIN" not in call.headers:
            return handler(call)
        settings = _settings(call)
        allowed = _allowed_origin(call, settings)
        if allowed is None:
            return handler(call)
        try:
            reply = handler(call)
        except ApiError as error:
            error.headers = error.headers | _readable(settings, allowed, error.headers)
            raise
        reply.headers |= _readable(settings, allowed, reply.headers)
        return reply

    return answer


def preflight(call: Call) -> Reply:
    """What a browser asks before it sends a script's request: may it? Needs no token."""
    methods = ", ".join((*_METHODS[:-1], "COPY", _METHODS[-1]) if "object" in call.params else _METHODS)
    if "ORIGIN" not in call.headers:
        return finished(Reply(200, headers={"Allow": methods}))
    settings = _settings(call)
    allowed = _allowed_origin(call, settings)
    if allowed is None or call.headers.get("ACCESS-CONTROL-REQUEST-METHOD", "") not in methods.split(", "):
        raise Unauthorized(
            "This site or method is not allowed. The container's owner can allow the site:"
            " X-Container-Meta-Access-Control-Allow-Origin.",
            headers={"Allow": methods},
        )
    headers = {"Allow": methods, "Access-Control-Allow-Methods": methods, **_origin_headers(allowed)}
    if settings.get("access-control-max-age"):
        headers["Access-Control-Max-Age"] = settings["access-control-max-age"]
    asked = call.headers.get("ACCESS-CONTROL-REQUEST-HEADERS", "")
    if asked:
        headers["Access-Control-Allow-Headers"] = ", ".join(name.strip() for name in asked.split(","))
        headers["Vary"] = ", ".join(filter(None, (headers.get("Vary"), "Access-Control-Request-Headers")))
    return finished(Reply(200, headers=headers))


def show_crossdomain(_call: Call) -> Reply:
    """The policy file that Flash and its like asked for."""
    return finished(Reply(200, _CROSSDOMAIN, content_type="application/xml"))


def _settings(call: Call) -> dict[str, str]:
    place = place_of(call)
    with call.cloud.db.read_once() as tx:
        row = containers.find(tx, place.account, place.container)
    return {} if row is None else row.meta


def _allowed_origin(call: Call, settings: dict[str, str]) -> str | None:
    """`*`, the site that asks, or None if it is not allowed."""
    listed = settings.get("access-control-allow-origin", "").split()
    if "*" in listed:
        return "*"
    origin = call.headers["ORIGIN"]
    return origin if origin in listed else None


def _origin_headers(allowed: str) -> dict[str, str]:
    return {"Access-Control-Allow-Origin": allowed} | ({} if allowed == "*" else {"Vary": "Origin"})


def _readable(settings: dict[str, str], allowed: str, sent: dict[str, str]) -> dict[str, str]:
    meta = [name.lower() for name in sent if name.lower().startswith(("x-container-meta-", "x-object-meta-"))]
    more = settings.get("access-control-expose-headers", "").replace(",", " ").split()
    shown = dict.fromkeys((*_READABLE, *meta, *(name.lower() for name in more)))
    return {"Access-Control-Expose-Headers": ", ".join(shown), **_origin_headers(allowed)}
