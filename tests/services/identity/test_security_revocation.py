# SPDX-License-Identifier: Apache-2.0
"""What ends a token at once: every way in which what it says can stop to be true, and none that it survives."""

from typing import Any, NamedTuple

import pytest

from altostratus.kernel import clock
from altostratus.services.identity.tokens import passwords
from tests.services.identity.conftest import ADMIN_PASSWORD, BASE, DEMO_PASSWORD, project

TOKENS = f"{BASE}/auth/tokens"


class World(NamedTuple):
    """John has the role member on the project by himself or by his group, in a domain of their own."""

    cloud: Any
    domain: str
    project: str
    user: str
    group: str

    def grant_to_group(self, role="member"):
        path = f"{BASE}/projects/{self.project}/groups/{self.group}/roles/{self.cloud.role_id(role)}"
        assert self.cloud.admin.put(path).status == 204
        return path

    def token(self, scope=None):
        wanted = scope or {"project": {"id": self.project}}
        return self.cloud.token("john", "secret", wanted, domain=self.domain)

    def works(self, token):
        return self.cloud.client(token).get(f"{BASE}/auth/projects").status == 200

    def do(self, method, path, body=None):
        answer = self.cloud.admin.request(method, path if path.startswith("/") else f"{BASE}/{path}", body)
        assert 200 <= answer.status < 300, answer.text


@pytest.fixture
def world(cloud):
    domain = cloud.make("domains", "domain", name="d")["id"]
    place = cloud.make("projects", "project", name="p", domain_id=domain)["id"]
    user = cloud.make_user(domain_id=domain)["id"]
    group = cloud.make("groups", "group", name="g", domain_id=domain)["id"]
    made = World(cloud, domain, place, user, group)
    made.do("PUT", f"groups/{group}/users/{user}")
    return made


def rescope(world, token, scope="unscoped"):
    auth = {"identity": {"methods": ["token"], "token": {"id": token}}, "scope": scope}
    return world.cloud.client(None).post(TOKENS, {"auth": auth})


BY_GROUP = {
    "the member leaves": ("DELETE", "groups/{group}/users/{user}"),
    "the group's role is taken": ("DELETE", "projects/{project}/groups/{group}/roles/{member}"),
    "the group is deleted": ("DELETE", "groups/{group}"),
}


@pytest.mark.parametrize("way", BY_GROUP)
def test_roles_through_a_group(world, way):
    world.grant_to_group()
    token = world.token()
    assert world.works(token)
    method, path = BY_GROUP[way]
    member = world.cloud.role_id("member")
    world.do(method, path.format(group=world.group, user=world.user, project=world.project, member=member))
    assert not world.works(token)


def test_a_role_is_deleted(world):
    role = world.cloud.make("roles", "role", name="r")["id"]
    world.do("PUT", f"projects/{world.project}/users/{world.user}/roles/{role}")
    token = world.token()
    world.do("DELETE", f"roles/{role}")
    assert not world.works(token)


def test_an_implied_role_goes_with_its_rule(world):
    prior, implied = (world.cloud.make("roles", "role", name=name)["id"] for name in ("prior", "implied"))
    world.do("PUT", f"roles/{prior}/implies/{implied}")
    world.do("PUT", f"projects/{world.project}/users/{world.user}/roles/{prior}")
    token = world.token()
    names = lambda: {role["name"] for role in shown(world, token)["roles"]}  # noqa: E731
    assert names() == {"prior", "implied"}
    world.do("DELETE", f"roles/{prior}/implies/{implied}")
    assert names() == {"prior"}


def shown(world, token):
    return world.cloud.admin.get(TOKENS, headers={"X-Subject-Token": token}).json["token"]


def test_an_inherited_role_is_taken(world):
    path = f"OS-INHERIT/domains/{world.domain}/users/{world.user}/roles/{world.cloud.role_id('member')}/"
    world.do("PUT", f"{path}inherited_to_projects")
    token = world.token()
    assert world.works(token)
    world.do("DELETE", f"{path}inherited_to_projects")
    assert not world.works(token)


@pytest.mark.parametrize("kind", ["domain", "system"])
def test_roles_on_other_things(world, kind):
    place, scope = {
        "domain": (f"domains/{world.domain}", {"domain": {"id": world.domain}}),
        "system": ("system", {"system": {"all": True}}),
    }[kind]
    path = f"{place}/users/{world.user}/roles/{world.cloud.role_id('member')}"
    world.do("PUT", path)
    token = world.token(scope)
    assert world.works(token)
    world.do("DELETE", path)
    assert not world.works(token)


BY_ANYTHING = {
    "the user is disabled": ("PATCH", "users/{user}", {"user": {"enabled": False}}),
    "the user is deleted": ("DELETE", "users/{user}", None),
    "an administrator sets the password": ("PATCH", "users/{user}", {"user": {"password": "other"}}),
    "the domain is disabled": ("PATCH", "domains/{domain}", {"domain": {"enabled": False}}),
}


