# SPDX-License-Identifier: Apache-2.0
"""Events with an outbox: what happened is a row of the same transaction, delivered afterwards.

Every subscriber has its own cursor and gets each event at least once, in order. Sinks get the
envelope that consumers of oslo.messaging notifications understand.
"""

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from sqlalchemy import func, select

from altostratus.kernel import clock, ids, log
from altostratus.kernel.db import Db, Json, Mapped, Model, Tx, mapped_column, table_of

TOPIC = "events"
_BATCH = 100
_log = log.get("events")


class EventRow(Model):
    __tablename__ = "events"
    __table_args__ = {"sqlite_autoincrement": True}
    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    message_id: Mapped[str]
    event_type: Mapped[str]
    publisher_id: Mapped[str]
    priority: Mapped[str]
    payload: Mapped[Any] = mapped_column(Json)
    request_id: Mapped[str]
    created_at: Mapped[str]


class EventCursor(Model):
    __tablename__ = "event_cursors"
    subscriber: Mapped[str] = mapped_column(primary_key=True)
    sequence: Mapped[int]


class Event(NamedTuple):
    sequence: int
    message_id: str
    event_type: str
    publisher_id: str
    priority: str
    payload: Any
    request_id: str
    created_at: str

    def envelope(self) -> dict[str, Any]:
        """The notification as oslo.messaging's consumers expect it."""
        return {
            "message_id": self.message_id,
            "publisher_id": self.publisher_id,
            "event_type": self.event_type,
            "priority": self.priority,
            "payload": self.payload,
            "timestamp": self.created_at.replace("T", " "),
            "_context_request_id": self.request_id,
        }


Subscriber = Callable[[Tx, Event], None]
Sink = Callable[[dict[str, Any]], None]


class Events:
    """The outbox and its dispatcher."""

    def __init__(self, db: Db) -> None:
        self._db = db
        self._subscribers: dict[str, tuple[str, Subscriber]] = {}
        self._sinks: dict[str, Sink] = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def emit(
        self, tx: Tx, event_type: str, payload: Any, *, publisher_id: str = "altostratus", priority: str = "INFO",
        request_id: str | None = None,
    ) -> None:  # fmt: skip
        """Say that something happened; nobody hears of it before the transaction is on disk."""
        tx.insert(
            EventRow,
            message_id=ids.new_id(),
            event_type=event_type,
            publisher_id=publisher_id,
            priority=priority,
            payload=payload,
            request_id=request_id or log.current_request_id(),
            created_at=clock.now(),
        )
        tx.after_commit(lambda: self._db.bus.wake(TOPIC))

    def subscribe(self, name: str, prefix: str, subscriber: Subscriber) -> None:
        """`subscriber(tx, event)` for every event type that begins with `prefix`; `name` owns the cursor."""
        self._subscribers[name] = (prefix, subscriber)

    def add_sink(self, name: str, sink: Sink) -> None:
        """`sink(envelope)` for every event, outside any transaction; it may be told twice."""
        self._sinks[name] = sink

    def deliver_all(self) -> int:
        """Deliver what is waiting; how many deliveries were made."""
        delivered = 0
        for name, (prefix, subscriber) in self._subscribers.items():
            delivered += self._deliver(name, prefix, subscriber)
        for name, sink in self._sinks.items():
            delivered += self._deliver("sink:" + name, "", lambda _tx, event, sink=sink: sink(event.envelope()))  # type: ignore[misc]
        return delivered

    def _deliver(self, name: str, prefix: str, subscriber: Subscriber) -> int:
        delivered = 0
        while batch := self._next_batch(name):
            with self._db.write() as tx:
                for event in batch:
                    if event.event_type.startswith(prefix):
                        subscriber(tx, event)
                        delivered += 1
                if tx.update(EventCursor, name, sequence=batch[-1].sequence) == 0:
                    tx.insert(EventCursor, subscriber=name, sequence=batch[-1].sequence)
        return delivered

    def _next_batch(self, name: str) -> list[Event]:
        table = table_of(EventRow)
        with self._db.read() as tx:
            cursor = tx.find(EventCursor, name)
            after = cursor.sequence if cursor is not None else 0
            rows = tx.rows(select(table).where(table.c.sequence > after).order_by(table.c.sequence).limit(_BATCH))
        return [Event(**row._mapping) for row in rows]

    def prune(self, keep_s: float) -> None:
        """Forget events older than `keep_s` that everybody has had."""
        table = table_of(EventRow).c
        with self._db.write() as tx:
            slowest = tx.scalar(select(func.min(table_of(EventCursor).c.sequence)))
            if slowest is not None:
                tx.delete_where(EventRow, table.created_at < clock.after(-keep_s), table.sequence <= slowest)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._db.bus.wake(TOPIC)
        if self._thread is not None:
            self._thread.join(5)

    def _run(self) -> None:
        while not self._stopping.is_set():
            seen = self._db.bus.count(TOPIC)
            try:
                self.deliver_all()
            except Exception:  # noqa: BLE001  (boundary: a subscriber's bug must not end the dispatcher)
                _log.exception("delivering events failed; trying again")
                self._stopping.wait(2.0)
            self._db.bus.wait(TOPIC, seen, 5.0)
