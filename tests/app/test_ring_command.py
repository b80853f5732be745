# SPDX-License-Identifier: Apache-2.0
"""`alto ring`: disks of the object store as a person changes them."""

import io
import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
from typer.testing import CliRunner

from altostratus.app import object_disks
from altostratus.app.options import CloudOptions, Paths
from altostratus.cli.ring import app
from altostratus.drivers.object_store.embedded import EmbeddedStore, ring
from tests.drivers.object_store.disks import blobs_on, flip


@pytest.fixture
def alto(place):
    def run(*words):
        return CliRunner().invoke(app, [str(word) for word in words])

    return run


@pytest.fixture
def shown(alto):
    return lambda: json.loads(alto("show", "--json").stdout)


def store_of(place):
    return EmbeddedStore(place / "state" / "objects")


def put(store, data):
    blob = store.write(io.BytesIO(data))
    store.settle(blob.id)
    return blob.id


def test_one_disk_at_first(alto, shown):
    seen = shown()
    assert (seen["copies"], seen["replicas"], len(seen["disks"])) == (1, 3, 1)
    assert "partitions held" in alto("show").stdout


def test_three_copies_on_three_disks(place, alto, shown):
    assert alto("create", place / "a", place / "b", place / "c", "--part-power", 6).exit_code == 0
    seen = shown()
    assert seen["copies"] == 3 and seen["partitions"] == 64
    assert [disk["partitions"] for disk in seen["disks"]] == [64, 64, 64] == [d["expected"] for d in seen["disks"]]
    assert seen["zones_per_partition"] == {"3": 64}
    assert min(disk["id"] for disk in seen["disks"]) >= 1, "ids of the ring before are not used again"


def test_a_ring_that_holds_something_is_not_begun_anew(place, alto):
    put(store_of(place), b"data")
    refused = alto("create", place / "a")
    assert refused.exit_code == 1 and "another number of partitions" in refused.stderr


def test_a_disk_is_emptied_before_it_is_removed(place, alto, shown):
    alto("create", place / "a", place / "b", "--replicas", 1, "--part-power", 4)
    kept = {put(store_of(place), b"%d" % number): b"%d" % number for number in range(30)}
    refused = alto("remove", place / "a")
    assert refused.exit_code == 1 and "set-weight" in refused.stderr
    assert alto("set-weight", place / "a", 0).exit_code == 0
    assert "8 copies of partitions move" in alto("rebalance").stderr
    assert alto("replicate").exit_code == 0
    assert alto("remove", place / "a").exit_code == 0
    assert all(b"".join(store_of(place).read(blob_id)) == data for blob_id, data in kept.items())


def test_a_lost_disk_is_replaced(place, alto, shown):
    alto("create", place / "a", place / "b", place / "c", "--part-power", 4)
    kept = [put(store_of(place), b"%d" % number) for number in range(20)]
    shutil.rmtree(place / "b")
    assert "does not work" in alto("show").stdout
    assert alto("remove", place / "b", "--lost").exit_code == 0
    assert alto("add", place / "d").exit_code == 0
    assert alto("rebalance").exit_code == 0
    assert alto("replicate").exit_code == 0
    assert blobs_on(place / "d") == sorted(kept)


def test_a_disk_that_cannot_be_read_is_not_taken_for_empty(place, alto):
    alto("create", place / "a", place / "b", place / "c", "--part-power", 4)
    put(store_of(place), b"data")
    (place / "b").rename(place / "away")
    refused = alto("remove", place / "b")
    assert refused.exit_code == 1 and "--lost" in refused.stderr


def test_a_disk_of_another_ring_is_taken_only_if_it_is_said(place, alto, shown):
    alto("create", place / "a", place / "b", "--part-power", 4)
    kept = put(store_of(place), b"data")
    alto("remove", place / "b", "--lost")
    assert alto("add", place / "b").exit_code == 0, "a removed disk has no mark"
    (place / "state" / "objects" / "ring.json").unlink()
    (place / "state" / "objects" / "ring.json.before").unlink()
    refused = alto("add", place / "a")
    assert refused.exit_code == 1 and "--take" in refused.stderr
    refused = alto("add", place / "a", "--take")
    assert refused.exit_code == 1 and "number of partitions" in refused.stderr, "the first ring has others"
    alto("create", place / "c", "--part-power", 4)
    assert alto("add", place / "a", "--take").exit_code == 0
    assert b"".join(store_of(place).read(kept)) == b"data"


