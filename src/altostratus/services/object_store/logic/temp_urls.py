# SPDX-License-Identifier: Apache-2.0
"""Addresses that are good for one object (or prefix) and method until a moment, signed with a key of the account or
the container: `HMAC(key, "METHOD\\nEXPIRES\\nPATH")`. Paths are signed with or without what stands before `/v1/`.
"""

import base64
import hmac
import ipaddress
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from altostratus.kernel import clock

ROOT = "/object-store"
KEY_NAMES = ("temp-url-key", "temp-url-key-2")
DIGESTS = ("sha256", "sha512")
_SIZES = {40: "sha1", 64: "sha256", 128: "sha512"}
# who may do more with an address may do less
_ALSO_FOR = {"HEAD": ("HEAD", "GET", "PUT", "POST")}
Reach = Literal["account", "container"]


def keys_of(meta: Mapping[str, Any]) -> list[str]:
    return [meta[name] for name in KEY_NAMES if meta.get(name)]


def reach_of(
    query: Mapping[str, list[str]],
    method: str,
    path: str,
    peer: str,
    keys: Iterable[tuple[str, Reach]],
) -> Reach | None:
    """What the signature opens, or None if it is no good. path: `/v1/account/container/object`."""
    expires = _moment(_last(query, "temp_url_expires"))
    if expires is None or expires <= clock.unix():
        return None
    start = ""
    if "temp_url_ip_range" in query:
        if not _is_within(peer, _last(query, "temp_url_ip_range")):
            return None
        start = f"ip={_last(query, 'temp_url_ip_range')}\n"
    if "temp_url_prefix" in query:
        prefix = _last(query, "temp_url_prefix")
        account_and_container = "/".join(path.split("/", 4)[:4])
        if not path.startswith(f"{account_and_container}/{prefix}"):
            return None
        places = [f"prefix:{root}{account_and_container}/{prefix}" for root in ("", ROOT)]
    else:
        places = [path, ROOT + path]
    signature, digest = signature_of(_last(query, "temp_url_sig"))
    if digest not in DIGESTS:
        return None
    found: Reach | None = None
    for key, reach in keys:
        for verb in _ALSO_FOR.get(method, (method,)):
            for place in places:
                if is_signed(key, f"{start}{verb}\n{expires}\n{place}", signature, digest):
                    found = found or reach
    return found


def is_signed(key: str, text: str, signature: bytes, digest: str) -> bool:
    """Compared in the same time, whatever is wrong."""
    made = hmac.new(key.encode("latin-1", "replace"), text.encode(), digest).digest()
    return hmac.compare_digest(made, signature)


def signature_of(text: str) -> tuple[bytes, str]:
    """(bytes, digest) of hexadecimal digits or `digest:base64`."""
    digest, colon, value = text.partition(":")
    try:
        if colon:
            padded = value.replace("-", "+").replace("_", "/")
            return base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True), digest
        return bytes.fromhex(text), _SIZES.get(len(text), "")
    except ValueError:
        return b"", ""


def _moment(text: str) -> int | None:
    if text.isascii() and text.isdigit() and len(text) < 16:
        return int(text)
    try:
        moment = datetime.strptime(text.replace("Z", "+0000"), "%Y-%m-%dT%H:%M:%S%z")
    except ValueError:
        try:
            moment = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError:
            return None
    return int(moment.timestamp())


def _is_within(peer: str, text: str) -> bool:
    try:
        return ipaddress.ip_address(peer) in ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False


def _last(query: Mapping[str, list[str]], name: str) -> str:
    return query[name][-1] if name in query else ""
