# SPDX-License-Identifier: Apache-2.0
"""The only door for other services.

Everything takes the open transaction first; wanted rows for the hosts are written in it as well.
"""

from altostratus.services.network.logic import proxied, quarantines
from altostratus.services.network.logic.port_info import (
    PortInfo,
    SubnetInfo,
    find_ports,
    find_subnets,
    get_port,
    metadata_ports,
    ports_of_servers,
)
from altostratus.services.network.logic.security_groups import resolve as resolve_security_groups
from altostratus.services.network.logic.server_nics import (
    RequestedNic,
    add_security_group,
    create_or_bind_ports,
    detach_port,
    port_wants,
    release_ports,
    remove_security_group,
    security_groups_of_servers,
    set_ports_status,
    unplug_wants,
    validate_requested,
)
from altostratus.services.network.logic.server_views import PortView, port_views

__all__ = [
    "PortInfo",
    "PortView",
    "RequestedNic",
    "SubnetInfo",
    "add_security_group",
    "create_or_bind_ports",
    "detach_port",
    "find_ports",
    "find_subnets",
    "get_port",
    "metadata_ports",
    "port_views",
    "port_wants",
    "ports_of_servers",
    "proxied",
    "quarantines",
    "release_ports",
    "remove_security_group",
    "resolve_security_groups",
    "security_groups_of_servers",
    "set_ports_status",
    "unplug_wants",
    "validate_requested",
]
