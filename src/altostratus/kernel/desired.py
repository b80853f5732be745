# SPDX-License-Identifier: Apache-2.0
"""Wanted state: rows that agents make true, and what they reported of it.

A row is named by (kind, id, host). Changing its spec raises its generation; the agent's report says
which generation it answers. Revisions grow with every change, so an agent asks only for what is new.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Index, select

from altostratus.contracts.host_api import Changes, Report, Wanted
from altostratus.kernel import clock
from altostratus.kernel.db import Db, Json, Mapped, Model, Row, Tx, mapped_column, table_of

TOPIC = "desired"
ALIVE_S = 60


class DesiredRow(Model):
    __tablename__ = "desired"
    __table_args__ = (Index("ix_desired_host_revision", "host", "revision"),)
    kind: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str] = mapped_column(primary_key=True)
    generation: Mapped[int]
    revision: Mapped[int]
    spec: Mapped[Any | None] = mapped_column(Json)
    observed_generation: Mapped[int] = mapped_column(default=0)
    observed: Mapped[Any | None] = mapped_column(Json)
    error: Mapped[str | None]
    final: Mapped[bool] = mapped_column(default=False)
    wanted_at: Mapped[str]
    reported_at: Mapped[str | None]


class Revision(Model):
    """One row: the newest revision."""

    __tablename__ = "desired_revision"
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int]


class HostRow(Model):
    """A host that has announced itself."""

    __tablename__ = "hosts"
    name: Mapped[str] = mapped_column(primary_key=True)
    kinds: Mapped[list[Any]]
    facts: Mapped[dict[str, Any]]
    first_seen: Mapped[str]
    last_seen: Mapped[str]


class Want(NamedTuple):
    """A wish: `spec` is a dict or a frozen Struct; None means absent."""

    kind: str
    id: str
    host: str
    spec: Any


class Host(NamedTuple):
    name: str
    kinds: frozenset[str]
    facts: dict[str, Any]
    last_seen: str
    alive: bool


OnReport = Callable[[Tx, Row[Any], Report], None]


class Desired:
    """The store of wanted rows."""

    def __init__(self, db: Db) -> None:
        self._db = db
        self._subscribers: dict[str, list[OnReport]] = {}
        self._observers: list[Callable[[Tx, str, str], None]] = []

    # what services write and read

    def want(self, tx: Tx, want: Want) -> int:
        """Write the wish; the generation that answers it. An equal spec raises nothing."""
        spec = want.spec if want.spec is None or isinstance(want.spec, dict) else msgspec.to_builtins(want.spec)
        row = tx.find(DesiredRow, want.kind, want.id, want.host)
        if row is not None and row.spec == spec:
            return int(row.generation)
        if row is None and spec is None:
            return 0
        # the global revision serves as generation: a thing removed and wanted again never reuses a number
        generation = self._next_revision(tx)
        values = {"generation": generation, "revision": generation, "spec": spec, "wanted_at": clock.now()}
        if row is None:
            tx.insert(
                DesiredRow, kind=want.kind, id=want.id, host=want.host, observed_generation=0, final=False, **values
            )
        else:
            tx.update(DesiredRow, want.kind, want.id, want.host, error=None, final=False, **values)
        tx.after_commit(lambda: self._db.bus.wake(TOPIC))
        return int(generation)

    def _next_revision(self, tx: Tx) -> int:
        row = tx.find(Revision, "desired")
        if row is None:
            tx.insert(Revision, name="desired", value=1)
            return 1
        tx.update(Revision, "desired", value=row.value + 1)
        return int(row.value) + 1

    def show(self, tx: Tx, kind: str, id: str, host: str | None = None) -> Row[Any] | None:
        return tx.find(DesiredRow, kind=kind, id=id, **({"host": host} if host else {}))

    def many(self, tx: Tx, kind: str, ids: Iterable[str]) -> dict[str, Row[Any]]:
        table = table_of(DesiredRow)
        rows = tx.rows(select(table).where(table.c.kind == kind, table.c.id.in_(list(ids))))
        return {row.id: row for row in rows}

    def list_host(self, tx: Tx, host: str) -> list[Row[Any]]:
        table = table_of(DesiredRow)
        return tx.rows(select(table).where(table.c.host == host))

    # hosts

    def hello(self, host: str, kinds: Iterable[str], facts: dict[str, Any]) -> None:
        moment = clock.now()
        with self._db.write() as tx:
            values = {"kinds": sorted(set(kinds)), "facts": facts, "last_seen": moment}
            if tx.update(HostRow, host, **values) == 0:
                tx.insert(HostRow, name=host, first_seen=moment, **values)
            tx.after_commit(lambda: self._db.bus.wake("hosts"))

    def hosts(self, tx: Tx, kind: str | None = None) -> list[Host]:
        """Hosts that have an agent for `kind`, by name."""
        table = table_of(HostRow)
        oldest = clock.after(-ALIVE_S)
        found = [
            Host(row.name, frozenset(row.kinds), row.facts, row.last_seen, row.last_seen >= oldest)
            for row in tx.rows(select(table).order_by(table.c.name))
        ]
        return [host for host in found if kind is None or kind in host.kinds]

    # what agents call

    def watch(self, host: str, kinds: list[str], since: int, timeout_s: float) -> Changes:
        """Rows of this host with a revision above `since`; waits up to `timeout_s` for one."""
        deadline = clock.monotonic() + timeout_s
        while True:
            seen = self._db.bus.count(TOPIC)
            changes = self._changes(host, kinds, since)
            left = deadline - clock.monotonic()
            if changes.rows or left <= 0:
                return changes
            self._db.bus.wait(TOPIC, seen, min(left, 2.0))

    def _changes(self, host: str, kinds: list[str], since: int) -> Changes:
        table = table_of(DesiredRow)
        with self._db.read() as tx:
            rows = tx.rows(
                select(table.c.kind, table.c.id, table.c.generation, table.c.spec, table.c.revision)
                .where(table.c.host == host, table.c.kind.in_(kinds), table.c.revision > since)
                .order_by(table.c.revision)
            )
        wanted = [Wanted(kind=row.kind, id=row.id, generation=row.generation, spec=row.spec) for row in rows]
        return Changes(revision=max((row.revision for row in rows), default=since), rows=wanted)

    def report(self, host: str, reports: list[Report]) -> None:
        """Store what an agent observed, tell the subscribers, wake the jobs that wait for it."""
        with self._db.write() as tx:
            for report in reports:
                self._report_one(tx, host, report)

    def _report_one(self, tx: Tx, host: str, report: Report) -> None:
        row = tx.find(DesiredRow, report.kind, report.id, host)
        if row is None or report.generation < row.observed_generation:
            return
        done = report.error is None
        if done and row.spec is None and report.generation >= row.generation:
            tx.delete(DesiredRow, report.kind, report.id, host)
        else:
            values: dict[str, Any] = {"error": report.error, "final": report.final, "reported_at": clock.now()}
            if done:
                values |= {"observed_generation": report.generation, "observed": report.state}
            tx.update(DesiredRow, report.kind, report.id, host, **values)
        for subscriber in self._subscribers.get(report.kind, ()):
            subscriber(tx, row, report)
        for observer in self._observers:
            observer(tx, report.kind, report.id)

    def on_report(self, kind: str, subscriber: OnReport) -> None:
        """`subscriber(tx, row before, report)` runs in the transaction that stores the report."""
        self._subscribers.setdefault(kind, []).append(subscriber)

    def on_any(self, observer: Callable[[Tx, str, str], None]) -> None:
        """For the job engine: (tx, kind, id) of every report."""
        self._observers.append(observer)
