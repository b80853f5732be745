# SPDX-License-Identifier: Apache-2.0
"""Policies and pairs of ec2 keys, as Tempest asks for them."""

import pytest

from tests.services.identity.conftest import BASE, DEMO_PASSWORD, project

POLICIES = f"{BASE}/policies"


@pytest.fixture
def demo(cloud):
    return cloud.as_user("demo", DEMO_PASSWORD, project("demo"))


def test_policies(cloud, demo):
    wish = {"policy": {"type": "application/json", "blob": "{}", "note": "n"}}
    made = cloud.admin.post(POLICIES, wish)
    assert made.status == 201 and made.json["policy"]["note"] == "n"
    path = f"{POLICIES}/{made.json['policy']['id']}"
    changed = cloud.admin.patch(path, {"policy": {"type": "text/plain"}}).json["policy"]
    assert changed["type"] == "text/plain" and changed["blob"] == "{}"
    assert cloud.admin.get(path).json["policy"] == changed
    assert cloud.admin.get(f"{POLICIES}?type=text/plain").json["policies"] == [changed]
    assert cloud.admin.post(POLICIES, {"policy": {"type": "x"}}).status == 400
    assert demo.get(POLICIES).status == 403 and demo.post(POLICIES, wish).status == 403
    assert cloud.admin.delete(path).status == 204 and cloud.admin.get(path).status == 404


def test_ec2_pairs(cloud, demo):
    users = {one["name"]: one["id"] for one in cloud.admin.get(f"{BASE}/users").json["users"]}
    place = cloud.admin.get(f"{BASE}/projects?name=demo").json["projects"][0]["id"]
    path = f"{BASE}/users/{users['demo']}/credentials/OS-EC2"
    made = demo.post(path, {"tenant_id": place})
    assert made.status == 201, made.text
    pair = made.json["credential"]
    assert pair["tenant_id"] == place and pair["user_id"] == users["demo"] and pair["secret"]
    assert demo.get(path).json["credentials"] == [pair]
    one = f"{path}/{pair['access']}"
    assert demo.get(one).json["credential"] == pair
    assert demo.post(path, {"tenant_id": "none"}).status == 404 and demo.post(path, {}).status == 400
    theirs = f"{BASE}/users/{users['admin']}/credentials/OS-EC2"
    assert demo.get(theirs).status == 403 and demo.post(theirs, {"tenant_id": place}).status == 403
    assert cloud.admin.get(f"{theirs}/{pair['access']}").status == 404
    assert demo.delete(one).status == 204 and demo.get(one).status == 404
