# SPDX-License-Identifier: Apache-2.0
"""Users and groups through the API."""

import logging

import pytest

from tests.services.identity.conftest import BASE, DEMO_PASSWORD, project

USERS, GROUPS = f"{BASE}/users", f"{BASE}/groups"


def test_life_of_a_user(cloud):
    made = cloud.make_user("john", email="john@example.org", description="d", favourite={"colour": "blue"})
    assert made["domain_id"] == "default" and made["enabled"] is True and made["email"] == "john@example.org"
    assert made["links"]["self"].endswith(f"/identity/v3/users/{made['id']}")
    assert "password" not in str(made).replace("password_expires_at", "")
    shown = cloud.admin.get(f"{USERS}/{made['id']}").json["user"]
    assert shown == made
    changed = cloud.admin.patch(f"{USERS}/{made['id']}", {"user": {"name": "joe", "email": "joe@example.org"}})
    assert changed.status == 200
    user = changed.json["user"]
    assert user["name"] == "joe" and user["email"] == "joe@example.org" and user["favourite"] == {"colour": "blue"}
    assert cloud.log_in("joe", "secret").status == 201
    assert cloud.admin.delete(f"{USERS}/{made['id']}").status == 204
    assert cloud.admin.get(f"{USERS}/{made['id']}").status == 404
    assert cloud.admin.delete(f"{USERS}/{made['id']}").status == 404
    assert cloud.log_in("joe", "secret").status == 401


@pytest.mark.parametrize(
    ("members", "status"),
    [
        ({}, 400),
        ({"name": ""}, 400),
        ({"name": " "}, 400),
        ({"name": "x" * 256}, 400),
        ({"name": 5}, 400),
        ({"name": "x", "enabled": "yes"}, 400),
        ({"name": "x", "password": 5}, 400),
        ({"name": "x", "password": "x" * 5000}, 400),
        ({"name": "x", "options": {"unknown": True}}, 400),
        ({"name": "x", "domain_id": "nothing"}, 404),
        ({"name": "x", "default_project_id": "default"}, 400),
        ({"name": "x", "stuff": "x" * 70_000}, 400),
        ({"name": "admin"}, 409),
    ],
)
def test_refused_users(cloud, members, status):
    answer = cloud.admin.post(USERS, {"user": members})
    assert answer.status == status
    assert answer.json["error"]["code"] == status and answer.json["error"]["message"]


def test_refused_changes(cloud):
    user = cloud.make_user()
    path = f"{USERS}/{user['id']}"
    assert cloud.admin.patch(path, {"user": {"id": "other"}}).status == 400
    assert cloud.admin.patch(path, {"user": {"id": user["id"]}}).status == 200
    assert cloud.admin.patch(path, {"user": {"domain_id": "other"}}).status == 400
    assert cloud.admin.patch(path, {"user": {"name": "demo"}}).status == 409
    assert cloud.admin.patch(path, {"user": {"name": user["name"]}}).status == 200
    assert cloud.admin.patch(f"{USERS}/nothing", {"user": {"name": "x"}}).status == 404
    assert "Could not find user: nothing." in cloud.admin.get(f"{USERS}/nothing").text


def test_secrets_stay_secret(cloud, caplog):
    caplog.set_level(logging.DEBUG)
    answer = cloud.admin.post(USERS, {"user": {"name": 7, "password": "hush-hush"}})
    assert answer.status == 400 and "hush-hush" not in answer.text
    user = cloud.make_user("john", "hush-hush")
    cloud.log_in("john", "hush-hush")
    cloud.log_in("john", "hush-hush-wrong")
    body = {"user": {"original_password": "hush-hush", "password": ["hush-hush"]}}
    assert "hush-hush" not in cloud.client(None).post(f"{USERS}/{user['id']}/password", body).text
    assert "hush-hush" not in caplog.text


def test_own_password(cloud):
    user = cloud.make_user()
    path = f"{USERS}/{user['id']}/password"
    change = lambda **members: cloud.client(None).post(path, {"user": members})  # noqa: E731
    assert change(original_password="wrong", password="new").status == 401
    assert change(password="new").status == 400
    assert change(original_password="secret", password="new").status == 204
    assert cloud.log_in("john", "secret").status == 401
    assert cloud.log_in("john", "new").status == 201
    cloud.admin.patch(f"{USERS}/{user['id']}", {"user": {"options": {"lock_password": True}}})
    assert change(original_password="new", password="newer").status == 400
    nobody = cloud.client(None).post(f"{USERS}/nothing/password", {"user": {"original_password": "a", "password": "b"}})
    assert nobody.status == 401


