# SPDX-License-Identifier: Apache-2.0
"""Endpoint groups, and catalogs that show only some endpoints."""

import pytest

from altostratus.services.identity import models
from tests.services.identity.conftest import ADMIN_PASSWORD, BASE, DEMO_PASSWORD, IdentityCloud, project

GROUPS = f"{BASE}/OS-EP-FILTER/endpoint_groups"
PROJECTS = f"{BASE}/OS-EP-FILTER/projects"


@pytest.fixture
def service(cloud):
    """A service with a public endpoint in each of two regions, and an internal one."""
    made = cloud.make("services", "service", type="things")
    for interface, region in (("public", "R1"), ("public", "R2"), ("internal", "R1")):
        cloud.make("endpoints", "endpoint", service_id=made["id"], interface=interface, region=region, url="http://x")
    return made["id"]


@pytest.fixture
def admin_project(cloud):
    return cloud.admin.get(f"{BASE}/projects?name=admin").json["projects"][0]["id"]


def group(cloud, **filters):
    return cloud.make("OS-EP-FILTER/endpoint_groups", "endpoint_group", name="g", filters=filters)


def endpoints(cloud, service):
    found = cloud.admin.get(f"{BASE}/endpoints?service_id={service}").json["endpoints"]
    return {(one["interface"], one["region_id"]): one["id"] for one in found}


def catalog(cloud, scope=None):
    token = cloud.log_in("admin", ADMIN_PASSWORD, scope or project("admin")).json["token"]
    return {entry["type"]: {one["id"] for one in entry["endpoints"]} for entry in token["catalog"]}


def test_a_group(cloud, service):
    made = group(cloud, service_id=service, interface="public")
    path = f"{GROUPS}/{made['id']}"
    assert made["links"]["self"].endswith(path) and made["description"] is None
    assert cloud.admin.get(path).json["endpoint_group"] == made
    assert cloud.admin.request("HEAD", path).status == 200
    assert cloud.admin.get(f"{GROUPS}?name=g").json["endpoint_groups"] == [made]
    assert cloud.admin.get(f"{GROUPS}?name=h").json["endpoint_groups"] == []
    ids = endpoints(cloud, service)
    shown = cloud.admin.get(f"{path}/endpoints").json["endpoints"]
    assert {one["id"] for one in shown} == {ids["public", "R1"], ids["public", "R2"]}
    assert shown[0]["region"] == shown[0]["region_id"]
    wish = {"name": "h", "filters": {"region_id": "R1", "service_id": service}}
    changed = cloud.admin.patch(path, {"endpoint_group": wish}).json["endpoint_group"]
    assert changed["name"] == "h" and changed["filters"] == wish["filters"]
    assert len(cloud.admin.get(f"{path}/endpoints").json["endpoints"]) == 2
    kept = cloud.admin.patch(path, {"endpoint_group": {"name": "i", "filters": None, "description": None}}).json
    assert kept["endpoint_group"] == changed | {"name": "i"}
    assert cloud.admin.delete(path).status == 204
    assert cloud.admin.get(path).status == cloud.admin.delete(path).status == 404


@pytest.mark.parametrize(
    "wish",
    [
        {"name": "g"},
        {"name": "g", "filters": {}},
        {"name": "g", "filters": None},
        {"name": None, "filters": {"interface": "public"}},
        {"name": "g", "filters": {"url": "http://x"}},
        {"name": "g", "filters": {"interface": "other"}},
        {"name": "", "filters": {"interface": "public"}},
        {"filters": {"interface": "public"}},
        {"name": "g", "filters": {"interface": "public"}, "bogus": 1},
    ],
)
def test_refused_groups(cloud, wish):
    assert cloud.admin.post(GROUPS, {"endpoint_group": wish}).status == 400


def test_refused_changes(cloud):
    path = f"{GROUPS}/{group(cloud, interface='public')['id']}"
    assert cloud.admin.patch(path, {"endpoint_group": {}}).status == 400
    assert cloud.admin.patch(path, {"endpoint_group": {"filters": {"bogus": "x"}}}).status == 400
    assert cloud.admin.patch(f"{GROUPS}/nothing", {"endpoint_group": {"name": "h"}}).status == 404


def test_a_catalog_shows_the_projects_endpoints_only(cloud, service, admin_project):
    ids, everything = endpoints(cloud, service), catalog(cloud)
    assert everything["things"] == set(ids.values()) and "identity" in everything
    path = f"{PROJECTS}/{admin_project}/endpoints/{ids['internal', 'R1']}"
    assert cloud.admin.get(path).status == 404
    assert cloud.admin.put(path).status == 204 and cloud.admin.put(path).status == 409
    assert cloud.admin.get(path).status == cloud.admin.request("HEAD", path).status
    assert catalog(cloud) == {"things": {ids["internal", "R1"]}}
    assert catalog(cloud, project("demo")) == everything
    assert catalog(cloud, {"system": {"all": True}}).keys() == everything.keys()
    shown = cloud.admin.get(f"{BASE}/OS-EP-FILTER/endpoints/{ids['internal', 'R1']}/projects").json["projects"]
    assert [one["id"] for one in shown] == [admin_project]
    assert cloud.admin.delete(path).status == 204 and cloud.admin.delete(path).status == 404
    assert catalog(cloud) == everything


