# SPDX-License-Identifier: Apache-2.0
"""Uploads that share a transaction are counted one by one where there is a quota, and once where there is none."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from altostratus.kernel.db import counting_queries
from altostratus.kernel.together import WritesTogether
from altostratus.services.object_store.logic import containers, objects

VALUES = {"size": 1, "etag": "e", "content_type": "t", "modified_us": 1, "blob_id": None, "meta": {}, "headers": {}}


@pytest.mark.parametrize("quota", [{"X_Container_Meta_Quota_Count": "5"}, {"X_Container_Meta_Quota_Bytes": "500"}])
def test_a_quota_holds_among_those_that_come_at_once(cloud, swift, quota):
    swift.put("c", **quota)
    begun, may_end = threading.Event(), threading.Event()

    def hold(_tx):
        begun.set()
        assert may_end.wait(10)

    with ThreadPoolExecutor(13) as pool:
        pool.submit(cloud.cloud.part(WritesTogether).run, hold)
        assert begun.wait(10)
        found = [pool.submit(swift, "PUT", f"c/{number}", b"x" * 100) for number in range(12)]
        time.sleep(0.2)
        may_end.set()
        assert sorted(one.result().status for one in found) == [201] * 5 + [413] * 7
    assert len(swift.names("c")) == 5


def test_without_quotas_counters_are_written_once(cloud, swift):
    swift.put("c")
    with cloud.cloud.db.read() as tx:
        container = containers.find(tx, swift.base.rpartition("/")[2], "c")
    assert container is not None
    with counting_queries() as seen, cloud.cloud.db.write() as tx:
        for number in range(10):
            objects.put(tx, container, VALUES | {"name": str(number)})
    assert len([text for text in seen if text.startswith("UPDATE")]) == 2
    assert len([text for text in seen if text.startswith("SELECT")]) == 10
    assert swift("HEAD", "c").headers["x-container-object-count"] == "10"
    assert swift("HEAD", "").headers["x-account-object-count"] == "10"
