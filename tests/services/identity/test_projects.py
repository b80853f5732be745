# SPDX-License-Identifier: Apache-2.0
"""Projects, tags, the tree, and domains."""

import pytest

from tests.services.identity.conftest import ADMIN_PASSWORD, BASE, DEMO_PASSWORD, project

PROJECTS, DOMAINS = f"{BASE}/projects", f"{BASE}/domains"


def test_life_of_a_project(cloud):
    made = cloud.make("projects", "project", name=" p ", description="d", tags=["b", "a"], colour="red")
    assert made["name"] == "p" and made["domain_id"] == made["parent_id"] == "default"
    assert made["is_domain"] is False and made["enabled"] is True
    assert made["tags"] == ["a", "b"] and made["colour"] == "red"
    path = f"{PROJECTS}/{made['id']}"
    assert cloud.admin.get(path).json["project"] == made
    changed = cloud.admin.patch(path, {"project": {"name": "q", "description": None, "tags": ["c"]}}).json["project"]
    assert changed["name"] == "q" and changed["description"] == "" and changed["tags"] == ["c"]
    assert cloud.admin.delete(path).status == 204
    assert cloud.admin.get(path).status == 404


@pytest.mark.parametrize(
    ("members", "status"),
    [
        ({}, 400),
        ({"name": ""}, 400),
        ({"name": "x" * 256}, 400),
        ({"name": "x", "enabled": "no"}, 400),
        ({"name": "x", "domain_id": "nothing"}, 400),
        ({"name": "x", "parent_id": "nothing"}, 400),
        ({"name": "x", "tags": ["a,b"]}, 400),
        ({"name": "x", "tags": ["a", "a"]}, 400),
        ({"name": "x", "is_domain": True, "parent_id": "default"}, 400),
        ({"name": "demo"}, 409),
    ],
)
def test_refused_projects(cloud, members, status):
    assert cloud.admin.post(PROJECTS, {"project": members}).status == status


def test_tree(cloud):
    top = cloud.make("projects", "project", name="top")["id"]
    middle = cloud.make("projects", "project", name="middle", parent_id=top)["id"]
    leaf = cloud.make("projects", "project", name="leaf", parent_id=middle)["id"]
    show = lambda name, query: cloud.admin.get(f"{PROJECTS}/{name}{query}").json["project"]  # noqa: E731
    assert show(leaf, "?parents_as_ids")["parents"] == {middle: {top: {"default": None}}}
    assert show(top, "?subtree_as_ids")["subtree"] == {middle: {leaf: None}}
    assert show(leaf, "?subtree_as_ids")["subtree"] is None
    assert show(leaf, "?parents_as_list")["parents"] == []  # the caller has no role there
    admin = cloud.admin.get(f"{BASE}/users?name=admin").json["users"][0]["id"]
    cloud.grant("reader", user=admin, project=middle)
    assert [one["project"]["id"] for one in show(leaf, "?parents_as_list")["parents"]] == [middle]
    assert [one["project"]["id"] for one in show(top, "?subtree_as_list")["subtree"]] == [middle]
    assert cloud.admin.get(f"{PROJECTS}/{top}?subtree_as_ids&subtree_as_list").status == 400
    assert cloud.admin.delete(f"{PROJECTS}/{middle}").status == 403
    off = {"project": {"enabled": False}}
    assert cloud.admin.patch(f"{PROJECTS}/{middle}", off).status == 403
    assert cloud.admin.patch(f"{PROJECTS}/{leaf}", off).status == 200
    assert cloud.admin.patch(f"{PROJECTS}/{middle}", off).status == 200
    assert cloud.admin.patch(f"{PROJECTS}/{leaf}", {"project": {"enabled": True}}).status == 403
    assert cloud.admin.patch(f"{PROJECTS}/{leaf}", {"project": {"parent_id": top}}).status == 403
    assert cloud.admin.post(PROJECTS, {"project": {"name": "x", "parent_id": middle}}).status == 400
    assert [one["id"] for one in cloud.admin.get(f"{PROJECTS}?parent_id={top}").json["projects"]] == [middle]


