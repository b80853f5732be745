# SPDX-License-Identifier: Apache-2.0
"""A domain whose directory the cloud may change."""

import pytest

from tests.services.identity.conftest import BASE, IdentityCloud
from tests.services.identity.ldap.conftest import Corp


def make(corp: Corp, one: str, **members: object) -> dict[str, object]:
    made: dict[str, object] = corp.cloud.make(f"{one}s", one, domain_id=corp.id, **members)
    return made


def test_a_user_is_made_in_the_directory_and_logs_in(writable: Corp) -> None:
    dora = make(writable, "user", name="dora", password="secret", email="d@example.org", description="new")
    assert (dora["email"], dora["description"], dora["enabled"]) == ("d@example.org", "new", True)
    assert writable.log_in("dora", "secret").json["token"]["user"]["id"] == dora["id"]
    assert "dora" in {one["name"] for one in writable.list("users")}


@pytest.mark.parametrize("members", [
    {"options": {"lock_password": True}}, {"shoe_size": 42},
])  # fmt: skip
def test_what_the_directory_cannot_hold_is_refused(writable: Corp, members: dict[str, object]) -> None:
    body = {"user": {"name": "dora", "domain_id": writable.id} | members}
    assert writable.cloud.admin.post(f"{BASE}/users", body).status == 400
    assert "dora" not in {one["name"] for one in writable.list("users")}


def test_a_name_is_taken_once(writable: Corp) -> None:
    for path, one, name in (("users", "user", "ada"), ("groups", "group", "staff")):
        body = {one: {"name": name, "domain_id": writable.id}}
        assert writable.cloud.admin.post(f"{BASE}/{path}", body).status == 409


def test_an_administrator_sets_a_password_and_tokens_end(writable: Corp, cloud: IdentityCloud) -> None:
    ada, token = writable.id_of("users", "ada"), writable.token("ada")
    body = {"user": {"password": "fresh", "description": "changed"}}
    assert cloud.admin.patch(f"{BASE}/users/{ada}", body).json["user"]["description"] == "changed"
    assert writable.log_in("ada").status == 401 and writable.log_in("ada", "fresh").status == 201
    assert cloud.client(token).get(f"{BASE}/auth/projects").status == 401


def test_a_user_changes_the_own_password(writable: Corp, cloud: IdentityCloud) -> None:
    path, anybody = f"{BASE}/users/{writable.id_of('users', 'bob')}/password", cloud.client(None)
    wrong = {"user": {"original_password": "wrong", "password": "fresh"}}
    assert anybody.post(path, wrong).status == 401
    right = {"user": {"original_password": "bob-password", "password": "fresh"}}
    assert anybody.post(path, right).status == 204
    assert writable.log_in("bob", "fresh").status == 201


def test_a_deleted_user_leaves_nothing_behind(writable: Corp, cloud: IdentityCloud) -> None:
    ada, token = writable.id_of("users", "ada"), writable.token("ada")
    demo = cloud.admin.get(f"{BASE}/projects?name=demo").json["projects"][0]["id"]
    cloud.grant("member", user=ada, project=demo)
    assert cloud.admin.delete(f"{BASE}/users/{ada}").status == 204
    assert cloud.client(token).get(f"{BASE}/auth/projects").status == 401
    assert cloud.admin.get(f"{BASE}/users/{ada}").status == 404
    with cloud.cloud.db.read() as tx:
        tables = {"id_mappings": "public_id", "role_assignments": "actor_id", "identity_group_members": "user_id"}
        for table, column in tables.items():
            rows = tx.conn.exec_driver_sql(f"SELECT * FROM {table} WHERE {column} = ?", (ada,))
            assert rows.all() == []


def test_a_group_is_made_filled_emptied_and_deleted(writable: Corp, cloud: IdentityCloud) -> None:
    crew, carol = make(writable, "group", name="crew")["id"], writable.id_of("users", "carol")
    path = f"{BASE}/groups/{crew}/users"
    assert cloud.admin.put(f"{path}/{carol}").status == 204
    assert [one["name"] for one in cloud.admin.get(path).json["users"]] == ["carol"]
    assert cloud.admin.delete(f"{path}/{carol}").status == 204
    assert cloud.admin.get(path).json["users"] == []
    changed = cloud.admin.patch(f"{BASE}/groups/{crew}", {"group": {"description": "on board"}})
    assert changed.json["group"]["description"] == "on board"
    assert cloud.admin.delete(f"{BASE}/groups/{crew}").status == 204
    assert "crew" not in {one["name"] for one in writable.list("groups")}


def test_a_role_by_a_group_ends_when_the_user_leaves_it(writable: Corp, cloud: IdentityCloud) -> None:
    staff, ada = writable.id_of("groups", "staff"), writable.id_of("users", "ada")
    demo = cloud.admin.get(f"{BASE}/projects?name=demo").json["projects"][0]["id"]
    cloud.admin.put(f"{BASE}/projects/{demo}/groups/{staff}/roles/{cloud.role_id('member')}")
    client = cloud.client(writable.token("ada", {"project": {"id": demo}}))
    assert client.get(f"{BASE}/auth/projects").status == 200
    assert cloud.admin.delete(f"{BASE}/groups/{staff}/users/{ada}").status == 204
    assert client.get(f"{BASE}/auth/projects").status == 401
