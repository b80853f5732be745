# SPDX-License-Identifier: Apache-2.0
"""The files that a browser needs: noVNC as the distribution ships it, or a page that says how to get it."""

import mimetypes
import os
import sys
from http import HTTPStatus
from pathlib import Path
from urllib.parse import unquote, urlsplit

from websockets.datastructures import Headers
from websockets.http11 import Response

# Unpacked by the bootstrap, else installed by the operator.
PLACES = (Path(sys.prefix) / "share/altostratus/novnc", Path("/usr/share/novnc"))
# The page that connects by itself: the other one waits for a click, and newer packages have no `vnc_auto`.
_LITE = "/vnc_lite.html"
_ENTRIES = ("/", "/vnc.html", "/vnc_auto.html", _LITE)
_MOST_BYTES = 8 * 1024 * 1024
_TYPES = {".js": "text/javascript", ".html": "text/html; charset=utf-8", ".svg": "image/svg+xml"}

_MISSING = b"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>noVNC is not installed</title></head>
<body style="font-family: sans-serif; max-width: 40em; margin: 3em auto">
<h1>noVNC is not installed</h1>
<p>The console of your server is ready, but the page that draws it in a browser is not on this machine.
Install it on the host of the cloud, then load this page again:</p>
<pre>sudo apt-get install --no-install-recommends novnc</pre>
<p>VNC programs that speak WebSocket need no page: they can use the address of this one, with <code>ws://</code>
in front and the same <code>token</code>.</p>
</body></html>
"""


def find_pages() -> Path | None:
    """The directory of noVNC on this machine. Looked for at every request: it may be installed at any time."""
    return next((place.resolve() for place in PLACES if (place / "vnc_lite.html").is_file()), None)


def page(target: str, root: Path | None) -> Response:
    """What `GET target` is answered with; never anything outside `root`."""
    path = unquote(urlsplit(target).path)
    if path in _ENTRIES and root is None:
        return response(HTTPStatus.OK, _MISSING, "text/html; charset=utf-8")
    if path in ("/", "/vnc_auto.html"):
        path = _LITE
    file = _file_below(root, path) if root else None
    if file is None:
        return response(HTTPStatus.NOT_FOUND, b"No such page. Ask for a console URL: it opens the right one.\n")
    kind = _TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    return response(HTTPStatus.OK, file.read_bytes(), kind)


def _file_below(root: Path, path: str) -> Path | None:
    """The regular file that `path` names below `root`, links followed; None for anything else."""
    if "\0" in path or any(part.startswith(".") for part in path.split("/")):
        return None
    try:
        file = Path(os.path.realpath(root / path.lstrip("/")))
        inside = file.is_relative_to(root) and file.is_file() and file.stat().st_size <= _MOST_BYTES
    except OSError:
        return None
    return file if inside else None


def response(status: HTTPStatus, body: bytes = b"", kind: str = "text/plain; charset=utf-8", why: str = "") -> Response:
    """An answer that ends the connection. `why` is shown in the status line, for those who get no body."""
    headers = Headers(
        {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Connection": "close",
            "Cache-Control": "no-cache",
            "X-Content-Type-Options": "nosniff",
            # the token is in the address of the page
            "Referrer-Policy": "no-referrer",
        }
    )
    reason = "".join(one if " " <= one <= "~" else "?" for one in why) or status.phrase
    return Response(status.value, reason[:200], headers, body)
