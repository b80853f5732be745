# SPDX-License-Identifier: Apache-2.0
"""Names and host names of new servers."""

import re
import unicodedata

_LONGEST_HOSTNAME = 63


def hostname_of(name: str, server_id: str) -> str:
    """A host name for guests made from a server's name; `server-<id>` if nothing usable is in it."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = re.sub(r"[ _.]", "-", plain)
    plain = re.sub(r"[^a-zA-Z0-9-]+", "", plain).lower().strip("-")
    return plain[:_LONGEST_HOSTNAME].rstrip("-") or f"server-{server_id}"


def numbered(name: str, index: int, count: int) -> str:
    """The name of number `index` of `count` servers made at once."""
    return name if count == 1 else f"{name}-{index + 1}"
