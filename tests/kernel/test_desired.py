# SPDX-License-Identifier: Apache-2.0
"""Wanted rows: generations, revisions, reports, hosts."""

import logging
import threading
import time
from typing import Any

import msgspec
import pytest

from altostratus.kernel import clock
from altostratus.kernel.db import Db, counting_queries
from altostratus.kernel.desired import Desired, Want
from altostratus.kernel.wanted import Report
from tests.kernel.toy_jobs import Claim

HOST = "h"


class Spec(msgspec.Struct, frozen=True):
    size: int
    tags: tuple[str, ...] = ()


@pytest.fixture
def db(tmp_path):
    made = Db(f"sqlite:///{tmp_path / 'test.sqlite'}")
    made.create_all()
    yield made
    made.close()


@pytest.fixture
def desired(db):
    return Desired(db)


def want(db: Db, desired: Desired, spec: Any, id: str = "a", host: str = HOST) -> int:
    with db.write() as tx:
        return desired.want(tx, Want("port", id, host, spec))


def show(db: Db, desired: Desired, id: str = "a", host: str | None = None) -> Any:
    with db.read() as tx:
        return desired.show(tx, "port", id, host)


def answer(desired: Desired, generation: int, id: str = "a", host: str = HOST, **more: Any) -> None:
    desired.report(host, [Report(kind="port", id=id, generation=generation, **more)])


def test_an_equal_wish_changes_nothing(db, desired):
    first = want(db, desired, Spec(1, ("x",)))
    assert want(db, desired, {"size": 1, "tags": ["x"]}) == first
    assert want(db, desired, Spec(2, ("x",))) > first
    assert want(db, desired, None, id="never-there") == 0


def test_a_host_that_gave_up_is_asked_anew(db, desired):
    first = want(db, desired, {"size": 1})
    answer(desired, first, error="There is no such device.", final=True)
    assert show(db, desired).error == "There is no such device."
    second = want(db, desired, {"size": 1})
    assert second > first
    assert show(db, desired).error is None
    answer(desired, second, error="Not yet.")
    assert want(db, desired, {"size": 1}) == second


def test_reports(db, desired):
    first = want(db, desired, {"size": 1})
    answer(desired, first, state={"up": True})
    row = show(db, desired)
    assert (row.observed_generation, row.observed, row.error) == (first, {"up": True}, None)
    second = want(db, desired, {"size": 2})
    answer(desired, first, error="too late", final=True)
    assert show(db, desired).error is None
    answer(desired, second, error="The disk is full.")
    row = show(db, desired)
    assert (row.observed_generation, row.observed, row.error) == (first, {"up": True}, "The disk is full.")
    answer(desired, second, state={"up": False})
    answer(desired, first, state={"up": True})
    row = show(db, desired)
    assert (row.observed_generation, row.observed, row.error) == (second, {"up": False}, None)


def test_what_is_absent_is_forgotten_and_comes_back_with_a_new_generation(db, desired):
    first = want(db, desired, {"size": 1})
    answer(desired, first)
    gone = want(db, desired, None)
    answer(desired, first)
    assert show(db, desired).spec is None
    answer(desired, gone)
    assert show(db, desired) is None
    answer(desired, gone)
    again = want(db, desired, {"size": 1})
    answer(desired, gone)
    assert again > gone
    assert show(db, desired).observed_generation < again


def test_a_thing_that_moves(db, desired):
    want(db, desired, {"size": 1}, host="old")
    left = want(db, desired, None, host="old")
    there = want(db, desired, {"size": 1}, host="new")
    assert show(db, desired).host == "new"
    assert show(db, desired, host="old").spec is None
    with db.read() as tx:
        assert desired.many(tx, "port", ["a", "b"])["a"].host == "new"
        assert [row.host for row in desired.list_host(tx, "old")] == ["old"]
    answer(desired, there, host="new")
    answer(desired, left, host="old")
    assert show(db, desired, host="old") is None


