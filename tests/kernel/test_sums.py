# SPDX-License-Identifier: Apache-2.0
"""Counters that many changes of one transaction touch are written once, and never without the changes."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import bindparam, func, select, update

from altostratus.kernel.db import Db, counting_queries, table_of
from altostratus.kernel.quota import QuotaLimit, QuotaLock
from altostratus.kernel.together import WritesTogether

_limit = table_of(QuotaLimit)
_COUNT = (
    update(_limit)
    .where(_limit.c.project_id == bindparam("key"))
    .values(hard_limit=_limit.c.hard_limit + bindparam("more"))
)


@pytest.fixture
def db(tmp_path):
    db = Db(f"sqlite:///{tmp_path}/db")
    db.create_all()
    with db.write() as tx:
        for key in "ab":
            tx.insert(QuotaLimit, service="s", project_id=key, resource="r", hard_limit=0)
    yield db
    db.close()


def counts(db):
    with db.read() as tx:
        return {key: count_in(tx, key) for key in "ab"}


def count_in(tx, key):
    return tx.scalar(select(_limit.c.hard_limit).where(_limit.c.project_id == key))


def add_and_fail(tx, more):
    tx.add_up(_COUNT, "a", more=more)
    raise KeyError


def test_one_statement_for_each_key(db):
    with counting_queries() as seen, db.write() as tx:
        for number in range(10):
            tx.add_up(_COUNT, "b", more=number)
            tx.add_up(_COUNT, "a", more=1)
    assert counts(db) == {"a": 10, "b": 45}
    assert len([text for text in seen if text.startswith("UPDATE")]) == 2


def test_nothing_of_a_transaction_that_is_undone(db):
    with pytest.raises(KeyError), db.write() as tx:
        add_and_fail(tx, 1)
    with db.write() as tx:
        tx.add_up(_COUNT, "b", more=1)
    assert counts(db) == {"a": 0, "b": 1}


def test_a_savepoint_undoes_its_own(db):
    with db.write() as tx:
        tx.add_up(_COUNT, "a", more=1)
        with pytest.raises(KeyError), tx.savepoint():
            add_and_fail(tx, 10)
        with tx.savepoint():
            tx.add_up(_COUNT, "a", more=100)
        tx.add_up(_COUNT, "a", more=1000)
    assert counts(db) == {"a": 1101, "b": 0}


def test_who_asks_sees_them(db):
    with db.write() as tx:
        tx.add_up(_COUNT, "a", more=1)
        assert (tx.write_sums(), count_in(tx, "a"), tx.write_sums()) == (True, 1, False)
        tx.add_up(_COUNT, "a", more=1)
    assert counts(db)["a"] == 2


def test_what_fails_among_many_is_not_counted(db):
    together = WritesTogether(db)

    def run(number):
        def write(tx):
            tx.insert(QuotaLock, project_id=str(number))
            tx.add_up(_COUNT, "ab"[number % 2], more=1)
            if number % 5 == 0:
                raise ValueError

        try:
            together.run(write)
        except ValueError:
            pass

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(run, range(400)))
    with db.read() as tx:
        assert sum(counts(db).values()) == tx.scalar(select(func.count()).select_from(table_of(QuotaLock))) == 320
