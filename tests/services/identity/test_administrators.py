# SPDX-License-Identifier: Apache-2.0
"""Who administers what: cloud, domain and project, as requirements IDN-05, IDN-06 and IDN-13 have it."""

import pytest

from altostratus.kernel import policy as module
from tests.services.identity.conftest import ADMIN_PASSWORD, BASE, project

SYSTEM = {"system": {"all": True}}


class World:
    """Two domains, `own` and `other`, each with a user and a project."""

    def __init__(self, cloud):
        self.cloud = cloud
        self.own, self.other = (cloud.make("domains", "domain", name=name)["id"] for name in ("own", "other"))
        self.here, self.there = (cloud.make_user("user", domain_id=one)["id"] for one in (self.own, self.other))
        self.near, self.far = (
            cloud.make("projects", "project", name="place", domain_id=one)["id"] for one in (self.own, self.other)
        )

    def person(self, role, scope):
        """Somebody of `own` with this role; scope: domain, project or system."""
        name = f"{role}-{scope}"
        user = self.cloud.make_user(name, domain_id=self.own)["id"]
        place = {"domain": {"domain": self.own}, "project": {"project": self.near}, "system": {}}[scope]
        self.cloud.grant(role, user=user, **place)
        body = {"domain": {"domain": {"id": self.own}}, "project": {"project": {"id": self.near}}, "system": SYSTEM}
        return self.cloud.as_user(name, "secret", body[scope], domain=self.own)


@pytest.fixture(autouse=True)
def look_at_once(monkeypatch):
    monkeypatch.setattr(module, "_RELOAD_EVERY_S", 0.0)


@pytest.fixture
def world(look_at_once, cloud):
    return World(cloud)


# cloud administrator


@pytest.mark.parametrize("scope", [project("admin"), SYSTEM], ids=["project", "system"])
def test_the_cloud_administrator_manages_every_domain(cloud, world, scope):
    admin = cloud.as_user("admin", ADMIN_PASSWORD, scope)
    for domain in (world.own, world.other):
        assert [one["domain_id"] for one in admin.get(f"{BASE}/users?domain_id={domain}").json["users"]] == [domain]
        assert admin.post(f"{BASE}/users", {"user": {"name": "new", "domain_id": domain}}).status == 201
    assert admin.post(f"{BASE}/domains", {"domain": {"name": "third"}}).status == 201


# domain administrator and domain manager


@pytest.mark.parametrize("role", ["admin", "manager"])
def test_a_domain_admin_cannot_list_another_domain_s_users_403(world, role):
    boss = world.person(role, "domain")
    for what in ("users", "groups", "projects"):
        assert boss.get(f"{BASE}/{what}?domain_id={world.other}").status == 403
        listed = boss.get(f"{BASE}/{what}").json[what]
        assert {one["domain_id"] for one in listed} <= {world.own}
    assert {one["id"] for one in boss.get(f"{BASE}/users?domain_id={world.own}").json["users"]} >= {world.here}


@pytest.mark.parametrize("role", ["admin", "manager"])
def test_a_domain_admin_manages_its_own_domain(world, role):
    boss = world.person(role, "domain")
    made = boss.post(f"{BASE}/users", {"user": {"name": "new", "domain_id": world.own}})
    assert made.status == 201, made.text
    user = made.json["user"]["id"]
    assert boss.patch(f"{BASE}/users/{user}", {"user": {"description": "x"}}).status == 200
    assert boss.post(f"{BASE}/projects", {"project": {"name": "p", "domain_id": world.own}}).status == 201
    group = boss.post(f"{BASE}/groups", {"group": {"name": "g", "domain_id": world.own}}).json["group"]["id"]
    assert boss.put(f"{BASE}/groups/{group}/users/{user}").status == 204
    member = world.cloud.role_id("member")
    assert boss.put(f"{BASE}/projects/{world.near}/users/{user}/roles/{member}").status == 204
    assert boss.delete(f"{BASE}/projects/{world.near}/users/{user}/roles/{member}").status == 204
    assert boss.delete(f"{BASE}/users/{user}").status == 204


@pytest.mark.parametrize("role", ["admin", "manager"])
def test_a_domain_admin_manages_nothing_of_another_domain(world, role):
    boss, member = world.person(role, "domain"), world.cloud.role_id("member")
    asked = [
        boss.get(f"{BASE}/users/{world.there}"),
        boss.post(f"{BASE}/users", {"user": {"name": "new", "domain_id": world.other}}),
        boss.patch(f"{BASE}/users/{world.there}", {"user": {"password": "stolen-password"}}),
        boss.delete(f"{BASE}/users/{world.there}"),
        boss.post(f"{BASE}/projects", {"project": {"name": "p", "domain_id": world.other}}),
        boss.patch(f"{BASE}/projects/{world.far}", {"project": {"enabled": False}}),
        boss.delete(f"{BASE}/projects/{world.far}"),
        boss.post(f"{BASE}/groups", {"group": {"name": "g", "domain_id": world.other}}),
        boss.put(f"{BASE}/projects/{world.far}/users/{world.here}/roles/{member}"),
        boss.put(f"{BASE}/projects/{world.near}/users/{world.there}/roles/{member}"),
        boss.put(f"{BASE}/domains/{world.other}/users/{world.here}/roles/{member}"),
    ]
    assert [one.status for one in asked] == [403] * len(asked)


