# SPDX-License-Identifier: Apache-2.0
"""`alto ring ... --policy`: storage policies as a person makes and changes them."""

import io
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from altostratus.app import object_disks
from altostratus.app.options import Paths
from altostratus.cli.ring import app


@pytest.fixture
def alto(place):
    def run(*words):
        done = CliRunner().invoke(app, [str(place / word) if word in set("abcd") else word for word in words])
        return SimpleNamespace(exit_code=done.exit_code, all=done.output + done.stderr)

    return run


@pytest.fixture
def stores(tmp_path):
    return lambda: object_disks.embedded_stores(Paths(tmp_path / "state"))


def told(stores):
    return [(one.name, one.aliases, one.default, one.deprecated) for one in stores().policies()]


def test_a_policy_has_a_ring_of_its_own(alto, stores, tmp_path):
    assert alto("create", "--policy", "gold", "--replicas", "2", "--part-power", "4", "a", "b").exit_code == 0
    assert told(stores) == [("Policy-0", (), True, False), ("gold", (), False, False)]
    blob = stores().write_to(1, io.BytesIO(b"data"))
    assert len([path for path in tmp_path.glob("[ab]/objects/*/*") if path.name in blob.id]) == 2
    assert "16 partitions" in alto("show", "--policy", "GOLD").all
    assert "256 partitions" in alto("show").all
    assert "replicating gold: 1 looked at" in alto("replicate").all
    assert "auditing Policy-0: 0 looked at" in alto("audit").all


def test_disks_belong_to_one_ring(alto, stores):
    alto("create", "--policy", "gold", "a")
    refused = alto("create", "--policy", "silver", "a")
    assert refused.exit_code == 1 and "another ring" in refused.all
    assert [name for name, *_ in told(stores)] == ["Policy-0", "gold"]
    assert alto("add", "--policy", "gold", "b").exit_code == 0
    assert alto("add", "b").exit_code == 1
    assert alto("set-weight", "--policy", "gold", "b", "50").exit_code == 0
    assert alto("rebalance", "--policy", "gold").exit_code == 0
    assert alto("remove", "--policy", "gold", "b", "--lost").exit_code == 0


def test_how_it_is_offered(alto, stores):
    alto("create", "--policy", "gold", "a")
    assert alto("set-policy", "gold", "--default", "--alias", "best").exit_code == 0
    assert told(stores) == [("Policy-0", (), False, False), ("gold", ("best",), True, False)]
    assert alto("set-policy", "policy-0", "--deprecated", "--rename", "old").exit_code == 0
    assert told(stores)[0] == ("old", ("Policy-0",), False, True)
    listed = alto("policies").all
    assert "deprecated" in listed and "default" in listed and "best" in listed
    for words in (
        ("gold", "--deprecated"),
        ("none", "--default"),
        ("gold", "--alias", "old"),
        ("gold", "--rename", "a b"),
    ):
        assert alto("set-policy", *words).exit_code == 1, words


def test_no_such_policy(alto):
    refused = alto("show", "--policy", "gold")
    assert refused.exit_code == 1 and "There are: Policy-0" in refused.all
