# SPDX-License-Identifier: Apache-2.0
"""Credentials and application credentials."""

import json

import pytest

from altostratus.kernel import clock
from altostratus.services.identity.models import Credential
from tests.services.identity.conftest import BASE, DEMO_PASSWORD, project

CREDENTIALS = f"{BASE}/credentials"


@pytest.fixture
def demo(cloud):
    return cloud.as_user("demo", DEMO_PASSWORD, project("demo"))


def user_id(cloud, name="demo"):
    return cloud.admin.get(f"{BASE}/users?name={name}").json["users"][0]["id"]


def test_credentials(cloud, demo):
    made = demo.post(CREDENTIALS, {"credential": {"type": "totp", "blob": "hush"}})
    assert made.status == 201
    shown = made.json["credential"]
    path = f"{CREDENTIALS}/{shown['id']}"
    assert shown["blob"] == "hush" and shown["user_id"] == user_id(cloud)
    with cloud.cloud.db.read() as tx:
        assert "hush" not in str(tx.get(Credential, shown["id"]))
    assert demo.get(path).json["credential"] == shown
    assert demo.patch(path, {"credential": {"blob": "other"}}).json["credential"]["blob"] == "other"
    assert demo.patch(path, {"credential": {"user_id": user_id(cloud, "admin")}}).status == 403
    cloud.admin.post(CREDENTIALS, {"credential": {"type": "cert", "blob": "x"}})
    assert len(demo.get(CREDENTIALS).json["credentials"]) == 1
    assert len(cloud.admin.get(CREDENTIALS).json["credentials"]) == 2
    assert len(cloud.admin.get(f"{CREDENTIALS}?type=cert").json["credentials"]) == 1
    other = cloud.admin.get(f"{CREDENTIALS}?type=cert").json["credentials"][0]["id"]
    assert demo.get(f"{CREDENTIALS}/{other}").status == 403
    assert demo.post(CREDENTIALS, {"credential": {"type": "x"}}).status == 400
    stranger = {"type": "x", "blob": "y", "user_id": user_id(cloud, "admin")}
    assert demo.post(CREDENTIALS, {"credential": stranger}).status == 403
    assert demo.delete(path).status == 204
    assert cloud.admin.get(path).status == 404


def test_ec2_credentials(cloud):
    blob = json.dumps({"access": "a", "secret": "s"})
    place = cloud.admin.get(f"{BASE}/projects?name=demo").json["projects"][0]["id"]
    good = {"type": "ec2", "blob": blob, "project_id": place}
    made = cloud.admin.post(CREDENTIALS, {"credential": good})
    assert made.status == 201 and len(made.json["credential"]["id"]) == 64
    assert cloud.admin.post(CREDENTIALS, {"credential": good}).status == 409
    assert cloud.admin.post(CREDENTIALS, {"credential": good | {"blob": "no json"}}).status == 400
    assert (
        cloud.admin.post(CREDENTIALS, {"credential": good | {"project_id": None, "blob": '{"access":"b"}'}}).status
        == 400
    )


def log_in_with(cloud, credential, secret=None, **more):
    given = {"id": credential["id"], "secret": secret or credential["secret"]}
    auth = {"identity": {"methods": ["application_credential"], "application_credential": given}, **more}
    return cloud.client(None).post(f"{BASE}/auth/tokens", {"auth": auth})


def test_application_credentials(cloud, demo):
    path = f"{BASE}/users/{user_id(cloud)}/application_credentials"
    body = {"application_credential": {"name": "robot", "roles": [{"name": "reader"}], "description": "d"}}
    made = demo.post(path, body)
    assert made.status == 201
    credential = made.json["application_credential"]
    assert len(credential["secret"]) > 40 and [role["name"] for role in credential["roles"]] == ["reader"]
    assert "secret" not in demo.get(f"{path}/{credential['id']}").json["application_credential"]
    assert len(demo.get(path).json["application_credentials"]) == 1
    assert demo.post(path, body).status == 409
    answer = log_in_with(cloud, credential)
    assert answer.status == 201
    token = answer.json["token"]
    assert token["project"]["name"] == "demo" and [role["name"] for role in token["roles"]] == ["reader"]
    assert token["application_credential"] == {"id": credential["id"], "name": "robot", "restricted": True}
    assert log_in_with(cloud, credential, "wrong").status == 401
    assert log_in_with(cloud, credential, scope=project("demo")).status == 401
    robot = cloud.client(answer.headers["x-subject-token"])
    assert robot.get(f"{BASE}/auth/projects").status == 200
    assert robot.post(path, {"application_credential": {"name": "another"}}).status == 403
    assert robot.delete(f"{path}/{credential['id']}").status == 403
    rescoped = {"identity": {"methods": ["token"], "token": {"id": robot.token}}, "scope": "unscoped"}
    assert cloud.client(None).post(f"{BASE}/auth/tokens", {"auth": rescoped}).status == 401
    assert demo.delete(f"{path}/{credential['id']}").status == 204
    assert robot.get(f"{BASE}/auth/projects").status == 401
    assert log_in_with(cloud, credential).status == 401


def test_refused_application_credentials(cloud, demo):
    path = f"{BASE}/users/{user_id(cloud)}/application_credentials"
    post = lambda **members: demo.post(path, {"application_credential": {"name": "x", **members}})  # noqa: E731
    assert post(name="").status == 400
    assert post(roles=[{"name": "admin"}]).status == 400
    assert post(expires_at="yesterday").status == 400
    assert post(expires_at="2020-01-01T00:00:00Z").status == 400
    foreign = f"{BASE}/users/{user_id(cloud, 'admin')}/application_credentials"
    assert demo.post(foreign, {"application_credential": {"name": "x"}}).status == 403
    assert demo.get(foreign).status == 403
    # a foreign credential under the own path
    made = cloud.admin.post(foreign, {"application_credential": {"name": "x"}}).json["application_credential"]
    assert demo.get(f"{path}/{made['id']}").status == 403
    assert demo.delete(f"{path}/{made['id']}").status == 403
    assert cloud.admin.get(f"{path}/{made['id']}").status == 404
    assert demo.get(f"{path}/nothing").status == 404


def test_application_credentials_end(cloud, demo):
    path = f"{BASE}/users/{user_id(cloud)}/application_credentials"
    end = clock.after(100)[:19]
    credential = demo.post(path, {"application_credential": {"name": "x", "expires_at": end}}).json[
        "application_credential"
    ]
    token = log_in_with(cloud, credential)
    assert token.json["token"]["expires_at"].startswith(end)
    with clock.frozen(clock.unix() + 200):
        assert log_in_with(cloud, credential).status == 401


def test_lost_roles_are_lost_to_programs_too(cloud, demo):
    path = f"{BASE}/users/{user_id(cloud)}/application_credentials"
    credential = demo.post(path, {"application_credential": {"name": "x", "roles": [{"name": "member"}]}}).json[
        "application_credential"
    ]
    robot = cloud.client(log_in_with(cloud, credential).headers["x-subject-token"])
    place = cloud.admin.get(f"{BASE}/projects?name=demo").json["projects"][0]["id"]
    roles = f"{BASE}/projects/{place}/users/{user_id(cloud)}/roles"
    assert cloud.admin.delete(f"{roles}/{cloud.role_id('member')}").status == 204
    # what the lost role implied is still given directly
    assert robot.get(f"{BASE}/auth/projects").status == 200
    assert cloud.admin.delete(f"{roles}/{cloud.role_id('reader')}").status == 204
    assert robot.get(f"{BASE}/auth/projects").status == 401
