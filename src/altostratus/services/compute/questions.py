# SPDX-License-Identifier: Apache-2.0
"""What processes beside the hardware may ask compute."""

from typing import Any

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.errors import Conflict, NotFound
from altostratus.kernel.host_calls import HostCalls
from altostratus.services.compute import public

_CALLS = {"novnc": "compute.vnc", "serial": "compute.serial_console"}


def console(cloud: Cloud, params: dict[str, Any]) -> dict[str, Any]:
    """What a console proxy is to connect a token with: {"server_id", "host", "socket"}.

    Raises NotFound for a token that is not good, Conflict for a server without a host, Unavailable if the
    host does not answer.
    """
    with cloud.db.read() as tx:
        opened = public.check_console_token(tx, str(params["token"]))
        found = public.find_servers(tx, [opened.server_id]).get(opened.server_id) if opened else None
    if opened is None or found is None:
        raise NotFound("This console URL is unknown or has expired. Ask for a new one.")
    if found.host is None:
        raise Conflict(f"Server {found.id} is on no host and has no console.")
    calls = cloud.part(HostCalls)  # type: ignore[type-abstract]
    answer = calls.call(found.host, _CALLS[opened.console_type], {"server_id": found.id})
    return {"server_id": found.id, "host": found.host, "socket": answer["socket"]}
