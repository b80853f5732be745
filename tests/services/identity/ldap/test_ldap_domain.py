# SPDX-License-Identifier: Apache-2.0
"""A domain with a read-only directory, through the API."""

import hashlib

from altostratus.kernel.db import counting_queries
from tests.services.identity.conftest import BASE, IdentityCloud, project
from tests.services.identity.ldap.conftest import Corp


def test_a_user_of_the_directory_logs_in(corp: Corp) -> None:
    answer = corp.log_in("ada")
    assert answer.status == 201, answer.text
    user = answer.json["token"]["user"]
    assert (user["name"], user["domain"]["name"]) == ("ada", "corp")
    assert user["id"] == hashlib.sha256(f"{corp.id}userada".encode()).hexdigest()


def test_nobody_else_does(corp: Corp) -> None:
    dn = "uid=ada,ou=people,dc=example,dc=org"
    for name, password in (
        ("ada", "wrong"), ("ada", ""), ("ada", "bob-password"), ("nobody", "x"), ("*", "ada-password"),
        ("ada)(uid=*", "ada-password"), ("", ""), ("ada", "\x00"), ("\x00", "x"), (dn, "ada-password"),
    ):  # fmt: skip
        answer = corp.log_in(name, password)
        assert answer.status == 401 and "requires authentication" in answer.text, (name, password)
    assert corp.log_in("ada").status == 201


def test_the_id_that_a_list_shows_is_good_for_logging_in(corp: Corp, cloud: IdentityCloud) -> None:
    user = {"id": corp.id_of("users", "bob"), "password": "bob-password"}
    auth = {"identity": {"methods": ["password"], "password": {"user": user}}}
    assert cloud.client(None).post(f"{BASE}/auth/tokens", {"auth": auth}).status == 201


def test_users_and_groups_are_listed_and_shown(corp: Corp, cloud: IdentityCloud) -> None:
    assert sorted(one["name"] for one in corp.list("users")) == ["ada", "bob", "carol"]
    assert sorted(one["name"] for one in corp.list("groups")) == ["empty", "staff"]
    ada = cloud.admin.get(f"{BASE}/users/{corp.id_of('users', 'ada')}").json["user"]
    assert (ada["name"], ada["email"], ada["enabled"], ada["domain_id"]) == ("ada", "ada@example.org", True, corp.id)
    assert "password" not in ada and ada["password_expires_at"] is None


def test_members_and_groups_of_a_user(corp: Corp, cloud: IdentityCloud) -> None:
    staff, ada = corp.id_of("groups", "staff"), corp.id_of("users", "ada")
    members = cloud.admin.get(f"{BASE}/groups/{staff}/users").json["users"]
    assert sorted(one["name"] for one in members) == ["ada", "bob"]
    groups = cloud.admin.get(f"{BASE}/users/{ada}/groups").json["groups"]
    assert [one["name"] for one in groups] == ["staff"]
    assert cloud.admin.get(f"{BASE}/groups/{staff}/users/{ada}").status == 204
    assert cloud.admin.get(f"{BASE}/groups/{staff}/users/{corp.id_of('users', 'carol')}").status == 404


def test_roles_come_by_the_user_and_by_the_group(corp: Corp, cloud: IdentityCloud) -> None:
    demo = cloud.admin.get(f"{BASE}/projects?name=demo").json["projects"][0]["id"]
    cloud.grant("reader", user=corp.id_of("users", "carol"), project=demo)
    staff, member = corp.id_of("groups", "staff"), cloud.role_id("member")
    assert cloud.admin.put(f"{BASE}/projects/{demo}/groups/{staff}/roles/{member}").status == 204
    by_group = corp.log_in("ada", scope=project("demo"))
    assert {one["name"] for one in by_group.json["token"]["roles"]} == {"member", "reader"}
    by_user = corp.log_in("carol", scope=project("demo"))
    assert {one["name"] for one in by_user.json["token"]["roles"]} == {"reader"}
    found = cloud.admin.get(f"{BASE}/role_assignments?effective&user.id={corp.id_of('users', 'ada')}&include_names")
    assert {one["role"]["name"] for one in found.json["role_assignments"]} == {"member", "reader"}


def test_a_reader_of_the_domain_sees_it_and_no_other(corp: Corp, cloud: IdentityCloud) -> None:
    cloud.grant("reader", user=corp.id_of("users", "carol"), domain=corp.id)
    carol = cloud.client(corp.token("carol", {"domain": {"id": corp.id}}))
    assert sorted(one["name"] for one in carol.get(f"{BASE}/users").json["users"]) == ["ada", "bob", "carol"]
    assert carol.get(f"{BASE}/users?domain_id=default").status == 403
    assert carol.get(f"{BASE}/users/{corp.id_of('users', 'ada')}").status == 200
    plain = cloud.client(corp.token("bob"))
    assert plain.get(f"{BASE}/users?domain_id={corp.id}").status == 403
    assert plain.get(f"{BASE}/users/{corp.id_of('users', 'bob')}").status == 200
    assert plain.get(f"{BASE}/users/{corp.id_of('users', 'ada')}").status == 403


def test_stars_in_filters_are_stars(corp: Corp) -> None:
    for query in ("&name=*", "&name=a*", "&name__contains=*", "&name__startswith=)(uid=*", "&name=%00"):
        assert corp.list("users", query) == [], query


def test_without_a_role_there_is_no_project(corp: Corp) -> None:
    assert corp.log_in("bob", scope=project("demo")).status == 401


