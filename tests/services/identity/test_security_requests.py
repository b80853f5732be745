# SPDX-License-Identifier: Apache-2.0
"""Requests that are meant to hurt: too large, too deep, too many, and changes that one must not make to oneself."""

import json

import pytest

from altostratus.kernel.http import MAX_BODY_BYTES
from tests.services.identity.conftest import BASE, DEMO_PASSWORD, project

TOKENS, USERS = f"{BASE}/auth/tokens", f"{BASE}/users"


@pytest.fixture
def demo(cloud):
    return cloud.as_user("demo", DEMO_PASSWORD, project("demo"))


@pytest.fixture
def own(cloud):
    return cloud.admin.get(f"{USERS}?name=demo").json["users"][0]["id"]


def test_a_body_that_is_too_large(cloud):
    text = '{"auth": "' + "x" * MAX_BODY_BYTES + '"}'
    answer = cloud.client(None).post(TOKENS, text)
    assert answer.status == 413 and str(MAX_BODY_BYTES) in answer.json["error"]["message"]


@pytest.mark.parametrize("brackets", [("[", "]"), ('{"a":', "}")])
@pytest.mark.parametrize("depth", [2_000, 200_000])
def test_a_body_that_is_too_deep(cloud, brackets, depth):
    opening, closing = brackets
    text = opening * depth + "1" + closing * depth
    for path in (TOKENS, f"{USERS}/x/password"):
        answer = cloud.client(None).post(path, text)
        assert answer.status == 400 and len(answer.content) < 2_000
    inside = '{"user": {"name": "x", "stuff": ' + text + "}}"
    assert cloud.admin.post(USERS, inside).status == 400


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "1", '"auth"', "{", '{"auth": }', "\x00", "\ufeff{}", '{"auth": {}} {}', "{'auth': {}}", "NaN"],
)
def test_bodies_that_are_none(cloud, text):
    assert cloud.client(None).post(TOKENS, text).status == 400


def test_bytes_that_are_no_text(cloud):
    assert cloud.client(None).post(TOKENS, b'{"auth": "\xff\xfe"}').status == 400
    assert cloud.client(None).post(TOKENS, b"\x80\x81").status == 400


def test_a_member_that_comes_twice_is_read_once(cloud):
    """The one that is checked is the one that is used."""
    user = '{"name": "nobody", "name": "demo", "domain": {"id": "default"}, "password": "' + DEMO_PASSWORD + '"}'
    text = '{"auth": {"identity": {"methods": ["password"], "password": {"user": ' + user + "}}}}"
    answer = cloud.client(None).post(TOKENS, text)
    assert answer.status == 201 and answer.json["token"]["user"]["name"] == "demo"


def test_too_many_methods(cloud):
    for methods in (["password"] * 17, ["password"] * 10_000):
        body = {"auth": {"identity": {"methods": methods, "password": {}}}}
        assert cloud.client(None).post(TOKENS, body).status == 400


def test_methods_that_come_twice_are_tried_once(cloud):
    user = {"name": "demo", "domain": {"id": "default"}, "password": DEMO_PASSWORD}
    body = {"auth": {"identity": {"methods": ["password"] * 16, "password": {"user": user}}}}
    answer = cloud.client(None).post(TOKENS, body)
    assert answer.status == 201 and answer.json["token"]["methods"] == ["password"]


@pytest.mark.parametrize("name", ["X-Auth-Token", "X-Subject-Token", "Openstack-Auth-Receipt"])
@pytest.mark.parametrize("value", ["x" * 60_000, "a" * 1_025, "é", "\t", "gAAAAA==", "../../etc/passwd", "%00"])
def test_headers_that_are_no_tokens(cloud, name, value):
    client = cloud.client(None) if name == "X-Auth-Token" else cloud.admin
    if name == "Openstack-Auth-Receipt":
        user = {"name": "demo", "domain": {"id": "default"}, "password": DEMO_PASSWORD}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}}
        assert cloud.client(None).post(TOKENS, body, headers={name: value}).status in (201, 401)
    else:
        assert client.get(TOKENS, headers={name: value}).status in (400, 401, 404)


