# SPDX-License-Identifier: Apache-2.0
"""Placement through its API, and through its door for other services."""

import pytest

from altostratus.kernel import ids
from altostratus.kernel.errors import Conflict
from altostratus.services.placement import public
from altostratus.services.placement.service import SERVICE
from altostratus.testing.cloud import TestCloud

LATEST = {"OpenStack-API-Version": "placement 1.39"}
HOST = ids.derived_id("provider", "host-1")


@pytest.fixture
def cloud(tmp_path):
    with TestCloud(tmp_path, services=(SERVICE,)) as made:
        yield made


@pytest.fixture
def admin(cloud):
    return cloud.client("admin", **LATEST)


@pytest.fixture
def host(admin):
    made = admin.post("/placement/resource_providers", {"name": "host-1", "uuid": HOST})
    assert made.status == 200 and made.json["root_provider_uuid"] == HOST
    body = {
        "resource_provider_generation": 0,
        "inventories": {
            "VCPU": {"total": 2, "allocation_ratio": 2.0, "max_unit": 2},
            "MEMORY_MB": {"total": 1024, "reserved": 512},
        },
    }
    assert admin.put(f"/placement/resource_providers/{HOST}/inventories", body).status == 200
    return HOST


def claim(admin, consumer, vcpus, generation=None, provider=HOST):
    body = {
        "allocations": {provider: {"resources": {"VCPU": vcpus}}},
        "project_id": "p",
        "user_id": "u",
        "consumer_generation": generation,
        "consumer_type": "INSTANCE",
    }
    return admin.put(f"/placement/allocations/{consumer}", body)


def test_versions(cloud):
    assert cloud.client(None).get("/placement").json["versions"][0]["max_version"] == "1.39"


def test_only_admins(cloud):
    assert cloud.client("member", **LATEST).get("/placement/resource_providers").status == 403


def test_providers(admin, host):
    assert [one["name"] for one in admin.get("/placement/resource_providers").json["resource_providers"]] == ["host-1"]
    assert admin.post("/placement/resource_providers", {"name": "host-1"}).status == 409
    child = admin.post("/placement/resource_providers", {"name": "numa0", "parent_provider_uuid": host}).json
    assert child["root_provider_uuid"] == host
    assert admin.delete(f"/placement/resource_providers/{host}").status == 409
    assert admin.delete(f"/placement/resource_providers/{child['uuid']}").status == 204
    renamed = admin.put(f"/placement/resource_providers/{host}", {"name": "new"})
    assert renamed.json["name"] == "new"
    assert admin.get(f"/placement/resource_providers/{ids.new_id()}").status == 404


def test_old_versions_answer_as_they_did(cloud):
    old = cloud.client("admin", OpenStack_API_Version="placement 1.0")
    made = old.post("/placement/resource_providers", {"name": "old"})
    assert made.status == 201 and made.content == b""
    assert "root_provider_uuid" not in old.get("/placement/resource_providers").json["resource_providers"][0]
    assert old.get("/placement/traits").status == 404
    assert old.post("/placement/resource_providers", {"name": "x", "parent_provider_uuid": None}).status == 400


def test_generations_guard_writers(admin, host):
    stale = {"resource_provider_generation": 0, "inventories": {}}
    refused = admin.put(f"/placement/resource_providers/{host}/inventories", stale)
    assert refused.status == 409
    assert refused.json["errors"][0]["code"] == "placement.concurrent_update"


def test_allocations_are_bounded(admin, host):
    first, second = ids.new_id(), ids.new_id()
    assert claim(admin, first, 2).status == 204
    assert claim(admin, second, 2).status == 204
    refused = claim(admin, ids.new_id(), 1)
    assert refused.status == 409 and "only 0 of 4 are free" in refused.json["errors"][0]["detail"]
    assert claim(admin, first, 1).status == 409  # the consumer has generation 1 by now
    assert claim(admin, first, 1, generation=1).status == 204
    assert admin.get(f"/placement/allocations/{first}").json["allocations"][host]["resources"] == {"VCPU": 1}
    assert admin.get(f"/placement/resource_providers/{host}/usages").json["usages"] == {"VCPU": 3, "MEMORY_MB": 0}
    assert admin.get("/placement/usages?project_id=p").json["usages"]["INSTANCE"]["VCPU"] == 3
    assert admin.delete(f"/placement/allocations/{first}").status == 204
    assert admin.delete(f"/placement/allocations/{first}").status == 404
    in_use = admin.delete(f"/placement/resource_providers/{host}/inventories/VCPU")
    assert in_use.status == 409


@pytest.mark.parametrize(
    "query",
    ["", "resources=VCPU", "resources=VCPU:0", "resources=NOPE:1", "resources=VCPU:1&required=CUSTOM_NO", "limit=0"],
)
def test_bad_candidate_requests(admin, host, query):
    assert admin.get(f"/placement/allocation_candidates?{query}").status == 400


