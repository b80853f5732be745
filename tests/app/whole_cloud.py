# SPDX-License-Identifier: Apache-2.0
"""A cloud with real identity and every service, over simulated hosts, and short words for its people."""

from pathlib import Path
from typing import Any

from altostratus.app.admin.service import SERVICE as ADMIN
from altostratus.contracts.image_store import DiskInspector, ImageStore, StagingArea
from altostratus.drivers.image_store.fake import FakeImageStore
from altostratus.drivers.image_store.inspect import HeaderInspector
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.config import Settings
from altostratus.kernel.host_calls import HostCalls
from altostratus.services.compute.logic import hosts
from altostratus.services.identity import public
from altostratus.services.identity.config import IdentityOptions
from altostratus.services.identity.service import SERVICE as IDENTITY
from altostratus.testing.cloud import TestCloud
from tests.services.compute.people import Person
from tests.services.compute.world import SERVICES, Asked, new_agents
from tests.services.identity.conftest import ADMIN_PASSWORD, BASE, DEMO_PASSWORD, IdentityCloud, project

PASSWORD = "a-good-password"


class WholeCloud(IdentityCloud):
    """Users are made by their roles: `cloud.person("member", "blue")`."""

    def __init__(self, directory: Path) -> None:
        self._clients = {}
        self._people: dict[tuple[str, str], Person] = {}
        agents = new_agents()

        def prepare(cloud: Cloud) -> None:
            cloud.authenticator = public.TokenAuthenticator(cloud, directory / "keys")
            (directory / "store").mkdir()
            agents["compute"].store = FakeImageStore(directory=str(directory / "store"))
            cloud.add_part(ImageStore, agents["compute"].store)
            cloud.add_part(DiskInspector, HeaderInspector())  # type: ignore[type-abstract]
            cloud.add_part(StagingArea, StagingArea(directory=str(directory)))
            cloud.add_part(HostCalls, Asked(agents["compute"].driver))  # type: ignore[type-abstract]
            with cloud.db.write() as tx:
                public.bootstrap(
                    cloud, tx, admin_password=ADMIN_PASSWORD, demo_password=DEMO_PASSWORD, base_url="http://cloud"
                )

        TestCloud.__init__(
            self,
            directory,
            services=(IDENTITY, *SERVICES, ADMIN),
            agents=agents,
            settings=Settings([IdentityOptions(revision_check_s=3600)]),
            prepare=prepare,
        )
        with self.cloud.db.write() as tx:
            hosts.announce(tx, self.cloud)

    def project(self, name: str) -> str:
        """The id of a project of this name, made at its first use."""
        found = self.admin.get(f"{BASE}/projects?name={name}").json["projects"]
        return str(found[0]["id"] if found else self.make("projects", "project", name=name)["id"])

    def user(self, name: str) -> str:
        found = self.admin.get(f"{BASE}/users?name={name}").json["users"]
        return str(found[0]["id"] if found else self.make_user(name, PASSWORD)["id"])

    def person(self, role: str, in_project: str = "blue") -> Person:
        """Somebody with this role only; a client of compute, and of the rest by `person.client`."""
        known = self._people.get((role, in_project))
        if known is None:
            name = f"{role}-of-{in_project}"
            self.grant(role, user=self.user(name), project=self.project(in_project))
            known = self._people[role, in_project] = self.log_in_as(name, in_project)
        return known

    def log_in_as(self, name: str, in_project: str) -> Person:
        person = Person(self, self.token(name, PASSWORD, project(in_project)))
        person.project_id = person.client.project_id = self.project(in_project)
        person.user_id = self.user(name)
        return person


def rule_of(answer: Any) -> str:
    """The sentence of a refusal, whatever the service."""
    return str(answer.text)