@pytest.mark.parametrize("role", ["admin", "manager"])
def test_a_domain_admin_is_not_cloud_admin(world, role):
    boss, admin = world.person(role, "domain"), world.cloud.role_id("admin")
    asked = [
        boss.post(f"{BASE}/domains", {"domain": {"name": "third"}}),
        boss.delete(f"{BASE}/domains/{world.own}"),
        boss.post(f"{BASE}/roles", {"role": {"name": "x"}}),
        boss.post(f"{BASE}/services", {"service": {"type": "x"}}),
        boss.post(f"{BASE}/regions", {"region": {}}),
        boss.post(f"{BASE}/credentials", {"credential": {"type": "cert", "blob": "x", "user_id": world.there}}),
        boss.put(f"{BASE}/system/users/{world.here}/roles/{admin}"),
        boss.get(f"{BASE}/system/users/{world.here}/roles"),
    ]
    assert [one.status for one in asked] == [403] * len(asked)


def test_a_domain_manager_gives_manager_member_and_reader_only(world):
    boss = world.person("manager", "domain")
    path = f"{BASE}/projects/{world.near}/users/{world.here}/roles"
    given = {name: boss.put(f"{path}/{world.cloud.role_id(name)}").status
             for name in ("manager", "member", "reader", "admin", "service")}  # fmt: skip
    assert given == {"manager": 204, "member": 204, "reader": 204, "admin": 403, "service": 403}


def test_a_domain_admin_gives_no_role_with_power_over_other_domains(cloud, world):
    """The role admin on any project is the cloud's: whoever could give it in a domain would have the cloud."""
    cloud.make("roles", "role", name="itsec")
    cloud.make("roles", "role", name="operator")
    boss = world.person("admin", "domain")
    given: dict[str, list[int]] = {}
    for place in (f"projects/{world.near}", f"domains/{world.own}"):
        for name in ("admin", "service", "itsec", "manager", "operator"):
            path = f"{BASE}/{place}/users/{world.here}/roles/{cloud.role_id(name)}"
            given.setdefault(name, []).append(boss.put(path).status)
    assert given.pop("manager") == given.pop("operator") == [204, 204]
    assert set(map(tuple, given.values())) == {(403, 403)}


@pytest.mark.parametrize("role", ["member", "reader"])
def test_a_domain_reader_looks_at_its_own_domain_and_changes_nothing(world, role):
    reader = world.person(role, "domain")
    assert {one["domain_id"] for one in reader.get(f"{BASE}/users").json["users"]} == {world.own}
    assert reader.get(f"{BASE}/users/{world.here}").status == 200
    asked = [
        reader.get(f"{BASE}/users/{world.there}"),
        reader.get(f"{BASE}/users?domain_id={world.other}"),
        reader.post(f"{BASE}/users", {"user": {"name": "new", "domain_id": world.own}}),
        reader.delete(f"{BASE}/users/{world.here}"),
        reader.post(f"{BASE}/projects", {"project": {"name": "p", "domain_id": world.own}}),
    ]
    assert [one.status for one in asked] == [403] * len(asked)


# project administrators, members and readers


@pytest.mark.parametrize("role", ["manager", "member", "reader"])
def test_in_a_project_nobody_below_admin_sees_other_users(world, role):
    person = world.person(role, "project")
    assert person.get(f"{BASE}/projects/{world.near}").status == 200
    asked = [
        person.get(f"{BASE}/users"),
        *(person.get(f"{BASE}/users?domain_id={one}") for one in (world.own, world.other, "None", "")),
        *(person.get(f"{BASE}/{what}?domain_id=None") for what in ("domains", "projects", "groups")),
        person.get(f"{BASE}/users/{world.here}"),
        person.get(f"{BASE}/projects/{world.far}"),
        person.get(f"{BASE}/projects"),
        person.get(f"{BASE}/role_assignments"),
        person.put(f"{BASE}/projects/{world.near}/users/{world.here}/roles/{world.cloud.role_id('member')}"),
    ]
    assert [one.status for one in asked] == [403] * len(asked)


def test_a_system_reader_looks_at_everything_and_changes_nothing(world):
    reader = world.person("reader", "system")
    for path in (f"users/{world.there}", f"projects/{world.far}", "users", "domains", "role_assignments", "services"):
        assert reader.get(f"{BASE}/{path}").status == 200, path
    asked = [
        reader.post(f"{BASE}/users", {"user": {"name": "new", "domain_id": world.own}}),
        reader.delete(f"{BASE}/projects/{world.far}"),
        reader.put(f"{BASE}/system/users/{world.here}/roles/{world.cloud.role_id('reader')}"),
    ]
    assert [one.status for one in asked] == [403] * len(asked)


def test_with_many_domains_switched_on_by_policy_admin_of_another_domain_s_project_is_not_cloud_admin(cloud, world):
    """IDN-05 by IDN-06: as upstream, the role admin on any project is the cloud's unless a file says otherwise."""
    person = world.person("admin", "project")
    assert person.get(f"{BASE}/users").status == 200
    path = cloud.directory / "policy" / "keystone.json"
    path.parent.mkdir()
    path.write_text('{"admin_required": "role:admin and (project_domain_id:default or system_scope:all)"}')
    asked = [
        person.get(f"{BASE}/users"),
        person.get(f"{BASE}/users/{world.there}"),
        person.post(f"{BASE}/users", {"user": {"name": "new", "domain_id": world.other}}),
        person.post(f"{BASE}/domains", {"domain": {"name": "third"}}),
    ]
    assert [one.status for one in asked] == [403] * len(asked)
    assert cloud.admin.get(f"{BASE}/users").status == 200
    assert world.person("manager", "domain").get(f"{BASE}/users").status == 200
