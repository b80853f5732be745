# SPDX-License-Identifier: Apache-2.0
"""Somebody whom a web server in front has logged in (Kerberos, client certificates ...), as upstream's REMOTE_USER.

The server names the user in a header. It is believed from the operator's own proxies only.
"""

import ipaddress
from typing import Any

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.errors import Unauthorized
from altostratus.services.identity.config import IdentityOptions
from altostratus.services.identity.logic import login
from altostratus.services.identity.logic.login import LoginError
from altostratus.services.identity.tokens.attempt import Attempt

SCHEMA: dict[str, Any] = {"type": "object"}


def step(cloud: Cloud, attempt: Attempt, _given: dict[str, Any]) -> None:
    options = cloud[IdentityOptions]
    if not options.external_user_header or not options.external_proxies:
        raise Unauthorized(
            "The method external needs a web server that logs people in; the operator has to name its header and its"
            " address: [identity] external_user_header and external_proxies."
        )
    name = _name_of(options, attempt)
    with cloud.db.read() as tx:
        user = login.find_login_user(tx, {"name": name, "domain": {"id": options.external_domain_id}})
    if user is None:
        raise LoginError(f"the web server names a user that does not exist or is disabled: {name!r}")
    attempt.settle_user(user)


def _name_of(options: IdentityOptions, attempt: Attempt) -> str:
    """What the header says. Raises LoginError if it is missing, or did not come from a proxy."""
    request = attempt.request
    if request is None or not _is_within(request.peer, options.external_proxies):
        raise LoginError("the method external was tried past the web server")
    name = request.headers.get(options.external_user_header.upper())
    if not name:
        raise LoginError(f"the web server sent no {options.external_user_header}")
    return name


def _is_within(address: str, networks: list[str]) -> bool:
    try:
        peer = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(peer in ipaddress.ip_network(network) for network in networks)