def test_many_headers_and_parameters(cloud):
    headers = {f"X-Header-{number}": "x" * 100 for number in range(1_000)}
    assert cloud.admin.get(USERS, headers=headers).status == 200
    many = "&".join(f"name={number}" for number in range(1_000))
    assert cloud.admin.get(f"{USERS}?{many}").status == 200
    assert cloud.admin.get(f"{USERS}?{many}&name=x&name=y").status == 400


def test_names_with_everything_in_them(cloud):
    for name in ("é", "名前", "'; DROP TABLE users; --", "%s%n{0}", "\u202eevil", "a/b?c#d", '"quoted"', "x" * 255):
        made = cloud.make_user(name, "pässwörd-密码")
        assert cloud.log_in(name, "pässwörd-密码").status == 201
        assert cloud.admin.get(f"{USERS}/{made['id']}").json["user"]["name"] == name


def test_a_name_with_a_zero_or_half_a_letter_breaks_nothing(cloud):
    for name in ("a\x00b", "\ud800"):
        answer = cloud.admin.post(USERS, json.dumps({"user": {"name": name}}))
        assert answer.status in (201, 400), answer.text
        assert cloud.log_in(name, "x").status in (400, 401)


def test_filters_are_values(cloud):
    for text in ("' OR 1=1 --", "%25", "_", "\\", "*"):
        assert cloud.admin.get(f"{USERS}?name={text}").json["users"] == []
    assert cloud.admin.get(f"{USERS}?name__contains=%25").json["users"] == []
    assert cloud.admin.get(f"{USERS}?name__startswith=_").json["users"] == []


@pytest.mark.parametrize(
    "members",
    [
        {"enabled": True},
        {"options": {"lock_password": False}},
        {"options": {"multi_factor_auth_enabled": False}},
        {"password": "other"},
        {"name": "admin2"},
        {"domain_id": "other"},
        {"default_project_id": "other"},
    ],
)
def test_nobody_changes_oneself_past_the_own_password(cloud, demo, own, members):
    before = cloud.admin.get(f"{USERS}/{own}").json
    assert demo.patch(f"{USERS}/{own}", {"user": members}).status == 403
    assert cloud.admin.get(f"{USERS}/{own}").json == before


def test_nobody_gives_oneself_roles(cloud, demo, own):
    admin = cloud.role_id("admin")
    for place in (f"projects/{demo_project(cloud)}", "domains/default", "system"):
        assert demo.put(f"{BASE}/{place}/users/{own}/roles/{admin}").status == 403
    group = cloud.make("groups", "group", name="admins")["id"]
    assert demo.put(f"{BASE}/groups/{group}/users/{own}").status == 403


def demo_project(cloud):
    return cloud.admin.get(f"{BASE}/projects?name=demo").json["projects"][0]["id"]


def test_fields_of_the_house_are_not_for_clients(cloud):
    """Names of columns in a request are kept as what they are: made-up members."""
    given = {
        "password_hash": "x",
        "failed_auth_count": 9,
        "tokens_from": "9999",
        "last_active_on": "0",
        "extra": {"a": 1},
    }
    user = cloud.make_user("john", "secret", **given)
    assert cloud.log_in("john", "secret").status == 201
    answer = cloud.admin.patch(
        f"{USERS}/{user['id']}", {"user": given | {"password_expires_at": "2000-01-01T00:00:00Z"}}
    )
    assert answer.status == 200 and answer.json["user"]["password_expires_at"] is None
    assert cloud.log_in("john", "secret").status == 201


def test_a_disabled_user_does_nothing_more(cloud, own):
    cloud.admin.patch(f"{USERS}/{own}", {"user": {"enabled": False}})
    body = {"user": {"original_password": DEMO_PASSWORD, "password": "other"}}
    assert cloud.client(None).post(f"{USERS}/{own}/password", body).status == 401
    assert cloud.log_in("demo", DEMO_PASSWORD).status == 401
