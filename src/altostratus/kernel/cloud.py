# SPDX-License-Identifier: Apache-2.0
"""`Cloud`: what the composition root has put together, found by type. No globals.

Logic and job steps get it as `call.cloud` or `step.cloud`.
"""

from collections.abc import Iterable
from typing import TypeVar

from altostratus.kernel.auth import Authenticator
from altostratus.kernel.bus import Bus
from altostratus.kernel.config import Section, Settings
from altostratus.kernel.db import Db
from altostratus.kernel.desired import Desired
from altostratus.kernel.events import Events
from altostratus.kernel.jobs import Jobs
from altostratus.kernel.policy import Policy
from altostratus.kernel.quota import Quotas
from altostratus.kernel.resource.service import Service

S = TypeVar("S", bound=Section)
P = TypeVar("P")


class Cloud:
    """The running cloud as its services see it."""

    def __init__(self, db: Db, bus: Bus, settings: Settings) -> None:
        self.db, self.bus, self.settings = db, bus, settings
        self.desired: Desired
        self.events: Events
        self.jobs: Jobs
        self.authenticator: Authenticator
        self.services: dict[str, Service] = {}
        self._policies: dict[str, Policy] = {}
        self._quotas: dict[str, Quotas] = {}
        self._parts: dict[type, object] = {}

    def __getitem__(self, section: type[S]) -> S:
        """Options: `cloud[ComputeOptions].cpu_allocation_ratio`."""
        return self.settings[section]

    def add_part(self, kind: type[P], part: P) -> None:
        """Give the services a driver or another thing with a life, under its type."""
        self._parts[kind] = part

    def part(self, kind: type[P]) -> P:
        """The part of this type. Raises KeyError if the composition root gave none."""
        found: P = self._parts[kind]  # type: ignore[assignment]
        return found

    def has_part(self, kind: type) -> bool:
        return kind in self._parts

    def add_service(self, service: Service, policy: Policy, quotas: Quotas) -> None:
        self.services[service.type] = service
        self._policies[service.type] = policy
        self._quotas[service.type] = quotas

    def policy(self, service_type: str) -> Policy:
        return self._policies[service_type]

    def quotas(self, service_type: str) -> Quotas:
        return self._quotas[service_type]

    def all_services(self) -> Iterable[Service]:
        return self.services.values()
