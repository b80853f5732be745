# SPDX-License-Identifier: Apache-2.0
"""Wanted state: rows that agents make true, and what they reported of it.

A row is named by (kind, id, host), so a thing that moves is absent on one host and present on another.
Changing its spec raises its generation; the agent's report says which generation it answers. Revisions
grow with every change of any row, so an agent asks only for what is new. The revision of a change serves
as the generation too: a thing that is removed and wanted again never meets reports of its earlier life.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Index, Text, insert, select, update
from sqlalchemy.exc import IntegrityError

from altostratus.kernel import clock, log
from altostratus.kernel.db import Db, Json, Mapped, Model, Row, Tx, mapped_column, table_of
from altostratus.kernel.wanted import Changes, Report, Wanted

ALIVE_S = 60
_log = log.get("desired")


class DesiredRow(Model):
    """`spec` NULL means absent. `error` answers the present generation; NULL once it is observed."""

    __tablename__ = "desired"
    __table_args__ = (
        Index("ix_desired_host_revision", "host", "revision"),
        Index("ix_desired_id", "id"),
    )
    kind: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str] = mapped_column(primary_key=True)
    generation: Mapped[int]
    revision: Mapped[int]
    spec: Mapped[Any | None] = mapped_column(Json)
    observed_generation: Mapped[int] = mapped_column(default=0)
    observed: Mapped[Any | None] = mapped_column(Json)
    error: Mapped[str | None] = mapped_column(Text)
    final: Mapped[bool] = mapped_column(default=False)
    wanted_at: Mapped[str]
    reported_at: Mapped[str | None]


class Revision(Model):
    """One row: the newest revision. Changing it makes writers queue, so revisions appear in their order."""

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
    """A host; `alive` if it was heard of in the last minute."""

    name: str
    kinds: frozenset[str]
    facts: dict[str, Any]
    last_seen: str
    alive: bool


OnReport = Callable[[Tx, Row[Any], Report], None]
OnReports = Callable[[Tx, str, list[Report]], None]

_rows = table_of(DesiredRow)
_counter = table_of(Revision)
_next_revision = update(_counter).where(_counter.c.name == "desired").values(value=_counter.c.value + 1)
_next_revision_returning = _next_revision.returning(_counter.c.value)


class Desired:
    """The store of wanted rows."""

    def __init__(self, db: Db) -> None:
        self._db = db
        self._subscribers: dict[str, list[OnReport]] = {}
        self._observers: list[OnReports] = []
        self._claims: list[OnReports] = []

    # what services write and read

    def want(self, tx: Tx, want: Want) -> int:
        """Write the wish; the generation that answers it (0: nothing is there and nothing shall be).

        An equal wish changes nothing, unless the host had given up on it: then it is asked anew.
        """
        spec = _plain(want.spec)
        row = tx.find(DesiredRow, want.kind, want.id, want.host)
        if row is None and spec is None:
            return 0
        if row is not None and row.spec == spec and not row.final:
            return int(row.generation)
        generation = self._revise(tx)
        values = {"generation": generation, "revision": generation, "spec": spec, "wanted_at": clock.now()}
        if row is None:
            key = {"kind": want.kind, "id": want.id, "host": want.host}
            tx.insert(DesiredRow, **key, observed_generation=0, final=False, **values)
        else:
            tx.update(DesiredRow, want.kind, want.id, want.host, error=None, final=False, **values)
        tx.after_commit(lambda: self._db.bus.wake(_topic(want.host)))
        return generation

    def is_observed(self, tx: Tx, want: Want, generation: int) -> bool:
        """Whether the host has made this wish true."""
        if generation == 0:
            return True
        row = tx.find(DesiredRow, want.kind, want.id, want.host)
        return row is None or (row.observed_generation >= generation and row.error is None)

    def forget_host(self, tx: Tx, host: str) -> None:
        """Drop a host that will never come back, with everything that was wanted there."""
        tx.delete_where(DesiredRow, _rows.c.host == host)
        tx.delete(HostRow, host)

    @staticmethod
    def _revise(tx: Tx) -> int:
        revision = tx.execute(_next_revision_returning).scalar()
        if revision is not None:
            return int(revision)
        try:
            with tx.savepoint():
                tx.execute(insert(_counter), {"name": "desired", "value": 1})
            return 1
        except IntegrityError:
            # somebody else was first, at the very first wish of this database
            return int(tx.execute(_next_revision_returning).scalar_one())

    def show(self, tx: Tx, kind: str, id: str, host: str | None = None) -> Row[Any] | None:
        """The row, or None. Of a thing on several hosts the one that was wanted last as present."""
        statement = select(_rows).where(_rows.c.kind == kind, _rows.c.id == id)
        if host is not None:
            statement = statement.where(_rows.c.host == host)
        return tx.first(statement.order_by(_rows.c.spec.is_(None), _rows.c.revision.desc()).limit(1))

    def many(self, tx: Tx, kind: str, ids: Iterable[str]) -> dict[str, Row[Any]]:
        """Rows by id; one query. Of a thing on several hosts the one that `show` would give."""
        statement = select(_rows).where(_rows.c.kind == kind, _rows.c.id.in_(list(ids)))
        rows = tx.rows(statement.order_by(_rows.c.spec.is_not(None), _rows.c.revision))
        return {row.id: row for row in rows}

    def list_host(self, tx: Tx, host: str) -> list[Row[Any]]:
        return tx.rows(select(_rows).where(_rows.c.host == host).order_by(_rows.c.revision))

    # hosts

    def hello(self, host: str, kinds: Iterable[str], facts: dict[str, Any]) -> None:
        """A host says that it lives. The topic "hosts" is woken when anything about it is new."""
        moment, kinds = clock.now(), sorted(set(kinds))
        with self._db.write() as tx:
            if tx.scalar(select(_counter.c.value)) is None:
                self._revise(tx)  # revision 0 means "tell me all": where nothing was wanted yet nobody could wait
            known = tx.find(HostRow, host)
            if known is not None and known.kinds == kinds and known.facts == facts:
                tx.update(HostRow, host, last_seen=moment)
                if known.last_seen >= clock.after(-ALIVE_S):
                    return
            elif known is not None:
                tx.update(HostRow, host, kinds=kinds, facts=facts, last_seen=moment)
            else:
                tx.insert(HostRow, name=host, kinds=kinds, facts=facts, first_seen=moment, last_seen=moment)
            tx.after_commit(lambda: self._db.bus.wake("hosts"))

    def hosts(self, tx: Tx, kind: str | None = None) -> list[Host]:
        """Hosts that have an agent for `kind`, by name; dead ones too."""
        table = table_of(HostRow)
        oldest = clock.after(-ALIVE_S)
        found = [
            Host(row.name, frozenset(row.kinds), row.facts, row.last_seen, row.last_seen >= oldest)
            for row in tx.rows(select(table).order_by(table.c.name))
        ]
        return [host for host in found if kind is None or kind in host.kinds]

    # what agents call

    def watch(self, host: str, kinds: list[str], since: int, timeout_s: float) -> Changes:
        """Rows of this host with a revision above `since`; waits up to `timeout_s` for one.

        `since=0` gives all rows at once, and so does a revision this database has never had.
        """
        topic = _topic(host)
        deadline = clock.monotonic() + timeout_s
        while True:
            seen = self._db.bus.count(topic)
            changes = self._changes(host, kinds, since)
            left = deadline - clock.monotonic()
            if changes.rows or since == 0 or left <= 0:
                return changes
            self._db.bus.wait(topic, seen, min(left, 2.0))

    def _changes(self, host: str, kinds: list[str], since: int) -> Changes:
        columns = (_rows.c.kind, _rows.c.id, _rows.c.generation, _rows.c.spec)
        with self._db.read() as tx:
            newest = int(tx.scalar(select(_counter.c.value)) or 0)
            if since > newest:
                since = 0
            statement = select(*columns).where(_rows.c.host == host, _rows.c.kind.in_(kinds), _rows.c.revision > since)
            rows = tx.rows(statement.order_by(_rows.c.revision))
        wanted = [Wanted(kind=row.kind, id=row.id, generation=row.generation, spec=row.spec) for row in rows]
        return Changes(revision=newest, rows=wanted)

    def report(self, host: str, reports: list[Report]) -> None:
        """Store what an agent observed, tell the subscribers, wake the jobs that wait for it: one transaction."""
        with self._db.write() as tx:
            for claim in self._claims:
                claim(tx, host, reports)
            rows = tx.rows(select(_rows).where(_rows.c.host == host, _rows.c.id.in_({one.id for one in reports})))
            known = {(row.kind, row.id): row for row in rows}
            for report in reports:
                row = known.get((report.kind, report.id))
                # no row: the thing was confirmed as gone earlier; this is the repetition of a lost answer
                if row is not None and report.generation >= row.observed_generation:
                    self._store(tx, row, report)
            for observer in self._observers:
                observer(tx, host, reports)

    def _store(self, tx: Tx, row: Row[Any], report: Report) -> None:
        current = report.generation >= row.generation
        if report.error is None and row.spec is None and current:
            tx.delete(DesiredRow, row.kind, row.id, row.host)
        else:
            values: dict[str, Any] = {}
            if report.error is None:
                values = {"observed_generation": min(report.generation, row.generation), "observed": report.state}
            if current:
                values |= {"error": report.error, "final": report.error is not None and report.final}
            if any(getattr(row, name) != value for name, value in values.items()):
                tx.update(DesiredRow, row.kind, row.id, row.host, reported_at=clock.now(), **values)
        for subscriber in self._subscribers.get(report.kind, ()):
            try:
                with tx.savepoint():
                    subscriber(tx, row, report)
            except Exception:  # noqa: BLE001  (boundary: one listener's defect must not keep the report out)
                _log.exception("a listener to reports of %s %s failed", report.kind, report.id)

    def on_report(self, kind: str, subscriber: OnReport) -> None:
        """`subscriber(tx, row before, report)` runs in the transaction that stores the report.

        Repetitions of the same report come too: at every resync of the agent.
        """
        self._subscribers.setdefault(kind, []).append(subscriber)

    def on_reports(self, observer: OnReports, *, claim: OnReports) -> None:
        """For the job engine: (tx, host, reports) of every batch, after it was stored; `claim` before that."""
        self._observers.append(observer)
        self._claims.append(claim)


def _plain(spec: Any) -> Any:
    """As it will come back from the database, so that equal specs are equal."""
    return None if spec is None else msgspec.json.decode(msgspec.json.encode(spec))


def _topic(host: str) -> str:
    return f"desired:{host}"
