# SPDX-License-Identifier: Apache-2.0
"""`/alto/v1/policy/explanation`: allowed or not, by which rule, through which assignment, and what is missing."""

from urllib.parse import urlencode

import pytest

from altostratus.kernel import policy as module
from tests.services.identity.conftest import BASE

SERVERS = "os_compute_api:servers:create"


def explain(cloud, **query):
    answer = cloud.admin.get("/alto/v1/policy/explanation?" + urlencode(query))
    assert answer.status == 200, answer.text
    return answer.json["explanation"]


def refused(cloud, **query):
    answer = cloud.admin.get("/alto/v1/policy/explanation?" + urlencode(query))
    assert answer.status >= 400
    return answer.status, answer.json["error"]["message"]


def test_a_member_may_and_the_role_is_named(cloud):
    cloud.grant("member", user=cloud.user("ann"), project=cloud.project("blue"))
    found = explain(cloud, user="ann", operation=SERVERS, project="blue")
    assert found["allowed"] and found["rule"] == SERVERS and found["source"] == "default"
    assert found["check"] == "rule:project_member_or_admin"
    assert found["because"] == [{"role": "member", "group": None, "inherited_from": None, "implied_by": None}]


def test_a_reader_may_not_and_the_missing_role_is_named(cloud):
    cloud.grant("reader", user=cloud.user("ann"), project=cloud.project("blue"))
    found = explain(cloud, user="ann", operation=SERVERS, project="blue")
    assert not found["allowed"]
    assert found["would_allow"] == ["member", "admin"]
    assert [one["role"] for one in found["roles"]] == ["reader"]


def test_the_way_of_a_role_through_group_inheritance_and_implication(cloud):
    user = cloud.user("ann")
    group = cloud.make("groups", "group", name="staff")["id"]
    assert cloud.admin.put(f"{BASE}/groups/{group}/users/{user}").status == 204
    child = cloud.make("projects", "project", name="child", parent_id=cloud.project("blue"))["id"]
    place = f"OS-INHERIT/projects/{cloud.project('blue')}/groups/{group}/roles/{cloud.role_id('manager')}"
    assert cloud.admin.put(f"{BASE}/{place}/inherited_to_projects").status == 204
    found = explain(cloud, user="ann", operation=SERVERS, project=child)
    assert found["because"] == [
        {"role": "member", "group": "staff", "inherited_from": "project blue", "implied_by": "manager"}
    ]


def test_a_rule_of_a_file_is_told_with_the_file_and_the_default(cloud, monkeypatch):
    monkeypatch.setattr(module, "_RELOAD_EVERY_S", 0.0)
    path = cloud.directory / "policy" / "nova.yaml"
    path.parent.mkdir()
    path.write_text(f'"{SERVERS}": "role:builder"\n')
    cloud.grant("member", user=cloud.user("ann"), project=cloud.project("blue"))
    found = explain(cloud, user="ann", operation=SERVERS, project="blue")
    assert not found["allowed"] and found["source"] == str(path)
    assert found["check"] == "role:builder" and found["default_check"] == "rule:project_member_or_admin"
    assert found["would_allow"] == ["builder"]


def test_who_has_no_role_gets_no_token_and_what_would_help_is_told(cloud):
    cloud.user("ann")
    cloud.project("blue")
    found = explain(cloud, user="ann", operation=SERVERS, project="blue")
    assert not found["allowed"] and "no role on project" in found["why"]
    assert found["would_allow"] == ["member", "admin"]


def test_a_user_who_is_disabled_gets_no_token(cloud):
    user = cloud.user("ann")
    cloud.grant("member", user=user, project=cloud.project("blue"))
    cloud.admin.patch(f"{BASE}/users/{user}", {"user": {"enabled": False}})
    found = explain(cloud, user="ann", operation=SERVERS, project="blue")
    assert not found["allowed"] and "disabled" in found["why"]


@pytest.mark.parametrize(
    "words",
    [
        SERVERS,
        "POST /compute/v2.1/servers",
        "post /servers",
        "POST http://cloud/compute/v2.1/servers?x=1",
        "create server",
        "server create",
        "Create Servers",
    ],
)
def test_an_operation_is_found_by_rule_request_or_words(cloud, words):
    assert explain(cloud, user="admin", operation=words, project="admin")["rule"] == SERVERS


