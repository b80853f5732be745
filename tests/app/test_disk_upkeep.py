# SPDX-License-Identifier: Apache-2.0
"""The control process's own auditor: damaged copies that nobody can want any longer go after 30 days."""

import pytest

from altostratus.app import disk_upkeep
from altostratus.contracts.object_store import ObjectStore
from altostratus.drivers.object_store.embedded import EmbeddedStore, ring
from altostratus.drivers.object_store.embedded.disk import Disk
from altostratus.drivers.object_store.policies import PolicyStores
from altostratus.services.object_store.service import SERVICE
from altostratus.testing.cloud import TestCloud
from tests.drivers.object_store.disks import flip
from tests.services.object_store.conftest import Swift

AUDIT = next(one for one in disk_upkeep.DISK_UPKEEP if one.name == "object_store.audit")


@pytest.fixture
def store(tmp_path):
    store, made = EmbeddedStore(tmp_path / "objects"), ring.create(4, 2)
    for name in "ab":
        (tmp_path / name).mkdir()
        made = ring.add(made, str(tmp_path / name), 1, 100.0)
    store.change_ring(ring.rebalance(made)[0])
    return store


@pytest.fixture
def cloud(tmp_path, store):
    def prepare(cloud):
        cloud.add_part(ObjectStore, PolicyStores(tmp_path / "policies.json", lambda _index: store))

    with TestCloud(tmp_path, services=(SERVICE,), prepare=prepare) as cloud:
        yield cloud


def test_what_is_kept_in_quarantine(tmp_path, cloud, store, monkeypatch):
    swift = Swift(cloud, "member")
    swift("PUT", "c")
    damaged = {}
    for name, disks in (("repaired", "a"), ("lost", "ab"), ("deleted", "ab")):
        before = set(store.blob_ids())
        swift.put(f"c/{name}", name.encode())
        (damaged[name],) = set(store.blob_ids()) - before
        for disk in disks:
            flip(tmp_path / disk, damaged[name])
    AUDIT.run(cloud.cloud)
    swift("DELETE", "c/deleted")
    quarantined = lambda: {name for disk in store.all_disks() for name in disk.quarantined()}  # noqa: E731
    AUDIT.run(cloud.cloud)
    assert quarantined() == set(damaged.values()), "people may look at them for a month"
    monkeypatch.setattr(Disk, "of_quarantined", lambda disk, blob_id: (1, 31 * 86400.0))
    AUDIT.run(cloud.cloud)
    assert quarantined() == {damaged["lost"]}, "the last that is left of an object stays"
    assert swift("GET", "c/repaired").content == b"repaired"
