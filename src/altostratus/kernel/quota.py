# SPDX-License-Identifier: Apache-2.0
"""Quotas: limits are rows, usage is counted where it is, so nothing can leak.

Counting happens in the transaction that inserts, after a lock on the project (SQLite: the writer's
lock; other databases: a row lock), so two requests at once cannot both take the last unit.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from sqlalchemy import bindparam, select

from altostratus.kernel.db import Mapped, Model, Tx, mapped_column, table_of
from altostratus.kernel.errors import OverQuota

UNLIMITED = -1


class QuotaLimit(Model):
    """A limit that differs from the default. `project_id` "default" holds the class default."""

    __tablename__ = "quota_limits"
    service: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(primary_key=True)
    resource: Mapped[str] = mapped_column(primary_key=True)
    hard_limit: Mapped[int]


class QuotaLock(Model):
    """One row a project, locked while its quota is being used (databases with several writers)."""

    __tablename__ = "quota_locks"
    project_id: Mapped[str] = mapped_column(primary_key=True)


_limit = table_of(QuotaLimit).c
_LIMITS = select(_limit.project_id, _limit.resource, _limit.hard_limit).where(
    _limit.service == bindparam("service"), _limit.project_id.in_(bindparam("projects", expanding=True))
)


class Countable(NamedTuple):
    """A resource under quota. `used` counts what a project uses now."""

    name: str
    default: int
    used: Callable[[Tx, str], int] | None = None
    words: str = ""


class Quotas:
    """The quota of one service."""

    def __init__(self, service: str, resources: Iterable[Countable], defaults: Mapping[str, int] | None = None) -> None:
        self.service = service
        self.resources = {resource.name: resource for resource in resources}
        self._defaults = {name: resource.default for name, resource in self.resources.items()} | dict(defaults or {})

    def defaults(self, tx: Tx) -> dict[str, int]:
        """Limits of a project that has none of its own."""
        return self._defaults | self._stored(tx, "default")["default"]

    def limits(self, tx: Tx, project_id: str) -> dict[str, int]:
        stored = self._stored(tx, "default", project_id)
        return self._defaults | stored["default"] | stored[project_id]

    def usage(self, tx: Tx, project_id: str) -> dict[str, int]:
        return {
            name: resource.used(tx, project_id) if resource.used else 0 for name, resource in self.resources.items()
        }

    def _stored(self, tx: Tx, *project_ids: str) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {project_id: {} for project_id in project_ids}
        for row in tx.rows(_LIMITS, {"service": self.service, "projects": project_ids}):
            found[row.project_id][row.resource] = row.hard_limit
        return found

    def set_limits(self, tx: Tx, project_id: str, limits: Mapping[str, int]) -> None:
        for name, value in limits.items():
            if tx.update(QuotaLimit, self.service, project_id, name, hard_limit=value) == 0:
                tx.insert(QuotaLimit, service=self.service, project_id=project_id, resource=name, hard_limit=value)

    def reset(self, tx: Tx, project_id: str) -> None:
        limit = table_of(QuotaLimit).c
        tx.delete_where(QuotaLimit, limit.service == self.service, limit.project_id == project_id)

    def demand(self, tx: Tx, project_id: str, wanted: Mapping[str, int]) -> None:
        """Raises OverQuota when `wanted` more units would exceed a limit. Call before inserting."""
        self._lock(tx, project_id)
        limits = self.limits(tx, project_id)
        for name, units in wanted.items():
            limit, count = limits.get(name, UNLIMITED), self.resources[name].used
            if limit == UNLIMITED or units <= 0 or count is None:
                continue
            used = count(tx, project_id)
            if used + units > limit:
                raise OverQuota(
                    f"Quota exceeded for {name}: requested {units}, but already used {used} of {limit} {name}. "
                    f"Delete some, or ask an administrator for a higher quota.",
                    details={"resource": name, "requested": units, "used": used, "limit": limit},
                )

    @staticmethod
    def _lock(tx: Tx, project_id: str) -> None:
        if tx.conn.dialect.name == "sqlite":
            return
        lock = table_of(QuotaLock)
        if tx.first(select(lock).where(lock.c.project_id == project_id).with_for_update()) is None:
            tx.insert(QuotaLock, project_id=project_id)
