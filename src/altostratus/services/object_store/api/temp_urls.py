# SPDX-License-Identifier: Apache-2.0
"""What a temporary URL shows: the bytes as a file to keep, and nothing that is the owner's business."""

from urllib.parse import quote

from altostratus.kernel.errors import BadRequest
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Reply
from altostratus.services.object_store.api.visits import one

_POINTING = ("X-OBJECT-MANIFEST", "X-COPY-FROM", "X-SYMLINK-TARGET")
_PRIVATE, _PUBLIC = "x-object-meta-", "x-object-meta-public-"


def dressed(call: Call, reply: Reply) -> Reply:
    """The reply as it is, unless a temporary URL asked for it."""
    if "reach" not in call.extra:
        return reply
    reply.headers = {
        name: value
        for name, value in reply.headers.items()
        if not name.lower().startswith(_PRIVATE) or name.lower().startswith(_PUBLIC)
    }
    reply.headers["Content-Disposition"] = _disposition(call, reply)
    return reply


def demand_plain(call: Call) -> None:
    """An upload by address cannot point at other objects. Raises BadRequest."""
    if "reach" in call.extra and not call.headers.keys().isdisjoint(_POINTING):
        raise BadRequest("A temporary URL does not allow X-Object-Manifest, X-Copy-From and X-Symlink-Target.")


def _disposition(call: Call, reply: Reply) -> str:
    own = reply.headers.get("Content-Disposition")
    if "inline" in call.query:
        given = one(call, "filename")
        return f"inline; {_file_name(given)}" if given else "inline"
    if "filename" not in call.query and own:
        return own
    return f"attachment; {_file_name(one(call, 'filename') or call.params['object'].rstrip('/').rpartition('/')[2])}"


def _file_name(name: str) -> str:
    plain = "".join(letter if " " <= letter < "\x7f" and letter not in '"\\' else "_" for letter in name)
    return f"filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
