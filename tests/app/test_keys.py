# SPDX-License-Identifier: Apache-2.0
"""`/alto/v1/keys`, as `alto keys` uses it."""

import pytest

from altostratus.services.identity.reconcilers.keys import keep_up
from altostratus.services.identity.tokens import key_folder

from .whole_cloud import WholeCloud

KEYS = "/alto/v1/keys"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(key_folder, "USED_FROM_S", 0)


def test_keys_are_listed_and_replaced(cloud: WholeCloud):
    shown = cloud.admin.get(KEYS).json
    assert [(key["ring"], key["number"], key["in_use"]) for key in shown["keys"]] == [
        ("fernet", 1, True),
        ("credentials", 1, True),
    ]
    assert shown["secrets_behind"] == 0
    cloud.make("credentials", "credential", type="cert", blob="x")
    answer = cloud.admin.post(f"{KEYS}/tokens/rotate")
    assert answer.status == 202 and [key["ring"] for key in answer.json["keys"]] == ["fernet"]
    assert cloud.admin.post(f"{KEYS}/credentials/rotate").status == 202
    shown = cloud.admin.get(KEYS).json
    assert [(key["ring"], key["number"], key["in_use"]) for key in shown["keys"]] == [
        ("fernet", 1, False),
        ("fernet", 2, True),
        ("credentials", 1, False),
        ("credentials", 2, True),
    ]
    assert shown["secrets_behind"] == 1
    keep_up(cloud.cloud)
    assert cloud.admin.get(KEYS).json["secrets_behind"] == 0
    assert cloud.admin.post(f"{KEYS}/doors/rotate").status == 404


def test_only_administrators_of_the_cloud_may(cloud: WholeCloud):
    user = cloud.user("ann")
    cloud.grant("manager", user=user, project=cloud.project("blue"))
    domain = cloud.make("domains", "domain", name="far")["id"]
    cloud.grant("admin", user=user, domain=domain)
    for scope in ({"project": {"id": cloud.project("blue")}}, {"domain": {"id": domain}}):
        ann = cloud.as_user("ann", "a-good-password", scope)
        assert ann.get(KEYS).status == 403
        assert ann.post(f"{KEYS}/tokens/rotate").status == 403
    assert cloud.client(None).get(KEYS).status == 401
