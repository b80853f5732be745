# SPDX-License-Identifier: Apache-2.0
"""Tokens: issue, validate, revoke, and everything that makes one void at once."""

from typing import Any

import pytest

from altostratus.kernel import clock
from altostratus.kernel.db import counting_queries
from altostratus.kernel.errors import Unauthorized
from altostratus.services.identity.models import Revocation
from altostratus.services.identity.reconcilers.revocations import prune
from tests.services.identity.conftest import ADMIN_PASSWORD, BASE, DEMO_PASSWORD, project
from tests.services.identity.second import second_authenticator

TOKENS = f"{BASE}/auth/tokens"


def validate(cloud, token, query="", client=None):
    return (client or cloud.admin).get(TOKENS + query, headers={"X-Subject-Token": token})


def test_password_with_a_project(cloud):
    answer = cloud.log_in("admin", ADMIN_PASSWORD, project("admin"))
    assert answer.status == 201
    token = answer.json["token"]
    assert token["methods"] == ["password"]
    assert token["user"]["name"] == "admin" and token["user"]["domain"] == {"id": "default", "name": "Default"}
    assert token["user"]["password_expires_at"] is None
    assert token["project"]["name"] == "admin" and token["is_domain"] is False
    assert [role["name"] for role in token["roles"]] == ["admin", "manager", "member", "reader"]
    assert token["expires_at"].endswith("Z") and token["issued_at"].endswith("Z")
    assert len(token["audit_ids"]) == 1
    endpoint = token["catalog"][0]["endpoints"][0]
    assert set(endpoint) == {"id", "interface", "region", "region_id", "url"}
    assert len(answer.headers["x-subject-token"]) < 255


def test_other_scopes(cloud):
    system = cloud.log_in("admin", ADMIN_PASSWORD, {"system": {"all": True}}).json["token"]
    assert system["system"] == {"all": True} and "project" not in system and "catalog" in system
    domain = cloud.log_in("admin", ADMIN_PASSWORD, {"domain": {"name": "Default"}}).json["token"]
    assert domain["domain"] == {"id": "default", "name": "Default"} and domain["roles"]
    scopes: tuple[Any, ...] = ("unscoped", {"unscoped": {}}, None)
    for nothing in scopes:
        unscoped = cloud.log_in("admin", ADMIN_PASSWORD, nothing).json["token"]
        assert not {"project", "domain", "system", "roles", "catalog"} & set(unscoped)
    assert "catalog" not in cloud.log_in("admin", ADMIN_PASSWORD, project("admin"), query="?nocatalog").json["token"]


def test_by_ids(cloud):
    users = cloud.admin.get(f"{BASE}/users?name=demo").json["users"]
    projects = cloud.admin.get(f"{BASE}/projects?name=demo").json["projects"]
    auth = {
        "identity": {"methods": ["password"], "password": {"user": {"id": users[0]["id"], "password": DEMO_PASSWORD}}},
        "scope": {"project": {"id": projects[0]["id"]}},
    }
    answer = cloud.client(None).post(TOKENS, {"auth": auth})
    assert answer.status == 201 and answer.json["token"]["project"]["name"] == "demo"


def test_default_project_is_the_scope_if_there_is_a_role(cloud):
    demo = cloud.admin.get(f"{BASE}/projects?name=demo").json["projects"][0]["id"]
    user = cloud.make_user(default_project_id=demo)
    assert "project" not in cloud.log_in("john", "secret").json["token"]
    cloud.grant("reader", user=user["id"], project=demo)
    assert cloud.log_in("john", "secret").json["token"]["project"]["id"] == demo
    assert "project" not in cloud.log_in("john", "secret", "unscoped").json["token"]


