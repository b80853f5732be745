# SPDX-License-Identifier: Apache-2.0
"""A cloud with an object store in memory."""

import pytest

from altostratus.contracts.object_store import ObjectStore
from altostratus.drivers.object_store.fake import FakeObjectStore
from altostratus.services.object_store.reconcilers.waste import remove_waste
from altostratus.services.object_store.service import SERVICE
from altostratus.testing.cloud import TestCloud


class Swift:
    """One caller and one account; paths are container/object."""

    def __init__(self, cloud, persona, account=None):
        self.cloud, self.client = cloud, cloud.client(persona)
        owner = cloud.client(account or persona or "member")
        self.base = f"/object-store/v1/AUTH_{owner.project_id}"

    def __call__(self, method, path="", body=None, **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if method == "PUT" and not body:
            body, named = b"", {"Content-Length": "0", **named}
        where = f"{self.base}/{path}" if path and not path.startswith("?") else f"{self.base}{path}"
        return self.client.request(method, where, body, headers=named)

    def put(self, path, body=b"", **headers):
        answer = self("PUT", path, body, **headers)
        assert answer.status == 201, answer.text
        return answer

    def names(self, container, query=""):
        return self("GET", f"{container}?{query}").text.splitlines()


@pytest.fixture
def store():
    return FakeObjectStore()


@pytest.fixture
def cloud(tmp_path, store):
    with TestCloud(tmp_path, services=(SERVICE,), prepare=lambda cloud: cloud.add_part(ObjectStore, store)) as cloud:
        yield cloud


@pytest.fixture
def swift(cloud):
    return Swift(cloud, "member")


@pytest.fixture
def anybody(cloud):
    """Somebody without a token, at the member's account."""
    return Swift(cloud, None, "member")


@pytest.fixture
def stranger(cloud):
    """A member of another project, at the member's account."""
    return Swift(cloud, "member@red", "member")


@pytest.fixture
def nothing_left(cloud, store):
    """At the end of a test: every blob belongs to an object, and counts are right."""
    yield
    from .counts import demand_sound  # noqa: PLC0415

    remove_waste(cloud.cloud)
    demand_sound(cloud.cloud, store)
