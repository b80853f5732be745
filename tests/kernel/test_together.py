# SPDX-License-Identifier: Apache-2.0
"""Writes that share a transaction are as good as alone."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sqlalchemy import func, select

from altostratus.kernel.db import Db, table_of
from altostratus.kernel.quota import QuotaLock
from altostratus.kernel.together import WritesTogether


@pytest.fixture
def db(tmp_path):
    db = Db(f"sqlite:///{tmp_path}/db")
    db.create_all()
    yield db
    db.close()


def rows(db):
    with db.read() as tx:
        return set(tx.scalars(select(table_of(QuotaLock).c.project_id)))


def add(name, *, then=None):
    def write(tx):
        tx.insert(QuotaLock, project_id=name)
        if then is not None:
            raise then
        return name

    return write


def test_alone(db):
    together = WritesTogether(db)
    assert together.run(add("one")) == "one"
    with pytest.raises(KeyError):
        together.run(add("two", then=KeyError("two")))
    assert rows(db) == {"one"}


def test_many_at_once_with_failures_among_them(db):
    together, transactions = WritesTogether(db), []
    whole = db.write

    def counted():
        transactions.append(1)
        return whole()

    db.write = counted

    def run(number):
        failing = number % 3 == 0
        try:
            return together.run(add(str(number), then=ValueError(number) if failing else None)), failing
        except ValueError as error:
            return str(error.args[0]), failing

    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(run, range(300)))
    assert [name for name, _ in results] == [str(number) for number in range(300)]
    assert rows(db) == {str(number) for number in range(300) if number % 3}
    assert len(transactions) < 300


def test_those_behind_a_full_batch_go_with_the_next(db):
    together, gate = WritesTogether(db), threading.Event()

    def slow(tx):
        gate.wait(10)

    with ThreadPoolExecutor(201) as pool:
        first = pool.submit(together.run, slow)
        rest = [pool.submit(together.run, add(str(number))) for number in range(200)]
        gate.set()
        assert first.result() is None and [one.result() for one in rest] == [str(number) for number in range(200)]
    with db.read() as tx:
        assert tx.scalar(select(func.count()).select_from(table_of(QuotaLock))) == 200


def test_a_commit_that_fails_is_told_to_all(db):
    together = WritesTogether(db)

    def broken():
        raise OSError("the disk is gone")

    db.write = broken
    for _ in range(2):
        with pytest.raises(OSError, match="the disk is gone"):
            together.run(add("one"))


def test_what_may_have_been_committed_is_not_written_again(db, monkeypatch):
    """The disk fails while it flushes: nobody knows. A second try could take its own first one for somebody else's."""
    together, begun, gate, calls = WritesTogether(db), threading.Event(), threading.Event(), []
    whole = db.write

    @contextmanager
    def committed_and_not_told():
        with whole() as tx:
            yield tx
        raise OSError("the answer was lost")

    def first(_tx):
        begun.set()
        gate.wait(10)

    def counted(tx):
        calls.append(1)
        tx.insert(QuotaLock, project_id=str(len(calls)))

    with ThreadPoolExecutor(5) as pool:
        leading = pool.submit(together.run, first)
        assert begun.wait(10)
        rest = [pool.submit(together.run, counted) for _ in range(4)]
        while len(together._together._waiting) < len(rest):
            time.sleep(0.01)
        monkeypatch.setattr(db, "write", committed_and_not_told)
        gate.set()
        assert leading.exception() is None
        assert all("the answer was lost" in str(one.exception()) for one in rest)
    assert len(calls) == len(rest) == len(rows(db))
