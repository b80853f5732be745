# SPDX-License-Identifier: Apache-2.0
"""What filters and weighers look at: a host as it is now, and what is asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from altostratus.services.compute.logic.hosts import ComputeHost
from altostratus.services.placement.public import Capacity


@dataclass(frozen=True, slots=True)
class HostState:
    """A host that placement says has room. `servers` are the ids of the servers on it."""

    host: ComputeHost
    capacity: Mapping[str, Capacity]
    servers: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return self.host.name


@dataclass(frozen=True, slots=True)
class Request:
    """One server that needs a host. `group_hosts` has the host of each other member, once a member."""

    project_id: str
    flavor: Mapping[str, Any]
    image_properties: Mapping[str, Any] = field(default_factory=dict)
    zone: str | None = None
    host: str | None = None
    hints: Mapping[str, Any] = field(default_factory=dict)
    group_policy: str | None = None
    group_rules: Mapping[str, Any] = field(default_factory=dict)
    group_hosts: tuple[str, ...] = ()

    def hinted_servers(self, name: str) -> frozenset[str]:
        """The server ids of a hint that may be one text or a list."""
        value = self.hints.get(name) or []
        return frozenset([value] if isinstance(value, str) else value)