@pytest.mark.parametrize("way", BY_ANYTHING)
def test_the_whole_family(world, way):
    """A token, those made of it, and those they were made of, end together when their user ends."""
    world.cloud.grant("member", user=world.user, project=world.project)
    parent = world.token()
    child = rescope(world, parent).headers["x-subject-token"]
    grandchild = rescope(world, child, {"project": {"id": world.project}}).headers["x-subject-token"]
    family = [parent, child, grandchild]
    assert all(map(world.works, family))
    method, path, body = BY_ANYTHING[way]
    world.do(method, path.format(user=world.user, domain=world.domain), body)
    assert not any(map(world.works, family))
    assert all(rescope(world, token).status == 404 for token in family)


def test_revoking_one_leaves_its_family(world):
    """As upstream: a revocation names one audit id."""
    world.cloud.grant("member", user=world.user, project=world.project)
    parent = world.token()
    child = rescope(world, parent).headers["x-subject-token"]
    assert world.cloud.admin.delete(TOKENS, headers={"X-Subject-Token": parent}).status == 204
    assert not world.works(parent) and world.works(child)
    assert rescope(world, parent).status == 404 and rescope(world, child).status == 201


def test_nothing_brings_a_token_back(world):
    world.cloud.grant("member", user=world.user, project=world.project)
    token = world.token()
    world.do("PATCH", f"projects/{world.project}", {"project": {"enabled": False}})
    world.do("PATCH", f"projects/{world.project}", {"project": {"enabled": True}})
    assert not world.works(token)
    assert world.works(world.token())


def test_an_application_credential_ends_with_its_roles(world):
    world.cloud.grant("member", user=world.user, project=world.project)
    owner = world.cloud.client(world.token())
    body = {"application_credential": {"name": "c", "secret": "s"}}
    made = owner.post(f"{BASE}/users/{world.user}/application_credentials", body).json["application_credential"]
    identity = {"methods": ["application_credential"], "application_credential": {"id": made["id"], "secret": "s"}}
    log_in = lambda: world.cloud.client(None).post(TOKENS, {"auth": {"identity": identity}})  # noqa: E731
    token = log_in().headers["x-subject-token"]
    assert world.works(token)
    role = world.cloud.role_id("member")
    world.do("DELETE", f"projects/{world.project}/users/{world.user}/roles/{role}")
    assert not world.works(token) and log_in().status == 401


def test_an_application_credential_is_deleted(world):
    world.cloud.grant("member", user=world.user, project=world.project)
    owner = world.cloud.client(world.token())
    path = f"{BASE}/users/{world.user}/application_credentials"
    made = owner.post(path, {"application_credential": {"name": "c", "secret": "s"}}).json["application_credential"]
    given = {"id": made["id"], "secret": "s"}
    identity = {"methods": ["application_credential"], "application_credential": given}
    token = world.cloud.client(None).post(TOKENS, {"auth": {"identity": identity}}).headers["x-subject-token"]
    assert owner.delete(f"{path}/{made['id']}").status == 204
    assert not world.works(token)


def test_a_name_that_was_given_again_is_somebody_else(world):
    """Tokens, receipts and passwords of a deleted user are nothing to the next one of that name."""
    world.cloud.grant("member", user=world.user, project=world.project)
    token = world.token()
    world.do("DELETE", f"users/{world.user}")
    again = world.cloud.make_user(domain_id=world.domain, password="other")
    world.cloud.grant("member", user=again["id"], project=world.project)
    assert not world.works(token)
    assert world.cloud.log_in("john", "secret", domain=world.domain).status == 401


def test_while_a_password_is_compared_it_is_changed(cloud, monkeypatch):
    """The login that began before the change gets no token that outlives it."""
    user, compare = cloud.make_user()["id"], passwords.is_password

    def slow(password, password_hash):
        right = compare(password, password_hash)
        if password == "secret":
            cloud.admin.patch(f"{BASE}/users/{user}", {"user": {"password": "other"}})
        return right

    monkeypatch.setattr(passwords, "is_password", slow)
    assert cloud.log_in("john", "secret").status == 401


def test_while_the_old_password_is_compared_an_administrator_sets_a_new_one(cloud, monkeypatch):
    """Who knew the old one must not be able to put another one in the new one's place."""
    user, compare = cloud.make_user()["id"], passwords.is_password

    def slow(password, password_hash):
        right = compare(password, password_hash)
        if password == "secret":
            cloud.admin.patch(f"{BASE}/users/{user}", {"user": {"password": "other"}})
        return right

    monkeypatch.setattr(passwords, "is_password", slow)
    body = {"user": {"original_password": "secret", "password": "third"}}
    assert cloud.client(None).post(f"{BASE}/users/{user}/password", body).status == 401
    assert cloud.log_in("john", "other").status == 201


def test_tokens_of_others_are_not_touched(world):
    demo = world.cloud.token("demo", DEMO_PASSWORD, project("demo"))
    admin = world.cloud.token("admin", ADMIN_PASSWORD, project("admin"))
    world.do("DELETE", f"users/{world.user}")
    world.do("PATCH", f"domains/{world.domain}", {"domain": {"enabled": False}})
    assert world.works(demo) and world.works(admin)


def test_expired_tokens_are_not_rescoped(world):
    with clock.frozen(clock.unix()) as advance:
        token = world.cloud.token("demo", DEMO_PASSWORD)
        advance(3601)
        assert rescope(world, token).status == 404