def test_depth_is_bounded(cloud):
    parent = "default"
    for level in range(5):
        parent = cloud.make("projects", "project", name=f"level {level}", parent_id=parent)["id"]
    refused = cloud.admin.post(PROJECTS, {"project": {"name": "too deep", "parent_id": parent}})
    assert refused.status == 403 and "Max hierarchy depth" in refused.json["error"]["message"]


def test_tags(cloud):
    made = cloud.make("projects", "project", name="p")["id"]
    path = f"{PROJECTS}/{made}/tags"
    assert cloud.admin.put(f"{path}/red").status == 201
    assert cloud.admin.put(f"{path}/red").status == 201
    assert cloud.admin.get(f"{path}/red").status == 204
    assert cloud.admin.get(f"{path}/blue").status == 404
    assert cloud.admin.put(path, {"tags": ["x", "y"]}).json["tags"] == ["x", "y"]
    assert cloud.admin.put(path, {"tags": ["a,b"]}).status == 400
    assert cloud.admin.put(path, {}).status == 400
    assert cloud.admin.delete(f"{path}/x").status == 204
    assert cloud.admin.delete(f"{path}/x").status == 404
    assert cloud.admin.get(path).json["tags"] == ["y"]
    assert cloud.admin.delete(path).status == 204
    assert cloud.admin.get(path).json["tags"] == []
    assert cloud.admin.get(f"{PROJECTS}/nothing/tags").status == 404


def test_tag_filters(cloud):
    for name, tags in (("p1", ["a"]), ("p2", ["a", "b"]), ("p3", [])):
        cloud.make("projects", "project", name=name, tags=tags)
    names = lambda query: sorted(  # noqa: E731
        item["name"] for item in cloud.admin.get(f"{PROJECTS}?name__startswith=p&{query}").json["projects"]
    )
    assert names("tags=a") == ["p1", "p2"]
    assert names("tags=a,b") == ["p2"]
    assert names("tags-any=a,b") == ["p1", "p2"]
    assert names("not-tags=a,b") == ["p1", "p3"]
    assert names("not-tags-any=a,b") == ["p3"]


def test_life_of_a_domain(cloud):
    made = cloud.make("domains", "domain", name="d", description="words")
    path = f"{DOMAINS}/{made['id']}"
    assert cloud.admin.get(path).json["domain"] == made
    assert cloud.admin.post(DOMAINS, {"domain": {"name": "d"}}).status == 409
    assert cloud.admin.get(f"{PROJECTS}/{made['id']}").json["project"]["is_domain"] is True
    place = cloud.make("projects", "project", name="demo", domain_id=made["id"])["id"]
    user = cloud.make_user("demo", domain_id=made["id"])["id"]
    group = cloud.make("groups", "group", name="g", domain_id=made["id"])["id"]
    role = cloud.make("roles", "role", name="r", domain_id=made["id"])["id"]
    cloud.grant("member", user=user, project=place)
    assert cloud.admin.delete(path).status == 403
    assert cloud.admin.patch(path, {"domain": {"enabled": False, "name": "e"}}).json["domain"]["name"] == "e"
    assert cloud.admin.delete(path).status == 204
    for gone in (f"projects/{place}", f"users/{user}", f"groups/{group}", f"roles/{role}", f"domains/{made['id']}"):
        assert cloud.admin.get(f"{BASE}/{gone}").status == 404
    assert cloud.admin.get(f"{BASE}/role_assignments?user.id={user}").json["role_assignments"] == []