def test_another_disk_is_used_when_it_is_accepted(place, alto, shown):
    alto("create", place / "a", place / "b", place / "c", "--part-power", 4)
    (place / "a" / "altostratus-disk").write_text("another")
    put(store_of(place), b"data")
    assert not (place / "a" / "objects").exists()
    assert "this is another disk" in shown()["disks"][0]["trouble"]
    assert alto("replicate").exit_code == 1
    assert alto("accept", place / "a").exit_code == 0
    assert alto("replicate").exit_code == 0
    assert [disk["trouble"] for disk in shown()["disks"]] == [None] * 3
    (place / "b" / "altostratus-disk").write_text("another")
    refused = alto("accept", place / "b")
    assert refused.exit_code == 1 and "each disk at its own place" in refused.stderr


def test_a_ring_that_cannot_be_read_is_told_with_advice(place, alto):
    alto("create", place / "a", "--part-power", 4)
    file = place / "state" / "objects" / "ring.json"
    file.write_text("{")
    refused = alto("show")
    assert refused.exit_code == 1 and "ring.json.before" in "".join(refused.stderr.split())
    assert "cannot be used" in object_disks.disk_troubles(Paths(place / "state"), CloudOptions())[0]
    assert file.read_text() == "{"


def test_quarantine_is_told(place, alto):
    alto("create", place / "a", place / "b", place / "c", "--part-power", 4)
    blob_id = put(store_of(place), b"data")
    flip(place / "a", blob_id)
    assert "1 damaged" in alto("audit").stderr
    assert "1 in quarantine" in alto("show").stdout
    assert "0 damaged" in alto("audit").stderr
    shutil.rmtree(place / "c")
    quarantine, dead = object_disks.disk_troubles(Paths(place / "state"), CloudOptions())
    assert f"1 damaged copies lie in {place / 'a'}" in quarantine and f"{place / 'c'} does not work" in dead


def test_quarantine_is_emptied(place, alto):
    alto("create", place / "a", place / "b", "--part-power", 4)
    repaired, lost = (put(store_of(place), data) for data in (b"repaired", b"lost"))
    for disk, blob_id in (("a", repaired), ("a", lost), ("b", lost)):
        flip(place / disk, blob_id)
    alto("audit")
    listed = alto("quarantine").stdout
    assert (listed.count(repaired), listed.count(lost)) == (1, 2)
    assert "1 damaged copies are deleted" in alto("quarantine", "--purge").stderr
    listed = alto("quarantine").stdout
    assert (listed.count(repaired), listed.count(lost)) == (0, 2)
    assert "2 damaged copies are deleted" in alto("quarantine", "--purge", "--all").stderr


def test_no_trouble_without_a_ring(place):
    assert object_disks.disk_troubles(Paths(place / "state"), CloudOptions()) == []
    assert not (place / "state").exists()
    (place / "state" / "objects").mkdir(parents=True)
    assert object_disks.disk_troubles(Paths(place / "state"), CloudOptions()) == []
    assert list((place / "state" / "objects").iterdir()) == [], "a ring is made by the cloud's own user"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("add", "{place}/nowhere"), "mkdir -p"),
        (("add", "{place}/a/../state/objects/disk-1/inside"), "is no directory"),
        (("add", "{place}"), "lie one in the other"),
        (("set-weight", "/nowhere", "1"), "not in the ring"),
        (("remove", "/nowhere"), "not in the ring"),
        (("remove", "{place}/state/objects/disk-1", "--lost"), "No disk"),
        (("create", "{place}/a", "--part-power", "99"), "partition power"),
    ],
)
def test_what_cannot_be_is_refused_with_advice(place, alto, words, sentence):
    before = store_of(place).ring
    refused = alto(*(word.format(place=place) for word in words))
    assert refused.exit_code == 1 and sentence in " ".join(refused.stderr.split())
    assert store_of(place).ring == before


def test_a_cloud_without_disks_has_no_ring(place, alto):
    (place / "state").mkdir()
    (place / "state" / "altostratus.toml").write_text('[cloud]\nobjects = "fake"\n')
    assert "fake" in alto("show").stderr


def test_two_at_once_both_count(place):
    store_of(place)
    with ThreadPoolExecutor(8) as threads:
        paths = [f"/disk/{number}" for number in range(16)]
        list(threads.map(lambda path: store_of(place).alter_ring(lambda now: ring.add(now, path, 1, 1.0)), paths))
    assert {device.path for device in store_of(place).ring.devices} >= set(paths)
