# SPDX-License-Identifier: Apache-2.0
"""The outbox: nothing is lost, order is kept, one subscriber's trouble is its own."""

import logging
import time
from typing import Any

import pytest

from altostratus.kernel import clock, log
from altostratus.kernel.db import Db, counting_queries
from altostratus.kernel.events import MOST_TRIES, EventRow, Events
from tests.kernel.toy_jobs import Claim, wait_for


@pytest.fixture
def db(tmp_path):
    made = Db(f"sqlite:///{tmp_path / 'test.sqlite'}")
    made.create_all()
    yield made
    made.close()


@pytest.fixture
def events(db):
    made = Events(db)
    yield made
    made.stop()


def emit(db, events, *types):
    with db.write() as tx:
        for one in types:
            events.emit(tx, one, {"n": one}, publisher_id="test.host")


def note(into):
    return lambda tx, event: into.append(event.event_type)


def test_subscribers_get_what_concerns_them_in_order(db, events):
    servers: list[str] = []
    everything: list[str] = []
    events.subscribe("servers", "compute.", note(servers))
    events.subscribe("all", "", note(everything))
    emit(db, events, "compute.b", "volume.a", "compute.a")
    assert events.deliver_all() == 5
    assert servers == ["compute.b", "compute.a"]
    assert everything == ["compute.b", "volume.a", "compute.a"]
    assert events.deliver_all() == 0


def test_nothing_is_told_of_what_was_rolled_back(db, events):
    seen: list[str] = []
    events.subscribe("all", "", note(seen))

    def fail() -> None:
        with db.write() as tx:
            events.emit(tx, "compute.a", {})
            raise ValueError

    with pytest.raises(ValueError):
        fail()
    assert events.deliver_all() == 0


def test_the_cursor_survives_and_moves_with_the_handler(db, events):
    seen: list[str] = []

    def handle(tx, event):
        tx.insert(Claim, id=event.event_type, amount=1)
        seen.append(event.event_type)

    events.subscribe("all", "", handle)
    emit(db, events, "a", "b")
    events.deliver_all()
    later = Events(db)
    later.subscribe("all", "", handle)
    emit(db, later, "c")
    assert later.deliver_all() == 1
    assert seen == ["a", "b", "c"]


def test_the_envelope_of_notifications(db, events):
    told: list[dict[str, Any]] = []
    events.add_sink("bus", told.append)
    with clock.frozen(1_700_000_000.0), log.on_behalf_of("req-5", "user-1", "project-1"):
        emit(db, events, "compute.instance.create.end")
    events.deliver_all()
    (envelope,) = told
    assert len(envelope.pop("message_id")) == 36
    assert envelope == {
        "publisher_id": "test.host",
        "event_type": "compute.instance.create.end",
        "priority": "INFO",
        "payload": {"n": "compute.instance.create.end"},
        "timestamp": "2023-11-14 22:13:20.000000",
        "_context_request_id": "req-5",
        "_context_project_id": "project-1",
        "_context_user_id": "user-1",
    }


def test_a_sink_is_told_outside_any_transaction(db, events):
    def sink(envelope):
        with db.write() as tx:
            tx.insert(Claim, id="x", amount=1)

    events.add_sink("bus", sink)
    emit(db, events, "a")
    assert events.deliver_all() == 1


def test_a_broken_subscriber_keeps_order_and_holds_up_nobody(db, events, caplog, monkeypatch):
    moment = [1000.0]
    monkeypatch.setattr(clock, "monotonic", lambda: moment[0])
    good: list[str] = []
    bad: list[str] = []
    broken = [True]

    def stumble(tx, event):
        tx.insert(Claim, id=event.event_type, amount=1)
        if event.event_type == "b" and broken:
            raise RuntimeError("a defect of the subscriber")
        bad.append(event.event_type)

    events.subscribe("bad", "", stumble)
    events.subscribe("good", "", note(good))
    emit(db, events, "a", "b", "c")
    with caplog.at_level(logging.CRITICAL):
        assert events.deliver_all() == 4
        assert events.deliver_all() == 0
        assert (good, bad[-1]) == (["a", "b", "c"], "a")
        moment[0] += 1.1
        events.deliver_all()
        broken.clear()
        moment[0] += 10
        events.deliver_all()
    assert bad[-2:] == ["b", "c"]


def test_an_event_that_nobody_can_digest_is_passed_over_loudly(db, events, caplog, monkeypatch):
    moment = [1000.0]
    monkeypatch.setattr(clock, "monotonic", lambda: moment[0])
    seen: list[str] = []
    tries: list[int] = []

    def refuse(tx, event):
        if event.event_type == "bad":
            tries.append(1)
            raise RuntimeError("never")
        seen.append(event.event_type)

    events.subscribe("x", "", refuse)
    emit(db, events, "bad")
    emit(db, events, "good")
    with caplog.at_level(logging.ERROR):
        for _ in range(MOST_TRIES + 1):
            events.deliver_all()
            moment[0] += 100
    assert seen[-1] == "good"
    assert "is passed over by x for good" in caplog.text


def test_events_that_concern_nobody_cost_no_writes(db, events):
    events.subscribe("servers", "compute.", note([]))
    events.deliver_all()
    emit(db, events, *["volume.a"] * 300)
    with counting_queries() as queries:
        assert events.deliver_all() == 0
    assert not [query for query in queries if "IMMEDIATE" in query]
    assert len(queries) < 8


def test_old_events_are_forgotten_when_everybody_has_had_them(db, events):
    def count():
        with db.read() as tx:
            return len(tx.rows(EventRow.__table__.select()))

    with clock.frozen() as advance:
        events.subscribe("servers", "compute.", note([]))
        emit(db, events, "volume.a", "compute.b")
        advance(8 * 86400)
        events.prune()
        assert count() == 2
        events.deliver_all()
        emit(db, events, "compute.c")
        events.prune()
        assert count() == 1
    later = Events(db)
    seen: list[str] = []
    later.subscribe("servers", "compute.", note(seen))
    later.deliver_all()
    assert seen == ["compute.c"]


def test_the_dispatcher_is_woken(db, events):
    seen: list[str] = []
    events.subscribe("all", "", note(seen))
    events.start()
    time.sleep(0.05)
    started = time.monotonic()
    emit(db, events, "a")
    wait_for(lambda: seen)
    assert time.monotonic() - started < 1


def test_names_are_unique(events):
    events.subscribe("x", "", note([]))
    with pytest.raises(ValueError, match="exists already"):
        events.subscribe("x", "", note([]))
