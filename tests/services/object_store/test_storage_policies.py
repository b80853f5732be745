# SPDX-License-Identifier: Apache-2.0
"""Storage policies: chosen for a container, kept for good, counted, told."""

import json

import pytest

from altostratus.contracts.object_store import ObjectStore, StoragePolicies
from altostratus.drivers.object_store import policies
from altostratus.drivers.object_store.fake import FakeObjectStore
from altostratus.drivers.object_store.policies import PolicyStores
from altostratus.services.object_store.service import SERVICE
from altostratus.testing.cloud import TestCloud

from .conftest import Swift

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture
def store(tmp_path):
    stores = PolicyStores(tmp_path / "policies.json", lambda _policy: FakeObjectStore())
    stores.alter(lambda before: policies.with_alias(policies.added(before, "Gold"), "Gold", "safest"))
    return stores


@pytest.fixture
def cloud(tmp_path, store):
    def prepare(cloud):
        cloud.add_part(ObjectStore, store)
        cloud.add_part(StoragePolicies, store)

    with TestCloud(tmp_path, services=(SERVICE,), prepare=prepare) as cloud:
        yield cloud


def kept(store, policy):
    return len(list(store.store(policy).blob_ids()))


def test_objects_go_where_their_container_says(swift, store):
    swift.put("plain")
    swift.put("gold", X_Storage_Policy="gOLD")
    assert swift("HEAD", "plain").headers["x-storage-policy"] == "Policy-0"
    assert swift("GET", "gold").headers["x-storage-policy"] == "Gold"
    swift.put("gold/o", b"12345")
    assert (kept(store, 0), kept(store, 1)) == (0, 1)
    swift.put("plain/copy", X_Copy_From="gold/o")
    assert (kept(store, 0), kept(store, 1)) == (1, 1)
    assert swift("GET", "gold/o").content == swift("GET", "plain/copy").content == b"12345"
    assert swift("GET", "gold/o", Range="bytes=1-2").content == b"23"
    assert swift("DELETE", "gold/o").status == 204


def test_a_container_keeps_its_policy(swift):
    assert swift("PUT", "c", X_Storage_Policy="silver").status == 400
    swift.put("c", X_Storage_Policy="safest")
    assert swift("PUT", "c").status == swift("PUT", "c", X_Storage_Policy="Gold").status == 202
    refused = swift("PUT", "c", X_Storage_Policy="Policy-0")
    assert refused.status == 409 and "Gold for good" in refused.text
    assert swift("POST", "c", X_Storage_Policy="Policy-0").status == 204
    assert swift("HEAD", "c").headers["x-storage-policy"] == "Gold"
    swift("DELETE", "c")
    assert swift("PUT", "c", X_Storage_Policy="Policy-0").status == 201


def test_counts_of_an_account_by_policy(swift):
    def counts(name):
        head = swift("HEAD").headers
        return [head.get(f"x-account-storage-policy-{name}-{what}")
                for what in ("container-count", "object-count", "bytes-used")]  # fmt: skip

    swift.put("gold", X_Storage_Policy="Gold")
    swift.put("gold/o", b"12345")
    assert counts("gold") == ["1", "1", "5"] and counts("policy-0") == [None] * 3
    swift.put("plain")
    swift.put("plain/o", b"12")
    swift.put("gold/o", b"1234567")
    assert counts("gold") == ["1", "1", "7"] and counts("policy-0") == ["1", "1", "2"]
    swift("DELETE", "gold/o")
    swift("DELETE", "gold")
    assert counts("gold") == ["0", "0", "0"]
    assert swift("HEAD").headers["x-account-bytes-used"] == "2"
    listed = json.loads(swift("GET", "?format=json").content)
    assert [(one["name"], one["storage_policy"]) for one in listed] == [("plain", "Policy-0")]


def test_the_default_may_change(swift, store, cloud):
    swift.put("before")
    store.alter(lambda before: policies.with_default(before, "Gold"))
    swift.put("after")
    swift.put("after/o", b"1")
    assert kept(store, 1) == 1
    assert [swift("HEAD", name).headers["x-storage-policy"] for name in ("before", "after")] == ["Policy-0", "Gold"]
    assert swift("PUT", "before").status == 202


def test_a_deprecated_policy_takes_no_containers(swift, store, cloud):
    swift.put("c", X_Storage_Policy="Gold")
    store.alter(lambda before: policies.with_deprecated(before, "Gold", True))
    refused = swift("PUT", "d", X_Storage_Policy="Gold")
    assert refused.status == 400 and "deprecated" in refused.text
    swift.put("c/o", b"still")
    assert swift("GET", "c/o").content == b"still" and kept(store, 1) == 1
    told = cloud.client(None).get("/object-store/info").json["swift"]["policies"]
    assert told == [
        {"name": "Policy-0", "aliases": "Policy-0", "default": True},
        {"name": "Gold", "aliases": "Gold, safest", "deprecated": True},
    ]


def test_versions_stay_where_they_were_written(swift, store):
    swift.put("old")
    swift.put("c", X_Storage_Policy="Gold", X_Versions_Location="old")
    swift.put("c/o", b"first")
    swift.put("c/o", b"second")
    assert (kept(store, 0), kept(store, 1)) == (0, 2)
    swift("DELETE", "c/o")
    assert swift("GET", "c/o").content == b"first"


def test_quotas_of_an_account_by_policy(swift, cloud):
    reseller = Swift(cloud, "reseller", "member")
    assert swift("POST", X_Account_Quota_Bytes_Policy_Gold="10").status == 403
    assert swift("POST", X_Account_Meta_Quota_Bytes_Policy_1="10").status == 403
    assert reseller("POST", X_Account_Quota_Bytes_Policy_Gold="x").status == 400
    assert reseller("POST", X_Account_Quota_Bytes_Policy_Gold="10", X_Account_Quota_Count_Policy_Gold="2").status == 204
    head = swift("HEAD").headers
    assert {name: text for name, text in head.items() if "quota" in name} == {
        "x-account-quota-bytes-policy-gold": "10", "x-account-quota-count-policy-gold": "2",
    }  # fmt: skip
    swift.put("gold", X_Storage_Policy="Gold")
    swift.put("plain")
    assert swift("PUT", "gold/o", b"x" * 11).status == 413
    assert swift("PUT", "plain/o", b"x" * 11).status == 201
    swift.put("gold/o", b"x" * 6)
    assert swift("PUT", "gold/p", b"x" * 5).status == 413
    assert swift("PUT", "gold/o", b"x" * 10).status == 201
    swift.put("gold/p")
    refused = swift("PUT", "gold/q")
    assert refused.status == 413 and "policy quota" in refused.text
    reseller("POST", X_Remove_Account_Quota_Count_Policy_Gold="x", X_Account_Quota_Bytes_Policy_Policy_0="12")
    swift.put("gold/q")
    assert swift("PUT", "plain/p", b"12").status == 413
    assert swift("PUT", "plain/p", b"1").status == 201
