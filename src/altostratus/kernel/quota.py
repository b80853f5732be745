# SPDX-License-Identifier: Apache-2.0
"""Quotas: limits are rows, usage is counted where it is, so nothing can leak.

Limits are the services' own, or (`[quota] driver = "unified"`) those that a `LimitSource` keeps for all of them.
Counting happens in the transaction that inserts, after a lock on the project (SQLite: the writer's
lock; other databases: a row lock), so two requests at once cannot both take the last unit.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, NamedTuple, Protocol

from sqlalchemy import bindparam, select

from altostratus.kernel.config import Meta, Section
from altostratus.kernel.db import Mapped, Model, Tx, mapped_column, table_of
from altostratus.kernel.errors import OverQuota

UNLIMITED = -1
_PROJECTS_AT_ONCE = 10_000


class QuotaOptions(Section, frozen=True, kw_only=True, name="quota"):
    """Who keeps the limits of projects."""

    driver: Annotated[
        str,
        Meta(
            description="own: every service its own (openstack quota set); unified: identity for all of them "
            "(openstack registered limit create, openstack limit create)",
            pattern="^(own|unified)$",
        ),
    ] = "own"


class QuotaLimit(Model):
    """A limit that differs from the default. `project_id` "default" holds the class default."""

    __tablename__ = "quota_limits"
    service: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(primary_key=True)
    resource: Mapped[str] = mapped_column(primary_key=True)
    hard_limit: Mapped[int]


class QuotaLock(Model):
    """One row a project or domain, locked while its quota is being used (databases with several writers)."""

    __tablename__ = "quota_locks"
    project_id: Mapped[str] = mapped_column(primary_key=True)


_limit = table_of(QuotaLimit).c
_LIMITS = select(_limit.project_id, _limit.resource, _limit.hard_limit).where(
    _limit.service == bindparam("service"), _limit.project_id.in_(bindparam("projects", expanding=True))
)


class Countable(NamedTuple):
    """A resource under quota. `used` counts what some projects use now; `unified` is its name in a `LimitSource`."""

    name: str
    default: int
    used: Callable[[Tx, Sequence[str]], int] | None = None
    words: str = ""
    unified: str = ""


class Ceiling(NamedTuple):
    """Limits that hold for what `projects` use together; `holder` is the project or domain that they were given to.

    `words` say in a refusal whose limits they are, if not the project's own. What is not in `limits` has none.
    """

    holder: str
    projects: Sequence[str]
    limits: Mapping[str, int]
    words: str = ""


class LimitSource(Protocol):
    """Keeps the limits of one service in its place, under the `unified` names."""

    def defaults(self, tx: Tx) -> dict[str, int]:
        """Limits of projects that have none of their own; what is not here has the service's default."""

    def ceilings(self, tx: Tx, project_id: str) -> list[Ceiling]:
        """The project's own ceiling, then those it shares with others; in a constant number of queries."""

    def projects(self, tx: Tx) -> list[str]:
        """Those that have limits of their own."""