@pytest.mark.parametrize(
    ("name", "password", "scope"),
    [
        ("admin", "wrong", project("admin")),
        ("nobody", "wrong", project("admin")),
        ("demo", DEMO_PASSWORD, project("admin")),  # no role there
        ("demo", DEMO_PASSWORD, project("nothing")),
        ("demo", DEMO_PASSWORD, {"domain": {"id": "default"}}),
        ("demo", DEMO_PASSWORD, {"system": {"all": True}}),
        ("demo", DEMO_PASSWORD, {"domain": {"name": "nothing"}}),
    ],
)
def test_refusals_all_sound_alike(cloud, name, password, scope):
    answer = cloud.log_in(name, password, scope)
    assert answer.status == 401
    assert answer.json == {
        "error": {
            "code": 401,
            "title": "Unauthorized",
            "message": "The request you have made requires authentication.",
        }
    }
    assert "www-authenticate" in answer.headers


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (None, "body"),
        ({}, "auth"),
        ({"auth": {}}, "identity"),
        ({"auth": {"identity": {}}}, "methods"),
        ({"auth": {"identity": {"methods": ["password"]}}}, "password"),
        ({"auth": {"identity": {"methods": ["password"], "password": {}}}}, "user"),
        ({"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "x"}}}}}, "password"),
        (
            {"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "x", "password": "hush"}}}}},
            "domain",
        ),
        (
            {"auth": {"identity": {"methods": ["password"], "password": {"user": {"id": 5, "password": "hush"}}}}},
            "user/id",
        ),
        ({"auth": {"identity": {"methods": ["token"], "token": {}}}}, "id"),
        ({"auth": {"identity": {"methods": "password"}}}, "methods"),
    ],
)
def test_malformed_requests(cloud, body, words):
    answer = cloud.client(None).post(TOKENS, body)
    assert answer.status == 400
    assert words in answer.json["error"]["message"]
    assert "hush" not in answer.text


@pytest.mark.parametrize("scope", [{}, {"project": {}}, {"project": {"name": "x"}}, {"system": {}}, {"domain": {}}, 5])
def test_malformed_scopes(cloud, scope):
    assert cloud.log_in("admin", ADMIN_PASSWORD, scope).status == 400


def test_too_much_of_everything(cloud):
    assert cloud.log_in("admin", "x" * 5000, project("admin")).status == 400
    assert cloud.log_in("a" * 300, "x").status == 400
    assert cloud.client("x" * 5000).get(f"{BASE}/users").status == 401


def test_unknown_method(cloud):
    auth = {"identity": {"methods": ["magic"], "magic": {}}}
    assert cloud.client(None).post(TOKENS, {"auth": auth}).status == 401


def test_validate(cloud):
    token = cloud.token("demo", DEMO_PASSWORD, project("demo"))
    answer = validate(cloud, token)
    assert answer.status == 200 and answer.headers["x-subject-token"] == token
    assert answer.json["token"]["user"]["name"] == "demo" and "catalog" in answer.json["token"]
    assert "catalog" not in validate(cloud, token, "?nocatalog").json["token"]
    head = cloud.admin.request("HEAD", TOKENS, headers={"X-Subject-Token": token})
    assert head.status == 200 and not head.content


def test_who_may_validate(cloud):
    demo = cloud.token("demo", DEMO_PASSWORD, project("demo"))
    admin = cloud.admin.token
    assert validate(cloud, demo, client=cloud.client(demo)).status == 200
    assert validate(cloud, admin, client=cloud.client(demo)).status == 403
    assert validate(cloud, "nonsense", client=cloud.client(demo)).status == 404
    assert validate(cloud, "nonsense").status == 404
    assert cloud.admin.get(TOKENS).status == 400
    assert validate(cloud, demo, client=cloud.client(None)).status == 401
    service = cloud.make_user("nova")
    services = cloud.admin.get(f"{BASE}/projects?name=service").json["projects"][0]["id"]
    cloud.grant("service", user=service["id"], project=services)
    assert validate(cloud, demo, client=cloud.as_user("nova", "secret", project("service"))).status == 200


def test_revoke(cloud):
    token = cloud.token("demo", DEMO_PASSWORD, project("demo"))
    other = cloud.token("demo", DEMO_PASSWORD, project("demo"))
    assert validate(cloud, token).status == 200
    revoked = cloud.client(token).delete(TOKENS, headers={"X-Subject-Token": token})
    assert revoked.status == 204
    assert validate(cloud, token).status == 404
    assert cloud.client(token).get(f"{BASE}/auth/projects").status == 401
    assert validate(cloud, other).status == 200
    assert cloud.admin.delete(TOKENS, headers={"X-Subject-Token": token}).status == 404
    assert cloud.client(other).delete(TOKENS, headers={"X-Subject-Token": cloud.admin.token}).status == 403


def test_rescoping(cloud):
    first = cloud.log_in("admin", ADMIN_PASSWORD, "unscoped")
    token = first.headers["x-subject-token"]
    auth = {"identity": {"methods": ["token"], "token": {"id": token}}, "scope": project("demo")}
    second = cloud.client(None).post(TOKENS, {"auth": auth})
    assert second.status == 201
    shown = second.json["token"]
    assert set(shown["methods"]) == {"password", "token"}
    assert shown["expires_at"] == first.json["token"]["expires_at"]
    assert shown["audit_ids"][1] == first.json["token"]["audit_ids"][0] != shown["audit_ids"][0]
    assert shown["project"]["name"] == "demo"
    auth["identity"]["token"]["id"] = "nonsense"
    assert cloud.client(None).post(TOKENS, {"auth": auth}).status == 404


def test_expiry(cloud):
    with clock.frozen(clock.unix()) as advance:
        admin = cloud.token("admin", ADMIN_PASSWORD, project("admin"))
        token = cloud.token("demo", DEMO_PASSWORD, project("demo"))
        assert validate(cloud, token, client=cloud.client(admin)).status == 200
        advance(3601)
        assert cloud.client(token).get(f"{BASE}/auth/projects").status == 401
        fresh = cloud.as_user("admin", ADMIN_PASSWORD, project("admin"))
        assert validate(cloud, token, client=fresh).status == 404
        assert validate(cloud, token, "?allow_expired=1", client=fresh).status == 200
        advance(172_800)
        fresh = cloud.as_user("admin", ADMIN_PASSWORD, project("admin"))
        assert validate(cloud, token, "?allow_expired=1", client=fresh).status == 404


def disable_user(cloud, user, _demo):
    assert cloud.admin.patch(f"{BASE}/users/{user}", {"user": {"enabled": False}}).status == 200


def delete_user(cloud, user, _demo):
    assert cloud.admin.delete(f"{BASE}/users/{user}").status == 204


def new_password(cloud, user, _demo):
    assert cloud.admin.patch(f"{BASE}/users/{user}", {"user": {"password": "other"}}).status == 200


def change_password(cloud, user, _demo):
    body = {"user": {"original_password": "secret", "password": "other"}}
    assert cloud.client(None).post(f"{BASE}/users/{user}/password", body).status == 204


def take_role(cloud, user, demo):
    role = cloud.role_id("member")
    assert cloud.admin.delete(f"{BASE}/projects/{demo}/users/{user}/roles/{role}").status == 204


def disable_project(cloud, _user, demo):
    assert cloud.admin.patch(f"{BASE}/projects/{demo}", {"project": {"enabled": False}}).status == 200


def delete_project(cloud, _user, demo):
    assert cloud.admin.delete(f"{BASE}/projects/{demo}").status == 204


def disable_domain(cloud, _user, demo):
    domain = cloud.admin.get(f"{BASE}/projects/{demo}").json["project"]["domain_id"]
    assert cloud.admin.patch(f"{BASE}/domains/{domain}", {"domain": {"enabled": False}}).status == 200


@pytest.mark.parametrize(
    "happening",
    [
        disable_user,
        delete_user,
        new_password,
        change_password,
        take_role,
        disable_project,
        delete_project,
        disable_domain,
    ],
)
def test_void_at_once(cloud, happening):
    domain = cloud.make("domains", "domain", name="d")["id"]
    place = cloud.make("projects", "project", name="p", domain_id=domain)["id"]
    user = cloud.make_user(domain_id=domain)["id"]
    cloud.grant("member", user=user, project=place)
    token = cloud.token("john", "secret", {"project": {"id": place}}, domain=domain)
    client = cloud.client(token)
    assert client.get(f"{BASE}/auth/projects").status == 200
    happening(cloud, user, place)
    assert client.get(f"{BASE}/auth/projects").status == 401
    assert validate(cloud, token).status == 404


def test_enabling_again_does_not_bring_old_tokens_back(cloud):
    user = cloud.make_user()["id"]
    token = cloud.token("john", "secret")
    for enabled in (False, True):
        cloud.admin.patch(f"{BASE}/users/{user}", {"user": {"enabled": enabled}})
    assert validate(cloud, token).status == 404
    assert cloud.log_in("john", "secret").status == 201


def test_roles_are_those_of_now(cloud):
    demo = cloud.admin.get(f"{BASE}/projects?name=demo").json["projects"][0]["id"]
    user = cloud.make_user()["id"]
    cloud.grant("reader", user=user, project=demo)
    token = cloud.token("john", "secret", project("demo"))
    cloud.grant("member", user=user, project=demo)
    assert {role["name"] for role in validate(cloud, token).json["token"]["roles"]} == {"member", "reader"}


def test_cached_tokens_cost_no_query(cloud):
    cloud.admin.get(TOKENS, headers={"X-Subject-Token": cloud.admin.token})
    with counting_queries() as seen:
        assert cloud.admin.get(TOKENS, headers={"X-Subject-Token": cloud.admin.token}).status == 200
    assert seen == []


def test_another_process_sees_a_change(cloud, tmp_path):
    """Two authenticators on one database, as two processes have them."""
    token = cloud.token("demo", DEMO_PASSWORD, project("demo"))
    with second_authenticator(tmp_path, revision_check_s=0) as other:
        assert other.authenticate(token).names["user_name"] == "demo"
        assert cloud.client(token).delete(TOKENS, headers={"X-Subject-Token": token}).status == 204
        with pytest.raises(Unauthorized):
            other.authenticate(token)


def test_old_revocations_are_forgotten(cloud):
    token = cloud.token("demo", DEMO_PASSWORD, project("demo"))
    cloud.client(token).delete(TOKENS, headers={"X-Subject-Token": token})

    def count():
        with cloud.cloud.db.read() as tx:
            return len(tx.rows(Revocation.__table__.select()))

    prune(cloud.cloud)
    assert count() == 1
    with clock.frozen(clock.unix() + 400_000):
        prune(cloud.cloud)
    assert count() == 0


def test_several_factors(cloud):
    options = {"multi_factor_auth_enabled": True, "multi_factor_auth_rules": [["password", "totp"]]}
    user = cloud.make_user(options=options)["id"]
    assert cloud.log_in("john", "secret").status == 401
    cloud.admin.patch(f"{BASE}/users/{user}", {"user": {"options": {"multi_factor_auth_rules": [["password"]]}}})
    assert cloud.log_in("john", "secret").status == 201


def test_where_one_can_go(cloud):
    demo = cloud.as_user("demo", DEMO_PASSWORD)
    assert [item["name"] for item in demo.get(f"{BASE}/auth/projects").json["projects"]] == ["demo"]
    assert demo.get(f"{BASE}/auth/domains").json["domains"] == []
    assert demo.get(f"{BASE}/auth/system").json["system"] == []
    assert demo.get(f"{BASE}/auth/catalog").status == 403
    assert cloud.admin.get(f"{BASE}/auth/system").json["system"] == [{"all": True}]
    assert cloud.admin.get(f"{BASE}/auth/catalog").json["catalog"][0]["type"] == "identity"
    assert cloud.client(None).get(f"{BASE}/auth/projects").status == 401


def test_versions(cloud):
    nobody = cloud.client(None)
    several = nobody.get("/identity/")
    assert several.status == 300 and several.json["versions"]["values"][0]["id"] == "v3.14"
    assert several.headers["location"].endswith("/identity/v3/")
    assert nobody.get("/identity/v3/").json["version"]["status"] == "stable"
