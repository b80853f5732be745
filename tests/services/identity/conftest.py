# SPDX-License-Identifier: Apache-2.0
"""A cloud with real identity: real tokens, real passwords, users made through the API."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher

from altostratus.kernel.config import Section, Settings
from altostratus.services.identity import public
from altostratus.services.identity.config import IdentityOptions
from altostratus.services.identity.service import SERVICE
from altostratus.services.identity.tokens import passwords
from altostratus.testing.cloud import Answer, Client, TestCloud

BASE = "/identity/v3"
ADMIN_PASSWORD = "admin-password"
DEMO_PASSWORD = "demo-password"


class IdentityCloud(TestCloud):
    """`TestCloud` with short ways to what nearly every identity test does.

    Fixtures keep ids of what they made in `known`.
    """

    def __init__(self, directory: Path, *, sections: Iterable[Section] = (), **options: Any) -> None:
        self._clients: dict[str, Client] = {}
        self.known: dict[str, str] = {}
        super().__init__(
            directory,
            services=(SERVICE,),
            settings=Settings([IdentityOptions(revision_check_s=3600, **options), *sections]),
            prepare=self._prepare,
        )

    def _prepare(self, cloud: Any) -> None:
        cloud.authenticator = public.TokenAuthenticator(cloud, self.directory / "keys")
        with cloud.db.write() as tx:
            public.bootstrap(
                cloud, tx, admin_password=ADMIN_PASSWORD, demo_password=DEMO_PASSWORD, base_url="http://cloud"
            )

    def log_in(
        self, name: str, password: str, scope: Any = None, *, domain: str = "default", query: str = ""
    ) -> Answer:
        user = {"name": name, "password": password, "domain": {"id": domain}}
        auth: dict[str, Any] = {"identity": {"methods": ["password"], "password": {"user": user}}}
        if scope is not None:
            auth["scope"] = scope
        return self.client(None).post(f"{BASE}/auth/tokens{query}", {"auth": auth})

    def token(self, name: str, password: str, scope: Any = None, **options: Any) -> str:
        answer = self.log_in(name, password, scope, **options)
        assert answer.status == 201, answer.text
        return answer.headers["x-subject-token"]

    def as_user(self, name: str, password: str, scope: Any = None, **options: Any) -> Client:
        return self.client(self.token(name, password, scope, **options))

    @property
    def admin(self) -> Client:
        if "admin" not in self._clients:
            self._clients["admin"] = self.as_user("admin", ADMIN_PASSWORD, project("admin"))
        return self._clients["admin"]

    def make(self, path: str, one: str, **members: Any) -> dict[str, Any]:
        answer = self.admin.post(f"{BASE}/{path}", {one: members})
        assert answer.status == 201, answer.text
        made: dict[str, Any] = answer.json[one]
        return made

    def make_user(self, name: str = "john", password: str | None = "secret", **members: Any) -> dict[str, Any]:
        return self.make("users", "user", name=name, password=password, **members)

    def role_id(self, name: str) -> str:
        found = self.admin.get(f"{BASE}/roles?name={name}").json["roles"]
        return str(found[0]["id"])

    def grant(self, role: str, *, user: str, project: str | None = None, domain: str | None = None) -> None:
        """A role by its name; on the whole system when neither project nor domain is given."""
        place = f"projects/{project}" if project else f"domains/{domain}" if domain else "system"
        answer = self.admin.put(f"{BASE}/{place}/users/{user}/roles/{self.role_id(role)}")
        assert answer.status == 204, answer.text


def project(name: str, domain: str = "default") -> dict[str, Any]:
    return {"project": {"name": name, "domain": {"id": domain}}}


def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real hashes, of the cheapest kind: nearly every test makes users and logs in."""
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[IdentityCloud]:
    cheap_hashes(monkeypatch)
    with IdentityCloud(tmp_path) as made:
        yield made
