# SPDX-License-Identifier: Apache-2.0
"""A 403 says which rule refused and which role would allow it, behind the words that clients know."""

import pytest

from tests.services.identity.conftest import BASE, project

CASES = {
    "compute": ("/compute/v2.1/flavors", {"flavor": {"name": "f", "vcpus": 1, "ram": 1, "disk": 1}},
                "Policy doesn't allow os_compute_api:os-flavor-manage:create to be performed. The role admin "),
    "block storage": ("/volume/v3/types", {"volume_type": {"name": "t"}},
                      "Policy doesn't allow volume_extension:type_create to be performed. The role admin "),
    "network": ("/network/v2.0/networks", {"network": {"name": "n"}},
                "rule:create_network is disallowed by policy. The role member would allow it."),
    "image": ("/image/v2/images", {"name": "i"},
              "You are not authorized to complete add_image action. The role member would allow it."),
    "identity": ("/identity/v3/projects", {"project": {"name": "p"}},
                 "action: identity:create_project. The role admin or the role manager in a token of the domain"),
    "placement": ("/placement/resource_providers", {"name": "p"},
                  "Policy doesn't allow placement:resource_providers:create to be performed. The role "),
    "alto": ("/alto/v1/jobs/1/retry", {}, "Policy doesn't allow alto:jobs:mend to be performed. The role admin "),
}  # fmt: skip


@pytest.mark.parametrize("service", CASES)
def test_a_reader_is_told_the_rule_and_the_role(cloud, service):
    path, body, words = CASES[service]
    answer = cloud.person("reader").client.post(path, body)
    assert answer.status == 403
    assert words in answer.text, answer.text


def test_the_role_that_is_named_does_allow_it(cloud):
    made = cloud.person("member").client.post("/network/v2.0/networks", {"network": {"name": "n"}})
    assert made.status == 201


def test_users_of_another_domain_and_of_nowhere_are_refused_alike(cloud):
    """Nobody learns from a refusal which users, projects or domains exist elsewhere."""
    domain = cloud.make("domains", "domain", name="other")["id"]
    there = cloud.make_user("there", domain_id=domain)["id"]
    cloud.grant("manager", user=cloud.user("ann"), domain="default")
    for scope in ({"domain": {"id": "default"}}, project("blue")):
        if "project" in scope:
            cloud.grant("member", user=cloud.user("ann"), project=cloud.project("blue"))
        client = cloud.as_user("ann", "a-good-password", scope)
        answers = [client.get(f"{BASE}/users/{one}") for one in (there, "0" * 32)]
        assert [one.status for one in answers] == [403, 403]
        assert answers[0].json == answers[1].json