def test_lists_and_filters(cloud):
    for name in ("anna", "annika", "Berta"):
        cloud.make_user(name, enabled=name != "annika")
    names = lambda query: sorted(user["name"] for user in cloud.admin.get(USERS + query).json["users"])  # noqa: E731
    assert names("?name=anna") == ["anna"]
    assert names("?name__startswith=ann") == ["anna", "annika"]
    assert names("?name__contains=nik") == ["annika"]
    assert names("?name__icontains=BERT") == ["Berta"]
    assert names("?enabled=false") == ["annika"]
    assert names("?enabled=true&name__startswith=ann") == ["anna"]
    assert names("?domain_id=nothing") == []
    assert len(names("?bogus=1")) == 5
    assert names("?password_expires_at=lt:2030-01-01T00:00:00Z") == []
    assert cloud.admin.get(f"{USERS}?password_expires_at=x:y").status == 400


def test_pages(cloud):
    for position in range(5):
        cloud.make("groups", "group", name=f"g{position}")
    first = cloud.admin.get(f"{GROUPS}?limit=2").json
    assert len(first["groups"]) == 2 and first["truncated"] is True
    rest = cloud.admin.get(f"{GROUPS}?marker={first['groups'][-1]['id']}").json
    assert len(rest["groups"]) == 3 and rest["links"]["next"] is None
    assert f"marker={first['groups'][-1]['id']}" in first["links"]["next"]


def test_list_costs_constant_queries(cloud):
    few = cloud.count_queries(lambda: cloud.admin.get(f"{BASE}/projects"))
    for position in range(5):
        cloud.make("projects", "project", name=f"p{position}", tags=["a", "b"])
    cloud.admin.get(f"{BASE}/projects")
    assert cloud.count_queries(lambda: cloud.admin.get(f"{BASE}/projects")) <= few


def test_groups(cloud):
    user, group = cloud.make_user(), cloud.make("groups", "group", name="g", colour="red")
    assert group["description"] == "" and group["colour"] == "red"
    member = f"{GROUPS}/{group['id']}/users/{user['id']}"
    assert cloud.admin.get(member).status == 404
    assert cloud.admin.put(member).status == 204
    assert cloud.admin.put(member).status == 204
    assert cloud.admin.get(member).status == 204
    assert cloud.admin.request("HEAD", member).status == 204
    assert [one["id"] for one in cloud.admin.get(f"{GROUPS}/{group['id']}/users").json["users"]] == [user["id"]]
    assert [one["id"] for one in cloud.admin.get(f"{USERS}/{user['id']}/groups").json["groups"]] == [group["id"]]
    assert cloud.admin.delete(member).status == 204
    assert cloud.admin.delete(member).status == 404
    assert cloud.admin.put(f"{GROUPS}/{group['id']}/users/nobody").status == 404
    assert cloud.admin.put(f"{GROUPS}/nothing/users/{user['id']}").status == 404
    changed = cloud.admin.patch(f"{GROUPS}/{group['id']}", {"group": {"name": "h", "description": "new"}})
    assert changed.json["group"]["name"] == "h" and changed.json["group"]["description"] == "new"
    assert cloud.admin.post(GROUPS, {"group": {"name": "h"}}).status == 409
    assert cloud.admin.post(GROUPS, {"group": {}}).status == 400
    assert cloud.admin.delete(f"{GROUPS}/{group['id']}").status == 204
    assert cloud.admin.get(f"{GROUPS}/{group['id']}").status == 404


def test_who_may(cloud):
    demo = cloud.as_user("demo", DEMO_PASSWORD, project("demo"))
    own = cloud.admin.get(f"{USERS}?name=demo").json["users"][0]["id"]
    admin = cloud.admin.get(f"{USERS}?name=admin").json["users"][0]["id"]
    assert demo.get(f"{USERS}/{own}").status == 200
    assert demo.get(f"{USERS}/{own}/projects").json["projects"][0]["name"] == "demo"
    assert demo.get(f"{USERS}/{own}/groups").json["groups"] == []
    # foreign and missing users look the same to somebody who may see neither
    assert demo.get(f"{USERS}/{admin}").status == demo.get(f"{USERS}/nothing").status == 403
    assert "identity:get_user" in demo.get(f"{USERS}/{admin}").json["error"]["message"]
    assert demo.get(USERS).status == 403
    assert demo.post(USERS, {"user": {"name": "x"}}).status == 403
    assert demo.patch(f"{USERS}/{own}", {"user": {"name": "x"}}).status == 403
    assert demo.delete(f"{USERS}/{own}").status == 403
    assert cloud.client(None).get(USERS).status == 401
