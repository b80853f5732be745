# SPDX-License-Identifier: Apache-2.0
"""Ceilings that a source of limits gives: several, for many projects."""

import pytest

from altostratus.kernel import quota
from altostratus.kernel.db import Db
from altostratus.kernel.errors import OverQuota
from altostratus.kernel.quota import Ceiling, Countable, Quotas


class Source:
    """Projects of a domain named after their first letter; everybody uses one toy."""

    def defaults(self, tx):
        return {"toys-elsewhere": 4}

    def ceilings(self, tx, project_id):
        inside = [f"{project_id[0]}{number}" for number in range(5)]
        return [Ceiling(project_id, (project_id,), {"toys-elsewhere": 2}), Ceiling("d", inside, {"balls": 9}, " in d")]

    def projects(self, tx):
        return ["a0"]


@pytest.fixture
def tx(tmp_path):
    db = Db(f"sqlite:///{tmp_path / 'quota.sqlite'}")
    db.create_all()
    with db.write() as tx:
        yield tx
    db.close()


@pytest.fixture
def quotas():
    resources = (
        Countable("toys", 3, lambda tx, projects: len(projects), unified="toys-elsewhere"),
        Countable("balls", 7),
    )
    return Quotas("toy", resources, source=Source())


def test_names_are_the_services_own(tx, quotas):
    assert quotas.defaults(tx) == {"toys": 4, "balls": 7}
    assert quotas.limits(tx, "a0") == {"toys": 2, "balls": 7}
    assert quotas.projects(tx) == ["a0"]


def test_a_shared_ceiling_has_no_limits_but_those_given_to_it(tx, quotas):
    own, shared = quotas.ceilings(tx, "a0")
    assert (own.limits["toys"], shared.limits) == (2, {"balls": 9})
    quotas.demand(tx, "a0", {"toys": 1})
    with pytest.raises(OverQuota):
        quotas.demand(tx, "a0", {"toys": 2})


def test_many_projects_are_counted_in_parts(tx, quotas, monkeypatch):
    monkeypatch.setattr(quota, "_PROJECTS_AT_ONCE", 2)
    assert quotas.used(tx, "toys", [f"a{number}" for number in range(5)]) == 5
    assert quotas.used(tx, "toys", []) == 0


def test_limits_of_a_source_are_not_set_here(tx, quotas):
    quotas.set_limits(tx, "a0", {"toys": 9})
    quotas.reset(tx, "a0")
    assert quotas.limits(tx, "a0")["toys"] == 2
    kept_here = Quotas("toy", (Countable("toys", 3),))
    assert kept_here.projects(tx) == []
    kept_here.set_limits(tx, "a0", {"toys": 9})
    assert (kept_here.limits(tx, "a0"), kept_here.projects(tx)) == ({"toys": 9}, ["a0"])
