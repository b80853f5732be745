# SPDX-License-Identifier: Apache-2.0
"""Roles, implication, and who has which role where."""

import pytest

from tests.services.identity.conftest import ADMIN_PASSWORD, BASE, DEMO_PASSWORD, project

ROLES = f"{BASE}/roles"
LIST = f"{BASE}/role_assignments"


def test_life_of_a_role(cloud):
    made = cloud.make("roles", "role", name="cook", description="d")
    path = f"{ROLES}/{made['id']}"
    assert made["domain_id"] is None and cloud.admin.get(path).json["role"] == made
    assert cloud.admin.post(ROLES, {"role": {"name": "cook"}}).status == 409
    assert cloud.admin.post(ROLES, {"role": {}}).status == 400
    assert cloud.admin.patch(path, {"role": {"name": "chef"}}).json["role"]["name"] == "chef"
    assert cloud.admin.delete(path).status == 204
    assert cloud.admin.get(path).status == cloud.admin.delete(path).status == 404
    assert cloud.admin.delete(f"{ROLES}/{cloud.role_id('admin')}").status == 403  # immutable
    own = cloud.make("roles", "role", name="cook", domain_id="default")
    assert own["domain_id"] == "default"
    assert [one["id"] for one in cloud.admin.get(f"{ROLES}?domain_id=default").json["roles"]] == [own["id"]]
    assert own["id"] not in {one["id"] for one in cloud.admin.get(ROLES).json["roles"]}


def test_implication(cloud):
    first, second = (cloud.make("roles", "role", name=name)["id"] for name in ("first", "second"))
    rule = f"{ROLES}/{first}/implies/{second}"
    assert cloud.admin.get(rule).status == 404
    made = cloud.admin.put(rule)
    assert made.status == 201 and made.json["role_inference"]["implies"]["name"] == "second"
    assert cloud.admin.put(rule).status == 409
    assert cloud.admin.put(f"{ROLES}/{second}/implies/{first}").status == 400
    assert cloud.admin.put(f"{ROLES}/{second}/implies/{cloud.role_id('admin')}").status == 403
    assert cloud.admin.get(rule).status == 200
    assert cloud.admin.request("HEAD", rule).status == 204
    listed = cloud.admin.get(f"{ROLES}/{first}/implies").json["role_inference"]
    assert [one["id"] for one in listed["implies"]] == [second]
    names = {one["prior_role"]["name"] for one in cloud.admin.get(f"{BASE}/role_inferences").json["role_inferences"]}
    assert names == {"admin", "manager", "member", "first"}
    user, place = cloud.make_user()["id"], cloud.make("projects", "project", name="p")["id"]
    cloud.grant("first", user=user, project=place)
    roles = cloud.log_in("john", "secret", project("p")).json["token"]["roles"]
    assert {role["name"] for role in roles} == {"first", "second"}
    assert cloud.admin.delete(rule).status == 204
    assert cloud.admin.delete(rule).status == 404


@pytest.mark.parametrize("actor", ["users", "groups"])
@pytest.mark.parametrize(
    ("target", "inherited"),
    [("projects", False), ("projects", True), ("domains", False), ("domains", True), ("system", False)],
)
def test_grants(cloud, actor, target, inherited):
    who = cloud.make_user()["id"] if actor == "users" else cloud.make("groups", "group", name="g")["id"]
    place = "" if target == "system" else "/" + cloud.make(target, target[:-1], name="t")["id"]
    prefix, suffix = ("/OS-INHERIT", "/inherited_to_projects") if inherited else ("", "")
    roles = f"{BASE}{prefix}/{target}{place}/{actor}/{who}/roles"
    one = f"{roles}/{cloud.role_id('member')}{suffix}"
    assert cloud.admin.get(one).status == 404
    assert cloud.admin.put(one).status == 204
    assert cloud.admin.put(one).status == 204
    assert cloud.admin.get(one).status == cloud.admin.request("HEAD", one).status == 204
    assert [role["name"] for role in cloud.admin.get(roles + suffix).json["roles"]] == ["member"]
    assert cloud.admin.put(f"{roles}/nothing{suffix}").status == 404
    assert cloud.admin.put(one.replace(who, "nobody")).status == 404
    assert cloud.admin.delete(one).status == 204
    assert cloud.admin.delete(one).status == 404
    if place:
        assert cloud.admin.put(one.replace(place, "/nothing")).status == 404


