# SPDX-License-Identifier: Apache-2.0
"""Every service honours the limits that identity keeps for it (`[quota] driver = "unified"`)."""

import pytest

from altostratus.kernel.config import Settings
from altostratus.kernel.quota import QuotaOptions
from altostratus.services.identity import models
from altostratus.services.identity.config import IdentityOptions
from altostratus.services.identity.public import register_catalog
from altostratus.services.identity.service import SERVICE as IDENTITY
from altostratus.testing.personas import project_id
from tests.services.compute.people import Person
from tests.services.compute.world import SERVICES, open_with
from tests.services.identity.conftest import BASE

PROJECTS = ("blue", "green")


class Limited:
    """A cloud with the projects blue and green in the default domain, and short ways to its limits."""

    def __init__(self, directory, driver="unified", model="flat"):
        settings = Settings([QuotaOptions(driver=driver), IdentityOptions(enforcement_model=model)])
        self.cloud = open_with(directory, services=(IDENTITY, *SERVICES), settings=settings)
        with self.cloud.cloud.db.write() as tx:
            register_catalog(tx, self.cloud.cloud, "http://cloud")
            self.add_project(tx, "default", is_domain=True, domain_id=None)
            for name in PROJECTS:
                self.add_project(tx, project_id(name))
        self.admin, self.member = Person(self.cloud, "admin"), Person(self.cloud, "member")
        self.green = Person(self.cloud, "member@green")
        found = self.admin.client.get(f"{BASE}/services").json["services"]
        self.services = {one["type"]: one["id"] for one in found}

    @staticmethod
    def add_project(tx, identifier, *, is_domain=False, domain_id="default"):
        tx.insert(
            models.Project, id=identifier, name=identifier, domain_id=domain_id, parent_id=domain_id, enabled=True,
            is_domain=is_domain, description="", options={}, extra={},
        )  # fmt: skip

    def register(self, service, resource, default, **members):
        one = {"service_id": self.services[service], "resource_name": resource, "default_limit": default, **members}
        answer = self.admin.client.post(f"{BASE}/registered_limits", {"registered_limits": [one]})
        assert answer.status == 201, answer.text

    def limit(self, service, resource, limit, **members):
        one = {"service_id": self.services[service], "resource_name": resource, "resource_limit": limit, **members}
        answer = self.admin.client.post(f"{BASE}/limits", {"limits": [one]})
        assert answer.status == 201, answer.text

    def make_network(self, person=None):
        return (person or self.member).client.post("/network/v2.0/networks", {"network": {"name": "n"}})

    def make_volume(self, **members):
        client = self.member.client
        return client.post(f"/volume/v3/{client.project_id}/volumes", {"volume": {"size": 1, **members}})

    def make_image(self):
        body = {"name": "i", "disk_format": "raw", "container_format": "bare"}
        return self.member.client.post("/image/v2/images", body)


@pytest.fixture
def unified(tmp_path):
    made = Limited(tmp_path)
    with made.cloud:
        yield made


@pytest.fixture
def strict(tmp_path):
    made = Limited(tmp_path, model="strict_two_level")
    with made.cloud:
        yield made


BLUE = {"project_id": project_id("blue")}


def test_servers(unified):
    image, network = unified.member.make_image(), unified.member.make_network()
    unified.register("compute", "servers", 1)
    assert unified.member.try_server(image, network).status == 202
    refused = unified.member.try_server(image, network)
    assert refused.status == 403 and "already used 1 of 1 instances" in refused.text
    unified.limit("compute", "servers", 2, **BLUE)
    assert unified.member.try_server(image, network).status == 202
    assert unified.member.try_server(image, network).status == 403


@pytest.mark.parametrize("resource", ["class:VCPU", "class:MEMORY_MB"])
def test_size_of_servers(unified, resource):
    image, network = unified.member.make_image(), unified.member.make_network()
    unified.register("compute", resource, 0)
    assert unified.member.try_server(image, network).status == 403
    unified.limit("compute", resource, -1, **BLUE)
    assert unified.member.try_server(image, network).status == 202


def test_what_belongs_to_servers(unified):
    for resource in ("server_metadata_items", "server_key_pairs", "server_groups"):
        unified.register("compute", resource, 0)
    assert unified.member.post("/os-keypairs", {"keypair": {"name": "k"}}, version="2.1").status == 403
    group = {"server_group": {"name": "g", "policy": "affinity"}}
    assert unified.member.post("/os-server-groups", group).status == 403
    assert unified.member.try_server(unified.member.make_image(), "none", metadata={"a": "b"}).status == 403
    unified.limit("compute", "server_groups", 1, **BLUE)
    assert unified.member.post("/os-server-groups", group).status == 200