def test_a_domains_own_limit_holds(corp: Corp, cloud: IdentityCloud) -> None:
    assert "truncated" not in cloud.admin.get(f"{BASE}/users?domain_id={corp.id}").json
    config = {"config": {"identity": {"list_limit": 2}}}
    assert cloud.admin.patch(f"{BASE}/domains/{corp.id}/config", config).status == 200
    answer = cloud.admin.get(f"{BASE}/users?domain_id={corp.id}").json
    assert len(answer["users"]) == 2 and answer["truncated"]


def test_filters_and_pages(corp: Corp, cloud: IdentityCloud) -> None:
    assert [one["name"] for one in corp.list("users", "&name__contains=aro")] == ["carol"]
    first = cloud.admin.get(f"{BASE}/users?domain_id={corp.id}&limit=2").json
    rest = cloud.admin.get(first["links"]["next"].removeprefix("http://falconframework.org")).json
    assert len(first["users"]) == 2
    assert sorted(one["name"] for one in first["users"] + rest["users"]) == ["ada", "bob", "carol"]


def test_a_list_costs_a_constant_number_of_queries(corp: Corp) -> None:
    corp.list("users")
    counts = []
    for query in ("&name=ada", ""):
        with counting_queries() as seen:
            corp.list("users", query)
        counts.append(len(seen))
    assert counts[1] <= counts[0] + 1  # the whole list also looks who is missing


def test_nothing_can_be_changed(corp: Corp, cloud: IdentityCloud) -> None:
    ids = {"ada": corp.id_of("users", "ada")} | {name: corp.id_of("groups", name) for name in ("staff", "empty")}
    for method, path, body in (
        ("POST", "users", {"user": {"name": "new", "password": "secret", "domain_id": corp.id}}),
        ("PATCH", "users/{ada}", {"user": {"description": "x"}}),
        ("PATCH", "users/{ada}", {"user": {"password": "secret"}}),
        ("DELETE", "users/{ada}", None),
        ("POST", "groups", {"group": {"name": "new", "domain_id": corp.id}}),
        ("PATCH", "groups/{staff}", {"group": {"description": "x"}}),
        ("DELETE", "groups/{staff}", None),
        ("PUT", "groups/{empty}/users/{ada}", None),
        ("DELETE", "groups/{staff}/users/{ada}", None),
    ):
        answer = cloud.admin.request(method, f"{BASE}/{path.format(**ids)}", body)
        assert answer.status == 403 and "LDAP does not support write operations" in answer.text, (method, path)
    assert corp.log_in("ada").status == 201


def test_an_own_password_cannot_be_changed_here(corp: Corp, cloud: IdentityCloud) -> None:
    body = {"user": {"original_password": "ada-password", "password": "other"}}
    answer = cloud.client(None).post(f"{BASE}/users/{corp.id_of('users', 'ada')}/password", body)
    assert answer.status == 403
    assert corp.log_in("ada").status == 201 and corp.log_in("ada", "other").status == 401


def test_users_of_two_backends_do_not_meet_in_a_group(corp: Corp, cloud: IdentityCloud) -> None:
    local = cloud.make("groups", "group", name="local")["id"]
    john = cloud.make_user()["id"]
    staff, ada = corp.id_of("groups", "staff"), corp.id_of("users", "ada")
    for group_id, user_id in ((local, ada), (staff, john)):
        answer = cloud.admin.put(f"{BASE}/groups/{group_id}/users/{user_id}")
        assert answer.status == 403 and "across backend boundaries" in answer.text


def test_a_local_user_of_the_domain_stays_and_keeps_the_name(corp: Corp, cloud: IdentityCloud) -> None:
    cloud.admin.delete(f"{BASE}/domains/{corp.id}/config")
    local = cloud.make_user("bob", "local-secret", domain_id=corp.id)
    corp.configure(**corp.ldap)
    assert corp.log_in("bob", "local-secret").json["token"]["user"]["id"] == local["id"]
    assert corp.log_in("bob").status == 401
    assert {one["id"] for one in corp.list("users") if one["name"] == "bob"} == {local["id"]}


def test_disabling_the_domain_stops_its_users(corp: Corp, cloud: IdentityCloud) -> None:
    token = corp.token("ada")
    assert cloud.admin.patch(f"{BASE}/domains/{corp.id}", {"domain": {"enabled": False}}).status == 200
    assert corp.log_in("ada").status == 401
    assert cloud.client(token).get(f"{BASE}/auth/projects").status == 401


def test_deleting_the_domain_leaves_nothing(corp: Corp, cloud: IdentityCloud) -> None:
    corp.list("users")
    cloud.admin.patch(f"{BASE}/domains/{corp.id}", {"domain": {"enabled": False}})
    assert cloud.admin.delete(f"{BASE}/domains/{corp.id}").status == 204
    with cloud.cloud.db.read() as tx:
        for table in ("users", "identity_groups", "id_mappings", "identity_group_members"):
            rows = tx.conn.exec_driver_sql(f"SELECT * FROM {table}").mappings().all()
            assert not [row for row in rows if row.get("domain_id") == corp.id]


def test_application_credentials_of_directory_users_work(corp: Corp, cloud: IdentityCloud) -> None:
    ada = corp.id_of("users", "ada")
    demo = cloud.admin.get(f"{BASE}/projects?name=demo").json["projects"][0]["id"]
    cloud.grant("member", user=ada, project=demo)
    mine = cloud.client(corp.token("ada", project("demo")))
    body = {"application_credential": {"name": "robot"}}
    made = mine.post(f"{BASE}/users/{ada}/application_credentials", body).json["application_credential"]
    given = {"id": made["id"], "secret": made["secret"]}
    auth = {"identity": {"methods": ["application_credential"], "application_credential": given}}
    assert cloud.client(None).post(f"{BASE}/auth/tokens", {"auth": auth}).status == 201
