# SPDX-License-Identifier: Apache-2.0
"""Policy documents of endpoints, services and regions."""

import pytest

from altostratus.services.identity import models
from tests.services.identity.conftest import BASE, DEMO_PASSWORD, project


class Places:
    """A service with an endpoint in region R1, which lies in R0, and one in R2."""

    def __init__(self, cloud):
        self.cloud = cloud
        cloud.make("regions", "region", id="R0")
        cloud.make("regions", "region", id="R1", parent_region_id="R0")
        cloud.make("regions", "region", id="R2")
        self.service = cloud.make("services", "service", type="things")["id"]
        self.one, self.two = (
            cloud.make("endpoints", "endpoint", service_id=self.service, interface="public", region_id=region,
                       url="http://x")["id"]
            for region in ("R1", "R2")
        )  # fmt: skip

    def policy(self):
        return self.cloud.make("policies", "policy", type="t", blob="{}")["id"]

    def associate(self, policy, place):
        assert self.cloud.admin.put(path(policy, place)).status == 204

    def policy_of(self, endpoint):
        answer = self.cloud.admin.get(f"{BASE}/endpoints/{endpoint}/OS-ENDPOINT-POLICY/policy")
        return answer.json["policy"]["id"] if answer.status == 200 else answer.status

    def endpoints_of(self, policy):
        answer = self.cloud.admin.get(path(policy, "endpoints"))
        return {one["id"] for one in answer.json["endpoints"]}


def path(policy, place):
    return f"{BASE}/policies/{policy}/OS-ENDPOINT-POLICY/{place}"


@pytest.fixture
def places(cloud):
    return Places(cloud)


def test_the_nearest_association_counts(cloud, places):
    service, region, above, own = (places.policy() for _ in range(4))
    assert places.policy_of(places.one) == 404
    places.associate(service, f"services/{places.service}")
    assert places.policy_of(places.one) == places.policy_of(places.two) == service
    places.associate(above, f"services/{places.service}/regions/R0")
    assert (places.policy_of(places.one), places.policy_of(places.two)) == (above, service)
    places.associate(region, f"services/{places.service}/regions/R1")
    assert places.policy_of(places.one) == region
    places.associate(own, f"endpoints/{places.one}")
    assert places.policy_of(places.one) == own
    assert places.endpoints_of(service) == {places.one, places.two}
    assert places.endpoints_of(above) == places.endpoints_of(region) == places.endpoints_of(own) == {places.one}
    assert cloud.admin.get(path(own, "policy")).json["policy"]["id"] == own
    assert cloud.admin.request("HEAD", path(own, "policy")).status == 200


def test_check_replace_and_delete(cloud, places):
    first, second = places.policy(), places.policy()
    for place in (
        f"endpoints/{places.one}",
        f"services/{places.service}",
        f"services/{places.service}/regions/R1",
    ):
        assert cloud.admin.get(path(first, place)).status == 404
        places.associate(first, place)
        places.associate(first, place)
        assert cloud.admin.get(path(first, place)).status == 204
        assert cloud.admin.request("HEAD", path(first, place)).status == 204
        places.associate(second, place)
        assert (cloud.admin.get(path(first, place)).status, cloud.admin.get(path(second, place)).status) == (404, 204)
        assert cloud.admin.delete(path(first, place)).status == 204
        assert cloud.admin.get(path(second, place)).status == 204
        assert cloud.admin.delete(path(second, place)).status == 204
        assert cloud.admin.get(path(second, place)).status == 404
    assert places.endpoints_of(second) == set()
    assert cloud.admin.get(path(second, "policy")).status == 404


def test_what_does_not_exist(cloud, places):
    policy = places.policy()
    for missing in (
        path("nothing", f"endpoints/{places.one}"),
        path(policy, "endpoints/nothing"),
        path(policy, "services/nothing"),
        path(policy, "services/nothing/regions/R1"),
        path(policy, f"services/{places.service}/regions/nothing"),
    ):
        for method in ("PUT", "GET", "DELETE"):
            assert cloud.admin.request(method, missing).status == 404
    assert cloud.admin.get(path("nothing", "endpoints")).status == 404
    assert cloud.admin.get(path("nothing", "policy")).status == 404
    assert places.policy_of("nothing") == 404


def test_associations_go_with_what_they_name(cloud, places):
    policy, other = places.policy(), places.policy()
    places.associate(policy, f"endpoints/{places.two}")
    places.associate(policy, f"services/{places.service}")
    places.associate(policy, f"services/{places.service}/regions/R0")
    places.associate(other, f"endpoints/{places.one}")
    assert cloud.admin.delete(f"{BASE}/endpoints/{places.two}").status == 204
    assert cloud.admin.delete(f"{BASE}/policies/{other}").status == 204
    assert places.policy_of(places.one) == policy
    assert cloud.admin.delete(f"{BASE}/endpoints/{places.one}").status == 204
    assert cloud.admin.delete(f"{BASE}/regions/R0").status == 204
    assert cloud.admin.get(path(policy, f"services/{places.service}")).status == 204
    assert cloud.admin.delete(f"{BASE}/services/{places.service}").status == 204
    with cloud.cloud.db.read() as tx:
        assert tx.find(models.PolicyAssociation) is None


def test_only_administrators(cloud, places):
    demo, policy = cloud.as_user("demo", DEMO_PASSWORD, project("demo")), places.policy()
    place = path(policy, f"endpoints/{places.one}")
    assert {demo.request(method, place).status for method in ("PUT", "GET", "DELETE")} == {403}
    assert demo.get(path(policy, "endpoints")).status == 403
    assert demo.get(f"{BASE}/endpoints/{places.one}/OS-ENDPOINT-POLICY/policy").status == 403