def test_volumes(unified):
    unified.register("block-storage", "volumes", 1)
    assert unified.make_volume().status == 202
    refused = unified.make_volume()
    assert refused.status == 413 and "volumes" in refused.text
    unified.limit("block-storage", "volumes", 5, **BLUE)
    assert unified.make_volume().status == 202
    unified.register("block-storage", "gigabytes", 3)
    assert unified.make_volume(size=2).status == 413
    assert unified.make_volume().status == 202


def test_volumes_of_a_type(unified):
    kind = unified.admin.client.get(f"/volume/v3/{unified.admin.client.project_id}/types").json["volume_types"][0]
    unified.register("block-storage", f"volumes_{kind['name']}", 0)
    assert unified.make_volume(volume_type=kind["name"]).status == 413


def test_images(unified):
    unified.register("image", "image_count_total", 1)
    unified.register("image", "image_size_total", 0)
    made = unified.make_image()
    assert made.status == 201 and unified.make_image().status == 413
    path, header = f"/image/v2/images/{made.json['id']}/file", {"Content-Type": "application/octet-stream"}
    assert unified.member.client.put(path, b"x" * (1 << 20), headers=header).status == 413
    usage = unified.member.client.get("/image/v2/info/usage").json["usage"]
    assert usage["image_count_total"] == {"usage": 1, "limit": 1} and usage["image_size_total"]["limit"] == 0


def test_images_on_their_way(unified):
    for resource in ("image_count_uploading", "image_stage_total"):
        unified.register("image", resource, 1)
    first, second = (unified.make_image().json["id"] for _ in range(2))
    header = {"Content-Type": "application/octet-stream"}
    staged = unified.member.client.put(f"/image/v2/images/{first}/stage", b"x" * (1 << 20), headers=header)
    assert staged.status == 204
    refused = unified.member.client.put(f"/image/v2/images/{second}/file", b"x", headers=header)
    assert refused.status == 413 and "image_count_uploading" in refused.text
    unified.limit("image", "image_count_uploading", 5, **BLUE)
    refused = unified.member.client.put(f"/image/v2/images/{second}/stage", b"x", headers=header)
    assert refused.status == 413 and "image_stage_total" in refused.text
    assert unified.member.client.put(f"/image/v2/images/{second}/file", b"x", headers=header).status == 204
    usage = unified.member.client.get("/image/v2/info/usage").json["usage"]
    assert usage["image_stage_total"] == {"usage": 1, "limit": 1} and usage["image_count_uploading"]["usage"] == 1


def test_networks(unified):
    unified.register("network", "network", 1)
    assert unified.make_network().status == 201
    refused = unified.make_network()
    assert refused.status == 409 and "network" in refused.text
    assert unified.make_network(unified.green).status == 201
    unified.limit("network", "network", 2, **BLUE)
    assert unified.make_network().status == 201


def test_what_is_not_registered_has_the_services_default(unified):
    unified.register("compute", "servers", 1)
    shown = unified.member.read(f"/os-quota-sets/{BLUE['project_id']}")["quota_set"]
    assert (shown["instances"], shown["cores"]) == (1, 20)


def test_a_limit_of_this_region_counts_before_one_without(unified):
    unified.admin.client.put(f"{BASE}/regions/elsewhere", {"region": {}})
    unified.register("network", "network", 0, region_id="elsewhere")
    assert unified.make_network().status == 201
    unified.register("network", "network", 5)
    unified.register("network", "network", 1, region_id="RegionOne")
    assert unified.make_network().status == 409
    unified.limit("network", "network", 2, region_id="RegionOne", **BLUE)
    unified.limit("network", "network", 0, **BLUE)
    assert unified.make_network().status == 201


