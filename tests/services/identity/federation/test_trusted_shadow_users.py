# SPDX-License-Identifier: Apache-2.0
"""Trusts for users that a provider vouches for: they act as the trustor, and bring nothing of their own along."""

from tests.services.identity.conftest import BASE, DEMO_PASSWORD, project
from tests.services.identity.federation.test_shadow_users import cloud, enter, rescope, validate  # noqa: F401

TRUSTS = f"{BASE}/OS-TRUST/trusts"


def trust_for(cloud, user_id, *, impersonation):  # noqa: F811
    demo = cloud.as_user("demo", DEMO_PASSWORD, project("demo"))
    me = cloud.cloud.authenticator.authenticate(demo.token)
    given = {"trustor_user_id": me.user_id, "trustee_user_id": user_id, "project_id": me.project_id,
             "impersonation": impersonation, "roles": [{"name": "reader"}]}  # fmt: skip
    answer = demo.post(TRUSTS, {"trust": given})
    assert answer.status == 201, answer.text
    return answer.json["trust"]


def test_who_impersonates_has_the_groups_of_nobody(cloud, provider):  # noqa: F811
    cloud.make_group("devs", "member", "admin")
    token, shown = enter(cloud, provider, groups=["devs"])
    trust = trust_for(cloud, shown["user"]["id"], impersonation=True)
    answer = rescope(cloud, token, {"OS-TRUST:trust": {"id": trust["id"]}})
    assert answer.status == 201, answer.text
    user = answer.json["token"]["user"]
    assert user["name"] == "demo" and "OS-FEDERATION" not in user
    assert [role["name"] for role in answer.json["token"]["roles"]] == ["reader"]
    client = cloud.client(answer.headers["x-subject-token"])
    names = [one["name"] for one in client.get(f"{BASE}/auth/projects").json["projects"]]
    assert names == ["demo"]  # not admin, where the trustee's own group is


def test_the_trust_is_no_good_without_the_provider(cloud, provider):  # noqa: F811
    token, shown = enter(cloud, provider, groups=["devs"])
    trust = trust_for(cloud, shown["user"]["id"], impersonation=False)
    answer = rescope(cloud, token, {"OS-TRUST:trust": {"id": trust["id"]}})
    assert answer.json["token"]["user"]["OS-FEDERATION"] == shown["user"]["OS-FEDERATION"]
    trusted = answer.headers["x-subject-token"]
    assert validate(cloud, trusted) == 200
    cloud.set_idp(enabled=False)
    assert validate(cloud, trusted) == 404
