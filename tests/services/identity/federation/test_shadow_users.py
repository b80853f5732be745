# SPDX-License-Identifier: Apache-2.0
"""Users that a provider vouches for: what they get, how long, and what takes it away."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from altostratus.kernel import clock
from altostratus.kernel.db import table_of
from altostratus.services.identity.federation import login
from altostratus.services.identity.models import ExpiringMember
from altostratus.services.identity.reconcilers.memberships import expire
from tests.services.identity.conftest import BASE, project
from tests.services.identity.federation.conftest import FED

GROUPS = ["devs", "guests"]


@pytest.fixture
def cloud(make_cloud, provider):
    cloud = make_cloud(provider.issuer)
    cloud.set_up()
    return cloud


def enter(cloud, provider, **claims):
    answer = cloud.bearer(provider.token(**claims))
    assert answer.status == 201, answer.text
    return answer.headers["x-subject-token"], answer.json["token"]


def rescope(cloud, token, scope):
    auth = {"identity": {"methods": ["token"], "token": {"id": token}}, "scope": scope}
    return cloud.client(None).post(f"{BASE}/auth/tokens", {"auth": auth})


def validate(cloud, token):
    return cloud.admin.get(f"{BASE}/auth/tokens", headers={"X-Subject-Token": token}).status


def scoped(cloud, provider):
    """A token for project demo, through the group devs."""
    cloud.make_group("devs", "member", "demo")
    token, _ = enter(cloud, provider, groups=GROUPS)
    answer = rescope(cloud, token, project("demo"))
    assert answer.status == 201, answer.text
    return token, answer.headers["x-subject-token"]


def test_an_unscoped_token_and_what_it_can_become(cloud, provider):
    devs = cloud.make_group("devs", "member", "demo")
    token, shown = enter(cloud, provider, groups=GROUPS)
    assert "roles" not in shown and "project" not in shown and "catalog" not in shown
    assert shown["methods"] == ["openid"]
    assert shown["user"]["OS-FEDERATION"]["groups"] == [{"id": devs["id"]}]
    client = cloud.client(token)
    for path in ("auth/projects", "OS-FEDERATION/projects"):
        assert [one["name"] for one in client.get(f"{BASE}/{path}").json["projects"]] == ["demo"]
    assert client.get(f"{BASE}/OS-FEDERATION/domains").json["domains"] == []
    answer = rescope(cloud, token, project("demo"))
    assert {role["name"] for role in answer.json["token"]["roles"]} == {"member", "reader"}
    assert answer.json["token"]["user"]["OS-FEDERATION"] == shown["user"]["OS-FEDERATION"]
    assert answer.json["token"]["expires_at"] <= shown["expires_at"]
    assert rescope(cloud, token, project("admin")).status == 401


def test_domain_and_system_roles_through_groups(cloud, provider):
    devs = cloud.make_group("devs")
    role = cloud.role_id("reader")
    assert cloud.admin.put(f"{BASE}/domains/default/groups/{devs['id']}/roles/{role}").status == 204
    assert cloud.admin.put(f"{BASE}/system/groups/{devs['id']}/roles/{role}").status == 204
    token, _ = enter(cloud, provider, groups=GROUPS)
    client = cloud.client(token)
    assert [one["id"] for one in client.get(f"{BASE}/auth/domains").json["domains"]] == ["default"]
    assert client.get(f"{BASE}/auth/system").json["system"] == [{"all": True}]
    assert rescope(cloud, token, {"system": {"all": True}}).status == 201


def test_older_names_of_the_method_that_rescopes(cloud, provider):
    cloud.make_group("devs", "member", "demo")
    token, _ = enter(cloud, provider, groups=GROUPS)
    for name in ("mapped", "saml2", "openid"):
        auth = {"identity": {"methods": [name], name: {"id": token}}, "scope": project("demo")}
        assert cloud.client(None).post(f"{BASE}/auth/tokens", {"auth": auth}).status == 201
        own = {"identity": {"methods": [name], name: {"id": cloud.admin.token}}, "scope": project("demo")}
        assert cloud.client(None).post(f"{BASE}/auth/tokens", {"auth": own}).status == 401
        bare = {"identity": {"methods": [name], name: {"identity_provider": "acme", "protocol": "openid"}}}
        assert cloud.client(None).post(f"{BASE}/auth/tokens", {"auth": bare}).status == 401


@pytest.mark.parametrize(
    "how",
    ["disable provider", "delete provider", "delete protocol", "disable domain", "delete group", "take role",
     "disable user", "delete user"],
)  # fmt: skip
def test_what_takes_a_token_away_at_once(cloud, provider, how):
    _, token = scoped(cloud, provider)
    assert validate(cloud, token) == 200
    idp = cloud.admin.get(f"{FED}/identity_providers/acme").json["identity_provider"]
    user = cloud.admin.get(f"{BASE}/users?name=jane").json["users"][0]
    group = cloud.admin.get(f"{BASE}/groups?name=devs").json["groups"][0]
    demo = cloud.admin.get(f"{BASE}/projects?name=demo").json["projects"][0]
    done = {
        "disable provider": lambda: cloud.admin.patch(
            f"{FED}/identity_providers/acme", {"identity_provider": {"enabled": False}}
        ),
        "delete provider": lambda: cloud.admin.delete(f"{FED}/identity_providers/acme"),
        "delete protocol": lambda: cloud.admin.delete(f"{FED}/identity_providers/acme/protocols/openid"),
        "disable domain": lambda: cloud.admin.patch(
            f"{BASE}/domains/{idp['domain_id']}", {"domain": {"enabled": False}}
        ),
        "delete group": lambda: cloud.admin.delete(f"{BASE}/groups/{group['id']}"),
        "take role": lambda: cloud.admin.delete(
            f"{BASE}/projects/{demo['id']}/groups/{group['id']}/roles/{cloud.role_id('member')}"
        ),
        "disable user": lambda: cloud.admin.patch(f"{BASE}/users/{user['id']}", {"user": {"enabled": False}}),
        "delete user": lambda: cloud.admin.delete(f"{BASE}/users/{user['id']}"),
    }[how]()
    assert done.status in (200, 204), done.text
    assert validate(cloud, token) == 404
    assert cloud.client(token).get(f"{BASE}/auth/projects").status == 401


def test_a_disabled_provider_lets_nobody_in(cloud, provider):
    cloud.set_idp(enabled=False)
    refused = cloud.bearer(provider.token())
    assert refused.status == 403 and "disabled" in refused.text
    assert provider.asked == [], "it is not even asked"


def test_a_deleted_provider_takes_its_users_along(cloud, provider):
    _, shown = enter(cloud, provider)
    user_id = shown["user"]["id"]
    assert cloud.admin.get(f"{BASE}/users/{user_id}").status == 200
    cloud.admin.delete(f"{FED}/identity_providers/acme")
    assert cloud.admin.get(f"{BASE}/users/{user_id}").status == 404


def test_a_user_who_was_given_a_password_stays(cloud, provider):
    _, shown = enter(cloud, provider)
    user_id = shown["user"]["id"]
    cloud.admin.patch(f"{BASE}/users/{user_id}", {"user": {"password": "secret"}})
    cloud.admin.delete(f"{FED}/identity_providers/acme/protocols/openid")
    assert cloud.admin.get(f"{BASE}/users/{user_id}").status == 200


def test_users_are_in_the_provider_s_domain_under_names_of_their_own(cloud, provider):
    _, first = enter(cloud, provider)
    idp = cloud.admin.get(f"{FED}/identity_providers/acme").json["identity_provider"]
    assert first["user"]["domain"]["id"] == idp["domain_id"]


def test_a_name_that_is_taken_does_not_let_anybody_be_somebody_else(make_cloud, provider):
    cloud = make_cloud(provider.issuer)
    cloud.set_up(domain_id="default")
    token, shown = enter(cloud, provider, sub="admin")
    admin = cloud.admin.get(f"{BASE}/users?name=admin&domain_id=default").json["users"]
    assert len(admin) == 1 and admin[0]["id"] != shown["user"]["id"]
    assert shown["user"]["name"] == "admin@acme"
    assert rescope(cloud, token, project("admin")).status == 401


def test_a_new_name_of_the_same_user(make_cloud, provider):
    cloud = make_cloud(provider.issuer)
    rules = [
        {"local": [{"user": {"id": "{0}", "name": "{1}"}}], "remote": [{"type": "OIDC-sub"}, {"type": "OIDC-name"}]}
    ]
    cloud.set_up(rules)
    _, before = enter(cloud, provider, name="Jane")
    _, after = enter(cloud, provider, name="Jane Doe")
    assert before["user"]["id"] == after["user"]["id"] and after["user"]["name"] == "Jane Doe"
    _, other = enter(cloud, provider, sub="joe", name="Jane Doe")
    assert other["user"]["id"] != after["user"]["id"] and other["user"]["name"] == "Jane Doe@acme"


def test_groups_last_as_long_as_the_provider_s_word(make_cloud, provider):
    cloud = make_cloud(provider.issuer)
    cloud.set_up(authorization_ttl=10)
    cloud.make_group("devs", "member", "demo")
    with clock.frozen() as advance:
        cloud._clients.clear()
        _, shown = enter(cloud, provider, groups=GROUPS, exp=2_000_000_000, iat=None)
        user_id = shown["user"]["id"]
        projects = f"{BASE}/users/{user_id}/projects"
        assert [one["name"] for one in cloud.admin.get(projects).json["projects"]] == ["demo"]
        advance(300)
        enter(cloud, provider, groups=GROUPS, exp=2_000_000_000, iat=None)
        advance(400)
        assert cloud.admin.get(projects).json["projects"], "the second login counts"
        advance(300)
        assert cloud.admin.get(projects).json["projects"] == []
        expire(cloud.cloud)
        with cloud.cloud.db.read() as tx:
            assert tx.rows(select(table_of(ExpiringMember))) == []


@pytest.mark.parametrize("how", ["other groups", "no time", "disabled", "deleted"])
def test_what_ends_a_membership_before_its_time(make_cloud, provider, how):
    cloud = make_cloud(provider.issuer, default_authorization_ttl=60)
    cloud.set_up()
    cloud.make_group("devs", "member", "demo")
    _, shown = enter(cloud, provider, groups=GROUPS)
    projects = f"{BASE}/users/{shown['user']['id']}/projects"
    assert cloud.admin.get(projects).json["projects"]
    if how == "other groups":
        enter(cloud, provider, groups=["guests"])
    elif how == "no time":
        cloud.set_idp(authorization_ttl=0)
    elif how == "disabled":
        cloud.set_idp(enabled=False)
    else:
        cloud.admin.delete(f"{BASE}/groups/{cloud.admin.get(f'{BASE}/groups?name=devs').json['groups'][0]['id']}")
    assert cloud.admin.get(projects).json["projects"] == []


def test_without_a_time_groups_are_the_token_s_only(cloud, provider):
    cloud.make_group("devs", "member", "demo")
    _, shown = enter(cloud, provider, groups=GROUPS)
    assert cloud.admin.get(f"{BASE}/users/{shown['user']['id']}/projects").json["projects"] == []


PROJECT_RULES = [
    {
        "local": [{"user": {"name": "{0}"}}, {"projects": [{"name": "home of {0}", "roles": [{"name": "member"}]}]}],
        "remote": [{"type": "OIDC-sub"}],
    }
]


def test_projects_of_a_mapping_are_made_once(make_cloud, provider):
    cloud = make_cloud(provider.issuer)
    cloud.set_up(PROJECT_RULES)
    enter(cloud, provider)
    token, shown = enter(cloud, provider)
    mine = cloud.client(token).get(f"{BASE}/auth/projects").json["projects"]
    assert [one["name"] for one in mine] == ["home of jane"]
    assert mine[0]["domain_id"] == shown["user"]["domain"]["id"]
    answer = rescope(cloud, token, {"project": {"id": mine[0]["id"]}})
    assert {role["name"] for role in answer.json["token"]["roles"]} == {"member", "reader"}


def test_a_role_of_a_mapping_that_does_not_exist_lets_nobody_in_and_makes_nothing(make_cloud, provider):
    cloud = make_cloud(provider.issuer)
    rules = [
        {
            **PROJECT_RULES[0],
            "local": [{"user": {"name": "{0}"}}, {"projects": [{"name": "p", "roles": [{"name": "no"}]}]}],
        }
    ]
    cloud.set_up(rules)
    assert cloud.bearer(provider.token()).status == 401
    assert cloud.admin.get(f"{BASE}/users?name=jane").json["users"] == []
    assert cloud.admin.get(f"{BASE}/projects?name=p").json["projects"] == []


def local_rules(**user):
    return [{"local": [{"user": {"type": "local", **user}, "group": {"id": "x"}}], "remote": [{"type": "OIDC-sub"}]}]


def test_local_users(make_cloud, provider):
    cloud = make_cloud(provider.issuer)
    cloud.set_up(local_rules(name="{0}", domain={"id": "default"}))
    assert cloud.bearer(provider.token()).status == 401, "nobody is made"
    jane = cloud.make_user("jane")
    demo = cloud.admin.get(f"{BASE}/projects?name=demo").json["projects"][0]
    cloud.grant("member", user=jane["id"], project=demo["id"])
    token, shown = enter(cloud, provider)
    assert shown["user"]["id"] == jane["id"] and "OS-FEDERATION" not in shown["user"]
    assert rescope(cloud, token, project("demo")).status == 201
    cloud.admin.patch(f"{BASE}/users/{jane['id']}", {"user": {"enabled": False}})
    assert cloud.bearer(provider.token()).status == 401


def test_mappings_that_give_no_user(make_cloud, provider):
    cloud = make_cloud(provider.issuer)
    cloud.set_up([{"local": [{"user": {"name": "x"}}], "remote": [{"type": "OIDC-sub", "any_one_of": ["joe"]}]}])
    assert cloud.bearer(provider.token()).status == 401
    cloud.admin.delete(f"{FED}/mappings/acme")
    assert cloud.bearer(provider.token(sub="joe")).status == 404


def test_without_id_and_name_the_user_is_the_subject_at_the_issuer(make_cloud, provider):
    cloud = make_cloud(provider.issuer)
    cloud.set_up([{"local": [{"group": {"id": "nowhere"}}], "remote": [{"type": "OIDC-sub"}]}])
    _, shown = enter(cloud, provider)
    assert shown["user"]["name"] == f"jane@{provider.issuer}"
    assert shown["user"]["OS-FEDERATION"]["groups"] == []


def test_the_provider_must_name_itself_as_it_was_registered(make_cloud, provider):
    cloud = make_cloud(provider.issuer)
    cloud.set_up(remote_ids=["https://elsewhere.example"])
    assert cloud.bearer(provider.token()).status == 201, "no attribute, so nothing to compare"
    path = f"{FED}/identity_providers/acme/protocols/openid"
    cloud.admin.patch(path, {"protocol": {"mapping_id": "acme", "remote_id_attribute": "HTTP_OIDC_ISS"}})
    assert cloud.bearer(provider.token()).status == 403
    cloud.set_idp(remote_ids=[provider.issuer])
    assert cloud.bearer(provider.token()).status == 201


def test_too_many_groups_for_a_token(cloud, provider, monkeypatch):
    monkeypatch.setattr(login, "MOST_GROUPS", 0)
    cloud.make_group("devs")
    assert cloud.bearer(provider.token(groups=GROUPS)).status == 401


def test_a_token_with_many_groups_still_works(make_cloud, provider):
    cloud = make_cloud(provider.issuer)
    cloud.set_up(
        [{"local": [{"user": {"name": "{0}"}}, {"groups": "{1}", "domain": {"id": "default"}}],
          "remote": [{"type": "OIDC-sub"}, {"type": "OIDC-groups"}]}]
    )  # fmt: skip
    names = [f"g{number}" for number in range(100)]
    for name in names:
        cloud.make_group(name)
    token, shown = enter(cloud, provider, groups=names)
    assert len(shown["user"]["OS-FEDERATION"]["groups"]) == 100
    assert validate(cloud, token) == 200


def test_service_providers_are_shown_in_tokens_while_they_are_enabled(cloud):
    def shown():
        return cloud.log_in("demo", "demo-password", project("demo")).json["token"].get("service_providers")

    assert shown() is None
    cloud.put(
        "service_providers/beta", service_provider={"auth_url": "https://b/a", "sp_url": "https://b/s", "enabled": True}
    )
    assert shown() == [{"id": "beta", "auth_url": "https://b/a", "sp_url": "https://b/s"}]
    cloud.admin.patch(f"{FED}/service_providers/beta", {"service_provider": {"enabled": False}})
    assert shown() is None


def test_users_show_who_vouches_for_them_and_are_found_by_it(cloud, provider):
    _, shown = enter(cloud, provider)
    user = cloud.admin.get(f"{BASE}/users/{shown['user']['id']}").json["user"]
    assert user["federated"] == [{"idp_id": "acme", "protocols": [{"protocol_id": "openid", "unique_id": "jane"}]}]
    for query, count in (("idp_id=acme", 1), ("protocol_id=openid&unique_id=jane", 1), ("unique_id=joe", 0)):
        assert len(cloud.admin.get(f"{BASE}/users?{query}").json["users"]) == count
    assert "federated" not in cloud.admin.get(f"{BASE}/users?name=demo").json["users"][0]


def test_an_administrator_says_who_vouches_for_a_user(cloud, provider):
    way = {"idp_id": "acme", "protocols": [{"protocol_id": "openid", "unique_id": "jane"}]}
    made = cloud.make_user("j.doe", federated=[way])
    assert made["federated"] == [way]
    _, shown = enter(cloud, provider)
    assert shown["user"]["id"] == made["id"] and shown["user"]["name"] == "j.doe", "and keeps the own name"
    body = {"user": {"name": "other", "federated": [way]}}
    assert cloud.admin.post(f"{BASE}/users", body).status == 409
    body["user"]["federated"] = [{"idp_id": "nobody", "protocols": way["protocols"]}]
    assert cloud.admin.post(f"{BASE}/users", body).status == 400
    assert cloud.admin.get(f"{BASE}/users?name=other").json["users"] == []
    changed = cloud.admin.patch(f"{BASE}/users/{made['id']}", {"user": {"federated": []}})
    assert "federated" not in changed.json["user"]


def test_groups_for_a_time_say_when_they_end(make_cloud, provider):
    cloud = make_cloud(provider.issuer, default_authorization_ttl=60)
    cloud.set_up()
    cloud.make_group("devs")
    own = cloud.make_group("own")
    _, shown = enter(cloud, provider, groups=GROUPS)
    user_id = shown["user"]["id"]
    cloud.admin.put(f"{BASE}/groups/{own['id']}/users/{user_id}")
    listed = {one["name"]: one for one in cloud.admin.get(f"{BASE}/users/{user_id}/groups").json["groups"]}
    assert set(listed) == {"devs", "own"}
    assert "membership_expires_at" not in listed["own"] and listed["devs"]["membership_expires_at"].endswith("Z")


def test_roles_for_a_time_are_listed_as_they_take_effect(make_cloud, provider):
    cloud = make_cloud(provider.issuer, default_authorization_ttl=60)
    cloud.set_up()
    devs = cloud.make_group("devs", "member", "demo")
    _, shown = enter(cloud, provider, groups=GROUPS)
    user_id = shown["user"]["id"]
    listed = cloud.admin.get(f"{BASE}/role_assignments?effective&user.id={user_id}").json["role_assignments"]
    assert {one["role"]["id"] for one in listed} == {cloud.role_id("member"), cloud.role_id("reader")}
    cloud.admin.put(f"{BASE}/groups/{devs['id']}/users/{user_id}")
    again = cloud.admin.get(f"{BASE}/role_assignments?effective&user.id={user_id}").json["role_assignments"]
    assert len(again) == len(listed), "a member in two ways is one member"
    cloud.set_idp(authorization_ttl=0)
    cloud.admin.delete(f"{BASE}/groups/{devs['id']}/users/{user_id}")
    path = f"{BASE}/role_assignments?effective&user.id={user_id}"
    assert cloud.admin.get(path).json["role_assignments"] == []


def test_two_first_logins_at_once_make_one_user(cloud, provider):
    cloud.bearer(provider.token(sub="somebody"))
    token = provider.token()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: cloud.bearer(token), range(8)))
    assert {answer.status for answer in answers} == {201}
    assert len({answer.json["token"]["user"]["id"] for answer in answers}) == 1


def test_an_application_credential_lives_as_long_as_the_groups_behind_it(make_cloud, provider):
    cloud = make_cloud(provider.issuer, default_authorization_ttl=60)
    cloud.set_up()
    cloud.make_group("devs", "member", "demo")
    unscoped, shown = enter(cloud, provider, groups=GROUPS)
    token = rescope(cloud, unscoped, project("demo")).headers["x-subject-token"]
    path = f"{BASE}/users/{shown['user']['id']}/application_credentials"
    made = cloud.client(token).post(path, {"application_credential": {"name": "bot", "secret": "s"}})
    assert made.status == 201, made.text
    method = {"id": made.json["application_credential"]["id"], "secret": "s"}
    auth = {"identity": {"methods": ["application_credential"], "application_credential": method}}
    answer = cloud.client(None).post(f"{BASE}/auth/tokens", {"auth": auth})
    assert answer.status == 201, answer.text
    assert validate(cloud, answer.headers["x-subject-token"]) == 200
    enter(cloud, provider, groups=["guests"])
    assert validate(cloud, answer.headers["x-subject-token"]) == 404
    assert cloud.client(None).post(f"{BASE}/auth/tokens", {"auth": auth}).status == 401


def test_a_disabled_provider_stops_what_its_users_left_behind(make_cloud, provider):
    cloud = make_cloud(provider.issuer)
    cloud.set_up(PROJECT_RULES)
    unscoped, shown = enter(cloud, provider)
    home = cloud.client(unscoped).get(f"{BASE}/auth/projects").json["projects"][0]["id"]
    token = rescope(cloud, unscoped, {"project": {"id": home}}).headers["x-subject-token"]
    path = f"{BASE}/users/{shown['user']['id']}/application_credentials"
    made = cloud.client(token).post(path, {"application_credential": {"name": "bot", "secret": "s"}})
    method = {"id": made.json["application_credential"]["id"], "secret": "s"}
    auth = {"identity": {"methods": ["application_credential"], "application_credential": method}}
    bots = cloud.client(None).post(f"{BASE}/auth/tokens", {"auth": auth}).headers["x-subject-token"]
    assert validate(cloud, bots) == 200
    cloud.set_idp(enabled=False)
    assert validate(cloud, bots) == 404
    assert cloud.client(None).post(f"{BASE}/auth/tokens", {"auth": auth}).status == 401
    cloud.set_idp(enabled=True)
    assert cloud.client(None).post(f"{BASE}/auth/tokens", {"auth": auth}).status == 201


def test_a_disabled_provider_does_not_touch_users_with_a_password(make_cloud, provider):
    cloud = make_cloud(provider.issuer)
    cloud.set_up()
    way = {"idp_id": "acme", "protocols": [{"protocol_id": "openid", "unique_id": "jane"}]}
    cloud.make_user("j.doe", "secret", federated=[way])
    cloud.set_idp(enabled=False)
    assert cloud.log_in("j.doe", "secret").status == 201
