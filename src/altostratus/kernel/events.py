# SPDX-License-Identifier: Apache-2.0
"""Events with an outbox: what happened is a row of the same transaction, delivered afterwards.

Every subscriber has its own cursor, moved in the transaction in which it handles an event, and gets each
event at least once, in order. Sinks are told outside transactions, with the envelope that consumers of
oslo.messaging notifications understand.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import func, select, text

from altostratus.kernel import clock, ids, log
from altostratus.kernel.db import Db, Json, Mapped, Model, Tx, mapped_column, table_of

TOPIC = "events"
MOST_TRIES = 10
_BATCH = 100
_POLL_S = 5.0
_LONGEST_PAUSE_S = 60.0
_PG_LOCK = 0x616C746F
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
    project_id: Mapped[str]
    user_id: Mapped[str]
    created_at: Mapped[str]


class EventCursor(Model):
    """The last event that a subscriber has handled."""

    __tablename__ = "event_cursors"
    subscriber: Mapped[str] = mapped_column(primary_key=True)
    sequence: Mapped[int]


class Event(NamedTuple):
    """Something that happened; `created_at` is a clock.Timestamp."""

    sequence: int
    message_id: str
    event_type: str
    publisher_id: str
    priority: str
    payload: Any
    request_id: str
    project_id: str
    user_id: str
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
            "_context_project_id": self.project_id,
            "_context_user_id": self.user_id,
        }


Handler = Callable[[Tx, Event], None]
Sink = Callable[[dict[str, Any]], None]

_events = table_of(EventRow)


@dataclass
class _Subscriber:
    """`position` runs ahead of the stored cursor over events that do not concern it."""

    name: str
    prefix: str
    handler: Handler | None = None
    sink: Sink | None = None
    position: int = -1
    tries: int = 0
    not_before: float = 0.0


class Events:
    """The outbox and its dispatcher."""

    def __init__(self, db: Db) -> None:
        self._db = db
        self._subscribers: dict[str, _Subscriber] = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def emit(
        self,
        tx: Tx,
        event_type: str,
        payload: Any,
        *,
        publisher_id: str = "altostratus",
        priority: str = "INFO",
        request_id: str | None = None,
    ) -> None:
        """Say that something happened; nobody hears of it before the transaction is on disk."""
        if not self._db.is_sqlite:
            # with several writers, numbers must appear in their order: whoever emits waits for the one before
            tx.execute(text(f"SELECT pg_advisory_xact_lock({_PG_LOCK})"))
        who = log.current()
        tx.insert(
            EventRow,
            message_id=ids.new_id(),
            event_type=event_type,
            publisher_id=publisher_id,
            priority=priority,
            payload=payload,
            request_id=request_id or who.request_id,
            project_id=who.project_id,
            user_id=who.user_id,
            created_at=clock.now(),
        )
        tx.after_commit(lambda: self._db.bus.wake(TOPIC))

    def subscribe(self, name: str, prefix: str, handler: Handler) -> None:
        """`handler(tx, event)` for every event type that begins with `prefix`; `name` owns the cursor.

        What the handler raises is logged and tried again with pauses; after ten tries the event is passed over.
        """
        self._add(_Subscriber(name, prefix, handler=handler))

    def add_sink(self, name: str, sink: Sink, prefix: str = "") -> None:
        """`sink(envelope)` for every event, outside any transaction; it may be told twice."""
        self._add(_Subscriber(f"sink:{name}", prefix, sink=sink))

    def _add(self, subscriber: _Subscriber) -> None:
        if subscriber.name in self._subscribers:
            raise ValueError(f"an event subscriber {subscriber.name} exists already")
        self._subscribers[subscriber.name] = subscriber

    def deliver_all(self) -> int:
        """Deliver what is waiting; how many deliveries were made."""
        with self._db.read() as tx:
            newest = int(tx.scalar(select(func.max(_events.c.sequence))) or 0)
            for subscriber in self._subscribers.values():
                if subscriber.position < 0:
                    cursor = tx.find(EventCursor, subscriber.name)
                    subscriber.position = cursor.sequence if cursor is not None else 0
        return sum(self._deliver(one, newest) for one in list(self._subscribers.values()) if one.position < newest)

    def _deliver(self, subscriber: _Subscriber, newest: int) -> int:
        delivered = 0
        while clock.monotonic() >= subscriber.not_before:
            batch = self._next_batch(subscriber)
            if not batch:
                subscriber.position = max(subscriber.position, newest)
                return delivered
            if not self._hand_over(subscriber, batch):
                # one by one: what comes before the broken one is done, and stays done
                for event in batch:
                    if not self._hand_over(subscriber, [event]):
                        self._pause(subscriber, event)
                        return delivered
                    delivered += 1
            else:
                delivered += len(batch)
        return delivered

    def _next_batch(self, subscriber: _Subscriber) -> list[Event]:
        statement = select(_events).where(_events.c.sequence > subscriber.position)
        if subscriber.prefix:
            statement = statement.where(_events.c.event_type.startswith(subscriber.prefix, autoescape=True))
        with self._db.read() as tx:
            rows = tx.rows(statement.order_by(_events.c.sequence).limit(_BATCH))
        return [Event(**row._mapping) for row in rows]

    def _hand_over(self, subscriber: _Subscriber, batch: list[Event]) -> bool:
        try:
            if subscriber.sink is not None:
                for event in batch:
                    subscriber.sink(event.envelope())
            with self._db.write() as tx:
                if subscriber.handler is not None:
                    for event in batch:
                        with log.on_behalf_of(event.request_id, event.user_id, event.project_id):
                            subscriber.handler(tx, event)
                _store_cursor(tx, subscriber.name, batch[-1].sequence)
        except Exception:  # noqa: BLE001  (boundary: a subscriber's defect must not keep events from the others)
            _log.exception("%s failed on %s", subscriber.name, ", ".join(sorted({one.event_type for one in batch})))
            return False
        subscriber.position, subscriber.tries = batch[-1].sequence, 0
        return True

    def _pause(self, subscriber: _Subscriber, event: Event) -> None:
        subscriber.tries += 1
        if subscriber.tries >= MOST_TRIES:
            _log.error("%s is passed over by %s for good", event, subscriber.name)
            with self._db.write() as tx:
                _store_cursor(tx, subscriber.name, event.sequence)
            subscriber.position, subscriber.tries = event.sequence, 0
        else:
            subscriber.not_before = clock.monotonic() + min(2.0 ** (subscriber.tries - 1), _LONGEST_PAUSE_S)

    def prune(self, keep_s: float = 7 * 86400) -> None:
        """Forget events older than `keep_s` that everybody has had."""
        with self._db.write() as tx:
            for subscriber in self._subscribers.values():
                if subscriber.position > 0:
                    _store_cursor(tx, subscriber.name, subscriber.position)
            slowest = min((one.position for one in self._subscribers.values()), default=None)
            old = [_events.c.created_at < clock.after(-keep_s)]
            if slowest is not None:
                old.append(_events.c.sequence <= slowest)
            tx.delete_where(EventRow, *old)

    def start(self) -> None:
        """Deliver from a thread of its own."""
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
            except Exception:  # noqa: BLE001  (boundary: the dispatcher outlives any trouble of the database)
                _log.exception("events cannot be delivered at the moment; trying again")
                self._stopping.wait(2.0)
            now = clock.monotonic()
            pauses = [one.not_before - now for one in self._subscribers.values() if one.not_before > now]
            self._db.bus.wait(TOPIC, seen, min(pauses, default=_POLL_S))


def _store_cursor(tx: Tx, name: str, sequence: int) -> None:
    if tx.update(EventCursor, name, sequence=sequence) == 0:
        tx.insert(EventCursor, subscriber=name, sequence=sequence)
