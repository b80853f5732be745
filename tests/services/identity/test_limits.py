# SPDX-License-Identifier: Apache-2.0
"""Unified limits."""

import pytest

from tests.services.identity.conftest import BASE, DEMO_PASSWORD, project

REGISTERED, LIMITS = f"{BASE}/registered_limits", f"{BASE}/limits"


@pytest.fixture
def service(cloud):
    return cloud.admin.get(f"{BASE}/services").json["services"][0]["id"]


def register(cloud, service, **members):
    one = {"service_id": service, "resource_name": "things", "default_limit": 5} | members
    return cloud.admin.post(REGISTERED, {"registered_limits": [one]})


def limit(cloud, service, **members):
    one = {"service_id": service, "resource_name": "things", "resource_limit": 7} | members
    return cloud.admin.post(LIMITS, {"limits": [one]})


def test_registered_limits(cloud, service):
    made = register(cloud, service)
    assert made.status == 201
    shown = made.json["registered_limits"][0]
    path = f"{REGISTERED}/{shown['id']}"
    assert shown["default_limit"] == 5 and shown["region_id"] is None
    assert register(cloud, service).status == 409
    assert register(cloud, service, region_id="RegionOne").status == 201
    assert register(cloud, "nothing").status == 400
    assert register(cloud, service, region_id="nothing").status == 400
    assert register(cloud, service, default_limit="many").status == 400
    assert register(cloud, service, bogus=1).status == 400
    assert cloud.admin.get(path).json["registered_limit"] == shown
    assert len(cloud.admin.get(f"{REGISTERED}?resource_name=things").json["registered_limits"]) == 2
    changed = cloud.admin.patch(path, {"registered_limit": {"default_limit": 9}})
    assert changed.json["registered_limit"]["default_limit"] == 9
    assert cloud.admin.delete(path).status == 204
    assert cloud.admin.get(path).status == 404


def test_limits(cloud, service):
    demo = cloud.admin.get(f"{BASE}/projects?name=demo").json["projects"][0]["id"]
    assert limit(cloud, service, project_id=demo).status == 403  # not registered
    registered = register(cloud, service).json["registered_limits"][0]["id"]
    made = limit(cloud, service, project_id=demo)
    assert made.status == 201
    shown = made.json["limits"][0]
    path = f"{LIMITS}/{shown['id']}"
    assert shown["project_id"] == demo and shown["domain_id"] is None
    assert limit(cloud, service, project_id=demo).status == 409
    assert limit(cloud, service, domain_id="default").status == 201
    assert limit(cloud, service).status == 400
    assert limit(cloud, service, project_id=demo, domain_id="default").status == 400
    assert limit(cloud, service, project_id="nothing").status == 400
    assert cloud.admin.delete(f"{REGISTERED}/{registered}").status == 403
    assert cloud.admin.patch(path, {"limit": {"resource_limit": 3}}).json["limit"]["resource_limit"] == 3
    member = cloud.as_user("demo", DEMO_PASSWORD, project("demo"))
    assert [one["id"] for one in member.get(LIMITS).json["limits"]] == [shown["id"]]
    assert len(cloud.admin.get(LIMITS).json["limits"]) == 2
    assert member.get(path).status == 200
    assert member.get(f"{LIMITS}/model").json["model"]["name"] == "flat"
    assert member.patch(path, {"limit": {"resource_limit": 99}}).status == 403
    assert cloud.admin.delete(path).status == 204
    assert cloud.admin.get(path).status == 404
