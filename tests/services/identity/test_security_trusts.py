# SPDX-License-Identifier: Apache-2.0
"""Trusts and those who want more out of them than was trusted: redelegation, rescoping, other delegations."""

import pytest

from altostratus.kernel import clock
from altostratus.services.identity.models import Trust
from tests.services.identity.conftest import BASE, project
from tests.services.identity.test_trusts import TOKENS, TRUSTS, People

FORBIDDEN_ROLES = ("admin", "manager", "member")


@pytest.fixture
def people(cloud):
    return People(cloud)


def chain(people, **members):
    """ann trusts ben, who passes it on to cat; the second trust's answer."""
    first = people.trust(allow_redelegation=True, **members)
    return first, people.client(first)


def for_cat(people, **members):
    return people.body(**{"trustee_user_id": people.ids["cat"], **members})


def test_a_trust_is_passed_on(people):
    first, ben = chain(people)
    assert first["redelegation_count"] == 3 and "allow_redelegation" not in first
    second = ben.post(TRUSTS, for_cat(people, allow_redelegation=True)).json["trust"]
    assert second["redelegated_trust_id"] == first["id"] and second["redelegation_count"] == 2
    token = people.log_in(second, "cat").json["token"]
    assert token["user"]["name"] == "ann" and token["OS-TRUST:trust"]["trustor_user"]["id"] == people.ids["ann"]
    third = people.client(second, "cat").post(TRUSTS, people.body())
    assert third.status == 201 and third.json["trust"]["redelegation_count"] == 0


def test_counting_down_ends_it(people):
    _, ben = chain(people, redelegation_count=1)
    second = ben.post(TRUSTS, for_cat(people, allow_redelegation=True)).json["trust"]
    assert second["redelegation_count"] == 0
    assert people.client(second, "cat").post(TRUSTS, people.body()).status == 403


def test_what_may_not_be_passed_on_is_not(people):
    for members in ({}, {"allow_redelegation": False, "redelegation_count": 2}, {"redelegation_count": 0}):
        trust = people.trust(**members)
        assert trust["redelegation_count"] == 0
        assert people.client(trust).post(TRUSTS, for_cat(people)).status == 403


@pytest.mark.parametrize(
    ("members", "status"),
    [
        ({"roles": [{"name": "member"}]}, 403),  # the trustor has it, the trust has not
        ({"roles": [{"name": "reader"}, {"name": "member"}]}, 403),
        ({"roles": [{"name": "admin"}]}, 404),
        ({"roles": []}, 403),
        ({"expires_at": "2099-01-01T00:00:00Z"}, 403),
        ({"remaining_uses": 5}, 403),
        ({"remaining_uses": 5, "allow_redelegation": True}, 400),
        ({"allow_redelegation": True, "redelegation_count": 3}, 403),
        ({"allow_redelegation": True, "redelegation_count": 1}, 403),
        ({"redelegated_trust_id": "0" * 32}, 403),
        ({"project_id": None, "roles": []}, 403),
    ],
)
def test_no_more_is_passed_on_than_was_trusted(people, members, status):
    _, ben = chain(people, expires_at=clock.after(600)[:19] + "Z")
    assert ben.post(TRUSTS, for_cat(people, **members)).status == status


def test_an_end_is_inherited(people):
    end = clock.after(600)[:19] + "Z"
    first, ben = chain(people, expires_at=end)
    assert ben.post(TRUSTS, for_cat(people)).json["trust"]["expires_at"] == first["expires_at"]


def test_another_project_is_out_of_reach(cloud, people):
    """The trustor is a reader of another project too; the trust is for one."""
    other = cloud.make("projects", "project", name="secret")["id"]
    cloud.grant("reader", user=people.ids["ann"], project=other)
    _, ben = chain(people)
    answer = ben.post(TRUSTS, for_cat(people, project_id=other))
    assert answer.status == 403 and people.project in answer.json["error"]["message"]


def test_who_does_not_impersonate_passes_on_the_own_name_only(cloud, people):
    _, ben = chain(people, impersonation=False)
    own = {"trustor_user_id": people.ids["ben"], "impersonation": False}
    # nor roles that the trustee has not got
    assert ben.post(TRUSTS, for_cat(people, **own)).status == 404
    cloud.grant("reader", user=people.ids["ben"], project=people.project)
    for members in ({}, {"impersonation": False}, own | {"impersonation": True}):
        assert ben.post(TRUSTS, for_cat(people, **members)).status == 403
    second = ben.post(TRUSTS, for_cat(people, **own))
    assert second.status == 201
    cat = people.client(second.json["trust"], "cat")
    assert cat.get(f"{BASE}/auth/projects").status == 200
    # both who trusted must keep the role
    assert cloud.admin.delete(people.role_of_ann("member")).status == 204
    assert cat.get(f"{BASE}/auth/projects").status == 401


@pytest.mark.parametrize("name", ["ann", "ben"])
def test_a_chain_breaks_with_each_of_its_people(cloud, people, name):
    _, ben = chain(people)
    second = ben.post(TRUSTS, for_cat(people)).json["trust"]
    cat = people.client(second, "cat")
    assert cloud.admin.patch(f"{BASE}/users/{people.ids[name]}", {"user": {"enabled": False}}).status == 200
    assert cat.get(f"{BASE}/auth/projects").status == 401
    assert people.log_in(second, "cat").status == 403
    assert cloud.admin.delete(f"{BASE}/users/{people.ids[name]}").status == 204
    assert people.log_in(second, "cat").status == 401
    with cloud.cloud.db.read() as tx:
        assert not tx.rows(Trust.__table__.select())


