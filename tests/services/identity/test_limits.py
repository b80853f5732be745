# SPDX-License-Identifier: Apache-2.0
"""Unified limits."""

import pytest
from argon2 import PasswordHasher

from altostratus.services.identity.tokens import passwords
from tests.services.identity.conftest import BASE, DEMO_PASSWORD, IdentityCloud, project

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


def test_a_domain_named_as_a_project_gets_a_domains_limit(cloud, service):
    register(cloud, service)
    shown = limit(cloud, service, project_id="default").json["limits"][0]
    assert (shown["project_id"], shown["domain_id"]) == (None, "default")


@pytest.fixture
def strict(tmp_path, monkeypatch):
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    with IdentityCloud(tmp_path, enforcement_model="strict_two_level") as made:
        made.known["service"] = made.admin.get(f"{BASE}/services").json["services"][0]["id"]
        made.known["demo"] = made.admin.get(f"{BASE}/projects?name=demo").json["projects"][0]["id"]
        register(made, made.known["service"])
        yield made


def test_the_strict_model_says_its_name(strict):
    assert strict.admin.get(f"{LIMITS}/model").json["model"]["name"] == "strict_two_level"


def test_a_project_gets_no_more_than_its_domain(strict):
    refused = limit(strict, strict.known["service"], project_id=strict.known["demo"], resource_limit=6)
    assert refused.status == 403 and "Its domain default has 5" in refused.text
    assert limit(strict, strict.known["service"], project_id=strict.known["demo"], resource_limit=-1).status == 403
    made = limit(strict, strict.known["service"], project_id=strict.known["demo"], resource_limit=5).json["limits"][0]
    path = f"{LIMITS}/{made['id']}"
    assert strict.admin.patch(path, {"limit": {"resource_limit": 6}}).status == 403
    assert limit(strict, strict.known["service"], domain_id="default", resource_limit=6).status == 201
    assert strict.admin.patch(path, {"limit": {"resource_limit": 6}}).status == 200
    assert strict.admin.patch(path, {"limit": {"resource_limit": 7}}).status == 403
    assert strict.admin.get(path).json["limit"]["resource_limit"] == 6


def test_a_domain_gets_no_less_than_its_projects(strict):
    limit(strict, strict.known["service"], project_id=strict.known["demo"], resource_limit=4)
    refused = limit(strict, strict.known["service"], domain_id="default", resource_limit=3)
    assert refused.status == 403 and f"Project {strict.known['demo']} in it has 4" in refused.text
    made = limit(strict, strict.known["service"], domain_id="default", resource_limit=4)
    assert made.status == 201
    path = f"{LIMITS}/{made.json['limits'][0]['id']}"
    assert strict.admin.patch(path, {"limit": {"resource_limit": 3}}).status == 403
    assert strict.admin.patch(path, {"limit": {"resource_limit": -1}}).status == 200


def test_limits_of_one_request_are_seen_together(strict):
    common = {"service_id": strict.known["service"], "resource_name": "things"}
    project_limit = {**common, "project_id": strict.known["demo"], "resource_limit": 9}
    domain_limit = {**common, "domain_id": "default", "resource_limit": 8}
    assert strict.admin.post(LIMITS, {"limits": [project_limit, domain_limit]}).status == 403
    assert strict.admin.get(LIMITS).json["limits"] == []
    assert strict.admin.post(LIMITS, {"limits": [project_limit, {**domain_limit, "resource_limit": 9}]}).status == 201


def test_the_strict_model_has_no_projects_below_projects(strict):
    place = strict.make("projects", "project", name="p")["id"]
    refused = strict.admin.post(f"{BASE}/projects", {"project": {"name": "q", "parent_id": place}})
    assert refused.status == 403 and "nested 1 deep" in refused.text