def test_quota_show_tells_them(unified):
    for service, resource in (("compute", "servers"), ("block-storage", "volumes"), ("network", "port")):
        unified.register(service, resource, 3)
        unified.limit(service, resource, 4, **BLUE)
    unified.register("network", "unknown", 9)
    blue, client = BLUE["project_id"], unified.admin.client
    compute = unified.admin.read(f"/os-quota-sets/{blue}/detail")["quota_set"]["instances"]
    assert compute == {"limit": 4, "in_use": 0, "reserved": 0}
    assert unified.admin.read(f"/os-quota-sets/{blue}/defaults")["quota_set"]["instances"] == 3
    volume = f"/volume/v3/{client.project_id}/os-quota-sets/{blue}"
    assert client.get(volume).json["quota_set"]["volumes"] == 4
    assert client.get(f"{volume}/defaults").json["quota_set"]["volumes"] == 3
    network = client.get(f"/network/v2.0/quotas/{blue}").json["quota"]
    assert network["port"] == 4 and "unknown" not in network
    assert client.get(f"/network/v2.0/quotas/{blue}/default").json["quota"]["port"] == 3
    assert [one["project_id"] for one in client.get("/network/v2.0/quotas").json["quotas"]] == [blue]


def test_quota_set_changes_nothing_as_upstream(unified):
    blue, client = BLUE["project_id"], unified.admin.client
    unified.register("compute", "servers", 3)
    answer = unified.admin.put(f"/os-quota-sets/{blue}", {"quota_set": {"instances": 8}})
    assert answer.status == 200 and answer.json["quota_set"]["instances"] == 3
    volume = f"/volume/v3/{client.project_id}/os-quota-sets/{blue}"
    assert client.put(volume, {"quota_set": {"volumes": 8}}).json["quota_set"]["volumes"] == 10
    network = f"/network/v2.0/quotas/{blue}"
    assert client.put(network, {"quota": {"port": 8}}).json["quota"]["port"] == 500
    assert unified.admin.delete(f"/os-quota-sets/{blue}").status == 202
    assert client.delete(volume).status == 200 and client.delete(network).status == 204
    assert unified.admin.read(f"/os-quota-sets/{blue}")["quota_set"]["instances"] == 3


def test_in_the_flat_model_a_domains_limit_is_not_its_projects(unified):
    unified.register("network", "network", 5)
    unified.limit("network", "network", 0, domain_id="default")
    assert unified.make_network().status == 201


def test_a_domains_limit_holds_for_its_projects_together(strict):
    strict.register("network", "network", 2)
    assert strict.make_network().status == 201
    assert strict.make_network(strict.green).status == 201
    refused = strict.make_network(strict.green)
    assert refused.status == 409 and "for domain default and all projects in it" in refused.text
    strict.limit("network", "network", 3, domain_id="default")
    assert strict.make_network(strict.green).status == 201
    assert strict.make_network(strict.green).status == 409
    assert "for domain" not in strict.make_network(strict.green).text


def test_servers_of_a_domain(strict):
    image, network = strict.member.make_image(), strict.member.make_network()
    strict.register("compute", "servers", 1)
    other = strict.green.make_image(), strict.green.make_network()
    assert strict.member.try_server(image, network).status == 202
    refused = strict.green.try_server(*other)
    assert refused.status == 403 and "for domain default and all projects in it" in refused.text
    strict.limit("compute", "servers", 2, domain_id="default")
    assert strict.green.try_server(*other).status == 202


def test_volumes_of_a_domain(strict):
    strict.register("block-storage", "volumes", 10)
    strict.limit("block-storage", "volumes", 10, domain_id="default")
    strict.register("block-storage", "gigabytes", 1)
    assert strict.make_volume().status == 202
    client = strict.green.client
    refused = client.post(f"/volume/v3/{client.project_id}/volumes", {"volume": {"size": 1}})
    assert refused.status == 413 and "for domain default and all projects in it" in refused.text


@pytest.mark.parametrize("model", ["flat", "strict_two_level"])
def test_it_costs_the_same_however_many_projects_there_are(tmp_path, model):
    made = Limited(tmp_path, model=model)
    with made.cloud:
        made.register("network", "network", -1)
        made.make_network()
        few = made.cloud.count_queries(made.make_network)
        with made.cloud.cloud.db.write() as tx:
            for number in range(200):
                made.add_project(tx, f"project-{number}")
        for number in range(20):
            made.limit("network", "network", 5, project_id=f"project-{number}")
        assert made.cloud.count_queries(made.make_network) == few


def test_services_keep_their_own_limits_unless_told_otherwise(tmp_path):
    made = Limited(tmp_path, driver="own")
    with made.cloud:
        made.register("network", "network", 0)
        assert made.make_network().status == 201
        blue = BLUE["project_id"]
        assert made.admin.client.put(f"/network/v2.0/quotas/{blue}", {"quota": {"network": 1}}).status == 200
        assert made.make_network().status == 409