def test_what_compute_passes_on_for_old_clients_is_not_meant(cloud):
    assert explain(cloud, user="admin", operation="volume create", project="admin")["rule"] == "volume:create"


def test_an_action_is_found_by_its_path_and_name(cloud):
    words = "POST /compute/v2.1/servers/abc/action os-stop"
    assert explain(cloud, user="admin", operation=words, project="admin")["rule"] == "os_compute_api:servers:stop"


def test_a_path_with_the_project_in_it_is_found(cloud):
    words = f"POST /volume/v3/{cloud.project('blue')}/volumes"
    assert explain(cloud, user="admin", operation=words, project="admin")["rule"] == "volume:create"


def test_words_with_several_meanings_name_the_candidates(cloud):
    status, message = refused(cloud, user="admin", operation="POST /servers/x/action", project="admin")
    assert status == 400 and "os_compute_api" in message


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ({"user": "nobody", "operation": SERVERS, "project": "admin"}, 404, "no user 'nobody'"),
        ({"user": "admin", "operation": "fly to the moon", "project": "admin"}, 404, "Nothing is known"),
        ({"user": "admin", "operation": SERVERS, "project": "nowhere"}, 404, "no project 'nowhere'"),
        ({"user": "admin", "operation": SERVERS}, 400, "has roles on: admin, demo"),
        ({"user": "admin", "project": "admin"}, 400, "operation="),
        ({"operation": SERVERS, "project": "admin"}, 400, "user="),
    ],
)
def test_what_is_not_understood_is_said(cloud, query, status, words):
    found = refused(cloud, **query)
    assert found[0] == status and words in found[1]


def test_names_in_several_domains_need_an_id(cloud):
    domain = cloud.make("domains", "domain", name="other")["id"]
    cloud.user("ann")
    cloud.make_user("ann", domain_id=domain)
    status, message = refused(cloud, user="ann", operation=SERVERS, project="admin")
    assert status == 400 and domain in message


def test_the_only_project_of_a_user_need_not_be_named(cloud):
    cloud.grant("member", user=cloud.user("ann"), project=cloud.project("blue"))
    assert explain(cloud, user="ann", operation=SERVERS)["scope"]["name"] == "blue"


def test_domain_and_system_scopes(cloud):
    cloud.grant("manager", user=cloud.user("ann"), domain="default")
    found = explain(cloud, user="ann", operation="identity:create_user", domain="Default")
    assert found["allowed"] and found["scope"]["kind"] == "domain"
    found = explain(cloud, user="ann", operation="identity:create_domain", domain="Default")
    assert not found["allowed"] and "takes a token with the scope system or project" in found["why"]
    assert explain(cloud, user="admin", operation="identity:list_users", system="all")["allowed"]


def test_an_operation_without_a_rule_is_for_every_token(cloud):
    found = explain(cloud, user="admin", operation="GET /compute/v2.1/flavors/detail", project="admin")
    assert found["allowed"] and found["check"] is None and "Any valid token" in found["why"]
    found = explain(cloud, user="admin", operation="GET /compute/v2.1", project="admin")
    assert found["allowed"] and "open to everybody" in found["why"]


def test_only_administrators_may_ask(cloud):
    answer = cloud.person("manager").client.get("/alto/v1/policy/explanation?user=admin&operation=x&project=y")
    assert answer.status == 403
    assert "alto:policy:explain" in answer.text and "admin" in answer.text


def test_the_number_of_queries_does_not_grow_with_groups(cloud):
    user, blue = cloud.user("ann"), cloud.project("blue")
    cloud.grant("member", user=user, project=blue)
    before = cloud.count_queries(lambda: explain(cloud, user="ann", operation=SERVERS, project="blue"))
    for number in range(3):
        group = cloud.make("groups", "group", name=f"g{number}")["id"]
        cloud.admin.put(f"{BASE}/groups/{group}/users/{user}")
        cloud.admin.put(f"{BASE}/projects/{blue}/groups/{group}/roles/{cloud.role_id('reader')}")
    cloud.admin.get(f"{BASE}/users/{user}")
    explain(cloud, user="ann", operation=SERVERS, project="blue")
    assert cloud.count_queries(lambda: explain(cloud, user="ann", operation=SERVERS, project="blue")) <= before + 1
