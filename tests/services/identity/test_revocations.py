# SPDX-License-Identifier: Apache-2.0
"""What became void, and calls whose subject upstream took away."""

import pytest

from altostratus.kernel import clock
from tests.services.identity.conftest import BASE, DEMO_PASSWORD, project

EVENTS = f"{BASE}/OS-REVOKE/events"


def events(cloud, query=""):
    return cloud.admin.get(EVENTS + query).json["events"]


def test_a_revoked_token_is_an_event(cloud):
    token = cloud.log_in("demo", DEMO_PASSWORD, project("demo"))
    audit_id = token.json["token"]["audit_ids"][0]
    assert all("audit_id" not in one for one in events(cloud))
    before = clock.now()
    subject = {"X-Subject-Token": token.headers["x-subject-token"]}
    assert cloud.admin.request("DELETE", f"{BASE}/auth/tokens", headers=subject).status == 204
    event = next(one for one in events(cloud) if one.get("audit_id") == audit_id)
    assert event["revoked_at"] == event["issued_before"] > f"{before}Z"
    assert events(cloud, f"?since={before}Z") == [event]
    assert events(cloud, "?since=2099-01-01T00:00:00Z") == []


def test_what_voids_all_tokens_is_an_event(cloud):
    user = cloud.make_user()["id"]
    place, domain = cloud.make("projects", "project", name="p")["id"], cloud.make("domains", "domain", name="d")["id"]
    for path, one, identifier in (
        ("users", "user", user),
        ("projects", "project", place),
        ("domains", "domain", domain),
    ):
        assert cloud.admin.patch(f"{BASE}/{path}/{identifier}", {one: {"enabled": False}}).status == 200
    found = {name: one[name] for one in events(cloud) for name in one if name.endswith("_id")}
    assert found == {"user_id": user, "project_id": place, "domain_id": domain}


def test_who_may_see_events(cloud):
    assert cloud.as_user("demo", DEMO_PASSWORD, project("demo")).get(EVENTS).status == 403
    assert cloud.client(None).get(EVENTS).status == 401
    assert cloud.admin.get(f"{EVENTS}?since=yesterday").status == 400


@pytest.mark.parametrize(
    ("path", "status"),
    [("OS-SIMPLE-CERT/ca", 410), ("OS-SIMPLE-CERT/certificates", 410), ("auth/tokens/OS-PKI/revoked", 403)],
)
def test_what_upstream_took_away(cloud, path, status):
    answer = cloud.admin.get(f"{BASE}/{path}")
    assert answer.status == status and answer.json["error"]["message"]
