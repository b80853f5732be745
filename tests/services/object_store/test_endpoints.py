# SPDX-License-Identifier: Apache-2.0
"""Where data lies: `/endpoints/`, as upstream's middleware list_endpoints answers."""

from urllib.parse import unquote, urlsplit

import pytest

from altostratus.drivers.object_store.embedded import EmbeddedStore
from altostratus.drivers.object_store.embedded.ring import add, create, rebalance
from tests.services.object_store.conftest import Swift


@pytest.fixture
def store(tmp_path):
    """Three disks, three copies."""
    made = EmbeddedStore(tmp_path / "ring")

    def three(_before):
        ring = create(4, 3)
        for number in range(3):
            disk = tmp_path / f"disk {number}"
            disk.mkdir()
            ring = add(ring, str(disk), number, 1.0)
        return rebalance(ring)[0]

    made.alter_ring(three)
    return made


@pytest.fixture
def swift(cloud):
    made = Swift(cloud, "member")
    made("PUT", "c")
    made.put("c/a b", b"data")
    return made


def ask(cloud, path, persona="admin"):
    return cloud.client(persona).get(f"/endpoints/{path}")


def test_an_object_lies_where_its_copies_are(cloud, swift):
    account = swift.base.rpartition("/")[2]
    first = ask(cloud, f"v1/{account}/c/a%20b")
    assert first.status == 200 and first.headers["content-type"] == "application/json"
    assert len(set(first.json)) == 3
    for url in first.json:
        parts = urlsplit(url)
        assert parts.scheme == "file" and parts.netloc
        with open(unquote(parts.path), "rb") as copy:
            assert b"data" in copy.read()
    assert ask(cloud, f"v2/{account}/c/a%20b").json == {"endpoints": first.json, "headers": {}}


def test_accounts_and_containers_lie_in_the_database(cloud, swift):
    account = swift.base.rpartition("/")[2]
    (one,) = ask(cloud, f"v1/{account}").json
    assert one.endswith(f"/object-store/v1/{account}")
    assert ask(cloud, f"v2/{account}/c").json["endpoints"] == [f"{one}/c"]


def test_the_own_account(cloud):
    shown = cloud.client("admin").get("/object-store/v1/endpoints").json
    assert shown["endpoints"][0].endswith(f"/AUTH_{cloud.client('admin').project_id}") and shown["headers"] == {}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("v3/{account}/c", 400), ("v1/{account}/none", 404), ("v1/{account}/c/none", 404), ("v1/other/c", 404),
        ("v1", 404),
    ],
)  # fmt: skip
def test_what_is_not_there(cloud, swift, path, status):
    assert ask(cloud, path.format(account=swift.base.rpartition("/")[2])).status == status


def test_operators_only_are_told(cloud, swift):
    path = f"v1/{swift.base.rpartition('/')[2]}/c/a%20b"
    assert ask(cloud, path, "member").status == 403
    assert cloud.client(None).get(f"/endpoints/{path}").status == 401
    assert ask(cloud, path, "reseller").status == 200