def test_through_a_group(cloud):
    user, group = cloud.make_user()["id"], cloud.make("groups", "group", name="g")["id"]
    place = cloud.make("projects", "project", name="p")["id"]
    cloud.admin.put(f"{BASE}/projects/{place}/groups/{group}/roles/{cloud.role_id('member')}")
    assert cloud.log_in("john", "secret", project("p")).status == 401
    cloud.admin.put(f"{BASE}/groups/{group}/users/{user}")
    token = cloud.token("john", "secret", project("p"))
    assert [one["id"] for one in cloud.admin.get(f"{BASE}/users/{user}/projects").json["projects"]] == [place]
    cloud.admin.delete(f"{BASE}/groups/{group}/users/{user}")
    assert cloud.client(token).get(f"{BASE}/auth/projects").status == 401


def test_inheritance(cloud):
    domain = cloud.make("domains", "domain", name="d")["id"]
    top = cloud.make("projects", "project", name="top", domain_id=domain)["id"]
    leaf = cloud.make("projects", "project", name="leaf", parent_id=top)["id"]
    user = cloud.make_user(domain_id=domain)["id"]
    member, reader = cloud.role_id("member"), cloud.role_id("reader")
    below_domain = f"{BASE}/OS-INHERIT/domains/{domain}/users/{user}/roles/{reader}/inherited_to_projects"
    below_top = f"{BASE}/OS-INHERIT/projects/{top}/users/{user}/roles/{member}/inherited_to_projects"
    assert cloud.admin.put(below_domain).status == cloud.admin.put(below_top).status == 204
    names = lambda scope: {  # noqa: E731
        role["name"] for role in cloud.log_in("john", "secret", scope, domain=domain).json["token"]["roles"]
    }
    assert names({"project": {"id": top}}) == {"reader"}
    assert names({"project": {"id": leaf}}) == {"member", "reader"}
    assert cloud.log_in("john", "secret", {"domain": {"id": domain}}, domain=domain).status == 401
    assert {one["id"] for one in cloud.admin.get(f"{BASE}/users/{user}/projects").json["projects"]} == {top, leaf}
    effective = cloud.admin.get(f"{LIST}?effective&user.id={user}&scope.project.id={leaf}").json["role_assignments"]
    assert {(one["role"]["id"], one["scope"]["OS-INHERIT:inherited_to"]) for one in effective} == {
        (member, "projects"),
        (reader, "projects"),
    }
    tree = cloud.admin.get(f"{LIST}?include_subtree&scope.project.id={top}&user.id={user}").json["role_assignments"]
    assert len(tree) == 1 and "/OS-INHERIT/projects/" in tree[0]["links"]["assignment"]


def test_a_role_of_a_domain_stays_there(cloud):
    domain = cloud.make("domains", "domain", name="d")["id"]
    role = cloud.make("roles", "role", name="own", domain_id=domain)["id"]
    cloud.admin.put(f"{ROLES}/{role}/implies/{cloud.role_id('reader')}")
    inside = cloud.make("projects", "project", name="inside", domain_id=domain)["id"]
    outside = cloud.make("projects", "project", name="outside")["id"]
    user = cloud.make_user()["id"]
    assert cloud.admin.put(f"{BASE}/projects/{outside}/users/{user}/roles/{role}").status == 403
    assert cloud.admin.put(f"{BASE}/projects/{inside}/users/{user}/roles/{role}").status == 204
    token = cloud.log_in("john", "secret", {"project": {"id": inside}}).json["token"]
    assert [one["name"] for one in token["roles"]] == ["reader"]


