# SPDX-License-Identifier: Apache-2.0
"""Services, endpoints, regions, and the catalog that tokens show."""

import pytest

from altostratus.services.identity import public
from tests.services.identity.conftest import ADMIN_PASSWORD, BASE, DEMO_PASSWORD, project

SERVICES, ENDPOINTS, REGIONS = f"{BASE}/services", f"{BASE}/endpoints", f"{BASE}/regions"


def catalog(cloud, scope=None):
    token = cloud.log_in("admin", ADMIN_PASSWORD, scope or project("admin")).json["token"]
    return {entry["type"]: entry for entry in token["catalog"]}


def test_a_service_and_its_endpoint(cloud):
    service = cloud.make("services", "service", type="things", name="thing", description="d")
    members = {"service_id": service["id"], "interface": "public", "url": "http://things/$(project_id)s"}
    endpoint = cloud.make("endpoints", "endpoint", region="R2", **members)
    assert endpoint["region"] == endpoint["region_id"] == "R2"
    assert cloud.admin.get(f"{REGIONS}/R2").status == 200
    token = cloud.log_in("admin", ADMIN_PASSWORD, project("admin")).json["token"]
    entry = next(entry for entry in token["catalog"] if entry["type"] == "things")
    assert entry["endpoints"][0]["url"] == f"http://things/{token['project']['id']}"
    assert catalog(cloud, {"system": {"all": True}})["things"]["endpoints"] == []
    cloud.admin.patch(f"{ENDPOINTS}/{endpoint['id']}", {"endpoint": {"url": "http://elsewhere"}})
    assert catalog(cloud)["things"]["endpoints"][0]["url"] == "http://elsewhere"
    cloud.admin.patch(f"{SERVICES}/{service['id']}", {"service": {"enabled": False}})
    assert "things" not in catalog(cloud)
    assert cloud.admin.delete(f"{SERVICES}/{service['id']}").status == 204
    assert cloud.admin.get(f"{ENDPOINTS}/{endpoint['id']}").status == 404
    assert cloud.admin.get(f"{SERVICES}/{service['id']}").status == 404


def test_filters(cloud):
    service = cloud.make("services", "service", type="things")["id"]
    for interface in ("public", "internal"):
        cloud.make("endpoints", "endpoint", service_id=service, interface=interface, url="http://x", region_id=None)
    assert len(cloud.admin.get(f"{ENDPOINTS}?service_id={service}").json["endpoints"]) == 2
    assert len(cloud.admin.get(f"{ENDPOINTS}?service_id={service}&interface=public").json["endpoints"]) == 1
    assert cloud.admin.get(f"{SERVICES}?type=things").json["services"][0]["id"] == service
    assert cloud.admin.get(f"{ENDPOINTS}?region_id=RegionOne").json["endpoints"]


@pytest.mark.parametrize(
    "change",
    [
        {"url": "no url"},
        {"url": "http://x/$(secret)s"},
        {"interface": "other"},
        {"service_id": "nothing"},
        {"region_id": "nothing"},
        {"service_id": None},
    ],
)
def test_refused_endpoints(cloud, change):
    service = cloud.admin.get(SERVICES).json["services"][0]["id"]
    members = {"service_id": service, "interface": "public", "url": "http://x"} | change
    assert cloud.admin.post(ENDPOINTS, {"endpoint": members}).status == 400


def test_regions(cloud):
    assert cloud.make("regions", "region", id="R2", description="d")["id"] == "R2"
    assert cloud.admin.post(REGIONS, {"region": {"id": "R2"}}).status == 409
    assert len(cloud.make("regions", "region")["id"]) == 32
    assert cloud.admin.put(f"{REGIONS}/R3", {"region": {"parent_region_id": "R2"}}).status == 201
    assert cloud.admin.put(f"{REGIONS}/R4", {"region": {"id": "R5"}}).status == 400
    assert cloud.admin.post(REGIONS, {"region": {"parent_region_id": "nothing"}}).status == 404
    assert cloud.admin.patch(f"{REGIONS}/R2", {"region": {"parent_region_id": "R3"}}).status == 400
    assert cloud.admin.patch(f"{REGIONS}/R2", {"region": {"description": "e"}}).json["region"]["description"] == "e"
    assert [one["id"] for one in cloud.admin.get(f"{REGIONS}?parent_region_id=R2").json["regions"]] == ["R3"]
    assert cloud.admin.delete(f"{REGIONS}/RegionOne").status == 403
    assert cloud.admin.delete(f"{REGIONS}/R2").status == 204
    assert cloud.admin.get(f"{REGIONS}/R3").status == 404


def test_bootstrap_is_idempotent_and_follows_a_move(cloud):
    before = cloud.admin.get(ENDPOINTS).json["endpoints"]
    with cloud.cloud.db.write() as tx:
        public.bootstrap(cloud.cloud, tx, admin_password="ignored", base_url="http://moved")
    after = cloud.admin.get(ENDPOINTS).json["endpoints"]
    assert {one["id"] for one in before} == {one["id"] for one in after}
    assert {one["url"] for one in after} == {"http://moved/identity"}
    assert len(cloud.admin.get(f"{BASE}/users").json["users"]) == 2
    assert cloud.log_in("admin", ADMIN_PASSWORD).status == 201


def test_public_functions(cloud):
    demo = cloud.admin.get(f"{BASE}/projects?name=demo").json["projects"][0]
    user = cloud.admin.get(f"{BASE}/users?name=demo").json["users"][0]
    with cloud.cloud.db.read() as tx:
        assert public.find_project(tx, demo["id"]) == public.ProjectInfo(demo["id"], "demo", "default", True, "default")
        assert public.find_project(tx, "nothing") is None
        assert public.find_user(tx, user["id"]) == public.UserInfo(user["id"], "demo", "default", True)
        assert public.find_user(tx, "nothing") is None


def test_who_may(cloud):
    demo = cloud.as_user("demo", DEMO_PASSWORD, project("demo"))
    assert demo.get(SERVICES).status == demo.get(ENDPOINTS).status == 403
    assert demo.get(REGIONS).status == 200
    assert demo.post(SERVICES, {"service": {"type": "x"}}).status == 403
    assert cloud.client(None).get(REGIONS).status == 401
