# SPDX-License-Identifier: Apache-2.0
"""Pure: which token a request carries, and whether the page that opened it may."""

from urllib.parse import parse_qs, urlsplit

_MOST_TOKEN_CHARACTERS = 255
_DEFAULT_PORTS = {"http": 80, "https": 443}


def token_of(target: str) -> str | None:
    """The token in `?token=...`, or in the form that noVNC is given, `?path=%3Ftoken%3D...`."""
    query = parse_qs(urlsplit(target).query)
    found = query.get("token")
    if found is None and (path := query.get("path")):
        found = parse_qs(urlsplit(path[0]).query).get("token")
    if not found or not found[0].isprintable() or len(found[0]) > _MOST_TOKEN_CHARACTERS:
        return None
    return found[0]


def is_own_page(origin: str | None, host: str | None, base_url: str) -> bool:
    """Whether a page of `origin` may open a console here: one that came from this proxy, or from its `base_url`.

    Programs send no origin: they are no page that could act for somebody else.
    """
    if origin is None:
        return True
    page = urlsplit(origin)
    asked = {_place(f"{page.scheme}://{host}")} if host else set()
    if base_url:
        asked.add(_place(base_url))
    return _place(origin) in asked and page.hostname is not None


def _place(url: str) -> tuple[str, int]:
    """Host name and port; ("", 0) when they cannot be read."""
    try:
        split = urlsplit(url)
        return (split.hostname or "").lower(), split.port or _DEFAULT_PORTS.get(split.scheme, 0)
    except ValueError:
        return "", 0