def test_watching(db, desired):
    assert desired.watch(HOST, ["port"], 0, 5).rows == []
    first = want(db, desired, {"size": 1})
    want(db, desired, {"size": 1}, host="elsewhere")
    changes = desired.watch(HOST, ["port"], 0, 5)
    assert [(row.id, row.generation, row.spec) for row in changes.rows] == [("a", first, {"size": 1})]
    assert desired.watch(HOST, ["port"], changes.revision, 0.01).rows == []
    assert desired.watch(HOST, ["server"], 0, 0).rows == []
    want(db, desired, None)
    (row,) = desired.watch(HOST, ["port"], changes.revision, 5).rows
    assert row.spec is None
    # a revision from the future: this database is older than the agent's memory
    assert [row.id for row in desired.watch(HOST, ["port"], 10_000, 0.01).rows] == ["a"]


def test_a_watcher_is_woken_by_its_own_host_only(db, desired):
    revision = desired.watch(HOST, ["port"], 0, 0).revision
    want(db, desired, {"size": 1}, host="elsewhere")
    revision = desired.watch(HOST, ["port"], revision, 0.01).revision
    found: list[Any] = []
    watcher = threading.Thread(target=lambda: found.append(desired.watch(HOST, ["port"], revision, 10)))
    watcher.start()
    time.sleep(0.05)
    started = time.monotonic()
    want(db, desired, {"size": 1})
    watcher.join(5)
    assert [row.id for row in found[0].rows] == ["a"]
    assert time.monotonic() - started < 1.5


def test_subscribers_hear_every_report_in_its_transaction(db, desired, caplog):
    heard: list[Any] = []

    def listen(tx, row, report):
        heard.append((row.observed_generation, report.generation, report.state))
        if report.state.get("bad"):
            tx.insert(Claim, id="x", amount=1)
            raise RuntimeError("a defect of the listener")
        tx.insert(Claim, id=f"{len(heard)}", amount=1)

    desired.on_report("port", listen)
    desired.on_report("server", lambda tx, row, report: heard.append("wrong"))
    first = want(db, desired, {"size": 1})
    answer(desired, first, state={"up": True})
    answer(desired, first, state={"up": True})
    with caplog.at_level(logging.CRITICAL):
        answer(desired, first, state={"bad": True})
    assert heard == [(0, first, {"up": True}), (first, first, {"up": True}), (first, first, {"bad": True})]
    assert show(db, desired).observed == {"bad": True}
    with db.read() as tx:
        assert [row.id for row in tx.rows(Claim.__table__.select())] == ["1", "2"]


def test_many_reports_cost_few_queries(db, desired):
    with db.write() as tx:
        generations = {f"p{n}": desired.want(tx, Want("port", f"p{n}", HOST, {"size": n})) for n in range(200)}
    reports = [Report(kind="port", id=name, generation=number) for name, number in generations.items()]
    desired.report(HOST, reports)
    with counting_queries() as queries:
        desired.report(HOST, reports)
    assert len(queries) < 6


def test_hosts(db, desired):
    with clock.frozen() as advance:
        desired.hello("b", ["port", "network"], {"cpus": 4})
        desired.hello("a", ["server"], {})
        woken = db.bus.count("hosts")
        advance(10)
        desired.hello("b", ["network", "port"], {"cpus": 4})
        assert db.bus.count("hosts") == woken
        desired.hello("b", ["network", "port"], {"cpus": 8})
        assert db.bus.count("hosts") == woken + 1
        advance(55)
        with db.read() as tx:
            assert [(host.name, host.alive) for host in desired.hosts(tx)] == [("a", False), ("b", True)]
            (host,) = desired.hosts(tx, kind="port")
        assert host.facts == {"cpus": 8} and host.kinds == {"port", "network"}
        desired.hello("a", ["server"], {})
        assert db.bus.count("hosts") == woken + 2
    want(db, desired, {"size": 1}, host="a")
    with db.write() as tx:
        desired.forget_host(tx, "a")
    assert show(db, desired) is None
    with db.read() as tx:
        assert [one.name for one in desired.hosts(tx)] == ["b"]