class Quotas:
    """The quota of one service."""

    def __init__(
        self,
        service: str,
        resources: Iterable[Countable],
        defaults: Mapping[str, int] | None = None,
        *,
        source: LimitSource | None = None,
    ) -> None:
        self.service = service
        self.resources = {resource.name: resource for resource in resources}
        self._defaults = {name: resource.default for name, resource in self.resources.items()} | dict(defaults or {})
        self._source = source
        self._names = {resource.unified or resource.name: resource.name for resource in self.resources.values()}

    # limits

    def defaults(self, tx: Tx) -> dict[str, int]:
        """Limits of a project that has none of its own."""
        if self._source is not None:
            return self._defaults | self._renamed(self._source.defaults(tx))
        return self._defaults | self._stored(tx, "default")["default"]

    def limits(self, tx: Tx, project_id: str) -> dict[str, int]:
        return dict(self.ceilings(tx, project_id)[0].limits)

    def ceilings(self, tx: Tx, project_id: str) -> list[Ceiling]:
        """What holds for the project: its own limits first, then those that it shares with others."""
        if self._source is None:
            stored = self._stored(tx, "default", project_id)
            return [Ceiling(project_id, (project_id,), self._defaults | stored["default"] | stored[project_id])]
        own, *shared = (
            ceiling._replace(limits=self._renamed(ceiling.limits)) for ceiling in self._source.ceilings(tx, project_id)
        )
        return [own._replace(limits={**self._defaults, **own.limits}), *shared]

    def projects(self, tx: Tx) -> list[str]:
        """Projects that have limits of their own."""
        if self._source is not None:
            return self._source.projects(tx)
        own = select(_limit.project_id).where(_limit.service == self.service, _limit.project_id != "default")
        return tx.scalars(own.distinct().order_by(_limit.project_id))

    def _renamed(self, limits: Mapping[str, int]) -> dict[str, int]:
        """By the service's own names; names that it does not know stay as they are."""
        return {self._names.get(name, name): limit for name, limit in limits.items()}

    def _stored(self, tx: Tx, *project_ids: str) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {project_id: {} for project_id in project_ids}
        for row in tx.rows(_LIMITS, {"service": self.service, "projects": project_ids}):
            found[row.project_id][row.resource] = row.hard_limit
        return found

    def set_limits(self, tx: Tx, project_id: str, limits: Mapping[str, int]) -> None:
        """Changes nothing when a source keeps the limits: they are set there (upstream's unified driver, likewise)."""
        for name, value in limits.items() if self._source is None else ():
            if tx.update(QuotaLimit, self.service, project_id, name, hard_limit=value) == 0:
                tx.insert(QuotaLimit, service=self.service, project_id=project_id, resource=name, hard_limit=value)

    def reset(self, tx: Tx, project_id: str) -> None:
        """Back to the defaults; like `set_limits` without effect when a source keeps the limits."""
        if self._source is None:
            tx.delete_where(QuotaLimit, _limit.service == self.service, _limit.project_id == project_id)

    # use

    def usage(self, tx: Tx, project_id: str) -> dict[str, int]:
        return {name: self.used(tx, name, (project_id,)) for name in self.resources}

    def used(self, tx: Tx, name: str, projects: Sequence[str]) -> int:
        """Units of a resource that these projects use together."""
        count = self.resources[name].used
        if count is None:
            return 0
        starts = range(0, len(projects), _PROJECTS_AT_ONCE)
        return sum(count(tx, projects[start : start + _PROJECTS_AT_ONCE]) for start in starts)

    def hold(self, tx: Tx, project_id: str) -> list[Ceiling]:
        """`ceilings`, locked until the transaction ends: what is counted now is still so when rows are inserted."""
        found = self.ceilings(tx, project_id)
        for ceiling in found:
            self._lock(tx, ceiling.holder)
        return found

    def demand(self, tx: Tx, project_id: str, wanted: Mapping[str, int]) -> None:
        """Raises OverQuota when `wanted` more units would exceed a limit. Call before inserting."""
        for ceiling in self.hold(tx, project_id):
            for name, units in wanted.items():
                limit = ceiling.limits.get(name, UNLIMITED)
                if limit == UNLIMITED or units <= 0 or self.resources[name].used is None:
                    continue
                used = self.used(tx, name, ceiling.projects)
                if used + units > limit:
                    raise OverQuota(
                        f"Quota exceeded for {name}: requested {units}, but already used {used} of {limit} {name}"
                        f"{ceiling.words}. Delete some, or ask an administrator for a higher quota.",
                        details={"resource": name, "requested": units, "used": used, "limit": limit},
                    )

    @staticmethod
    def _lock(tx: Tx, holder: str) -> None:
        if tx.conn.dialect.name == "sqlite":
            return
        lock = table_of(QuotaLock)
        if tx.first(select(lock).where(lock.c.project_id == holder).with_for_update()) is None:
            tx.insert(QuotaLock, project_id=holder)