def test_candidates_and_traits(admin, host):
    assert admin.put("/placement/traits/CUSTOM_FAST").status == 201
    assert admin.put("/placement/traits/CUSTOM_FAST").status == 204
    assert admin.put("/placement/traits/fast").status == 400
    found = admin.get("/placement/allocation_candidates?resources=VCPU:1,MEMORY_MB:512").json
    assert found["allocation_requests"][0]["allocations"] == {host: {"resources": {"VCPU": 1, "MEMORY_MB": 512}}}
    assert found["provider_summaries"][host]["resources"]["VCPU"] == {"capacity": 4, "used": 0}
    none = admin.get("/placement/allocation_candidates?resources=VCPU:1&required=CUSTOM_FAST").json
    assert none["allocation_requests"] == []
    generation = admin.get(f"/placement/resource_providers/{host}").json["generation"]
    body = {"resource_provider_generation": generation, "traits": ["CUSTOM_FAST"]}
    assert admin.put(f"/placement/resource_providers/{host}/traits", body).status == 200
    found = admin.get("/placement/allocation_candidates?resources=VCPU:1&required=CUSTOM_FAST").json
    assert found["allocation_requests"]
    assert admin.delete("/placement/traits/CUSTOM_FAST").status == 409


def test_resource_classes(admin):
    assert admin.put("/placement/resource_classes/CUSTOM_GOLD").status == 201
    assert admin.get("/placement/resource_classes/CUSTOM_GOLD").json["name"] == "CUSTOM_GOLD"
    assert admin.delete("/placement/resource_classes/VCPU").status == 400
    assert admin.delete("/placement/resource_classes/CUSTOM_GOLD").status == 204
    assert admin.get("/placement/resource_classes/CUSTOM_GOLD").status == 404


def test_nested_providers_share_a_tree(admin, host):
    child = admin.post("/placement/resource_providers", {"name": "disk", "parent_provider_uuid": host}).json["uuid"]
    body = {"resource_provider_generation": 0, "inventories": {"DISK_GB": {"total": 10}}}
    assert admin.put(f"/placement/resource_providers/{child}/inventories", body).status == 200
    offer = admin.get("/placement/allocation_candidates?resources=VCPU:1,DISK_GB:5").json["allocation_requests"][0]
    assert offer["allocations"] == {host: {"resources": {"VCPU": 1}}, child: {"resources": {"DISK_GB": 5}}}
    single = admin.get("/placement/allocation_candidates?resources1=VCPU:1,DISK_GB:5").json
    assert single["allocation_requests"] == []


def test_reshaper_moves_at_once(admin, host):
    consumer = ids.new_id()
    assert claim(admin, consumer, 1).status == 204
    child = admin.post("/placement/resource_providers", {"name": "numa", "parent_provider_uuid": host}).json["uuid"]
    generation = admin.get(f"/placement/resource_providers/{host}").json["generation"]
    body = {
        "inventories": {
            host: {"resource_provider_generation": generation, "inventories": {"MEMORY_MB": {"total": 1024}}},
            child: {"resource_provider_generation": 0, "inventories": {"VCPU": {"total": 2}}},
        },
        "allocations": {
            consumer: {
                "allocations": {child: {"resources": {"VCPU": 1}}},
                "project_id": "p",
                "user_id": "u",
                "consumer_generation": 1,
                "consumer_type": "INSTANCE",
            }
        },
    }
    moved = admin.post("/placement/reshaper", body)
    assert moved.status == 204, moved.text
    assert list(admin.get(f"/placement/allocations/{consumer}").json["allocations"]) == [child]


def test_the_door_for_other_services(cloud):
    inventories = {"VCPU": public.Inventory(total=2, allocation_ratio=1.0)}
    with cloud.cloud.db.write() as tx:
        public.ensure_provider(tx, "a", "host-a", inventories, {"HW_ARCH_X86_64"})
        public.ensure_provider(tx, "a", "host-a", inventories, {"HW_ARCH_X86_64"})
        assert [one.name for one in public.list_candidates(tx, {"VCPU": 2})] == ["host-a"]
        public.claim(tx, "server", "a", {"VCPU": 2}, project_id="p", user_id="u")
        assert public.list_candidates(tx, {"VCPU": 1}) == []
        assert public.explain_shortage(tx, {"VCPU": 1}) == [("host-a", "VCPU: asks for 1, but only 0 of 2 are free")]
        with pytest.raises(Conflict), tx.savepoint():
            public.claim(tx, "other", "a", {"VCPU": 1}, project_id="p", user_id="u")
        public.release(tx, "server")
        public.release(tx, "server")
        assert public.usages(tx, ["a"]) == {}
