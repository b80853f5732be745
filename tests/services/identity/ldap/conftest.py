# SPDX-License-Identifier: Apache-2.0
"""A cloud with a domain `corp` whose users are those of a directory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.services.identity.conftest import BASE, IdentityCloud
from tests.services.identity.ldap.slapd import Slapd, group, options, person, why_not

PEOPLE = "".join((person("ada"), person("bob"), person("carol"), group("staff", "ada", "bob"), group("empty")))
WRITABLE = {f"{kind}_allow_{right}": True for kind in ("user", "group") for right in ("create", "update", "delete")}


class Corp:
    """The domain, and short ways into it."""

    def __init__(self, cloud: IdentityCloud, **ldap: Any) -> None:
        self.cloud = cloud
        self.id = cloud.make("domains", "domain", name="corp")["id"]
        self.configure(**ldap)

    def configure(self, **ldap: Any) -> None:
        config = {"identity": {"driver": "ldap"}, "ldap": {name: str(value) for name, value in ldap.items()}}
        answer = self.cloud.admin.put(f"{BASE}/domains/{self.id}/config", {"config": config})
        assert answer.status in (200, 201), answer.text

    def log_in(self, name: str, password: str | None = None, scope: Any = None) -> Any:
        return self.cloud.log_in(name, password if password is not None else f"{name}-password", scope, domain=self.id)

    def token(self, name: str, scope: Any = None) -> str:
        answer = self.log_in(name, scope=scope)
        assert answer.status == 201, answer.text
        return str(answer.headers["x-subject-token"])

    def list(self, path: str, query: str = "") -> list[Any]:
        answer = self.cloud.admin.get(f"{BASE}/{path}?domain_id={self.id}{query}")
        assert answer.status == 200, answer.text
        found: list[Any] = answer.json[path]
        return found

    def id_of(self, path: str, name: str) -> str:
        [found] = self.list(path, f"&name={name}")
        return str(found["id"])


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    """For tests that change nothing in it."""
    if why_not() is not None:
        pytest.skip(why_not() or "")
    with Slapd(tmp_path_factory.mktemp("slapd") / "shared", PEOPLE) as one:
        yield one


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Slapd]:
    if why_not() is not None:
        pytest.skip(why_not() or "")
    with Slapd(tmp_path / "slapd", PEOPLE) as one:
        yield one


@pytest.fixture
def corp(cloud: IdentityCloud, shared_server: Slapd) -> Corp:
    return Corp(cloud, **options(shared_server))


@pytest.fixture
def writable(cloud: IdentityCloud, server: Slapd) -> Corp:
    return Corp(cloud, **options(server, **WRITABLE))