def test_a_catalog_shows_the_groups_endpoints_too(cloud, service, admin_project):
    ids = endpoints(cloud, service)
    made = group(cloud, service_id=service, region_id="R2")
    path = f"{GROUPS}/{made['id']}/projects/{admin_project}"
    assert cloud.admin.get(path).status == cloud.admin.delete(path).status == 404
    assert cloud.admin.put(path).status == 204 and cloud.admin.put(path).status == 409
    shown = cloud.admin.get(path).json["project_endpoint_group"]
    assert shown["endpoint_group_id"] == made["id"] and shown["project_id"] == admin_project
    cloud.admin.put(f"{PROJECTS}/{admin_project}/endpoints/{ids['public', 'R1']}")
    both = {ids["public", "R1"], ids["public", "R2"]}
    assert catalog(cloud) == {"things": both}
    listed = cloud.admin.get(f"{PROJECTS}/{admin_project}/endpoints").json["endpoints"]
    assert {one["id"] for one in listed} == both
    assert cloud.admin.get(f"{PROJECTS}/{admin_project}/endpoint_groups").json["endpoint_groups"] == [made]
    projects = cloud.admin.get(f"{GROUPS}/{made['id']}/projects").json["projects"]
    assert [one["name"] for one in projects] == ["admin"]
    assert cloud.admin.delete(path).status == 204
    assert catalog(cloud) == {"things": {ids["public", "R1"]}}


def test_a_change_of_the_group_changes_the_catalog_at_once(cloud, service, admin_project):
    made = group(cloud, service_id=service, interface="internal")
    cloud.admin.put(f"{GROUPS}/{made['id']}/projects/{admin_project}")
    ids = endpoints(cloud, service)
    assert catalog(cloud) == {"things": {ids["internal", "R1"]}}
    wish = {"endpoint_group": {"filters": {"service_id": service, "region_id": "R2"}}}
    assert cloud.admin.patch(f"{GROUPS}/{made['id']}", wish).status == 200
    assert catalog(cloud) == {"things": {ids["public", "R2"]}}
    cloud.admin.delete(f"{GROUPS}/{made['id']}")
    assert "identity" in catalog(cloud)


def test_catalogs_can_be_empty_by_default(tmp_path):
    with IdentityCloud(tmp_path, return_all_endpoints_if_no_filter=False) as cloud:
        assert catalog(cloud) == catalog(cloud, {"system": {"all": True}}) == {}
        place = cloud.admin.get(f"{BASE}/projects?name=admin").json["projects"][0]["id"]
        made = group(cloud, interface="public")
        assert cloud.admin.put(f"{GROUPS}/{made['id']}/projects/{place}").status == 204
        assert list(catalog(cloud)) == ["identity"]


def test_what_does_not_exist(cloud, service, admin_project):
    made, one = group(cloud, interface="public")["id"], endpoints(cloud, service)["public", "R1"]
    for path in (
        f"{PROJECTS}/nothing/endpoints/{one}",
        f"{PROJECTS}/{admin_project}/endpoints/nothing",
        f"{GROUPS}/{made}/projects/nothing",
        f"{GROUPS}/nothing/projects/{admin_project}",
    ):
        assert cloud.admin.put(path).status == cloud.admin.get(path).status == 404
        assert cloud.admin.delete(path).status == 404
    for path in (
        f"{PROJECTS}/nothing/endpoints",
        f"{PROJECTS}/nothing/endpoint_groups",
        f"{GROUPS}/nothing/projects",
        f"{GROUPS}/nothing/endpoints",
        f"{BASE}/OS-EP-FILTER/endpoints/nothing/projects",
    ):
        assert cloud.admin.get(path).status == 404


def test_associations_go_with_what_they_name(cloud, service, admin_project):
    place = cloud.make("projects", "project", name="p")["id"]
    ids = endpoints(cloud, service)
    made = group(cloud, interface="public")["id"]
    for one in (place, admin_project):
        cloud.admin.put(f"{GROUPS}/{made}/projects/{one}")
        cloud.admin.put(f"{PROJECTS}/{one}/endpoints/{ids['public', 'R1']}")
        cloud.admin.put(f"{PROJECTS}/{one}/endpoints/{ids['public', 'R2']}")
    assert cloud.admin.delete(f"{BASE}/endpoints/{ids['public', 'R1']}").status == 204
    assert cloud.admin.delete(f"{BASE}/projects/{place}").status == 204
    with cloud.cloud.db.read() as tx:
        assert tx.find(models.ProjectEndpoint, place) is None
        assert tx.find(models.ProjectEndpointGroup, made, place) is None
        assert tx.find(models.ProjectEndpoint, admin_project, ids["public", "R1"]) is None
        assert tx.find(models.ProjectEndpoint, admin_project, ids["public", "R2"]) is not None
    cloud.admin.delete(f"{BASE}/services/{service}")
    cloud.admin.delete(f"{GROUPS}/{made}")
    with cloud.cloud.db.read() as tx:
        assert tx.find(models.ProjectEndpoint, admin_project) is None
        assert tx.find(models.ProjectEndpointGroup, made) is None


def test_only_administrators(cloud, admin_project):
    demo, made = cloud.as_user("demo", DEMO_PASSWORD, project("demo")), group(cloud, interface="public")["id"]
    assert demo.get(GROUPS).status == demo.get(f"{GROUPS}/{made}").status == 403
    assert demo.get(f"{GROUPS}/nothing").status == 403
    assert demo.post(GROUPS, {"endpoint_group": {"name": "g", "filters": {"interface": "public"}}}).status == 403
    assert demo.put(f"{GROUPS}/{made}/projects/{admin_project}").status == 403
    assert demo.get(f"{PROJECTS}/{admin_project}/endpoints").status == 403