def test_a_deleted_trust_takes_those_made_with_it_along(people):
    first, ben = chain(people)
    second = ben.post(TRUSTS, for_cat(people)).json["trust"]
    cat = people.client(second, "cat")
    assert people.ann.delete(f"{TRUSTS}/{first['id']}").status == 204
    assert people.ann.get(f"{TRUSTS}/{second['id']}").status == 404
    assert cat.get(f"{BASE}/auth/projects").status == 401


def test_roles_that_the_first_trustor_lost_are_lost_to_all(cloud, people):
    first, ben = chain(people)
    second = ben.post(TRUSTS, for_cat(people)).json["trust"]
    cat = people.client(second, "cat")
    assert cloud.admin.delete(people.role_of_ann("member")).status == 204
    for client in (ben, cat):
        assert client.get(f"{BASE}/auth/projects").status == 401
    assert people.log_in(first).status == people.log_in(second, "cat").status == 403


def test_the_trust_of_somebody_else_is_no_parent(cloud, people):
    """Naming a trust in the body gives nothing of it: only a token of it does."""
    first = people.trust(allow_redelegation=True)
    cloud.grant("reader", user=people.ids["cat"], project=people.project)
    cat = cloud.as_user("cat", "cat", project("work"))
    body = people.body(trustor_user_id=people.ids["cat"], redelegated_trust_id=first["id"])
    assert cat.post(TRUSTS, body).status == 403


def test_a_token_of_a_trust_makes_no_other_token(cloud, people):
    _, ben = chain(people)
    auth = {"identity": {"methods": ["token"], "token": {"id": ben.token}}}
    other = people.trust()
    for scope in (
        None,
        "unscoped",
        project("work"),
        {"OS-TRUST:trust": {"id": other["id"]}},
        {"system": {"all": True}},
    ):
        body = {"auth": auth | ({"scope": scope} if scope else {})}
        answer = cloud.client(None).post(TOKENS, body)
        assert answer.status == 403 and "trust-scoped token" in answer.json["error"]["message"]


def test_a_token_of_a_trust_makes_nothing_that_outlives_it(people):
    _, ben = chain(people)
    own = f"{BASE}/users/{people.ids['ann']}"
    made = people.ann.post(f"{own}/application_credentials", {"application_credential": {"name": "x"}})
    one = f"{own}/application_credentials/{made.json['application_credential']['id']}"
    assert ben.post(f"{own}/application_credentials", {"application_credential": {"name": "y"}}).status == 403
    for path in (one, f"{own}/application_credentials", f"{own}/access_rules", f"{own}/access_rules/x"):
        assert ben.get(path).status == 403, path
    assert ben.delete(one).status == ben.delete(f"{own}/access_rules/x").status == 403


def test_a_program_has_nothing_to_do_with_trusts(cloud, people):
    trust = people.trust()
    body = {"application_credential": {"name": "x", "unrestricted": True}}
    path = f"{BASE}/users/{people.ids['ann']}/application_credentials"
    credential = people.ann.post(path, body).json["application_credential"]
    given = {"id": credential["id"], "secret": credential["secret"]}
    auth = {"identity": {"methods": ["application_credential"], "application_credential": given}}
    robot = cloud.client(cloud.client(None).post(TOKENS, {"auth": auth}).headers["x-subject-token"])
    one = f"{TRUSTS}/{trust['id']}"
    assert robot.post(TRUSTS, people.body()).status == 403
    for path in (f"{TRUSTS}?trustor_user_id={people.ids['ann']}", one, f"{one}/roles"):
        assert robot.get(path).status == 403, path
    assert robot.get(f"{one}/roles/{cloud.role_id('reader')}").status == 403
    assert robot.delete(one).status == 403
    # nor does the credential open a trust
    for identity in (auth["identity"], {"methods": ["token"], "token": {"id": robot.token}}):
        scoped = {"identity": identity, "scope": {"OS-TRUST:trust": {"id": trust["id"]}}}
        assert cloud.client(None).post(TOKENS, {"auth": scoped}).status == 401


def test_a_trust_gives_no_role_above_what_was_trusted(cloud, people):
    """Whatever the trustor or the trustee may do otherwise."""
    for role in FORBIDDEN_ROLES:
        cloud.grant(role, user=people.ids["ben"], project=people.project)
    cloud.grant("admin", user=people.ids["ann"], project=people.project)
    trusted = people.client(people.trust())
    assert trusted.get(f"{BASE}/users").status == 403
    context = cloud.cloud.authenticator.authenticate(trusted.token)
    assert context.roles == {"reader"}
    assert context.credentials["trust_id"] and context.credentials["trustor_id"] == people.ids["ann"]
    assert context.credentials["trustee_id"] == people.ids["ben"]


def test_a_role_that_grows_by_implication_grows_for_both(cloud, people):
    """An implied role is part of the role that was trusted, now and later, as upstream has it."""
    clerk, stamp = (cloud.make("roles", "role", name=name)["id"] for name in ("clerk", "stamp"))
    assert cloud.admin.put(people.role_of_ann("clerk")).status == 204
    trust = people.trust(roles=[{"id": clerk}])
    names = lambda: {role["name"] for role in people.log_in(trust).json["token"]["roles"]}  # noqa: E731
    assert names() == {"clerk"}
    assert cloud.admin.put(f"{BASE}/roles/{clerk}/implies/{stamp}").status == 201
    assert names() == {"clerk", "stamp"}


def test_the_token_ends_with_the_trust_though_it_is_remembered(people):
    with clock.frozen(clock.unix()) as advance:
        trust = people.trust(expires_at=clock.after(100)[:19])
        ben = people.client(trust)
        assert ben.get(f"{BASE}/auth/projects").status == 200
        advance(99)
        assert ben.get(f"{BASE}/auth/projects").status == 200
        advance(2)
        assert ben.get(f"{BASE}/auth/projects").status == 401
