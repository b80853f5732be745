# SPDX-License-Identifier: Apache-2.0
"""Whatever people do with trusts, roles and accounts: no token of a trust is worth more than its trustors are now."""

from itertools import count

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from altostratus.services.identity.models import Trust
from tests.services.identity.conftest import BASE, project
from tests.services.identity.test_trusts import TOKENS, TRUSTS

USERS = ("ann", "ben", "cat", "dan")
ROLES = ("head", "hand", "hair")  # head implies hair

_numbers = count(1)

users, roles = st.sampled_from(USERS), st.sampled_from(ROLES)
STEPS = st.one_of(
    st.tuples(st.just("grant"), users, roles),
    st.tuples(st.just("revoke"), users, roles),
    st.tuples(st.just("enable"), users, st.booleans()),
    st.tuples(st.just("trust"), users, users, st.sets(roles, min_size=1), st.booleans()),
    st.tuples(st.just("pass on"), st.integers(0, 9), users, users, st.sets(roles, min_size=1), st.booleans()),
    st.tuples(st.just("log in"), st.integers(0, 9)),
)


class World:
    """Users of one project, the trusts among them, and every token that a trust ever gave."""

    def __init__(self, cloud, name):
        self.cloud, self.name = cloud, name
        self.place = cloud.make("projects", "project", name=name)["id"]
        self.ids = {one: cloud.make_user(f"{one}-{name}", password=one)["id"] for one in USERS}
        self.role_ids = {one: cloud.make("roles", "role", name=f"{one}-{name}")["id"] for one in ROLES}
        head, hair = self.role_ids["head"], self.role_ids["hair"]
        assert cloud.admin.put(f"{BASE}/roles/{head}/implies/{hair}").status == 201
        for one in USERS:  # everybody can log in
            cloud.grant("reader", user=self.ids[one], project=self.place)
        self.trusts, self.tokens = [], []

    def step(self, kind, *given):
        getattr(self, kind.replace(" ", "_"))(*given)

    def grant(self, user, role):
        assert self.cloud.admin.put(self._grant(user, role)).status == 204

    def revoke(self, user, role):
        assert self.cloud.admin.delete(self._grant(user, role)).status in (204, 404)

    def enable(self, user, enabled):
        path = f"{BASE}/users/{self.ids[user]}"
        assert self.cloud.admin.patch(path, {"user": {"enabled": enabled}}).status == 200

    def trust(self, trustor, trustee, names, impersonation):
        answer = self.cloud.log_in(f"{trustor}-{self.name}", trustor, project(self.name))
        if answer.status == 201:
            self._trust(answer.headers["x-subject-token"], trustor, trustee, names, impersonation)

    def pass_on(self, number, trustor, trustee, names, impersonation):
        if self.tokens:
            self._trust(self.tokens[number % len(self.tokens)], trustor, trustee, names, impersonation)

    def log_in(self, number):
        if not self.trusts:
            return
        trust, trustee = self.trusts[number % len(self.trusts)]
        answer = self.cloud.log_in(f"{trustee}-{self.name}", trustee, {"OS-TRUST:trust": {"id": trust["id"]}})
        assert answer.status in (201, 401, 403)
        if answer.status == 201:
            self.tokens.append(answer.headers["x-subject-token"])

    def check(self):
        for token in self.tokens:
            answer = self.cloud.admin.get(TOKENS, headers={"X-Subject-Token": token})
            if answer.status == 200:
                self._check(answer.json["token"])

    def _check(self, shown):
        given = {role["id"] for role in shown["roles"]}
        trust_id = shown["OS-TRUST:trust"]["id"]
        while trust_id is not None:
            with self.cloud.cloud.db.read() as tx:
                trust = tx.get(Trust, trust_id)
            assert given <= self._reached(trust.role_ids), "more than a trust of the chain says"
            assert given <= self._worth(trust.trustor_user_id), "more than a trustor is worth"
            for user_id in (trust.trustor_user_id, trust.trustee_user_id):
                assert self.cloud.admin.get(f"{BASE}/users/{user_id}").json["user"]["enabled"]
            trust_id = trust.redelegated_trust_id

    def _worth(self, user_id):
        query = f"effective&user.id={user_id}&scope.project.id={self.place}"
        listed = self.cloud.admin.get(f"{BASE}/role_assignments?{query}").json["role_assignments"]
        return {one["role"]["id"] for one in listed}

    def _reached(self, role_ids):
        implied = {self.role_ids["hair"]} if self.role_ids["head"] in role_ids else set()
        return set(role_ids) | implied

    def _grant(self, user, role):
        return f"{BASE}/projects/{self.place}/users/{self.ids[user]}/roles/{self.role_ids[role]}"

    def _trust(self, token, trustor, trustee, names, impersonation):
        members = {
            "trustor_user_id": self.ids[trustor],
            "trustee_user_id": self.ids[trustee],
            "project_id": self.place,
            "impersonation": impersonation,
            "roles": [{"id": self.role_ids[name]} for name in sorted(names)],
            "allow_redelegation": True,
        }
        answer = self.cloud.client(token).post(TRUSTS, {"trust": members})
        assert answer.status in (201, 401, 403, 404), answer.text
        if answer.status == 201:
            self.trusts.append((answer.json["trust"], trustee))


@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, min_size=10, max_size=25))
def test_no_token_of_a_trust_is_worth_more_than_its_trustors(cloud, steps):
    world = World(cloud, f"world-{next(_numbers)}")
    # a start from which something can happen: ann has it all, and trusts ben, who passes it on
    for start in (
        ("grant", "ann", "head"), ("grant", "ann", "hand"), ("trust", "ann", "ben", {"head", "hand"}, True),
        ("log in", 0), ("pass on", 0, "ann", "cat", {"head"}, True), ("log in", 1),
    ):  # fmt: skip
        world.step(*start)
    assert len(world.tokens) == 2
    for step in steps:
        world.step(*step)
        world.check()
