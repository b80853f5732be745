# SPDX-License-Identifier: Apache-2.0
"""Nobody gets out of the own domain: every declared call that takes an id is tried with ids of another domain."""

import re
from itertools import product
from typing import Any

import pytest

from altostratus.kernel.db import table_of
from altostratus.services.identity import models
from altostratus.services.identity.service import SERVICE
from tests.services.identity.conftest import BASE

REFUSED = {401, 403, 404}
# what belongs to a domain, by the name that a path gives it; the rest is the whole cloud's
OWNED = ("user", "group", "project", "domain", "role", "credential", "application_credential", "trust", "access_rule")
BY_PATH = {
    "/users": "user",
    "/groups": "group",
    "/projects": "project",
    "/domains": "domain",
    "/roles": "role",
    "/credentials": "credential",
    "/users/{user_id}/application_credentials": "application_credential",
    "/users/{user_id}/access_rules": "access_rule",
}
BY_NAME = {"prior_id": "role", "implied_id": "role"}
OTHERS = {"tag": "t", "group": "identity", "option": "driver"}
BODIES: dict[str, Any] = {
    "identity:update_project_tags": {"tags": ["escaped"]},
    "identity:create_domain_config": {"config": {"identity": {"driver": "ldap"}}},
    "identity:update_domain_config": {"config": {"identity": {"driver": "ldap"}}},
    "identity:ec2_create_credential": {"tenant_id": "{project}"},
    "identity:create_application_credential": {"application_credential": {"name": "escaped"}},
    "identity:authorize_request_token": {"roles": [{"id": "x"}]},
    "identity:create_identity_provider": {"identity_provider": {"enabled": True}},
    "identity:create_protocol": {"protocol": {"mapping_id": "m"}},
    "identity:update_protocol": {"protocol": {"mapping_id": "m"}},
    "identity:create_mapping": {
        "mapping": {"rules": [{"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "X"}]}]}
    },
    "identity:update_mapping": {
        "mapping": {"rules": [{"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "X"}]}]}
    },
    "identity:create_service_provider": {"service_provider": {"auth_url": "https://a/", "sp_url": "https://a/"}},
    "identity:update_service_provider": {"service_provider": {"description": "escaped"}},
    "identity:create_region": {"region": {"description": "escaped"}},
    "identity:update_credential": {"credential": {"blob": "escaped"}},
    "identity:update_registered_limit": {"registered_limit": {"default_limit": 1}},
    "identity:update_limit": {"limit": {"resource_limit": 1}},
}


def calls():
    """(operation, path with names) of every declared call with a name in its path that asks for a token."""
    for resource in SERVICE.resources:
        for op in resource.operations:
            path = (resource.path or "") + op.path
            if "{" in path and not op.public:
                yield op, path


def kind_of(name, path):
    if name in BY_NAME:
        return BY_NAME[name]
    if name == "id":
        return BY_PATH.get(path.rpartition("/{id}")[0], "")
    return name.removesuffix("_id") if name.endswith("_id") else ""


def make_things(cloud, name):
    """Something of every kind in a domain of its own, by kind; and its people with their tokens."""
    domain = cloud.make("domains", "domain", name=name)["id"]
    things = {
        "domain": domain,
        "project": cloud.make("projects", "project", name="p", domain_id=domain)["id"],
        "group": cloud.make("groups", "group", name="g", domain_id=domain)["id"],
        "role": cloud.make("roles", "role", name="r", domain_id=domain)["id"],
    }
    user = things["user"] = cloud.make_user("owner", domain_id=domain)["id"]
    cloud.grant("member", user=user, project=things["project"])
    scope = {"project": {"id": things["project"]}}
    owner = cloud.as_user("owner", "secret", scope, domain=domain)
    credential = owner.post(f"{BASE}/credentials", {"credential": {"type": "cert", "blob": "x"}})
    things["credential"] = credential.json["credential"]["id"]
    rules = [{"service": "identity", "method": "GET", "path": "/v3/users"}]
    body = {"application_credential": {"name": "c", "access_rules": rules}}
    made = owner.post(f"{BASE}/users/{user}/application_credentials", body).json["application_credential"]
    things["application_credential"], things["access_rule"] = made["id"], made["access_rules"][0]["id"]
    trust = {"trustor_user_id": user, "trustee_user_id": user, "project_id": things["project"], "impersonation": False}
    given = owner.post(f"{BASE}/OS-TRUST/trusts", {"trust": trust | {"roles": [{"name": "member"}]}})
    things["trust"] = given.json["trust"]["id"]
    return things


@pytest.fixture
def worlds(cloud):
    return make_things(cloud, "ours"), make_things(cloud, "theirs")


PERSONAS = ["manager of the domain", "reader of the domain", "manager of a project", "member of a project", "unscoped"]


def as_persona(cloud, ours, persona):
    user = cloud.make_user(persona, domain_id=ours["domain"])["id"]
    role, _, place = persona.partition(" of ")
    if not place:
        return cloud.as_user(persona, "secret", "unscoped", domain=ours["domain"])
    kind = "domain" if "domain" in place else "project"
    cloud.grant(role, user=user, **{kind: ours[kind]})
    return cloud.as_user(persona, "secret", {kind: {"id": ours[kind]}}, domain=ours["domain"])


def tries(op, path, ours, theirs):
    """Paths in which one thing at least is foreign: every mixture of our things and theirs."""
    names = re.findall(r"\{([a-z_]+)\}", path)
    kinds = [kind_of(name, path) for name in names]
    for sides in product((ours, theirs), repeat=len(names)):
        owned = [side for side, kind in zip(sides, kinds, strict=True) if kind in OWNED]
        if theirs not in owned:
            continue
        filled = path
        for name, kind, side in zip(names, kinds, sides, strict=True):
            value = side[kind] if kind in OWNED else OTHERS.get(name, "x")
            filled = filled.replace(f"{{{name}}}", value)
        yield filled


def body_of(op, theirs):
    if op.rule in BODIES:
        return {
            k: v.replace("{project}", theirs["project"]) if isinstance(v, str) else v
            for k, v in BODIES[op.rule].items()
        }
    if op.kind == "update":
        return {op.resource.one: {"description": "escaped"}}
    return None


def everything(cloud):
    """Rows of every table of identity, but counters of revisions and the days of last logins."""
    with cloud.cloud.db.read() as tx:
        tables = [table_of(getattr(models, name)) for name in models.__all__ if name != "Revision"]
        return {table.name: sorted(map(repr, tx.rows(table.select()))) for table in tables}


@pytest.mark.parametrize("persona", PERSONAS)
def test_no_way_out(cloud, worlds, persona):
    ours, theirs = worlds
    client = as_persona(cloud, ours, persona)
    before, escaped, count = everything(cloud), [], 0
    for op, path in calls():
        for filled in dict.fromkeys(tries(op, path, ours, theirs)):
            answer = client.request(op.method, BASE + filled, body_of(op, theirs))
            count += 1
            if answer.status not in REFUSED:
                escaped.append((op.method, path, filled, answer.status, answer.text[:200]))
    assert not escaped, "\n".join(map(str, escaped))
    assert count > 200
    assert everything(cloud) == before


@pytest.mark.parametrize("persona", PERSONAS)
def test_nobody_changes_what_is_the_whole_clouds(cloud, worlds, persona):
    ours, theirs = worlds
    client = as_persona(cloud, ours, persona)
    before, changed = everything(cloud), []
    for op, path in calls():
        names = re.findall(r"\{([a-z_]+)\}", path)
        if op.method in ("GET", "HEAD") or any(kind_of(name, path) in OWNED for name in names):
            continue
        filled = re.sub(r"\{([a-z_]+)\}", lambda found: OTHERS.get(found[1], "x"), path)
        answer = client.request(op.method, BASE + filled, body_of(op, theirs))
        if answer.status not in REFUSED:
            changed.append((op.method, path, answer.status, answer.text[:200]))
    assert not changed, "\n".join(map(str, changed))
    assert everything(cloud) == before


@pytest.mark.parametrize("path", ["users", "groups", "projects", "domains", "role_assignments", "credentials", "roles"])
def test_lists_of_a_manager_end_at_the_domain(cloud, worlds, path):
    ours, theirs = worlds
    client = as_persona(cloud, ours, PERSONAS[0])
    for query in ("", f"?domain_id={theirs['domain']}", f"?user.id={theirs['user']}", "?name=p", "?limit=100"):
        answer = client.get(f"{BASE}/{path}{query}").json
        answer.pop("links", None)  # they repeat the question
        text = str(answer)
        for kind in ("user", "group", "project", "credential"):
            assert theirs[kind] not in text, (path, query, kind)


def test_a_manager_makes_nothing_in_another_domain(cloud, worlds):
    ours, theirs = worlds
    client = as_persona(cloud, ours, PERSONAS[0])
    before = everything(cloud)
    for path, body in (
        ("users", {"user": {"name": "x", "domain_id": theirs["domain"]}}),
        ("groups", {"group": {"name": "x", "domain_id": theirs["domain"]}}),
        ("projects", {"project": {"name": "x", "domain_id": theirs["domain"]}}),
        ("projects", {"project": {"name": "x", "parent_id": theirs["project"]}}),
        ("projects", {"project": {"name": "x", "is_domain": True}}),
        ("domains", {"domain": {"name": "x"}}),
        ("roles", {"role": {"name": "x"}}),
        ("roles", {"role": {"name": "x", "domain_id": ours["domain"]}}),
        ("users", {"user": {"name": "x"}}),
    ):
        answer = client.post(f"{BASE}/{path}", body)
        assert answer.status in REFUSED, (path, body, answer.text)
    assert everything(cloud) == before


@pytest.mark.parametrize("role", ["admin", "service"])
def test_a_manager_makes_no_administrators(cloud, worlds, role):
    ours, _ = worlds
    client = as_persona(cloud, ours, PERSONAS[0])
    role_id = cloud.role_id(role)
    for place in (f"domains/{ours['domain']}", f"projects/{ours['project']}", "system"):
        for actor in ("user", "group"):
            path = f"{BASE}/{place}/{actor}s/{ours[actor]}/roles/{role_id}"
            assert client.put(path).status == 403, path
            inherited = path.replace(f"{BASE}/", f"{BASE}/OS-INHERIT/") + "/inherited_to_projects"
            assert client.put(inherited).status in REFUSED, path
    member = cloud.role_id("member")
    assert client.put(f"{BASE}/projects/{ours['project']}/users/{ours['user']}/roles/{member}").status == 204


def test_a_manager_moves_nobody_to_another_domain(cloud, worlds):
    ours, theirs = worlds
    client = as_persona(cloud, ours, PERSONAS[0])
    for kind in ("user", "group", "project"):
        body = {kind: {"domain_id": theirs["domain"]}}
        assert client.patch(f"{BASE}/{kind}s/{ours[kind]}", body).status in {400, 403}, kind
        assert client.patch(f"{BASE}/{kind}s/{ours[kind]}", {kind: {"description": "ours"}}).status == 200
