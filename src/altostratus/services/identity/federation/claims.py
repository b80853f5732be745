# SPDX-License-Identifier: Apache-2.0
"""Claims of OpenID Connect as attributes for mappings, under the names that mod_auth_openidc gave them.

`groups` is found as `OIDC-groups` and as `HTTP_OIDC_GROUPS`; members of objects as `OIDC-realm_access.roles`. A JSON
list is several values; text is one value, whatever separators it holds.
"""

from collections.abc import Iterator
from typing import Any

from altostratus.services.identity.federation.login import REMOTE_USER

_DEEPEST = 3


def assertion_of(claims: dict[str, Any]) -> dict[str, list[str]]:
    """Values by attribute name. `REMOTE_USER` is `sub@issuer`."""
    found = {f"OIDC-{name}": values for name, values in _flat(claims, _DEEPEST)}
    by_header: dict[str, list[str]] = {}
    for name in found:
        by_header.setdefault(f"HTTP_{name.upper().replace('-', '_')}", []).append(name)
    # two claims that a header would not keep apart have no name of that kind
    found |= {header: found[names[0]] for header, names in by_header.items() if len(names) == 1}
    return found | {REMOTE_USER: [f"{claims.get('sub')}@{claims.get('iss')}"]}


def _flat(claims: dict[str, Any], depth: int) -> Iterator[tuple[str, list[str]]]:
    for name, value in claims.items():
        if isinstance(value, dict):
            if depth > 1:
                yield from ((f"{name}.{inner}", values) for inner, values in _flat(value, depth - 1))
        elif isinstance(value, list):
            yield name, [_text(one) for one in value if isinstance(one, str | int | float)]
        elif isinstance(value, str | int | float):
            yield name, [_text(value)]


def _text(value: str | float) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
