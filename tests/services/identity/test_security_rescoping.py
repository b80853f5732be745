# SPDX-License-Identifier: Apache-2.0
"""From token to token: what a token can be changed into, and what it cannot."""

import pytest

from tests.services.identity.conftest import ADMIN_PASSWORD, BASE, DEMO_PASSWORD, project

TOKENS = f"{BASE}/auth/tokens"
SYSTEM = {"system": {"all": True}}
DOMAIN = {"domain": {"id": "default"}}


def rescope(cloud, token, scope):
    auth = {"identity": {"methods": ["token"], "token": {"id": token}}, "scope": scope}
    return cloud.client(None).post(TOKENS, {"auth": auth})


@pytest.mark.parametrize("before", ["unscoped", project("admin"), DOMAIN])
@pytest.mark.parametrize("after", ["unscoped", project("admin"), project("demo"), DOMAIN, SYSTEM])
def test_to_wherever_there_is_a_role(cloud, before, after):
    token = cloud.token("admin", ADMIN_PASSWORD, before)
    assert rescope(cloud, token, after).status == 201


@pytest.mark.parametrize(
    ("after", "status"), [(project("admin"), 403), (DOMAIN, 403), (SYSTEM, 201), ("unscoped", 201)]
)
def test_from_the_system_there_is_no_way_down(cloud, after, status):
    """As upstream: administrators of the system act in projects by a login of their own."""
    token = cloud.token("admin", ADMIN_PASSWORD, SYSTEM)
    assert rescope(cloud, token, after).status == status


@pytest.mark.parametrize("after", [project("admin"), DOMAIN, SYSTEM, project("nothing"), {"domain": {"id": "nothing"}}])
def test_nowhere_without_a_role(cloud, after):
    token = cloud.token("demo", DEMO_PASSWORD, project("demo"))
    assert rescope(cloud, token, after).status == 401


def test_rules_about_factors_hold_for_old_tokens_too(cloud):
    """A token from before the rules proves one factor only, and is not enough for a new one."""
    user = cloud.make_user()["id"]
    token = cloud.token("john", "secret")
    options = {"multi_factor_auth_rules": [["password", "totp"]]}
    assert cloud.admin.patch(f"{BASE}/users/{user}", {"user": {"options": options}}).status == 200
    answer = rescope(cloud, token, "unscoped")
    assert answer.status == 401 and answer.json["required_auth_methods"] == [["password", "totp"]]


def test_an_application_credential_stays_in_its_project(cloud):
    admin = cloud.admin.get(f"{BASE}/users?name=admin").json["users"][0]["id"]
    body = {"application_credential": {"name": "c", "secret": "s", "unrestricted": True}}
    made = cloud.admin.post(f"{BASE}/users/{admin}/application_credentials", body).json["application_credential"]
    given = {"id": made["id"], "secret": "s"}
    identity = {"methods": ["application_credential"], "application_credential": given}
    token = cloud.client(None).post(TOKENS, {"auth": {"identity": identity}}).headers["x-subject-token"]
    for scope in (project("demo"), DOMAIN, SYSTEM):
        assert rescope(cloud, token, scope).status in (401, 403), scope
    again = rescope(cloud, token, project("admin"))
    assert again.status == 201 and again.json["token"]["application_credential"]["id"] == made["id"]


def test_a_token_and_a_password_of_different_users(cloud):
    token = cloud.token("admin", ADMIN_PASSWORD)
    user = {"name": "demo", "domain": {"id": "default"}, "password": DEMO_PASSWORD}
    for methods in (["token", "password"], ["password", "token"]):
        identity = {"methods": methods, "token": {"id": token}, "password": {"user": user}}
        assert cloud.client(None).post(TOKENS, {"auth": {"identity": identity}}).status == 401