def test_domains_are_refused(cloud):
    assert cloud.admin.post(DOMAINS, {"domain": {}}).status == 400
    assert cloud.admin.post(DOMAINS, {"domain": {"name": "x", "explicit_domain_id": "not hex"}}).status == 400
    wanted = "0123456789abcdef0123456789abcdef"
    assert cloud.make("domains", "domain", name="x", explicit_domain_id=wanted)["id"] == wanted
    assert cloud.admin.post(DOMAINS, {"domain": {"name": "y", "explicit_domain_id": wanted}}).status == 409
    demo = cloud.admin.get(f"{PROJECTS}?name=demo").json["projects"][0]["id"]
    assert cloud.admin.get(f"{DOMAINS}/{demo}").status == 404  # a project is no domain
    assert cloud.admin.patch(f"{DOMAINS}/{demo}", {"domain": {"name": "z"}}).status == 404
    assert cloud.admin.delete(f"{DOMAINS}/default").status == 403
    assert cloud.client(None).get(DOMAINS).status == 401


def test_immutable(cloud):
    made = cloud.make("projects", "project", name="p", options={"immutable": True})
    path = f"{PROJECTS}/{made['id']}"
    assert cloud.admin.delete(path).status == 403
    assert cloud.admin.patch(path, {"project": {"name": "q"}}).status == 403
    assert cloud.admin.patch(path, {"project": {"options": {"immutable": None}}}).status == 200
    assert cloud.admin.delete(path).status == 204


def test_who_may(cloud):
    demo = cloud.as_user("demo", DEMO_PASSWORD, project("demo"))
    own = cloud.admin.get(f"{PROJECTS}?name=demo").json["projects"][0]["id"]
    other = cloud.admin.get(f"{PROJECTS}?name=admin").json["projects"][0]["id"]
    assert demo.get(f"{PROJECTS}/{own}").status == 200
    assert demo.get(f"{PROJECTS}/{own}/tags").status == 200
    assert demo.get(f"{PROJECTS}/{other}").status == demo.get(f"{PROJECTS}/nothing").status == 403
    assert demo.get(PROJECTS).status == 403
    assert demo.post(PROJECTS, {"project": {"name": "x"}}).status == 403
    assert demo.get(f"{DOMAINS}/default").status == 200
    assert demo.get(DOMAINS).status == 403


def test_manager_of_a_domain(cloud):
    domain = cloud.make("domains", "domain", name="d")["id"]
    boss = cloud.make_user("boss", domain_id=domain)["id"]
    cloud.grant("manager", user=boss, domain=domain)
    manager = cloud.as_user("boss", "secret", {"domain": {"id": domain}}, domain=domain)
    place = manager.post(PROJECTS, {"project": {"name": "p", "domain_id": domain}})
    assert place.status == 201 and place.json["project"]["domain_id"] == domain
    user = manager.post(f"{BASE}/users", {"user": {"name": "u", "password": "secret", "domain_id": domain}})
    assert manager.post(f"{BASE}/users", {"user": {"name": "w"}}).status == 403  # the domain must be named
    assert user.status == 201 and user.json["user"]["domain_id"] == domain
    grant = f"{PROJECTS}/{place.json['project']['id']}/users/{user.json['user']['id']}/roles"
    assert manager.put(f"{grant}/{cloud.role_id('member')}").status == 204
    assert manager.put(f"{grant}/{cloud.role_id('admin')}").status == 403
    assert {one["name"] for one in manager.get(f"{BASE}/users").json["users"]} == {"boss", "u"}
    assert [one["id"] for one in manager.get(DOMAINS).json["domains"]] == [domain]
    assert len(manager.get(f"{BASE}/role_assignments").json["role_assignments"]) == 2
    assert manager.post(f"{BASE}/users", {"user": {"name": "v", "domain_id": "default"}}).status == 403
    assert manager.get(f"{BASE}/users?domain_id=default").status == 403
    assert manager.get(f"{BASE}/roles").status == 200
    assert cloud.log_in("admin", ADMIN_PASSWORD, {"domain": {"id": domain}}).status == 401
