# SPDX-License-Identifier: Apache-2.0
"""Guessing: who tries names and secrets learns nothing from words, nor from the work that a refusal costs."""

from typing import Any

import pytest

from altostratus.kernel.db import counting_queries
from altostratus.services.identity.tokens import passwords
from tests.services.identity.conftest import BASE, DEMO_PASSWORD, IdentityCloud, cheap_hashes, project

TOKENS = f"{BASE}/auth/tokens"
# here upstream looks whether the thing exists before it asks the policy, and Tempest wants it so
LOOKED_FIRST = {("DELETE", "groups"), ("PATCH", "domains"), ("DELETE", "domains")}


class CountedHasher:
    """Counts what takes the time of a login, instead of measuring it."""

    def __init__(self, real: Any) -> None:
        self._real, self.compared = real, 0

    def hash(self, password: str) -> str:
        return str(self._real.hash(password))

    def verify(self, password_hash: str, password: str) -> bool:
        self.compared += 1
        return bool(self._real.verify(password_hash, password))


@pytest.fixture
def hasher(monkeypatch):
    cheap_hashes(monkeypatch)
    counted = CountedHasher(passwords._hasher)
    monkeypatch.setattr(passwords, "_hasher", counted)
    return counted


@pytest.fixture
def guarded(tmp_path, hasher):
    """A cloud that locks accounts, with one user of each kind."""
    with IdentityCloud(tmp_path, lockout_failure_attempts=3, lockout_duration=0) as cloud:
        cloud.make_user("there")
        cloud.make_user("disabled", enabled=False)
        cloud.make_user("keyless", password=None)
        cloud.make_user("locked")
        domain = cloud.make("domains", "domain", name="closed")["id"]
        cloud.make_user("shut out", domain_id=domain)
        cloud.admin.patch(f"{BASE}/domains/{domain}", {"domain": {"enabled": False}})
        cloud.known["closed"] = domain
        for _ in range(3):
            cloud.log_in("locked", "wrong")
        yield cloud


def observe(cloud, hasher, ask):
    """(status, content, headers, hashes compared, transactions and rows written)"""
    before = hasher.compared
    with counting_queries() as seen:
        answer = ask()
    words = [statement.split()[0] for statement in seen]
    headers = {name: value for name, value in answer.headers.items() if "request-id" not in name}
    return (
        answer.status,
        answer.content,
        headers,
        hasher.compared - before,
        (words.count("COMMIT"), words.count("UPDATE")),
    )


@pytest.mark.parametrize("name", ["nobody", "disabled", "keyless", "locked"])
@pytest.mark.parametrize("password", ["wrong", "secret"])
def test_names(guarded, hasher, name, password):
    known = observe(guarded, hasher, lambda: guarded.log_in("there", "wrong"))
    assert known[0] == 401 and known[3] == 1 and known[4] == (1, 1)
    assert observe(guarded, hasher, lambda: guarded.log_in(name, password)) == known


def test_names_in_closed_and_missing_domains(guarded, hasher):
    known = observe(guarded, hasher, lambda: guarded.log_in("there", "wrong"))
    for domain in (guarded.known["closed"], "nothing"):
        assert observe(guarded, hasher, lambda: guarded.log_in("shut out", "secret", domain=domain)) == known  # noqa: B023


def test_scopes_are_tried_after_the_password_only(guarded, hasher):
    """A wrong password does not tell whether the project of the scope exists."""
    wrong = [guarded.log_in("there", "wrong", scope).content for scope in (project("demo"), project("nothing"), None)]
    assert len(set(wrong)) == 1


def test_own_password(guarded, hasher):
    ids = {user["name"]: user["id"] for user in guarded.admin.get(f"{BASE}/users").json["users"]} | {"nobody": "nobody"}
    body = {"user": {"original_password": "wrong", "password": "other"}}
    ask = lambda name: lambda: guarded.client(None).post(f"{BASE}/users/{ids[name]}/password", body)  # noqa: E731
    known = observe(guarded, hasher, ask("there"))
    assert known[0] == 401 and known[3] == 1
    for name in ("nobody", "disabled", "keyless", "locked"):
        assert observe(guarded, hasher, ask(name)) == known, name


def test_passcodes(guarded, hasher):
    def ask(name):
        given = {"user": {"name": name, "domain": {"id": "default"}, "passcode": "000000"}}
        return lambda: guarded.client(None).post(TOKENS, {"auth": {"identity": {"methods": ["totp"], "totp": given}}})

    known = observe(guarded, hasher, ask("there"))
    assert known[0] == 401
    for name in ("nobody", "disabled", "locked"):
        assert observe(guarded, hasher, ask(name)) == known, name


def test_application_credentials(guarded, hasher):
    demo = guarded.as_user("demo", DEMO_PASSWORD, project("demo"))
    user = guarded.admin.get(f"{BASE}/users?name=demo").json["users"][0]["id"]
    body = {"application_credential": {"name": "c", "secret": "s"}}
    made = demo.post(f"{BASE}/users/{user}/application_credentials", body).json["application_credential"]

    def ask(**given):
        identity = {"methods": ["application_credential"], "application_credential": {"secret": "wrong", **given}}
        return lambda: guarded.client(None).post(TOKENS, {"auth": {"identity": identity}})

    owner = {"name": "demo", "domain": {"id": "default"}}
    known = observe(guarded, hasher, ask(id=made["id"]))
    assert known[0] == 401 and known[3] == 1
    assert observe(guarded, hasher, ask(id="nothing")) == known
    assert observe(guarded, hasher, ask(name="c", user=owner)) == known
    assert observe(guarded, hasher, ask(name="nothing", user=owner)) == known
    assert observe(guarded, hasher, ask(name="c", user=owner | {"name": "nobody"})) == known


def test_foreign_things_look_like_missing_ones(cloud):
    """Somebody without rights gets the same answer for what exists and what does not."""
    demo = cloud.as_user("demo", DEMO_PASSWORD, project("demo"))
    admin = cloud.admin.get(f"{BASE}/users?name=admin").json["users"][0]["id"]
    group = cloud.make("groups", "group", name="g")["id"]
    domain = cloud.make("domains", "domain", name="d")["id"]
    place = cloud.make("projects", "project", name="p")["id"]
    credential = cloud.make("credentials", "credential", type="cert", blob="x")["id"]
    for kind, there in (
        ("users", admin),
        ("groups", group),
        ("domains", domain),
        ("projects", place),
        ("credentials", credential),
    ):
        for method in ("GET", "PATCH", "DELETE"):
            body = {kind[:-1]: {"description": "x"}} if method == "PATCH" else None
            if (method, kind) in LOOKED_FIRST:
                continue
            found = demo.request(method, f"{BASE}/{kind}/{there}", body)
            missing = demo.request(method, f"{BASE}/{kind}/nothing", body)
            assert found.status == missing.status == 403, (method, kind, found.text, missing.text)
            assert found.content == missing.content, (method, kind)
