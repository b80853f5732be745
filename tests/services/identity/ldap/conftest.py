# SPDX-License-Identifier: Apache-2.0
"""A cloud with a domain `corp` whose users are those of a directory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from altostratus.services.identity.directory.directories import Directories
from altostratus.services.identity.directory.fake import FakeDirectory
from tests.services.identity.conftest import BASE, IdentityCloud
from tests.services.identity.ldap.slapd import Slapd, group, options, person, why_not

PEOPLE = "".join((person("ada"), person("bob"), person("carol"), group("staff", "ada", "bob"), group("empty")))
WRITABLE = {f"{kind}_allow_{right}": True for kind in ("user", "group") for right in ("create", "update", "delete")}


class Corp:
    """The domain, and short ways into it."""

    def __init__(self, cloud: IdentityCloud, **ldap: Any) -> None:
        self.cloud = cloud
        self.id = cloud.make("domains", "domain", name="corp")["id"]
        self.ldap = ldap
        self.configure(**ldap)

    def configure(self, **ldap: Any) -> None:
        config = {"identity": {"driver": "ldap"}, "ldap": {"url": "ldap://127.0.0.1"} | ldap}
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


def fill(directory: FakeDirectory) -> FakeDirectory:
    """The same people as in PEOPLE."""
    for name in ("ada", "bob", "carol"):
        directory.add_user(name)
    directory.add_group("staff", "ada", "bob")
    directory.add_group("empty")
    return directory


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
def fake(cloud: IdentityCloud) -> FakeDirectory:
    """The directory of every domain that has one."""
    made = fill(FakeDirectory())
    Directories.of(cloud.cloud).open = lambda options: made
    return made


@pytest.fixture(params=["fake", "slapd"])
def corp(request: pytest.FixtureRequest, cloud: IdentityCloud) -> Corp:
    """Nothing in its directory can be changed."""
    if request.param == "slapd":
        return Corp(cloud, **options(request.getfixturevalue("shared_server")))
    request.getfixturevalue("fake")
    return Corp(cloud)


@pytest.fixture(params=["fake", "slapd"])
def writable(request: pytest.FixtureRequest, cloud: IdentityCloud) -> Corp:
    if request.param == "slapd":
        return Corp(cloud, **options(request.getfixturevalue("server"), **WRITABLE))
    request.getfixturevalue("fake").rights = {
        (kind, right) for kind in ("user", "group") for right in ("create", "update", "delete")
    }
    return Corp(cloud)