def test_lists(cloud):
    user, group = cloud.make_user()["id"], cloud.make("groups", "group", name="g")["id"]
    place = cloud.make("projects", "project", name="p")["id"]
    cloud.admin.put(f"{BASE}/groups/{group}/users/{user}")
    member = cloud.role_id("member")
    cloud.admin.put(f"{BASE}/projects/{place}/groups/{group}/roles/{member}")
    cloud.grant("reader", user=user)
    listed = lambda query: cloud.admin.get(f"{LIST}?{query}").json["role_assignments"]  # noqa: E731
    assert [one["group"]["id"] for one in listed(f"scope.project.id={place}")] == [group]
    assert [one["scope"] for one in listed(f"user.id={user}")] == [{"system": {"all": True}}]
    assert len(listed(f"group.id={group}&role.id={member}")) == 1
    assert listed(f"group.id={group}&scope.OS-INHERIT:inherited_to=projects") == []
    assert {one["user"]["id"] for one in listed("scope.system=all")} >= {user}
    effective = listed(f"effective&user.id={user}&scope.project.id={place}&include_names")
    assert {one["role"]["name"] for one in effective} == {"member", "reader"}
    assert effective[0]["user"]["name"] == "john" and effective[0]["scope"]["project"]["name"] == "p"
    assert effective[0]["user"]["domain"] == {"id": "default", "name": "Default"}
    assert f"/groups/{group}/users/{user}" in effective[0]["links"]["membership"]
    assert f"/projects/{place}/groups/{group}/roles/{member}" in effective[0]["links"]["assignment"]


@pytest.mark.parametrize(
    "query",
    [
        "scope.domain.id=a&scope.project.id=b",
        "scope.system=all&scope.project.id=b",
        "scope.system=all&scope.domain.id=b",
        "user.id=a&group.id=b",
        "effective&group.id=b",
        "effective&scope.OS-INHERIT:inherited_to=projects&scope.domain.id=a",
        "include_subtree",
    ],
)
def test_contradictions(cloud, query):
    assert cloud.admin.get(f"{LIST}?{query}").status == 400


def test_list_costs_constant_queries(cloud):
    query = f"{LIST}?effective&include_names"
    cloud.admin.get(query)
    few = cloud.count_queries(lambda: cloud.admin.get(query))
    place = cloud.make("projects", "project", name="p")["id"]
    for position in range(3):
        cloud.grant("member", user=cloud.make_user(f"u{position}")["id"], project=place)
    cloud.admin.get(query)
    assert cloud.count_queries(lambda: cloud.admin.get(query)) == few


def test_who_may(cloud):
    demo = cloud.as_user("demo", DEMO_PASSWORD, project("demo"))
    own = cloud.admin.get(f"{BASE}/users?name=demo").json["users"][0]["id"]
    place = cloud.admin.get(f"{BASE}/projects?name=demo").json["projects"][0]["id"]
    admin = cloud.role_id("admin")
    assert demo.put(f"{BASE}/projects/{place}/users/{own}/roles/{admin}").status == 403
    assert demo.put(f"{BASE}/system/users/{own}/roles/{admin}").status == 403
    assert demo.get(LIST).status == 403
    assert demo.get(ROLES).status == 403
    assert demo.post(ROLES, {"role": {"name": "x"}}).status == 403
    cloud.grant("reader", user=own)
    reader = cloud.as_user("demo", DEMO_PASSWORD, {"system": {"all": True}})
    for path in ("users", "projects", "domains", "roles", "groups", "services", "role_assignments", "role_inferences"):
        assert reader.get(f"{BASE}/{path}").status == 200
    assert reader.post(ROLES, {"role": {"name": "x"}}).status == 403
    assert cloud.as_user("admin", ADMIN_PASSWORD, {"system": {"all": True}}).get(LIST).status == 200


def test_the_administrator_of_a_domain_is_not_that_of_the_cloud(cloud):
    domain = cloud.make("domains", "domain", name="d")["id"]
    boss = cloud.make_user("boss", domain_id=domain)["id"]
    cloud.grant("admin", user=boss, domain=domain)
    client = cloud.as_user("boss", "secret", {"domain": {"id": domain}}, domain=domain)
    assert client.get(f"{BASE}/users").status == 200
    assert client.post(f"{BASE}/users", {"user": {"name": "u", "domain_id": domain}}).status == 201
    for path, body in (
        ("roles", {"role": {"name": "x"}}),
        ("domains", {"domain": {"name": "x"}}),
        ("services", {"service": {"type": "x"}}),
        ("regions", {"region": {}}),
    ):
        assert client.post(f"{BASE}/{path}", body).status == 403
    assert client.get(f"{BASE}/services").status == client.get(f"{BASE}/role_inferences").status == 403
    assert client.patch(f"{BASE}/domains/{domain}", {"domain": {"name": "x"}}).status == 403
    assert client.put(f"{BASE}/system/users/{boss}/roles/{cloud.role_id('admin')}").status == 403
