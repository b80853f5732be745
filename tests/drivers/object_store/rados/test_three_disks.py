# SPDX-License-Identifier: Apache-2.0
"""A Ceph of three disks: copies, and erasure-coded pools."""

import io
import os
import time

import msgspec
import pytest

from altostratus.contracts.object_store import ObjectStoreError
from altostratus.drivers.object_store.rados import Connection, RadosStore
from altostratus.testing.object_store_conformance import ObjectStoreConformance
from altostratus.testing.private_ceph import POOL, PrivateCeph, load_library, why_not

from .test_faults import Writer, demand_kept

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def ceph(tmp_path_factory):
    reason = why_not()
    if reason:
        pytest.skip(reason)
    load_library()
    with PrivateCeph(tmp_path_factory.mktemp("ceph"), disks=3) as running:
        running.tell("osd erasure-code-profile set", name="two", profile=["k=2", "m=1", "crush-failure-domain=osd"])
        running.tell("osd pool create", pool="coded", pg_num=8, pool_type="erasure", erasure_code_profile="two")
        caps = ["mon", "allow r", "osd", f"allow rw pool={POOL}, allow rw pool=coded"]
        running.tell("auth caps", entity="client.altostratus", caps=caps)
        yield running


def test_a_disk_of_three_is_killed_and_nobody_waits_long(ceph, options, tmp_path):
    writer = Writer(options, tmp_path, 3, timeout_s=30)
    writer.wait_for_lines(15)
    ceph.kill("osd.1")
    started = time.monotonic()
    writer.wait_for_lines(writer.said.read_bytes().count(b"\n") + 15)
    assert time.monotonic() - started < 20
    writer.kill()
    demand_kept(options, writer.rows())
    ceph.start("osd.1")
    ceph.wait_until_up()


class TestErasureCoded(ObjectStoreConformance):
    """Blobs in pieces of two thirds, the index in a pool of copies."""

    @pytest.fixture
    def store(self, options):
        return RadosStore(Connection(msgspec.structs.replace(options, pool="coded", index_pool=POOL)))


def test_an_erasure_coded_pool_alone_is_refused(options):
    store = RadosStore(Connection(msgspec.structs.replace(options, pool="coded")))
    with pytest.raises(ObjectStoreError, match="index_pool") as refused:
        store.write(io.BytesIO(os.urandom(10)))
    assert refused.value.reason == "broken"
